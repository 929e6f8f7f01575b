//! Stable, private interface identifiers (RFC 7217).

use hmac_sha256::HMAC;
use std::net::Ipv6Addr;

/// RFC 7217 §5: a secret has at least 128 bits; in bytes.
pub const SHORTEST_SECRET: usize = 16;

/// What an interface identifier is made of (RFC 7217 §5).
#[derive(Clone, Copy, Debug)]
pub struct Origin<'a> {
    /// The network that the device is in: the first 8 bytes of its addresses. For link-local ones, `fe80::`.
    pub prefix: Ipv6Addr,
    /// The name of the interface.
    pub interface: &'a str,
    /// What else tells this network from others, such as a PAN ID; may be empty.
    pub network: &'a [u8],
    /// How often duplicate address detection found the address taken.
    pub dad_counter: u8,
    /// A secret that this device never gives away and keeps for ever, of [`SHORTEST_SECRET`] bytes at least.
    pub secret: &'a [u8],
}

/// The interface identifier of `origin`: the first 64 bits of HMAC-SHA-256, under the secret, over the rest. Reserved ones
/// (RFC 5453) are passed over by counting on.
pub fn interface_identifier(origin: Origin<'_>) -> [u8; 8] {
    let candidates = (0..=u8::MAX).map(|skip| candidate(origin, skip));
    // 256 reserved identifiers in a row do not occur; the last one would still be an address.
    candidates.clone().find(|identifier| !is_reserved(identifier)).unwrap_or_else(|| candidate(origin, 0))
}

fn candidate(origin: Origin<'_>, skip: u8) -> [u8; 8] {
    let Origin { prefix, interface, network, dad_counter, secret } = origin;
    let mut hash = HMAC::new(secret);
    hash.update(&prefix.octets()[..8]);
    for text in [interface.as_bytes(), network] {
        hash.update((text.len() as u64).to_be_bytes());
        hash.update(text);
    }
    hash.update([dad_counter, skip]);
    let mut identifier = [0; 8];
    identifier.copy_from_slice(&hash.finalize()[..8]);
    identifier
}

/// Subnet-router anycast, the range of IANA's Ethernet block, and reserved subnet anycast (RFC 5453 §3, RFC 2526).
fn is_reserved(identifier: &[u8; 8]) -> bool {
    let identifier = u64::from_be_bytes(*identifier);
    identifier == 0
        || (0x0200_5eff_fe00_0000..=0x0200_5eff_feff_ffff).contains(&identifier)
        || (0xfdff_ffff_ffff_ff80..=0xfdff_ffff_ffff_ffff).contains(&identifier)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    const ORIGIN: Origin<'static> = Origin {
        prefix: Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0),
        interface: "wpan0",
        network: b"\xbe\xef",
        dad_counter: 0,
        secret: b"0123456789abcdef",
    };

    #[test]
    fn stable_and_different_for_every_input() {
        let others = [
            ORIGIN,
            Origin { prefix: Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), ..ORIGIN },
            Origin { interface: "wpan1", ..ORIGIN },
            Origin { interface: "wpan0\u{be}", network: b"\xef", ..ORIGIN },
            Origin { network: b"", ..ORIGIN },
            Origin { dad_counter: 1, ..ORIGIN },
            Origin { secret: b"another secret..", ..ORIGIN },
        ];
        let identifiers: HashSet<_> = others.iter().map(|origin| interface_identifier(*origin)).collect();
        assert_eq!(identifiers.len(), others.len());
        assert_eq!(interface_identifier(ORIGIN), interface_identifier(ORIGIN));
        let lower_half = Origin { prefix: Ipv6Addr::new(0xfe80, 0, 0, 0, 1, 2, 3, 4), ..ORIGIN };
        assert_eq!(interface_identifier(lower_half), interface_identifier(ORIGIN));
    }

    #[test]
    fn reserved_identifiers() {
        for reserved in [0, 0x0200_5eff_fe00_5213, 0xfdff_ffff_ffff_ffff, 0xfdff_ffff_ffff_ff80] {
            assert!(is_reserved(&u64::to_be_bytes(reserved)), "{reserved:x}");
        }
        for free in [1, 0x0200_5eff_fdff_ffff, 0x0200_5eff_ff00_0000, 0xfdff_ffff_ffff_ff7f, u64::MAX] {
            assert!(!is_reserved(&u64::to_be_bytes(free)), "{free:x}");
        }
    }
}
