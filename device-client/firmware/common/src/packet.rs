//! UDP datagrams in IPv6 packets (RFC 8200, RFC 768) on a link with two ends.
//!
//! No neighbour discovery, no extension headers, no fragments, no ICMPv6: on such a link there is nobody to look for.

use core::net::Ipv6Addr;
use sixfold_profile::ticket::Endpoint;

/// The length of both headers in bytes.
pub const HEADERS: usize = IPV6 + UDP;
const IPV6: usize = 40;
const UDP: usize = 8;
const NEXT_HEADER_UDP: u8 = 17;
const HOP_LIMIT: u8 = 64;

/// The link-local address with this interface identifier.
pub const fn link_local(interface_identifier: [u8; 8]) -> Ipv6Addr {
    let prefix = 0xfe80_u128 << 112;
    Ipv6Addr::from_bits(prefix | u64::from_be_bytes(interface_identifier) as u128)
}

/// Writes the headers before the datagram that is in `packet` from [`HEADERS`] on. Gives nothing when it is too long
/// for one packet, or `packet` too short for headers.
pub fn write_headers(packet: &mut [u8], from: Endpoint, to: Endpoint) -> Option<()> {
    let length = u16::try_from(packet.len().checked_sub(IPV6)?).ok()?;
    let (header, datagram) = packet.split_first_chunk_mut::<IPV6>()?;
    let [version, _, _, _, length_high, length_low, next_header, hop_limit, addresses @ ..] = header;
    *version = 6 << 4;
    [*length_high, *length_low] = length.to_be_bytes();
    (*next_header, *hop_limit) = (NEXT_HEADER_UDP, HOP_LIMIT);
    let (source, destination) = addresses.split_first_chunk_mut::<16>()?;
    *source = from.address.octets();
    destination.copy_from_slice(&to.address.octets());
    let ports = (u64::from(from.port) << 48) | (u64::from(to.port) << 32) | (u64::from(length) << 16);
    *datagram.first_chunk_mut::<UDP>()? = ports.to_be_bytes();
    let sum = match !checksum(packet)? {
        0 => u16::MAX,
        sum => sum,
    };
    packet.get_mut(IPV6 + 6..HEADERS)?.copy_from_slice(&sum.to_be_bytes());
    Some(())
}

/// The payload of a packet that is a whole, undamaged UDP datagram from one to the other.
pub fn read(packet: &[u8], from: Endpoint, to: Endpoint) -> Option<&[u8]> {
    let (header, rest) = packet.split_first_chunk::<IPV6>()?;
    let [version, _, _, _, length_high, length_low, next_header, _, addresses @ ..] = header;
    let length = u16::from_be_bytes([*length_high, *length_low]);
    let (source, destination) = addresses.split_first_chunk::<16>()?;
    let ours = version >> 4 == 6
        && *next_header == NEXT_HEADER_UDP
        && rest.len() == usize::from(length)
        && *source == from.address.octets()
        && *destination == to.address.octets()
        && checksum(packet)? == u16::MAX;
    let ([a, b, c, d, e, f, sum @ ..], payload) = rest.split_first_chunk::<UDP>()?;
    let udp = [from.port, to.port, length].map(u16::to_be_bytes);
    // Without a checksum it is no datagram of IPv6 (RFC 8200 §8.1).
    (ours && udp == [[*a, *b], [*c, *d], [*e, *f]] && *sum != [0; 2]).then_some(payload)
}

/// The one's complement sum of the pseudo-header and of what follows the IPv6 header (RFC 8200 §8.1).
fn checksum(packet: &[u8]) -> Option<u16> {
    let length = u32::try_from(packet.len().checked_sub(IPV6)?).ok()?;
    let words = packet.get(8..)?.chunks(2).map(|word| match word {
        [high, low] => u32::from(u16::from_be_bytes([*high, *low])),
        [high] => u32::from(*high) << 8,
        _ => 0,
    });
    // 65 535 bytes are 32 768 words: no overflow.
    let sum = words.fold(length.wrapping_add(u32::from(NEXT_HEADER_UDP)), u32::wrapping_add);
    let folded = (sum & 0xffff).wrapping_add(sum >> 16);
    Some((folded & 0xffff).wrapping_add(folded >> 16) as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEVICE: Endpoint = Endpoint { address: link_local([1, 2, 3, 4, 5, 6, 7, 8]), port: 0xc001 };
    const RELAY: Endpoint = Endpoint { address: link_local([0, 0, 0, 0, 0, 0, 0, 1]), port: 5683 };

    fn packet() -> [u8; HEADERS + 5] {
        let mut packet = [0; HEADERS + 5];
        packet[HEADERS..].copy_from_slice(b"hello");
        write_headers(&mut packet, DEVICE, RELAY).unwrap();
        packet
    }

    #[test]
    fn addresses_are_link_local() {
        assert_eq!(DEVICE.address, "fe80::102:304:506:708".parse::<Ipv6Addr>().unwrap());
    }

    #[test]
    fn what_is_written_can_be_read_by_the_other_end_only() {
        assert_eq!(read(&packet(), DEVICE, RELAY), Some(&b"hello"[..]));
        assert_eq!(read(&packet(), RELAY, DEVICE), None);
    }

    #[test]
    fn every_bit_counts_but_class_label_and_hop_limit() {
        for bit in 0..packet().len() * 8 {
            let mut packet = packet();
            packet[bit / 8] ^= 0x80 >> (bit % 8);
            let ignored = (4..32).contains(&bit) || (56..64).contains(&bit);
            assert_eq!(read(&packet, DEVICE, RELAY).is_some(), ignored, "bit {bit}");
        }
    }

    #[test]
    fn what_is_cut_or_has_no_checksum_is_refused() {
        let mut packet = packet();
        for length in 0..packet.len() {
            assert_eq!(read(&packet[..length], DEVICE, RELAY), None);
        }
        packet[IPV6 + 6..HEADERS].fill(0);
        assert_eq!(read(&packet, DEVICE, RELAY), None);
    }
}
