//! The air between the nodes: packets in, packets out.

use crate::scenario::{Network, Radio};
use crate::topology::{NodeId, Topology};
use sixfold_profile::Instant;
use std::net::Ipv6Addr;

/// The channel, and the MAC and adaptation layers of all nodes.
///
/// After each input ([`Air::send_packet`], [`Air::send_frame`], [`Air::handle_timeout`]) call [`Air::poll_event`]
/// until it has nothing more, then wait until [`Air::poll_timeout`]. Calls of [`Air::handle_timeout`] may come late,
/// as they do in real time: everything that was due happens then, in order, at the time when it was due.
#[derive(Debug)]
pub struct Air {}

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
        let _ = (topology, radio, network, seed);
        todo!()
    }

    /// Says that `address` is `node`'s. The source of every packet that a node sends is learned by itself.
    pub fn assign(&mut self, address: Ipv6Addr, node: NodeId) {
        let _ = (address, node);
        todo!()
    }

    /// The link-layer address of a node.
    pub fn eui64(node: NodeId) -> [u8; 8] {
        let _ = node;
        todo!()
    }

    /// From now on frames for `node` come out as [`Event::Frame`], and it sends with [`Air::send_frame`].
    pub fn use_frames(&mut self, node: NodeId) {
        let _ = node;
        todo!()
    }

    /// From now on every frame comes out as [`Event::Sent`] too.
    pub fn sniff(&mut self) {
        todo!()
    }

    /// An IPv6 packet leaves `node`. What cannot be carried is dropped and counted.
    pub fn send_packet(&mut self, now: Instant, node: NodeId, packet: &[u8]) {
        let _ = (now, node, packet);
        todo!()
    }

    /// A frame of a stack of its own leaves `node`: an MPDU without FCS.
    pub fn send_frame(&mut self, now: Instant, node: NodeId, mpdu: &[u8]) {
        let _ = (now, node, mpdu);
        todo!()
    }

    /// To be called at [`Air::poll_timeout`], or later.
    pub fn handle_timeout(&mut self, now: Instant) {
        let _ = now;
        todo!()
    }

    /// When something is due next.
    pub fn poll_timeout(&self) -> Option<Instant> {
        todo!()
    }

    /// What happened.
    pub fn poll_event(&mut self) -> Option<Event> {
        todo!()
    }
}
