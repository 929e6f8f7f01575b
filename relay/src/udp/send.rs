//! Sending runs of datagrams that leave from the same address of ours.

use super::socket::BATCH;
use nix::cmsg_space;
use nix::sys::socket::{ControlMessage, MsgFlags, MultiHeaders, SockaddrStorage, sendmmsg};
use sixfold_engine::Transmit;
use std::io::{self, IoSlice};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::os::fd::RawFd;

/// The headers of `sendmmsg`, reused from call to call. `nix` gives every datagram of a call the same control
/// messages; hence the runs.
pub(super) struct Headers {
    pinned: MultiHeaders<SockaddrStorage>,
    limited: MultiHeaders<SockaddrStorage>,
    unpinned: MultiHeaders<SockaddrStorage>,
    destinations: Vec<Option<SockaddrStorage>>,
}

/// What is pinned: the address that a datagram leaves from, the interface where an address needs one, and how far it may go.
#[derive(Clone, Copy, PartialEq)]
struct Source {
    local: Option<IpAddr>,
    interface: u32,
    hop_limit: Option<u8>,
}

impl Headers {
    pub(super) fn new() -> Self {
        // The larger of both families: `nix` does not check that a control message fits.
        let space = Some(cmsg_space!(libc::in6_pktinfo));
        // Headers of their own, because the kernel refuses space that no control message fills.
        let limited = Some(cmsg_space!(libc::in6_pktinfo, libc::c_int));
        Self {
            pinned: MultiHeaders::preallocate(BATCH, space),
            limited: MultiHeaders::preallocate(BATCH, limited),
            unpinned: MultiHeaders::preallocate(BATCH, None),
            destinations: Vec::with_capacity(BATCH),
        }
    }

    /// One `sendmmsg` of the datagrams at the front that have the source of the first. Says how many were
    /// taken; an error concerns the first.
    pub(super) fn send_run(&mut self, fd: RawFd, transmits: &[Transmit]) -> io::Result<usize> {
        let Some(first) = transmits.first() else { return Ok(0) };
        let source = Source::of(first);
        let run = transmits.iter().take(BATCH).take_while(|transmit| Source::of(transmit) == source);
        self.destinations.clear();
        self.destinations.extend(run.map(|transmit| Some(transmit.path.peer.into())));
        let mut payloads = transmits.iter().map(|transmit| transmit.bytes.as_slice());
        let slices: [_; BATCH] = std::array::from_fn(|_| [IoSlice::new(payloads.next().unwrap_or_default())]);
        let call = |headers, control: &[ControlMessage<'_>]| {
            let sent = sendmmsg(fd, headers, slices.iter(), &self.destinations, control, MsgFlags::empty())?;
            Ok(sent.count())
        };
        match source {
            Source { local: None, interface: 0, hop_limit: None } => call(&mut self.unpinned, &[]),
            Source { local: Some(IpAddr::V4(local)), .. } => {
                let ipi_spec_dst = libc::in_addr { s_addr: u32::from(local).to_be() };
                let info =
                    libc::in_pktinfo { ipi_ifindex: 0, ipi_spec_dst, ipi_addr: libc::in_addr { s_addr: 0 } };
                call(&mut self.pinned, &[ControlMessage::Ipv4PacketInfo(&info)])
            }
            Source { local, interface, hop_limit } => {
                let Some(IpAddr::V6(local)) = local.or(Some(Ipv6Addr::UNSPECIFIED.into())) else {
                    return Ok(0);
                };
                let ipi6_addr = libc::in6_addr { s6_addr: local.octets() };
                let info = libc::in6_pktinfo { ipi6_addr, ipi6_ifindex: interface };
                let info = ControlMessage::Ipv6PacketInfo(&info);
                match hop_limit.map(libc::c_int::from) {
                    None => call(&mut self.pinned, &[info]),
                    Some(limit) => call(&mut self.limited, &[info, ControlMessage::Ipv6HopLimit(&limit)]),
                }
            }
        }
    }
}

impl Source {
    fn of(transmit: &Transmit) -> Self {
        let path = &transmit.path;
        let interface = match path.peer {
            SocketAddr::V6(peer) => peer.scope_id(),
            SocketAddr::V4(_) => 0,
        };
        Self { local: path.local, interface, hop_limit: transmit.hop_limit }
    }
}
