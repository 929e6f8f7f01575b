//! Scripted neighbours: routers, owners of addresses, relays.

use sixfold_air::frame;
use sixfold_air::topology::NodeId;
use std::net::Ipv6Addr;

pub const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
pub const RS: u8 = 133;
pub const RA: u8 = 134;
pub const NS: u8 = 135;
pub const NA: u8 = 136;
const ICMPV6: u8 = 58;
const UDP: u8 = 17;

/// A packet, read by hand so that the crate under test is not its own judge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    pub source: Ipv6Addr,
    pub destination: Ipv6Addr,
    pub next_header: u8,
    pub hop_limit: u8,
    pub payload: Vec<u8>,
}

impl Packet {
    pub fn read(bytes: &[u8]) -> Self {
        let address = |at: usize| Ipv6Addr::from(<[u8; 16]>::try_from(&bytes[at..at + 16]).unwrap());
        assert_eq!(usize::from(u16::from_be_bytes([bytes[4], bytes[5]])), bytes.len() - 40);
        Self {
            source: address(8),
            destination: address(24),
            next_header: bytes[6],
            hop_limit: bytes[7],
            payload: bytes[40..].to_vec(),
        }
    }

    pub fn icmp(source: Ipv6Addr, destination: Ipv6Addr, mut payload: Vec<u8>) -> Self {
        payload[2..4].fill(0);
        let mut packet = Self { source, destination, next_header: ICMPV6, hop_limit: 255, payload };
        let sum = packet.sum(ICMPV6, 0).to_be_bytes();
        packet.payload[2..4].copy_from_slice(&sum);
        packet
    }

    pub fn udp(from: (Ipv6Addr, u16), to: (Ipv6Addr, u16), data: &[u8]) -> Self {
        let length = (8 + data.len()) as u16;
        let header = [from.1.to_be_bytes(), to.1.to_be_bytes(), length.to_be_bytes(), [0; 2]].concat();
        let payload = [&header[..], data].concat();
        let mut packet = Self { source: from.0, destination: to.0, next_header: UDP, hop_limit: 64, payload };
        let sum = packet.sum(UDP, 0).to_be_bytes();
        packet.payload[6..8].copy_from_slice(&sum);
        packet
    }

    /// The Internet checksum of what follows `skip` bytes (RFC 4443 §2.3); 0 over a correct message.
    pub fn sum(&self, next_header: u8, skip: usize) -> u16 {
        let upper = &self.payload[skip..];
        let length = (upper.len() as u32).to_be_bytes();
        let (source, destination) = (self.source.octets(), self.destination.octets());
        let all = [&source[..], &destination, &length, &[0, 0, 0, next_header], upper].concat();
        let mut sum: u32 =
            all.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0))).sum();
        while sum >> 16 != 0 {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        !(sum as u16)
    }

    pub fn bytes(&self) -> Vec<u8> {
        let length = (self.payload.len() as u16).to_be_bytes();
        let header = [0x60, 0, 0, 0, length[0], length[1], self.next_header, self.hop_limit];
        [&header[..], &self.source.octets(), &self.destination.octets(), &self.payload].concat()
    }

    /// The type of an ICMPv6 message.
    pub fn message(&self) -> Option<u8> {
        (self.next_header == ICMPV6).then(|| self.payload[0])
    }

    /// The target of a neighbour solicitation.
    pub fn target(&self) -> Ipv6Addr {
        Ipv6Addr::from(<[u8; 16]>::try_from(&self.payload[8..24]).unwrap())
    }

    pub fn datagram(&self) -> Option<&[u8]> {
        (self.next_header == UDP).then(|| &self.payload[8..])
    }

    /// The option of a neighbour message with this type.
    pub fn option(&self, kind: u8) -> Option<&[u8]> {
        let mut rest = &self.payload[24..];
        while !rest.is_empty() {
            let (option, after) = rest.split_at(usize::from(rest[1]) * 8);
            if option[0] == kind {
                return Some(option);
            }
            rest = after;
        }
        None
    }
}

/// What a router advertises of one prefix: flags, valid and preferred lifetime in seconds.
#[derive(Clone, Copy)]
pub struct Prefix {
    pub prefix: Ipv6Addr,
    pub on_link: bool,
    pub valid: u32,
    pub preferred: u32,
}

/// What a router does with registrations.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Registers {
    /// RFC 4861 only.
    No,
    /// RFC 6775, with this status.
    Yes(u8),
    /// RFC 8505.
    Extended,
}

/// A neighbour.
pub struct Node {
    pub id: NodeId,
    /// What it answers for.
    pub addresses: Vec<Ipv6Addr>,
    /// Whether datagrams are answered, also those that are only passed on by it.
    pub echoes: bool,
    pub advertises: Option<(u16, Vec<Prefix>)>,
    /// How many router solicitations are lost.
    pub deaf: u32,
    /// How many neighbour solicitations are lost.
    pub deaf_to_neighbours: u32,
    pub registers: Registers,
    /// Whether it does anything.
    pub alive: bool,
}

impl Node {
    /// A host with these addresses.
    pub fn host(id: u32, addresses: &[Ipv6Addr]) -> Self {
        Self {
            id: NodeId(id),
            addresses: addresses.to_vec(),
            echoes: true,
            advertises: None,
            deaf: 0,
            deaf_to_neighbours: 0,
            registers: Registers::No,
            alive: true,
        }
    }

    /// A router with a link-local address made of its EUI-64.
    pub fn router(id: u32, lifetime: u16, prefixes: &[Prefix]) -> Self {
        let advertises = Some((lifetime, prefixes.to_vec()));
        Self { advertises, ..Self::host(id, &[link_local(NodeId(id))]) }
    }

    /// What it says to a packet that reached it, `to` it or to all.
    pub fn answer(&mut self, packet: &Packet, to: Option<NodeId>, link_layer: &[u8]) -> Vec<Packet> {
        if !self.alive || to.is_some_and(|to| to != self.id) {
            return Vec::new();
        }
        match packet.message() {
            Some(RS) if self.advertises.is_some() && self.deaf > 0 => {
                self.deaf -= 1;
                Vec::new()
            }
            Some(RS) => self.advertisement(link_layer).into_iter().collect(),
            Some(NS) if self.deaf_to_neighbours > 0 => {
                self.deaf_to_neighbours -= 1;
                Vec::new()
            }
            Some(NS) => self.solicited(packet, link_layer).into_iter().collect(),
            _ => self.echo(packet).into_iter().collect(),
        }
    }

    /// Its router advertisement.
    pub fn advertisement(&self, link_layer: &[u8]) -> Option<Packet> {
        let (lifetime, prefixes) = self.advertises.as_ref()?;
        let [high, low] = lifetime.to_be_bytes();
        let mut message = vec![RA, 0, 0, 0, 64, 0, high, low, 0, 0, 0, 0, 0, 0, 0, 0];
        message.extend(option(1, link_layer));
        if self.registers == Registers::Extended {
            message.extend([36, 1, 0, 0x02, 0, 0, 0, 0]);
        }
        for prefix in prefixes {
            let flags = 0x40 | u8::from(prefix.on_link) << 7;
            message.extend([3, 4, 64, flags]);
            message.extend(prefix.valid.to_be_bytes());
            message.extend(prefix.preferred.to_be_bytes());
            message.extend([0; 4]);
            message.extend(prefix.prefix.octets());
        }
        Some(Packet::icmp(self.addresses[0], ALL_NODES, message))
    }

    fn solicited(&self, packet: &Packet, link_layer: &[u8]) -> Option<Packet> {
        let target = packet.target();
        let option33 = packet.option(33).map(<[u8]>::to_vec);
        let registers = self.registers != Registers::No && option33.is_some();
        if !(self.addresses.contains(&target) || registers && self.registers == Registers::Extended) {
            return None;
        }
        let probing = packet.source.is_unspecified();
        let mut message = vec![NA, 0, 0, 0, if probing { 0x20 } else { 0x60 }, 0, 0, 0];
        message.extend(target.octets());
        message.extend(option(2, link_layer));
        if let (true, Some(mut option)) = (registers, option33) {
            option[2] = if let Registers::Yes(status) = self.registers { status } else { 0 };
            message.extend(option);
        }
        let to = if probing { ALL_NODES } else { packet.source };
        Some(Packet::icmp(self.addresses[0], to, message))
    }

    fn echo(&self, packet: &Packet) -> Option<Packet> {
        let data = packet.datagram().filter(|_| self.echoes)?;
        let port = |at: usize| u16::from_be_bytes([packet.payload[at], packet.payload[at + 1]]);
        Some(Packet::udp((packet.destination, port(2)), (packet.source, port(0)), data))
    }
}

fn option(kind: u8, link_layer: &[u8]) -> Vec<u8> {
    if link_layer.is_empty() {
        return Vec::new();
    }
    [&[kind, ((2 + link_layer.len()) / 8) as u8], link_layer].concat()
}

/// A link-local address made of a node's EUI-64.
pub fn link_local(node: NodeId) -> Ipv6Addr {
    let mut octets = [0; 16];
    octets[..2].copy_from_slice(&[0xfe, 0x80]);
    octets[8..].copy_from_slice(&frame::eui64(node));
    octets[8] ^= 2;
    Ipv6Addr::from(octets)
}
