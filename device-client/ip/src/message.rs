//! The messages of Neighbor Discovery (RFC 4861 §4) that smoltcp does not write, and all that are read here.
//!
//! Bytes only: what follows from a message is decided elsewhere.

use core::net::Ipv6Addr;
use smoltcp::wire::{
    HardwareAddress, IPV6_HEADER_LEN, Icmpv6Message, Icmpv6Packet, IpProtocol, Ipv6Address, Ipv6Packet,
};

/// ff02::1.
pub(crate) const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
/// ff02::2.
const ALL_ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2);
/// Only a node on the link sends this (RFC 4861 §7.1.1).
const ON_LINK: u8 = 255;
/// Type, Code, Checksum and four more bytes that every message has.
const HEADER: usize = 8;
const OVERRIDE: u8 = 0x20;

const SOURCE_LINK_LAYER: u8 = 1;
const TARGET_LINK_LAYER: u8 = 2;

/// A short packet on its way out.
#[derive(Debug)]
pub(crate) struct Packet {
    pub(crate) source: Ipv6Addr,
    pub(crate) destination: Ipv6Addr,
    pub(crate) hop_limit: u8,
    pub(crate) next_header: IpProtocol,
    pub(crate) payload: Octets,
}

/// Up to 72 bytes: a message here has at most 56. What does not fit is left out.
#[derive(Debug)]
pub(crate) struct Octets {
    bytes: [u8; 72],
    length: usize,
}

impl Octets {
    pub(crate) const fn new() -> Self {
        Self { bytes: [0; 72], length: 0 }
    }

    pub(crate) fn put(&mut self, bytes: &[u8]) {
        let end = self.length + bytes.len();
        if let Some(place) = self.bytes.get_mut(self.length..end) {
            place.copy_from_slice(bytes);
            self.length = end;
        }
    }

    pub(crate) fn as_slice(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }

    pub(crate) fn as_mut(&mut self) -> &mut [u8] {
        self.bytes.get_mut(..self.length).unwrap_or_default()
    }

    /// An option with a link-layer address (RFC 4861 §4.6.1, RFC 4944 §8); nothing where links have none.
    fn put_link_layer(&mut self, kind: u8, address: HardwareAddress) {
        let bytes = link_layer(&address);
        if !bytes.is_empty() {
            let units = (2 + bytes.len()).div_ceil(8);
            self.put(&[kind, units as u8]);
            self.put(bytes);
            let padding = units * 8 - 2 - bytes.len();
            self.put([0; 8].get(..padding).unwrap_or_default());
        }
    }
}

/// The bytes of a link-layer address.
pub(crate) fn link_layer(address: &HardwareAddress) -> &[u8] {
    match address {
        #[cfg(feature = "ip")]
        HardwareAddress::Ip => &[],
        #[cfg(feature = "ethernet")]
        HardwareAddress::Ethernet(address) => address.as_bytes(),
        #[cfg(feature = "ieee802154")]
        HardwareAddress::Ieee802154(address) => address.as_bytes(),
        #[allow(unreachable_patterns, reason = "another crate may give smoltcp more links")]
        _ => &[],
    }
}

/// The solicited-node group of an address (RFC 4291 §2.7.1).
pub(crate) const fn solicited_node(address: Ipv6Addr) -> Ipv6Addr {
    let [.., a, b, c] = address.octets();
    Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00 | a as u16, (b as u16) << 8 | c as u16)
}

/// A message with a correct checksum.
fn icmp(source: Ipv6Addr, destination: Ipv6Addr, payload: Octets) -> Packet {
    let next_header = IpProtocol::Icmpv6;
    let mut packet = Packet { source, destination, hop_limit: ON_LINK, next_header, payload };
    Icmpv6Packet::new_unchecked(packet.payload.as_mut()).fill_checksum(&source, &destination);
    packet
}

/// A router solicitation (RFC 4861 §4.1).
pub(crate) fn router_solicitation(source: Ipv6Addr, own: HardwareAddress) -> Packet {
    let mut payload = Octets::new();
    payload.put(&[Icmpv6Message::RouterSolicit.into(), 0, 0, 0, 0, 0, 0, 0]);
    payload.put_link_layer(SOURCE_LINK_LAYER, own);
    icmp(source, ALL_ROUTERS, payload)
}

/// The solicitation of duplicate address detection: from nobody (RFC 4862 §5.4.2).
pub(crate) fn probe(address: Ipv6Addr) -> Packet {
    let mut payload = Octets::new();
    payload.put(&[Icmpv6Message::NeighborSolicit.into(), 0, 0, 0, 0, 0, 0, 0]);
    payload.put(&address.octets());
    icmp(Ipv6Addr::UNSPECIFIED, solicited_node(address), payload)
}

/// Tells everybody that `address` is taken (RFC 4861 §7.2.4, for a solicitation from nobody).
pub(crate) fn defence(address: Ipv6Addr, own: HardwareAddress) -> Packet {
    let mut payload = Octets::new();
    payload.put(&[Icmpv6Message::NeighborAdvert.into(), 0, 0, 0, OVERRIDE, 0, 0, 0]);
    payload.put(&address.octets());
    payload.put_link_layer(TARGET_LINK_LAYER, own);
    icmp(address, ALL_NODES, payload)
}

/// A solicitation with one more option (RFC 6775 §5.5).
#[cfg(feature = "ieee802154")]
pub(crate) fn neighbour_solicitation(
    source: Ipv6Addr,
    destination: Ipv6Addr,
    target: Ipv6Addr,
    own: HardwareAddress,
    option: &[u8],
) -> Packet {
    let mut payload = Octets::new();
    payload.put(&[Icmpv6Message::NeighborSolicit.into(), 0, 0, 0, 0, 0, 0, 0]);
    payload.put(&target.octets());
    payload.put_link_layer(SOURCE_LINK_LAYER, own);
    payload.put(option);
    icmp(source, destination, payload)
}

/// A message that came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Received<'a> {
    /// A router advertisement, with its router lifetime in seconds.
    Router { source: Ipv6Addr, lifetime: u16, options: Options<'a> },
    /// A neighbour advertisement.
    Neighbour {
        target: Ipv6Addr,
        #[cfg_attr(
            not(feature = "ieee802154"),
            allow(dead_code, reason = "no registration without that link")
        )]
        options: Options<'a>,
    },
}

/// Reads an IPv6 packet; `None` when RFC 4861 §6.1.2 or §7.1.2 wants it to be discarded, or it is something else.
pub(crate) fn read(packet: &[u8]) -> Option<Received<'_>> {
    let (header, message) = packet.split_at_checked(IPV6_HEADER_LEN)?;
    let ip = Ipv6Packet::new_unchecked(header);
    let icmp = Icmpv6Packet::new_checked(message).ok()?;
    let genuine = ip.hop_limit() == ON_LINK && icmp.verify_checksum(&ip.src_addr(), &ip.dst_addr());
    if !genuine || icmp.msg_code() != 0 {
        return None;
    }
    match icmp.msg_type() {
        Icmpv6Message::RouterAdvert => router(ip.src_addr(), message),
        Icmpv6Message::NeighborAdvert => neighbour(message),
        _ => None,
    }
}

fn router(source: Ipv6Address, message: &[u8]) -> Option<Received<'_>> {
    let (fixed, options) = message.split_first_chunk::<16>()?;
    let [_, _, _, _, _, _, high, low, ..] = *fixed;
    let options = Options::new(options)?;
    let lifetime = u16::from_be_bytes([high, low]);
    source.is_unicast_link_local().then_some(Received::Router { source, lifetime, options })
}

fn neighbour(message: &[u8]) -> Option<Received<'_>> {
    let (target, options) = message.get(HEADER..)?.split_first_chunk::<16>()?;
    Some(Received::Neighbour { target: Ipv6Addr::from(*target), options: Options::new(options)? })
}

/// The options of a message, each with its type and length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Options<'a>(&'a [u8]);

impl<'a> Options<'a> {
    /// `None` when an option has no length or a message ends within one.
    fn new(bytes: &'a [u8]) -> Option<Self> {
        let options = Self(bytes);
        let length: usize = options.map(<[u8]>::len).sum();
        (length == bytes.len()).then_some(options)
    }

    /// The link-layer address of whoever sent the message, as many bytes as the option has, padding included.
    #[cfg(feature = "ieee802154")]
    pub(crate) fn source_link_layer(mut self) -> Option<&'a [u8]> {
        self.find(|option| option.first() == Some(&SOURCE_LINK_LAYER)).and_then(|option| option.get(2..))
    }
}

impl<'a> Iterator for Options<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let units = usize::from(*self.0.get(1)?);
        let (option, rest) = self.0.split_at_checked(units * 8).filter(|(option, _)| !option.is_empty())?;
        self.0 = rest;
        Some(option)
    }
}
