//! UDP datagrams in IPv6 packets, with smoltcp.

use crate::host::Datagram;
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    IPV6_HEADER_LEN, IpAddress, IpProtocol, Ipv6Packet, Ipv6Repr, UDP_HEADER_LEN, UdpPacket, UdpRepr,
};
use std::net::SocketAddrV6;

const HOP_LIMIT: u8 = 64;

/// The packet that carries a datagram.
pub fn packet(datagram: &Datagram) -> Vec<u8> {
    let Datagram { from, to, payload } = datagram;
    let udp = UdpRepr { src_port: from.port(), dst_port: to.port() };
    let ip = Ipv6Repr {
        src_addr: *from.ip(),
        dst_addr: *to.ip(),
        next_header: IpProtocol::Udp,
        payload_len: UDP_HEADER_LEN + payload.len(),
        hop_limit: HOP_LIMIT,
    };
    let mut packet = vec![0; IPV6_HEADER_LEN + ip.payload_len];
    let (header, rest) = packet.split_at_mut(IPV6_HEADER_LEN);
    ip.emit(&mut Ipv6Packet::new_unchecked(header));
    udp.emit(
        &mut UdpPacket::new_unchecked(rest),
        &IpAddress::Ipv6(ip.src_addr),
        &IpAddress::Ipv6(ip.dst_addr),
        payload.len(),
        |buffer| buffer.copy_from_slice(payload),
        &ChecksumCapabilities::default(),
    );
    packet
}

/// The datagram that a packet carries; `None` when it is none, or its checksum is wrong.
pub fn datagram(packet: &[u8]) -> Option<Datagram> {
    let packet = Ipv6Packet::new_checked(packet).ok()?;
    if packet.next_header() != IpProtocol::Udp {
        return None;
    }
    let (from, to) = (packet.src_addr(), packet.dst_addr());
    let udp = UdpPacket::new_checked(packet.payload()).ok()?;
    let checks = ChecksumCapabilities::default();
    let repr = UdpRepr::parse(&udp, &IpAddress::Ipv6(from), &IpAddress::Ipv6(to), &checks).ok()?;
    Some(Datagram {
        from: SocketAddrV6::new(from, repr.src_port, 0, 0),
        to: SocketAddrV6::new(to, repr.dst_port, 0, 0),
        payload: udp.payload().to_vec(),
    })
}
