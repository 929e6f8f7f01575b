//! Receiving a batch of datagrams, each with both of its addresses.

use super::socket::BATCH;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, MultiHeaders, RecvMsg, SockaddrStorage, recvmmsg};
use sixfold_engine::Path;
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::RawFd;

/// The longest datagram that is received, in bytes: no CoAP message of a device comes near it (RFC 7252 §4.6
/// assumes 1152). Longer ones are dropped and counted.
pub const MAX_DATAGRAM: usize = 1500;

/// Room for the datagrams of one [`super::BatchSocket::recv`]; may serve any number of sockets in turn.
#[derive(Debug)]
pub struct RecvBatch {
    buffers: Box<[u8]>,
    /// Per datagram: its way, which buffer, how many bytes.
    datagrams: Vec<(Path, usize, usize)>,
    truncated: usize,
}

/// A datagram that was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received<'a> {
    /// Where from, and to which address of ours. The scope id of the peer is set when its address, or ours,
    /// is link-local.
    pub path: Path,
    /// The payload of the datagram.
    pub bytes: &'a [u8],
}

impl RecvBatch {
    /// An empty batch of [`BATCH`] × [`MAX_DATAGRAM`] bytes.
    pub fn new() -> Self {
        Self {
            buffers: vec![0; BATCH * MAX_DATAGRAM].into_boxed_slice(),
            datagrams: Vec::with_capacity(BATCH),
            truncated: 0,
        }
    }

    /// The datagrams received last, in the order of their arrival.
    pub fn iter(&self) -> impl Iterator<Item = Received<'_>> {
        self.datagrams.iter().filter_map(|&(path, buffer, length)| {
            let start = buffer * MAX_DATAGRAM;
            Some(Received { path, bytes: self.buffers.get(start..start + length)? })
        })
    }

    /// Forgets what was received last.
    pub fn clear(&mut self) {
        self.datagrams.clear();
        self.truncated = 0;
    }

    /// How many of those received last were longer than [`MAX_DATAGRAM`] and are not among the datagrams.
    pub fn truncated(&self) -> usize {
        self.truncated
    }

    /// One `recvmmsg`. Says how many datagrams the system gave.
    pub(super) fn fill(
        &mut self,
        fd: RawFd,
        headers: &mut MultiHeaders<SockaddrStorage>,
        socket: usize,
    ) -> io::Result<usize> {
        self.clear();
        let mut buffers = self.buffers.chunks_exact_mut(MAX_DATAGRAM);
        let mut slices: [_; BATCH] =
            std::array::from_fn(|_| [IoSliceMut::new(buffers.next().unwrap_or_default())]);
        let mut taken = 0;
        for message in recvmmsg(fd, headers, slices.iter_mut(), MsgFlags::empty(), None)? {
            if message.flags.contains(MsgFlags::MSG_TRUNC) {
                self.truncated += 1;
            } else if let Some(path) = path(&message, socket) {
                self.datagrams.push((path, taken, message.bytes));
            }
            taken += 1;
        }
        Ok(taken)
    }
}

impl Default for RecvBatch {
    fn default() -> Self {
        Self::new()
    }
}

fn path(message: &RecvMsg<'_, '_, SockaddrStorage>, socket: usize) -> Option<Path> {
    let mut path =
        Path { peer: peer(message.address.as_ref()?)?, local: None, socket, interface: 0, multicast: false };
    for control in message.cmsgs().into_iter().flatten() {
        match control {
            ControlMessageOwned::Ipv6PacketInfo(info) => asked_v6(&mut path, &info),
            ControlMessageOwned::Ipv4PacketInfo(info) => asked_v4(&mut path, &info),
            _ => {}
        }
    }
    Some(path)
}

fn peer(address: &SockaddrStorage) -> Option<SocketAddr> {
    let v6 = address.as_sockaddr_in6().map(|v6| SocketAddr::V6((*v6).into()));
    v6.or_else(|| address.as_sockaddr_in().map(|v4| SocketAddr::V4((*v4).into())))
}

fn asked_v6(path: &mut Path, info: &libc::in6_pktinfo) {
    let asked = Ipv6Addr::from(info.ipi6_addr.s6_addr);
    path.multicast = asked.is_multicast();
    path.interface = info.ipi6_ifindex;
    path.local = (!path.multicast).then_some(IpAddr::V6(asked));
    // An answer from a link-local address needs to know its interface, also when the peer's address does not.
    if let (true, SocketAddr::V6(peer)) = (asked.is_unicast_link_local(), &mut path.peer) {
        peer.set_scope_id(info.ipi6_ifindex);
    }
}

/// `ipi_spec_dst` is the address of ours to answer from: another than the one asked if that was a group or a
/// broadcast address.
fn asked_v4(path: &mut Path, info: &libc::in_pktinfo) {
    path.interface = u32::try_from(info.ipi_ifindex).unwrap_or(0);
    path.multicast = info.ipi_addr.s_addr != info.ipi_spec_dst.s_addr;
    let ours = Ipv4Addr::from(u32::from_be(info.ipi_spec_dst.s_addr));
    path.local = (!path.multicast).then_some(IpAddr::V4(ours));
}
