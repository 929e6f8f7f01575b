//! How long the headers of a datagram to a group are when 6LoWPAN has compressed them (RFC 6282), without compression contexts.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// IPHC without what follows (RFC 6282 §3.1.1), and an NHC of UDP with its checksum (§4.3.3). Hop limits of 1 and 64 are elided.
const IPHC: usize = 2;
const UDP: usize = 1 + 2;

/// Compressed IPv6 and UDP headers from `source`, whose address is not known if the system chooses it, to `group`, in bytes. `eui64`: the
/// sender's link-layer address, as far as it is known.
pub(crate) fn headers(source: Option<IpAddr>, port: u16, group: SocketAddr, eui64: Option<[u8; 8]>) -> usize {
    IPHC + unicast(source, eui64) + multicast(group.ip()) + UDP + ports(port, group.port())
}

/// What of a source address is there (RFC 6282 §3.1.1, SAM).
fn unicast(address: Option<IpAddr>, eui64: Option<[u8; 8]>) -> usize {
    const OPAQUE: usize = 8;
    let Some(IpAddr::V6(address)) = address else { return OPAQUE };
    match address.octets() {
        [0xfe, 0x80, 0, 0, 0, 0, 0, 0, identifier @ ..] => match identifier {
            _ if eui64.is_some_and(|eui64| identifier == from_eui64(eui64)) => 0,
            [0, 0, 0, 0xff, 0xfe, 0, _, _] => 2,
            _ => OPAQUE,
        },
        _ => size_of::<Ipv6Addr>(),
    }
}

/// The interface identifier that is made of an EUI-64 (RFC 4291 appendix A).
const fn from_eui64([first, rest @ ..]: [u8; 8]) -> [u8; 8] {
    let [b, c, d, e, f, g, h] = rest;
    [first ^ 0x02, b, c, d, e, f, g, h]
}

/// What of a multicast address is there (RFC 6282 §3.1.1, DAM with M).
fn multicast(address: IpAddr) -> usize {
    let IpAddr::V6(address) = address else { return size_of::<Ipv6Addr>() };
    match address.octets() {
        [0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, _] => 1,
        [0xff, _, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, _, _, _] => 4,
        [0xff, _, 0, 0, 0, 0, 0, 0, 0, 0, 0, _, _, _, _, _] => 6,
        _ => size_of::<Ipv6Addr>(),
    }
}

/// What of the ports is there (RFC 6282 §4.3.3).
const fn ports(from: u16, to: u16) -> usize {
    const FOUR_BITS: u16 = 0xf0b;
    const EIGHT_BITS: u16 = 0xf0;
    match (from >> 4, to >> 4) {
        (FOUR_BITS, FOUR_BITS) => 1,
        (from, to) if from >> 4 == EIGHT_BITS || to >> 4 == EIGHT_BITS => 3,
        _ => 4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_by_hand() {
        let eui64 = Some([0x02, 0x6f, 0, 0, 0, 0, 0, 1]);
        let of = |source: &str, port, group: &str| {
            headers(Some(source.parse().unwrap()), port, group.parse().unwrap(), eui64)
        };
        assert_eq!(of("fe80::6f:0:0:1", 61_616, "[ff02::fd]:61616"), 2 + 1 + 3 + 1);
        assert_eq!(of("fe80::6f:0:0:2", 61_616, "[ff02::fd]:61616"), 2 + 8 + 1 + 3 + 1);
        assert_eq!(of("fe80::ff:fe00:7", 5683, "[ff02::fd]:61616"), 2 + 2 + 1 + 3 + 3);
        assert_eq!(of("fd00::6f:0:0:1", 5683, "[ff03::fd]:5683"), 2 + 16 + 4 + 3 + 4);
        assert_eq!(of("fe80::1", 0xf012, "[ff05::1:ff00:1]:5683"), 2 + 8 + 6 + 3 + 3);
        assert_eq!(of("fe80::1", 5683, "[ff35:30:fd00:6f::1]:5683"), 2 + 8 + 16 + 3 + 4);
        let group = "[ff02::fd]:61616".parse().unwrap();
        assert_eq!(headers(None, 61_616, group, eui64), 2 + 8 + 1 + 3 + 1);
    }
}
