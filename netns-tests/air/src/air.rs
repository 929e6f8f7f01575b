//! The air between the nodes: packets in, packets out.
//!
//! What stands between a node's IPv6 stack and the channel: compression, fragments, reassembly, static routes. Routers
//! forward whole packets (route-over). They repeat every multicast packet once, as MPL does with one transmission
//! (RFC 7731 §9.3), except that the border router keeps link-local ones to itself; the option and the timers of MPL are
//! left out, and copies are known by their contents.

use crate::channel::{Channel, Indication, Outgoing};
use crate::counters::Counters;
use crate::frame::{self, Destination, FCS};
use crate::neighbour;
use crate::reassembly::Reassembly;
use crate::scenario::{Network, Radio};
use crate::sixlowpan::{self, Malformed, Piece};
use crate::topology::{NodeId, Topology};
use sixfold_profile::Instant;
use smoltcp::wire::Ipv6Packet;
use std::collections::hash_map::DefaultHasher;
use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::{Hash, Hasher};
use std::net::Ipv6Addr;
use std::time::Duration;

/// How long a router remembers a multicast packet that it has seen: longer than copies can wait in queues.
const MULTICAST_MEMORY: Duration = Duration::from_secs(3);
const BORDER_ROUTER_BUFFERS: usize = 64;

/// The channel, and the MAC and adaptation layers of all nodes.
///
/// After each input ([`Air::send_packet`], [`Air::send_frame`], [`Air::handle_timeout`]) call [`Air::poll_event`]
/// until it has nothing more, then wait until [`Air::poll_timeout`]. Calls of [`Air::handle_timeout`] may come late,
/// as they do in real time: everything that was due happens then, in order, at the time when it was due.
#[derive(Debug)]
pub struct Air {
    channel: Channel,
    security: bool,
    nodes: Vec<Layer>,
    owners: HashMap<Ipv6Addr, NodeId>,
    datagrams: u64,
    events: VecDeque<Event>,
    /// The latest time that was told.
    now: Instant,
}

/// The adaptation layer of one node.
#[derive(Debug)]
struct Layer {
    reassembly: Reassembly,
    /// The tag of the next packet that needs fragments (RFC 4944 §5.3).
    tag: u16,
    /// Multicast packets of late, by their hashes, and in the order in which they came.
    seen: HashSet<u64>,
    order: VecDeque<(Instant, u64)>,
    /// The node has a stack of its own and wants frames.
    frames: bool,
}

/// What happened on the air.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// An IPv6 packet arrived at the node that it was for.
    Packet {
        /// The node.
        node: NodeId,
        /// The packet, from its IPv6 header on.
        packet: Vec<u8>,
    },
    /// A frame arrived at a node with a stack of its own ([`Air::use_frames`]).
    Frame {
        /// The node.
        node: NodeId,
        /// The MPDU without its FCS.
        mpdu: Vec<u8>,
    },
    /// A frame was sent, acknowledgements included; only while sniffing ([`Air::sniff`]).
    Sent {
        /// When its first bit left.
        at: Instant,
        /// The MPDU with its FCS.
        mpdu: Vec<u8>,
    },
}

impl Air {
    /// Silence.
    pub fn new(topology: Topology, radio: Radio, network: Network, seed: u64) -> Self {
        let layer = |node: NodeId| {
            let factor = if topology.is_root(node) { BORDER_ROUTER_BUFFERS } else { 1 };
            let buffers = network.reassembly_buffers.saturating_mul(factor);
            let reassembly = Reassembly::new(buffers, network.reassembly_timeout);
            Layer { reassembly, tag: 0, seen: HashSet::new(), order: VecDeque::new(), frames: false }
        };
        Self {
            nodes: topology.ids().map(layer).collect(),
            channel: Channel::new(topology, radio, seed),
            security: radio.security,
            owners: HashMap::new(),
            datagrams: 0,
            events: VecDeque::new(),
            now: Instant::ZERO,
        }
    }

    /// The nodes.
    pub const fn topology(&self) -> &Topology {
        self.channel.topology()
    }

    /// Says that `address` is `node`'s. The source of every packet that a node sends is learned by itself. Packets for
    /// an address that is nobody's go to the border router.
    pub fn assign(&mut self, address: Ipv6Addr, node: NodeId) {
        self.owners.insert(address, node);
    }

    /// From now on frames for `node` come out as [`Event::Frame`], and it sends with [`Air::send_frame`]. It does not
    /// forward for others. Its neighbour solicitations are answered in the place of nodes that send packets.
    pub fn use_frames(&mut self, node: NodeId) {
        self.nodes[node.index()].frames = true;
    }

    /// From now on every frame comes out as [`Event::Sent`] too.
    pub fn sniff(&mut self) {
        self.channel.sniff();
    }

    /// Gives a node power, or takes it; all have it at first.
    pub fn switch(&mut self, node: NodeId, on: bool) {
        self.channel.switch(node, on);
    }

    /// The counters of a node.
    pub fn counters(&mut self, node: NodeId) -> Counters {
        let reassembly = &mut self.nodes[node.index()].reassembly;
        reassembly.expire(self.now);
        let reassembly_failures = reassembly.failures();
        Counters { reassembly_failures, ..*self.channel.counters(node) }
    }

    /// An IPv6 packet leaves `node`. What cannot be carried is dropped and counted.
    pub fn send_packet(&mut self, now: Instant, node: NodeId, packet: &[u8]) {
        self.handle_timeout(now);
        let sent = Header::read(packet).and_then(|header| {
            self.learn(node, &header);
            if header.destination.is_multicast() {
                self.nodes[node.index()].is_new(now, packet);
            }
            self.route(now, node, &header, packet)
        });
        self.count_undeliverable(node, sent);
    }

    /// A frame of a stack of its own leaves `node`: an MPDU without FCS. What is no unsecured data frame for a node of
    /// this laboratory is dropped and counted.
    pub fn send_frame(&mut self, now: Instant, node: NodeId, mpdu: &[u8]) {
        self.handle_timeout(now);
        let payload = frame::parse(mpdu).filter(|(to, payload)| {
            payload.len() <= frame::max_payload(*to, self.security) && self.is_neighbour(node, *to)
        });
        match payload {
            Some((to, payload)) => self.transmit(now, node, to, vec![payload.to_vec()]),
            None => self.count_undeliverable(node, Err(Malformed)),
        }
    }

    /// To be called at [`Air::poll_timeout`], or later.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.now = now;
        while self.channel.step(now) {
            while let Some((at, indication)) = self.channel.poll_indication() {
                match indication {
                    Indication::Sent { at, mpdu } => self.events.push_back(Event::Sent { at, mpdu }),
                    Indication::Received { node, from, to, payload } => {
                        let taken = self.receive(at, node, from, to, &payload);
                        self.count_undeliverable(node, taken);
                    }
                }
            }
        }
    }

    /// When something is due next.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.channel.poll_timeout()
    }

    /// What happened.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    fn is_neighbour(&self, node: NodeId, to: Destination) -> bool {
        let topology = self.channel.topology();
        match to {
            Destination::Broadcast => true,
            Destination::Unicast(to) => {
                to.index() < topology.nodes.len()
                    && (topology.node(node).parent == Some(to) || topology.node(to).parent == Some(node))
            }
        }
    }

    fn count_undeliverable(&mut self, node: NodeId, result: Result<(), Malformed>) {
        self.channel.counters(node).undeliverable += u64::from(result.is_err());
    }

    /// Takes the payload of a frame that arrived at `node`.
    fn receive(
        &mut self,
        now: Instant,
        node: NodeId,
        from: NodeId,
        to: Destination,
        payload: &[u8],
    ) -> Result<(), Malformed> {
        if self.nodes[node.index()].frames {
            let mut mpdu = frame::data(from, to, false, 0, false, payload);
            mpdu.truncate(mpdu.len() - FCS);
            self.events.push_back(Event::Frame { node, mpdu });
            return Ok(());
        }
        let packet = match sixlowpan::read(payload, from, to)? {
            Piece::Whole(packet) => Some(packet),
            Piece::Fragment(fragment) => self.nodes[node.index()].reassembly.take(now, from, &fragment),
        };
        let Some(packet) = packet else { return Ok(()) };
        if self.nodes[from.index()].frames {
            // It forwards nothing, so the packet is its own.
            self.learn(from, &Header::read(&packet)?);
        }
        self.arrive(now, node, packet)
    }

    fn learn(&mut self, node: NodeId, header: &Header) {
        if !header.source.is_unspecified() {
            self.owners.insert(header.source, node);
        }
    }

    /// Takes a whole packet that arrived at `node`: for itself, for others, or both.
    fn arrive(&mut self, now: Instant, node: NodeId, mut packet: Vec<u8>) -> Result<(), Malformed> {
        let header = Header::read(&packet)?;
        if let Some(target) = neighbour::solicited(&packet).filter(|target| self.owns(node, *target)) {
            let answer = neighbour::advertisement(node, target, header.source);
            return self.route(now, node, &Header::read(&answer)?, &answer);
        }
        if header.destination.is_multicast() {
            if !self.nodes[node.index()].is_new(now, &packet) {
                return Ok(());
            }
            if self.repeats(node, header.destination) {
                self.route(now, node, &header, &packet)?;
            }
            self.events.push_back(Event::Packet { node, packet });
            return Ok(());
        }
        if self.owner(header.destination) == node {
            self.events.push_back(Event::Packet { node, packet });
            return Ok(());
        }
        if header.hop_limit <= 1 {
            return Err(Malformed);
        }
        Ipv6Packet::new_unchecked(&mut packet[..]).set_hop_limit(header.hop_limit - 1);
        self.route(now, node, &header, &packet)
    }

    /// Whether `node` repeats a multicast packet of another.
    fn repeats(&self, node: NodeId, group: Ipv6Addr) -> bool {
        let link_local = group.octets()[1] & 0x0f <= 2;
        self.channel.is_router(node) && !(self.channel.topology().is_root(node) && link_local)
    }

    fn owner(&self, address: Ipv6Addr) -> NodeId {
        self.owners.get(&address).copied().unwrap_or(NodeId::BORDER_ROUTER)
    }

    fn owns(&self, node: NodeId, address: Ipv6Addr) -> bool {
        self.owners.get(&address) == Some(&node)
    }

    /// Hands a packet to the next hop.
    fn route(&mut self, now: Instant, node: NodeId, header: &Header, packet: &[u8]) -> Result<(), Malformed> {
        let to = if header.destination.is_multicast() {
            Destination::Broadcast
        } else {
            let owner = self.owner(header.destination);
            match self.channel.topology().next_hop(node, owner) {
                Some(hop) => Destination::Unicast(hop),
                None => return Err(Malformed),
            }
        };
        let layer = &mut self.nodes[node.index()];
        let frames = sixlowpan::frames(packet, node, to, layer.tag, frame::max_payload(to, self.security))?;
        if frames.len() > 1 {
            layer.tag = layer.tag.wrapping_add(1);
        }
        self.transmit(now, node, to, frames);
        Ok(())
    }

    fn transmit(&mut self, now: Instant, node: NodeId, to: Destination, payloads: Vec<Vec<u8>>) {
        self.datagrams += 1;
        let datagram = self.datagrams;
        let frames = payloads.into_iter().map(|payload| Outgoing { to, payload: payload.into(), datagram });
        self.channel.send(now, node, frames);
    }
}

impl Layer {
    /// Whether a multicast packet is seen for the first time.
    fn is_new(&mut self, now: Instant, packet: &[u8]) -> bool {
        let mut hasher = DefaultHasher::new();
        packet.hash(&mut hasher);
        let hash = hasher.finish();
        while let Some((_, old)) = self.order.front().filter(|(at, _)| now.since(*at) >= MULTICAST_MEMORY) {
            self.seen.remove(old);
            self.order.pop_front();
        }
        let new = self.seen.insert(hash);
        if new {
            self.order.push_back((now, hash));
        }
        new
    }
}

/// What routing needs of an IPv6 header.
struct Header {
    source: Ipv6Addr,
    destination: Ipv6Addr,
    hop_limit: u8,
}

impl Header {
    fn read(packet: &[u8]) -> Result<Self, Malformed> {
        let packet = Ipv6Packet::new_checked(packet).map_err(|_| Malformed)?;
        Ok(Self { source: packet.src_addr(), destination: packet.dst_addr(), hop_limit: packet.hop_limit() })
    }
}
