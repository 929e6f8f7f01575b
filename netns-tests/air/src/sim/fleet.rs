//! The loop: hosts, their packets, and the air between them.

use crate::address::address;
use crate::air::{Air, Event};
use crate::host::{Client, Host, Progress, State};
use crate::outcome::{self, Outcome, Totals};
use crate::peers::{CoapClient, CoapServer, TFTP_PORT, TftpClient, TftpOptions, TftpServer};
use crate::random::Random;
use crate::scenario::Scenario;
use crate::sim::agenda::Agenda;
use crate::sim::boot::{BootDevice, Prepared};
use crate::sim::{Device, Relay, Server};
use crate::topology::NodeId;
use crate::udp;
use bytes::Bytes;
use sixfold_profile::Instant;
use sixfold_profile::coap::Szx;
use std::net::SocketAddrV6;
use std::sync::Arc;

const COAP_PORT: u16 = 5683;
/// The first of the ports that systems hand out (RFC 6335 §6).
const CLIENT_PORT: u16 = 49_152;
/// What boot loaders usually ask for.
const TFTP_TIMEOUT_S: u8 = 5;
/// The streams of a run's randomness; the channel has stream 0.
const FLEET_STREAM: u64 = 1;
const IMAGE_STREAM: u64 = 2;

/// All that lives during one run.
pub(super) struct Fleet<'s> {
    scenario: &'s Scenario,
    kind: Server,
    seed: u64,
    air: Air,
    server: Box<dyn Host>,
    /// One for every node that fetches, `None` for the others.
    clients: Vec<Option<Member>>,
    /// How many clients have not ended.
    fetching: usize,
    agenda: Agenda,
}

/// A client and its life.
struct Member {
    client: Box<dyn Client>,
    power_on: Instant,
    /// Once it has ended.
    outcome: Option<outcome::Device>,
}

impl<'s> Fleet<'s> {
    pub(super) fn new(scenario: &'s Scenario, kind: Server, seed: u64) -> Self {
        let mut random = Random::new(seed, FLEET_STREAM);
        let image = image(scenario.fetch.image_bytes, seed);
        let nodes = scenario.topology.nodes.len();
        let mut fleet = Self {
            air: Air::new(scenario.topology.clone(), scenario.radio, scenario.network, seed),
            server: server(scenario, kind, &image, &mut random),
            clients: (0..nodes).map(|_| None).collect(),
            fetching: 0,
            agenda: Agenda::new(nodes),
            scenario,
            kind,
            seed,
        };
        for node in scenario.topology.ids() {
            fleet.air.assign(address(&scenario.network, node), node);
        }
        let makings = Makings::new(scenario, kind, image);
        for node in scenario.topology.fetchers() {
            fleet.add(node, &makings, &mut random);
        }
        fleet
    }

    fn add(&mut self, node: NodeId, makings: &Makings, random: &mut Random) {
        let within = self.scenario.fetch.power_on_within;
        let power_on = Instant::ZERO + within.mul_f64(f64::from(random.bits()) / 4_294_967_296.0);
        let client = makings.client(self.scenario, node, random);
        self.clients[node.index()] = Some(Member { client, power_on, outcome: None });
        self.fetching += 1;
        self.agenda.set(node, Some(power_on));
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
            if let Some(host) = self.host(node) {
                host.handle_timeout(now);
            }
            self.pump(now, node);
        }
    }

    fn deliver(&mut self, now: Instant, node: NodeId, packet: &[u8]) {
        let Some(datagram) = udp::datagram(packet) else { return };
        if let Some(host) = self.host(node) {
            host.handle_datagram(now, &datagram);
            self.pump(now, node);
        }
    }

    fn host(&mut self, node: NodeId) -> Option<&mut dyn Host> {
        if node == NodeId::BORDER_ROUTER {
            return Some(&mut *self.server);
        }
        let member = self.clients[node.index()].as_mut()?;
        Some(&mut *member.client)
    }

    /// Sends what a host has to send, and notes when it is due again.
    fn pump(&mut self, now: Instant, node: NodeId) {
        while let Some(datagram) = self.host(node).and_then(|host| host.poll_transmit(now)) {
            self.air.send_packet(now, node, &udp::packet(&datagram));
        }
        let deadline = self.host(node).and_then(|host| host.poll_timeout());
        self.agenda.set(node, deadline);
        self.note_end(now, node);
    }

    fn note_end(&mut self, now: Instant, node: NodeId) {
        let Some(member) = &mut self.clients[node.index()] else { return };
        let progress = member.client.progress();
        if member.outcome.is_none() && progress.state != State::Fetching {
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
            counters: Vec::new(),
        };
        for node in self.scenario.topology.ids() {
            totals.counters.push(self.air.counters(node));
            let Some(member) = &self.clients[node.index()] else { continue };
            totals.retransmissions += member.client.retransmissions();
            let unfinished = || member.ended(now, member.client.progress(), &mut self.air, node);
            devices.push(member.outcome.unwrap_or_else(unfinished));
        }
        let block_bytes = self.kind.block_bytes(&self.scenario.fetch);
        let outcome = Outcome::new(self.scenario, self.kind.label(), self.seed, &devices, &totals);
        Outcome { block_bytes, ..outcome }
    }
}

impl Member {
    fn ended(&self, end: Instant, progress: Progress, air: &mut Air, node: NodeId) -> outcome::Device {
        let transmitting = air.counters(node).transmitting;
        outcome::Device { node, power_on: self.power_on, end, progress, transmitting }
    }
}

/// The image of a run: random bytes, so that none can pass for another.
fn image(bytes: u32, seed: u64) -> Arc<[u8]> {
    let mut random = Random::new(seed, IMAGE_STREAM);
    (0..bytes).map(|_| random.bits() as u8).collect()
}

fn endpoint(scenario: &Scenario, node: NodeId, port: u16) -> SocketAddrV6 {
    SocketAddrV6::new(address(&scenario.network, node), port, 0, 0)
}

fn server_endpoint(scenario: &Scenario, kind: Server) -> SocketAddrV6 {
    let port = match kind {
        Server::Ours | Server::Boot | Server::Legacy | Server::Rfc7252 => COAP_PORT,
        Server::Tftp | Server::TftpOptions => TFTP_PORT,
    };
    endpoint(scenario, NodeId::BORDER_ROUTER, port)
}

fn server(scenario: &Scenario, kind: Server, image: &Arc<[u8]>, random: &mut Random) -> Box<dyn Host> {
    let local = server_endpoint(scenario, kind);
    match kind {
        Server::Ours | Server::Boot | Server::Legacy => {
            let image = Bytes::copy_from_slice(image);
            Box::new(Relay::new(local, image, scenario.origin, random.seed()))
        }
        Server::Rfc7252 => Box::new(CoapServer::new(local, image.clone(), Szx::MAX)),
        Server::Tftp | Server::TftpOptions => {
            Box::new(TftpServer::new(local, image.clone(), kind == Server::TftpOptions))
        }
    }
}

/// What all clients of a run are made of.
struct Makings {
    kind: Server,
    image: Arc<[u8]>,
    server: SocketAddrV6,
    szx: Szx,
    /// For [`Server::Boot`].
    prepared: Option<Prepared>,
}

impl Makings {
    fn new(scenario: &Scenario, kind: Server, image: Arc<[u8]>) -> Self {
        let server = server_endpoint(scenario, kind);
        let szx = Szx::from_size(usize::from(scenario.fetch.block_bytes)).unwrap_or(Szx::B64);
        let prepared = (kind == Server::Boot).then(|| Prepared::new(server, &image, szx)).flatten();
        Self { kind, image, server, szx, prepared }
    }

    fn client(&self, scenario: &Scenario, node: NodeId, random: &mut Random) -> Box<dyn Client> {
        let local = endpoint(scenario, node, CLIENT_PORT);
        let Self { kind, server, szx, .. } = *self;
        let image = self.image.clone();
        match kind {
            Server::Boot => Box::new(BootDevice::new(local, server, self.prepared.as_ref(), random)),
            Server::Ours => {
                let restart_after = scenario.fetch.restart_after;
                Box::new(Device::new(local, server, image, szx, restart_after, random.split()))
            }
            Server::Legacy | Server::Rfc7252 => {
                Box::new(CoapClient::new(local, server, image, szx, random.split()))
            }
            Server::Tftp => Box::new(TftpClient::new(local, server, image, TftpOptions::default())),
            Server::TftpOptions => {
                let options = TftpOptions {
                    block_size: Some(scenario.fetch.block_bytes),
                    timeout: Some(TFTP_TIMEOUT_S),
                    transfer_size: Some(0),
                };
                Box::new(TftpClient::new(local, server, image, options))
            }
        }
    }
}
