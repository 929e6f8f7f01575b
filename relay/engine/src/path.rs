//! Where a datagram came from and where its answer goes.

use std::net::{IpAddr, SocketAddr};

/// The way between a device and one of our sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Path {
    /// The device: with the zone of a link-local address in the scope id.
    pub peer: SocketAddr,
    /// The address of ours that was asked, so that the answer leaves from it; `None` lets the system choose,
    /// as it must when a multicast group was asked.
    pub local: Option<IpAddr>,
    /// Which of our sockets.
    pub socket: usize,
    /// The index of the network interface between us; 0 if it is not known.
    pub interface: u32,
    /// The request was sent to a multicast group (RFC 7252 §8); of what we send: `peer` is a group.
    pub multicast: bool,
}

/// A datagram that is to be sent now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transmit {
    /// Where to.
    pub path: Path,
    /// The CoAP message.
    pub bytes: Vec<u8>,
    /// How many hops it may go; `None`: as many as the system lets it.
    pub hop_limit: Option<u8>,
}
