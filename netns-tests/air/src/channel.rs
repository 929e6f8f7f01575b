//! The shared channel and the MAC sublayer of every node: frames in, frames out.
//!
//! Unslotted CSMA/CA, acknowledgements and retries (IEEE Std 802.15.4-2015 clauses 6.2.5.1 and 6.7.4). A receiver
//! loses a frame when any other transmission that it hears overlaps it, its own included: there is no capture.
//! Acknowledgements are sent without carrier sense. Signals take no time from node to node.

use crate::counters::Counters;
use crate::frame::{self, Destination};
use crate::loss::Lossy;
use crate::mac::{self, Backoff};
use crate::phy;
use crate::random::Random;
use crate::scenario::Radio;
use crate::topology::{NodeId, Topology};
use sixfold_profile::Instant;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::rc::Rc;

/// A frame that waits to be sent, and has the whole of its datagram behind it.
#[derive(Clone, Debug)]
pub(crate) struct Outgoing {
    pub(crate) to: Destination,
    pub(crate) payload: Rc<[u8]>,
    /// Frames of one datagram have the same number: when one of them fails, those behind it are of no use.
    pub(crate) datagram: u64,
}

/// What comes out of the channel.
#[derive(Debug)]
pub(crate) enum Indication {
    /// A frame arrived.
    Received { node: NodeId, from: NodeId, to: Destination, payload: Rc<[u8]> },
    /// A frame was on the air.
    Sent { at: Instant, mpdu: Vec<u8> },
}

#[derive(Debug)]
pub(crate) struct Channel {
    topology: Topology,
    radio: Radio,
    sniff: bool,
    random: Random,
    stations: Vec<Station>,
    /// Who can receive a node's broadcasts besides its parent.
    children: Vec<Vec<NodeId>>,
    /// Transmissions that are on the air, or were within the last [`phy::CCA`].
    on_air: Vec<Transmission>,
    agenda: BinaryHeap<Reverse<(Instant, u64, Due)>>,
    /// Numbers agenda entries, so that what was planned first comes first.
    planned: u64,
    indications: VecDeque<(Instant, Indication)>,
}

/// What is due. The second number tells whether it still is: a station's round, or a transmission's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    /// The clear channel assessment ends.
    Assess(NodeId, u64),
    /// The frame's first bit leaves.
    Start(NodeId, u64),
    /// The transmission's last bit has left.
    End(u64),
    /// The acknowledgement of a frame from the second node leaves the first.
    Acknowledge(NodeId, NodeId, u64),
    /// No acknowledgement came.
    Unacknowledged(NodeId, u64),
}

/// The MAC sublayer of one node.
#[derive(Debug)]
struct Station {
    queue: VecDeque<Outgoing>,
    /// The first of the queue is on its way.
    busy: bool,
    backoff: Backoff,
    retries: u32,
    /// Counts the steps that must not be overtaken: what is due for an earlier round is void.
    round: u64,
    sequence_number: u8,
    /// It has power.
    on: bool,
    /// The receiver has the frame; only its acknowledgement may still be missing.
    delivered: bool,
    /// The interframe space is over.
    free_at: Instant,
    /// An acknowledgement is to be sent until then.
    acknowledging_until: Instant,
    up: Lossy,
    down: Lossy,
    counters: Counters,
}

#[derive(Debug)]
struct Transmission {
    number: u64,
    from: NodeId,
    kind: Kind,
    end: Instant,
    /// Who else sent meanwhile.
    overlapped_by: Vec<NodeId>,
}

#[derive(Clone, Debug)]
enum Kind {
    Data { to: Destination, payload: Rc<[u8]>, sequence_number: u8, round: u64 },
    Acknowledgement { to: NodeId, sequence_number: u8, round: u64 },
}

impl Channel {
    pub(crate) fn new(topology: Topology, radio: Radio, seed: u64) -> Self {
        let stations = topology.nodes.iter().map(|node| Station {
            queue: VecDeque::new(),
            busy: false,
            backoff: Backoff::new(mac::MIN_BE),
            retries: 0,
            round: 0,
            sequence_number: 0,
            on: true,
            delivered: false,
            free_at: Instant::ZERO,
            acknowledging_until: Instant::ZERO,
            up: Lossy::new(node.up),
            down: Lossy::new(node.down),
            counters: Counters::default(),
        });
        let mut children = vec![Vec::new(); topology.nodes.len()];
        for id in topology.ids() {
            if let Some(parent) = topology.node(id).parent {
                children[parent.index()].push(id);
            }
        }
        Self {
            stations: stations.collect(),
            children,
            topology,
            radio,
            sniff: false,
            random: Random::new(seed, 0),
            on_air: Vec::new(),
            agenda: BinaryHeap::new(),
            planned: 0,
            indications: VecDeque::new(),
        }
    }

    pub(crate) const fn topology(&self) -> &Topology {
        &self.topology
    }

    /// Whether a node forwards for others.
    pub(crate) fn is_router(&self, node: NodeId) -> bool {
        !self.children[node.index()].is_empty()
    }

    pub(crate) fn sniff(&mut self) {
        self.sniff = true;
    }

    pub(crate) fn counters(&mut self, node: NodeId) -> &mut Counters {
        &mut self.stations[node.index()].counters
    }

    /// Gives a node power, or takes it: a node without hears nothing, and loses what it was about to send.
    pub(crate) fn switch(&mut self, node: NodeId, on: bool) {
        let station = &mut self.stations[node.index()];
        station.on = on;
        if !on {
            // The first frame may be on the air already. It ends as it would have: nobody acknowledges it to this node.
            station.queue.truncate(1);
        }
    }

    /// Puts the frames of one datagram into the queue of `node`: all of them, or none if they do not fit.
    pub(crate) fn send(
        &mut self,
        now: Instant,
        node: NodeId,
        frames: impl ExactSizeIterator<Item = Outgoing>,
    ) {
        let is_root = self.topology.is_root(node);
        let room = if is_root { self.radio.border_router_queue } else { self.radio.queue };
        let station = &mut self.stations[node.index()];
        // A queue that is empty takes any one datagram, however many fragments it has.
        if !station.queue.is_empty() && station.queue.len() + frames.len() > room {
            station.counters.queue_drops += 1;
            return;
        }
        station.queue.extend(frames);
        if !station.busy {
            self.contend(now, node);
        }
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.agenda.peek().map(|Reverse((at, ..))| *at)
    }

    pub(crate) fn poll_indication(&mut self) -> Option<(Instant, Indication)> {
        self.indications.pop_front()
    }

    /// Does the next thing that is due by `now`, at the time when it is due.
    pub(crate) fn step(&mut self, now: Instant) -> bool {
        let Some(&Reverse((at, _, due))) = self.agenda.peek() else { return false };
        if at > now {
            return false;
        }
        self.agenda.pop();
        match due {
            Due::Assess(node, round) if self.is_current(node, round) => self.assess(at, node),
            Due::Start(node, round) if self.is_current(node, round) => self.start(at, node),
            Due::Unacknowledged(node, round) if self.is_current(node, round) => self.unacknowledged(at, node),
            Due::Assess(..) | Due::Start(..) | Due::Unacknowledged(..) => {}
            Due::End(number) => self.end(at, number),
            Due::Acknowledge(node, to, round) => self.acknowledge(at, node, to, round),
        }
        true
    }

    fn plan(&mut self, at: Instant, due: Due) {
        self.planned += 1;
        self.agenda.push(Reverse((at, self.planned, due)));
    }

    fn is_current(&self, node: NodeId, round: u64) -> bool {
        self.stations[node.index()].round == round
    }

    /// Begins with the first frame of the queue.
    fn contend(&mut self, now: Instant, node: NodeId) {
        let station = &mut self.stations[node.index()];
        station.busy = !station.queue.is_empty();
        if !station.busy {
            return;
        }
        station.retries = 0;
        station.delivered = false;
        station.sequence_number = station.sequence_number.wrapping_add(1);
        self.attempt(now, node);
    }

    /// Tries to send the first frame of the queue, for the first time or again.
    fn attempt(&mut self, now: Instant, node: NodeId) {
        let min_be =
            if node == NodeId::BORDER_ROUTER { self.radio.border_router_min_be } else { mac::MIN_BE };
        self.stations[node.index()].backoff = Backoff::new(min_be);
        self.back_off(now, node);
    }

    fn back_off(&mut self, now: Instant, node: NodeId) {
        let station = &mut self.stations[node.index()];
        station.round += 1;
        // One radio does one thing at a time: an acknowledgement that is due goes first.
        let (round, ready) = (station.round, now.max(station.free_at).max(station.acknowledging_until));
        if self.radio.csma {
            let delay = self.stations[node.index()].backoff.delay(&mut self.random);
            self.plan(ready + delay + phy::CCA, Due::Assess(node, round));
        } else {
            self.plan(ready + phy::TURNAROUND, Due::Start(node, round));
        }
    }

    fn assess(&mut self, now: Instant, node: NodeId) {
        let round = self.stations[node.index()].round;
        if self.is_idle(now, node) {
            return self.plan(now + phy::TURNAROUND, Due::Start(node, round));
        }
        match self.stations[node.index()].backoff.busy() {
            Some(backoff) => {
                self.stations[node.index()].backoff = backoff;
                self.back_off(now, node);
            }
            None => {
                self.stations[node.index()].counters.channel_access_failures += 1;
                self.fail(now, node);
            }
        }
    }

    /// Whether `node` heard nothing during the assessment that ends now, and has no acknowledgement to send.
    fn is_idle(&self, now: Instant, node: NodeId) -> bool {
        let heard =
            |other: &Transmission| other.end + phy::CCA > now && self.topology.hears(node, other.from);
        now >= self.stations[node.index()].acknowledging_until && !self.on_air.iter().any(heard)
    }

    fn start(&mut self, now: Instant, node: NodeId) {
        let station = &mut self.stations[node.index()];
        if now < station.acknowledging_until {
            // Only without carrier sense: with it, the assessment has seen to that.
            return self.back_off(now, node);
        }
        let Some(first) = station.queue.front() else { return };
        let kind = Kind::Data {
            to: first.to,
            payload: first.payload.clone(),
            sequence_number: station.sequence_number,
            round: station.round,
        };
        station.counters.frames += 1;
        station.counters.retries += u64::from(station.retries > 0);
        self.transmit(now, node, kind);
    }

    fn transmit(&mut self, now: Instant, from: NodeId, kind: Kind) {
        let airtime = phy::airtime(self.octets(&kind));
        if self.sniff {
            let mpdu = self.mpdu(from, &kind);
            self.indications.push_back((now, Indication::Sent { at: now, mpdu }));
        }
        self.on_air.retain(|old| old.end + phy::CCA > now);
        let mut overlapped_by = Vec::new();
        for other in self.on_air.iter_mut().filter(|other| other.end > now) {
            other.overlapped_by.push(from);
            overlapped_by.push(other.from);
        }
        self.stations[from.index()].counters.transmitting += airtime;
        let number = self.planned;
        self.on_air.push(Transmission { number, from, kind, end: now + airtime, overlapped_by });
        self.plan(now + airtime, Due::End(number));
    }

    fn octets(&self, kind: &Kind) -> usize {
        match kind {
            Kind::Data { to, payload, .. } => frame::overhead(*to, self.radio.security) + payload.len(),
            Kind::Acknowledgement { .. } => mac::ACK_FRAME,
        }
    }

    fn mpdu(&self, from: NodeId, kind: &Kind) -> Vec<u8> {
        match kind {
            Kind::Data { to, payload, sequence_number, .. } => {
                let asks = self.wants_acknowledgement(*to);
                frame::data(from, *to, asks, *sequence_number, self.radio.security, payload)
            }
            Kind::Acknowledgement { sequence_number, .. } => frame::acknowledgement(*sequence_number),
        }
    }

    fn wants_acknowledgement(&self, to: Destination) -> bool {
        self.radio.acknowledged && matches!(to, Destination::Unicast(_))
    }

    fn end(&mut self, now: Instant, number: u64) {
        let Some(index) = self.on_air.iter().position(|sent| sent.number == number) else { return };
        let sent = &mut self.on_air[index];
        let (from, kind) = (sent.from, sent.kind.clone());
        let overlapped_by = std::mem::take(&mut sent.overlapped_by);
        match kind {
            Kind::Data { to, payload, round, .. } => {
                match to {
                    Destination::Unicast(node) => {
                        self.arrive_unicast(now, from, node, &overlapped_by, payload, round);
                    }
                    Destination::Broadcast => self.arrive_broadcast(now, from, &overlapped_by, &payload),
                }
                self.sent(now, from, to, round);
            }
            Kind::Acknowledgement { to, round, .. } => {
                if self.receive(from, to, &overlapped_by) && self.is_current(to, round) {
                    self.succeed(now, to);
                }
            }
        }
    }

    /// The frame has left: wait for the acknowledgement, or go on.
    fn sent(&mut self, now: Instant, node: NodeId, to: Destination, round: u64) {
        let octets = self.stations[node.index()].queue.front().map_or(0, |first| first.payload.len());
        let space = mac::interframe_space(frame::overhead(to, self.radio.security) + octets);
        self.stations[node.index()].free_at = now + space;
        if self.wants_acknowledgement(to) {
            self.plan(now + mac::ACK_WAIT, Due::Unacknowledged(node, round));
        } else {
            self.next(now, node);
        }
    }

    fn arrive_unicast(
        &mut self,
        now: Instant,
        from: NodeId,
        node: NodeId,
        overlapped_by: &[NodeId],
        payload: Rc<[u8]>,
        round: u64,
    ) {
        if !self.receive(from, node, overlapped_by) {
            return;
        }
        let to = Destination::Unicast(node);
        if self.wants_acknowledgement(to) {
            let until = now + phy::TURNAROUND + phy::airtime(mac::ACK_FRAME);
            self.stations[node.index()].acknowledging_until = until;
            self.plan(now + phy::TURNAROUND, Due::Acknowledge(node, from, round));
        }
        if !std::mem::replace(&mut self.stations[from.index()].delivered, true) {
            self.indications.push_back((now, Indication::Received { node, from, to, payload }));
        }
    }

    fn arrive_broadcast(&mut self, now: Instant, from: NodeId, overlapped_by: &[NodeId], payload: &Rc<[u8]>) {
        let children = self.children[from.index()].len();
        let parent = self.topology.node(from).parent;
        for index in 0..children + usize::from(parent.is_some()) {
            let Some(node) = self.children[from.index()].get(index).copied().or(parent) else { continue };
            if self.receive(from, node, overlapped_by) {
                let (to, payload) = (Destination::Broadcast, payload.clone());
                self.indications.push_back((now, Indication::Received { node, from, to, payload }));
            }
        }
    }

    /// Whether `node` receives what `from` sent; if not, counts why.
    fn receive(&mut self, from: NodeId, node: NodeId, overlapped_by: &[NodeId]) -> bool {
        if !self.stations[node.index()].on {
            return false;
        }
        if overlapped_by.iter().any(|&other| self.topology.hears(node, other)) {
            self.counters(node).collisions += 1;
            return false;
        }
        let link = if self.topology.node(from).parent == Some(node) {
            &mut self.stations[from.index()].up
        } else {
            &mut self.stations[node.index()].down
        };
        let lost = link.loses(&mut self.random);
        self.counters(node).losses += u64::from(lost);
        !lost
    }

    fn acknowledge(&mut self, now: Instant, node: NodeId, to: NodeId, round: u64) {
        self.counters(node).acknowledgements += 1;
        let sequence_number = self.stations[to.index()].sequence_number;
        self.transmit(now, node, Kind::Acknowledgement { to, sequence_number, round });
    }

    fn unacknowledged(&mut self, now: Instant, node: NodeId) {
        let station = &mut self.stations[node.index()];
        station.retries += 1;
        if station.retries <= mac::MAX_FRAME_RETRIES {
            return self.attempt(now, node);
        }
        station.counters.unacknowledged += 1;
        self.fail(now, node);
    }

    fn succeed(&mut self, now: Instant, node: NodeId) {
        let station = &mut self.stations[node.index()];
        let octets = station.queue.front().map_or(0, |first| first.payload.len());
        let to = station.queue.front().map_or(Destination::Broadcast, |first| first.to);
        station.free_at = now + mac::interframe_space(frame::overhead(to, self.radio.security) + octets);
        self.next(now, node);
    }

    /// Gives up the first frame of the queue, and the rest of its datagram.
    fn fail(&mut self, now: Instant, node: NodeId) {
        let queue = &mut self.stations[node.index()].queue;
        let datagram = queue.front().map(|first| first.datagram);
        // One frame stays: `next` takes it.
        while queue.len() > 1 && queue.get(1).map(|second| second.datagram) == datagram {
            queue.pop_front();
        }
        self.next(now, node);
    }

    fn next(&mut self, now: Instant, node: NodeId) {
        let station = &mut self.stations[node.index()];
        station.queue.pop_front();
        // Whatever is still due for the frame that is done is void.
        station.round += 1;
        self.contend(now, node);
    }
}
