//! Neighbour solicitations of nodes with stacks of their own, answered for those that have none on this link.
//!
//! A kernel behind a TUN device has no link-layer address, so nobody could learn it from its advertisements. The air
//! knows it, and answers in the node's place (RFC 4861 §7.2.4), in frames that take their time like all others.
//! Duplicate address detection is not answered: addresses are given out without it.

use crate::frame;
use crate::topology::NodeId;
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    IPV6_HEADER_LEN, Icmpv6Packet, Icmpv6Repr, Ieee802154Address, IpProtocol, Ipv6Packet, Ipv6Repr,
    NdiscNeighborFlags, NdiscRepr,
};
use std::net::Ipv6Addr;

/// Only a node on the link sends this (RFC 4861 §7.1.1).
const HOP_LIMIT: u8 = 255;

/// Whose address a packet asks for, if it is a neighbour solicitation of somebody who has an address already.
pub(crate) fn solicited(packet: &[u8]) -> Option<Ipv6Addr> {
    let ip = Ipv6Packet::new_checked(packet).ok()?;
    if ip.next_header() != IpProtocol::Icmpv6 || ip.hop_limit() != HOP_LIMIT || ip.src_addr().is_unspecified()
    {
        return None;
    }
    let icmp = Icmpv6Packet::new_checked(ip.payload()).ok()?;
    let checks = ChecksumCapabilities::default();
    match Icmpv6Repr::parse(&ip.src_addr(), &ip.dst_addr(), &icmp, &checks).ok()? {
        Icmpv6Repr::Ndisc(NdiscRepr::NeighborSolicit { target_addr, .. }) => Some(target_addr),
        _ => None,
    }
}

/// The packet that tells `asker` that `target` is `node`.
pub(crate) fn advertisement(node: NodeId, target: Ipv6Addr, asker: Ipv6Addr) -> Vec<u8> {
    let icmp = Icmpv6Repr::Ndisc(NdiscRepr::NeighborAdvert {
        flags: NdiscNeighborFlags::SOLICITED | NdiscNeighborFlags::OVERRIDE,
        target_addr: target,
        lladdr: Some(Ieee802154Address::Extended(frame::eui64(node)).into()),
    });
    let ip = Ipv6Repr {
        src_addr: target,
        dst_addr: asker,
        next_header: IpProtocol::Icmpv6,
        payload_len: icmp.buffer_len(),
        hop_limit: HOP_LIMIT,
    };
    let mut packet = vec![0; IPV6_HEADER_LEN + ip.payload_len];
    let (header, rest) = packet.split_at_mut(IPV6_HEADER_LEN);
    ip.emit(&mut Ipv6Packet::new_unchecked(header));
    icmp.emit(&target, &asker, &mut Icmpv6Packet::new_unchecked(rest), &ChecksumCapabilities::default());
    packet
}
