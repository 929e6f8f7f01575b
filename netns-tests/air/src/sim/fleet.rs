//! The loop: hosts, their packets, and the air between them.

use crate::address::address;
use crate::air::{Air, Event};
use crate::host::{Client, Host, Progress, State};
use crate::outcome::{self, Outcome, Totals};
use crate::random::Random;
use crate::scenario::Scenario;
use crate::sim::Server;
use crate::sim::agenda::Agenda;
use crate::sim::makings::{Makings, server};
use crate::sim::power::{self, Power};
use crate::topology::{NodeId, Role};
use crate::udp;
use sixfold_profile::Instant;
use std::collections::HashMap;
use std::net::Ipv6Addr;

/// The stream of a run's randomness; the channel has stream 0.
const STREAM: u64 = 1;

/// All that lives during one run.
pub(super) struct Fleet<'s> {
    scenario: &'s Scenario,
    kind: Server,
    seed: u64,
    air: Air,
    server: Box<dyn Host>,
    /// By which radio the server sends from which address.
    radios: HashMap<Ipv6Addr, NodeId>,
    /// One for every node that does more than forward, `None` for the others.
    clients: Vec<Option<Member<'s>>>,
    /// How many devices have not ended.
    fetching: usize,
    agenda: Agenda,
}

/// A client and its life.
struct Member<'s> {
    client: Box<dyn Client + 's>,
    power_on: Instant,
    /// When its power fails, until it has.
    fails: Option<Instant>,
    /// It is off until then.
    off_until: Instant,
    /// It is one of those that the run is about.
    counts: bool,
    /// Once it has ended.
    outcome: Option<outcome::Device>,
}

impl<'s> Fleet<'s> {
    pub(super) fn new(scenario: &'s Scenario, kind: Server, seed: u64, memory: &'s mut [Vec<u8>]) -> Self {
        let mut random = Random::new(seed, STREAM);
        let mut makings = Makings::new(scenario, kind, seed, memory);
        let topology = &scenario.topology;
        let nodes = topology.nodes.len();
        let mut fleet = Self {
            air: Air::new(topology.clone(), scenario.radio, scenario.network, seed),
            server: server(scenario, kind, &makings.images, &mut random),
            radios: topology.roots().map(|root| (address(&scenario.network, root), root)).collect(),
            clients: (0..nodes).map(|_| None).collect(),
            fetching: 0,
            agenda: Agenda::new(nodes),
            scenario,
            kind,
            seed,
        };
        for node in topology.ids() {
            fleet.air.assign(address(&scenario.network, node), node);
        }
        let mut on = Vec::new();
        for node in topology.ids().filter(|&id| topology.node(id).role != Role::Forward) {
            let power_on = fleet.add(node, &mut makings, &mut random);
            on.extend(fleet.counts(node).then_some(power_on));
        }
        for (node, power) in topology.fetchers().zip(power::plan(scenario, seed, &on)) {
            fleet.disturb(node, power);
        }
        fleet
    }

    /// Adds a client, and says when it powers on were it not late.
    fn add(&mut self, node: NodeId, makings: &mut Makings<'s>, random: &mut Random) -> Instant {
        let power_on = Instant::ZERO + power::share_of(self.scenario.fetch.power_on_within, random);
        let client = makings.client(self.scenario, node, random);
        let counts = matches!(self.scenario.topology.node(node).role, Role::Fetch | Role::Legacy);
        let member = Member { client, power_on, fails: None, off_until: power_on, counts, outcome: None };
        self.clients[node.index()] = Some(member);
        self.fetching += usize::from(counts);
        self.switch(node, false);
        self.agenda.set(node, Some(power_on));
        power_on
    }

    fn counts(&self, node: NodeId) -> bool {
        self.clients[node.index()].as_ref().is_some_and(|member| member.counts)
    }

    fn disturb(&mut self, node: NodeId, power: Power) {
        let Some(member) = &mut self.clients[node.index()] else { return };
        (member.power_on, member.off_until, member.fails) = (power.on, power.on, power.fails);
        self.agenda.set(node, Some(power.on));
    }

    pub(super) fn run(mut self) -> Outcome {
        let end = Instant::ZERO + self.scenario.fetch.give_up_after;
        let mut now = Instant::ZERO;
        while self.fetching > 0 {
            let next = self.air.poll_timeout().into_iter().chain(self.agenda.next()).min();
            now = match next {
                Some(next) if next < end => now.max(next),
                _ => end,
            };
            if now == end {
                break;
            }
            self.step(now);
        }
        self.conclude(now)
    }

    fn step(&mut self, now: Instant) {
        self.air.handle_timeout(now);
        while let Some(event) = self.air.poll_event() {
            if let Event::Packet { node, packet } = event {
                self.deliver(now, node, &packet);
            }
        }
        while let Some(node) = self.agenda.take_due(now) {
            self.power(now, node);
            if let Some(host) = self.host(now, node) {
                host.handle_timeout(now);
            }
            self.pump(now, node);
        }
    }

    /// Cuts the power of a node, or gives it, when it is time.
    fn power(&mut self, now: Instant, node: NodeId) {
        let Some(member) = &mut self.clients[node.index()] else { return };
        if member.outcome.is_none() && member.fails.is_some_and(|at| at <= now) {
            member.fails = None;
            member.off_until = now + self.scenario.disturbance.off;
            member.client.power_cut();
        }
        let is_on = member.is_on(now);
        self.switch(node, is_on);
    }

    fn switch(&mut self, node: NodeId, on: bool) {
        self.air.switch(node, on);
    }

    fn deliver(&mut self, now: Instant, node: NodeId, packet: &[u8]) {
        let Some(datagram) = udp::datagram(packet) else { return };
        if let Some(host) = self.host(now, node) {
            host.handle_datagram(now, &datagram);
            self.pump(now, node);
        }
    }

    /// Who is at a node, and has power.
    fn host(&mut self, now: Instant, node: NodeId) -> Option<&mut dyn Host> {
        if self.scenario.topology.is_root(node) {
            return Some(&mut *self.server);
        }
        let member = self.clients[node.index()].as_mut().filter(|member| member.is_on(now))?;
        Some(&mut *member.client)
    }

    /// Sends what a host has to send, and notes when it is due again.
    fn pump(&mut self, now: Instant, node: NodeId) {
        let is_server = self.scenario.topology.is_root(node);
        while let Some(datagram) = self.host(now, node).and_then(|host| host.poll_transmit(now)) {
            let radio = if is_server { self.radios.get(datagram.from.ip()).copied() } else { None };
            self.air.send_packet(now, radio.unwrap_or(node), &udp::packet(&datagram));
        }
        if is_server {
            return self.agenda.set(NodeId::BORDER_ROUTER, self.server.poll_timeout());
        }
        if let Some(member) = &self.clients[node.index()] {
            self.agenda.set(node, member.deadline(now));
        }
        self.note_end(now, node);
    }

    fn note_end(&mut self, now: Instant, node: NodeId) {
        let Some(member) = &mut self.clients[node.index()] else { return };
        let progress = member.client.progress();
        if member.counts && member.outcome.is_none() && progress.state != State::Fetching {
            member.outcome = Some(member.ended(now, progress, &mut self.air, node));
            self.fetching -= 1;
        }
    }

    fn conclude(mut self, now: Instant) -> Outcome {
        let mut devices = Vec::new();
        let mut totals = Totals {
            end: now,
            retransmissions: self.server.retransmissions(),
            origin_bytes: self.server.origin_bytes(),
            stream: self.server.stream(),
            counters: Vec::new(),
        };
        for node in self.scenario.topology.ids() {
            totals.counters.push(self.air.counters(node));
            let Some(member) = self.clients[node.index()].as_ref().filter(|member| member.counts) else {
                continue;
            };
            totals.retransmissions += member.client.retransmissions();
            let unfinished = || member.ended(now, member.client.progress(), &mut self.air, node);
            devices.push(member.outcome.unwrap_or_else(unfinished));
        }
        let block_bytes = self.kind.block_bytes(&self.scenario.fetch);
        let outcome = Outcome::new(self.scenario, self.kind.label(), self.seed, &devices, &totals);
        Outcome { block_bytes, ..outcome }
    }
}

impl Member<'_> {
    fn is_on(&self, now: Instant) -> bool {
        now >= self.off_until
    }

    fn deadline(&self, now: Instant) -> Option<Instant> {
        if !self.is_on(now) {
            return Some(self.off_until);
        }
        let fails = self.fails.filter(|_| self.outcome.is_none());
        self.client.poll_timeout().into_iter().chain(fails).min()
    }

    fn ended(&self, end: Instant, progress: Progress, air: &mut Air, node: NodeId) -> outcome::Device {
        let transmitting = air.counters(node).transmitting;
        outcome::Device { node, power_on: self.power_on, end, progress, transmitting }
    }
}
