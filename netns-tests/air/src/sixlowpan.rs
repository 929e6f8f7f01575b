//! The adaptation layer: IPv6 packets into frame payloads (RFC 6282, RFC 4944) and back.
//!
//! smoltcp writes and reads the IPv6 headers, so that sizes are those of a stack in use; those of UDP are in `nhc.rs`. It has no
//! compression contexts when it writes: addresses other than link-local ones stand in full. Traffic class and flow label are elided, hop-by-
//! hop and other extension headers are carried as they are.

use crate::frame;
use crate::frame::Destination;
use crate::nhc::Udp;
use crate::topology::NodeId;
use smoltcp::wire::{
    IPV6_HEADER_LEN, IpProtocol, Ipv6Packet, Ipv6Repr, SixlowpanFragPacket, SixlowpanFragRepr,
    SixlowpanIphcPacket, SixlowpanIphcRepr, SixlowpanNextHeader, SixlowpanPacket, UDP_HEADER_LEN, UdpPacket,
};
use std::borrow::Cow;
use std::net::Ipv6Addr;

/// The longest packet that a 6LoWPAN link carries (RFC 4944 §4), in bytes.
pub const MTU: usize = 1280;
/// DAM in the second octet of IPHC (RFC 6282 §3.1.1); 0 for a multicast address: all 16 octets are there.
const DESTINATION_ADDRESS_MODE: u8 = 0b11;

/// Why something could not be carried. Whoever made it is to blame, not the air.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// A packet with compressed headers.
struct Compressed {
    /// The headers, compressed.
    headers: Vec<u8>,
    /// How many bytes of the packet the headers stand for.
    replaced: usize,
}

/// The payloads of the frames that carry `packet` from `from` to `to`: one, or several fragments with the tag `tag`.
///
/// # Errors
/// [`Malformed`] when `packet` is not a whole IPv6 packet of at most [`MTU`] bytes.
pub fn frames(
    packet: &[u8],
    from: NodeId,
    to: Destination,
    tag: u16,
    max_payload: usize,
) -> Result<Vec<Vec<u8>>, Malformed> {
    if packet.len() > MTU {
        return Err(Malformed);
    }
    let Compressed { mut headers, replaced } = compress(packet, from, to)?;
    let rest = &packet[replaced..];
    if headers.len() + rest.len() <= max_payload {
        headers.extend_from_slice(rest);
        return Ok(vec![headers]);
    }
    Ok(fragments(packet, &headers, replaced, tag, max_payload))
}

/// RFC 4944 §5.3: all fragments but the last cover a multiple of 8 bytes of the packet before compression.
fn fragments(packet: &[u8], headers: &[u8], replaced: usize, tag: u16, max_payload: usize) -> Vec<Vec<u8>> {
    let size = packet.len() as u16;
    let first = SixlowpanFragRepr::FirstFragment { size, tag };
    let room = max_payload - first.buffer_len() - headers.len();
    let mut offset = (replaced + room) / 8 * 8;
    let mut frames = vec![fragment(first, &[headers, &packet[replaced..offset]])];
    while offset < packet.len() {
        let next = SixlowpanFragRepr::Fragment { size, tag, offset: (offset / 8) as u8 };
        let end = packet.len().min(offset + (max_payload - next.buffer_len()) / 8 * 8);
        frames.push(fragment(next, &[&packet[offset..end]]));
        offset = end;
    }
    frames
}

fn fragment(header: SixlowpanFragRepr, parts: &[&[u8]]) -> Vec<u8> {
    let mut payload = vec![0; header.buffer_len()];
    header.emit(&mut SixlowpanFragPacket::new_unchecked(&mut payload[..]));
    parts.iter().for_each(|part| payload.extend_from_slice(part));
    payload
}

/// Compresses the IPv6 header (RFC 6282 §3) and a UDP header behind it (§4.3).
fn compress(packet: &[u8], from: NodeId, to: Destination) -> Result<Compressed, Malformed> {
    let ip = Ipv6Packet::new_checked(packet).map_err(|_| Malformed)?;
    if ip.version() != 6 || ip.total_len() != packet.len() {
        return Err(Malformed);
    }
    let udp = compressible_udp(&ip);
    let next_header = match udp {
        Some(_) => SixlowpanNextHeader::Compressed,
        None => SixlowpanNextHeader::Uncompressed(ip.next_header()),
    };
    let iphc = SixlowpanIphcRepr {
        src_addr: ip.src_addr(),
        ll_src_addr: Some(frame::address(Destination::Unicast(from))),
        dst_addr: ip.dst_addr(),
        ll_dst_addr: Some(frame::address(to)),
        next_header,
        hop_limit: ip.hop_limit(),
        ecn: None,
        dscp: None,
        flow_label: None,
    };
    let mut headers = vec![0; iphc.buffer_len()];
    iphc.emit(&mut SixlowpanIphcPacket::new_unchecked(&mut headers[..]));
    if is_carried_in_full(ip.dst_addr()) {
        headers[1] &= !DESTINATION_ADDRESS_MODE;
    }
    let mut replaced = IPV6_HEADER_LEN;
    if let Some(udp) = udp {
        compress_udp(&udp, &mut headers);
        replaced += UDP_HEADER_LEN;
    }
    Ok(Compressed { headers, replaced })
}

/// Whether a group's address has no short form (RFC 6282 §3.1.1). smoltcp 0.14 writes the address then, but announces a
/// short one.
fn is_carried_in_full(destination: Ipv6Addr) -> bool {
    destination.is_multicast() && destination.octets()[2..11] != [0; 9]
}

/// The UDP header, if it says nothing that its compressed form leaves out.
fn compressible_udp<'p>(ip: &Ipv6Packet<&'p [u8]>) -> Option<UdpPacket<&'p [u8]>> {
    let udp = (ip.next_header() == IpProtocol::Udp).then(|| UdpPacket::new_checked(ip.payload()).ok())??;
    let whole = usize::from(udp.len()) == ip.payload().len();
    whole.then_some(udp)
}

/// The checksum goes as it is, right or wrong: only the two ends may judge it.
fn compress_udp(udp: &UdpPacket<&[u8]>, headers: &mut Vec<u8>) {
    Udp { from: udp.src_port(), to: udp.dst_port(), checksum: Some(udp.checksum()) }.write(headers);
}

/// What a frame carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece<'f> {
    /// A whole packet.
    Whole(Vec<u8>),
    /// A part of one.
    Fragment(Fragment<'f>),
}

/// A part of a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fragment<'f> {
    /// The size of the whole packet in bytes.
    pub size: usize,
    /// Which packet of its sender.
    pub tag: u16,
    /// Where this part begins, in bytes.
    pub offset: usize,
    /// The part: the first one with its headers restored.
    pub bytes: Cow<'f, [u8]>,
}

/// Reads the payload of a frame.
///
/// # Errors
/// [`Malformed`] when it is not 6LoWPAN as smoltcp understands it.
pub fn read(payload: &[u8], from: NodeId, to: Destination) -> Result<Piece<'_>, Malformed> {
    match SixlowpanPacket::dispatch(payload).map_err(|_| Malformed)? {
        SixlowpanPacket::IphcHeader => Ok(Piece::Whole(decompress(payload, from, to, None)?)),
        SixlowpanPacket::FragmentHeader => read_fragment(payload, from, to).map(Piece::Fragment),
    }
}

fn read_fragment(payload: &[u8], from: NodeId, to: Destination) -> Result<Fragment<'_>, Malformed> {
    let packet = SixlowpanFragPacket::new_checked(payload).map_err(|_| Malformed)?;
    let size = usize::from(packet.datagram_size());
    let bytes: Cow<'_, [u8]> = if packet.is_first_fragment() {
        decompress(packet.payload(), from, to, Some(size))?.into()
    } else {
        packet.payload().into()
    };
    let offset = usize::from(packet.datagram_offset()) * 8;
    if size > MTU || offset + bytes.len() > size {
        return Err(Malformed);
    }
    Ok(Fragment { size, tag: packet.datagram_tag(), offset, bytes })
}

/// Restores the headers. `size` is that of the whole packet, when this is only its first fragment.
fn decompress(
    payload: &[u8],
    from: NodeId,
    to: Destination,
    size: Option<usize>,
) -> Result<Vec<u8>, Malformed> {
    let iphc = SixlowpanIphcPacket::new_checked(payload).map_err(|_| Malformed)?;
    let (ll_from, ll_to) = (frame::address(Destination::Unicast(from)), frame::address(to));
    let repr = SixlowpanIphcRepr::parse(&iphc, Some(ll_from), Some(ll_to), &[]).map_err(|_| Malformed)?;
    let (next_header, udp, rest) = match repr.next_header {
        SixlowpanNextHeader::Uncompressed(next_header) => (next_header, None, iphc.payload()),
        SixlowpanNextHeader::Compressed => {
            let (udp, rest) = Udp::read(iphc.payload())?;
            (IpProtocol::Udp, Some(udp), rest)
        }
    };
    let replaced = IPV6_HEADER_LEN + udp.as_ref().map_or(0, |_| UDP_HEADER_LEN);
    let size = size.unwrap_or(replaced + rest.len());
    if size < replaced + rest.len() || size > MTU {
        return Err(Malformed);
    }
    let ip = Ipv6Repr {
        src_addr: repr.src_addr,
        dst_addr: repr.dst_addr,
        next_header,
        payload_len: size - IPV6_HEADER_LEN,
        hop_limit: repr.hop_limit,
    };
    let mut packet = vec![0; replaced];
    ip.emit(&mut Ipv6Packet::new_unchecked(&mut packet[..]));
    if let Some(udp) = udp {
        restore_udp(&udp, &mut packet[IPV6_HEADER_LEN..], ip.payload_len);
    }
    packet.extend_from_slice(rest);
    Ok(packet)
}

/// An elided checksum becomes 0, which a receiver over IPv6 refuses: nobody here elides it.
fn restore_udp(compressed: &Udp, header: &mut [u8], length: usize) {
    let mut udp = UdpPacket::new_unchecked(header);
    udp.set_src_port(compressed.from);
    udp.set_dst_port(compressed.to);
    udp.set_len(length as u16);
    udp.set_checksum(compressed.checksum.unwrap_or(0));
}
