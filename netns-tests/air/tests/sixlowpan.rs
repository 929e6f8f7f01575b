//! The adaptation layer: what goes in comes out, in as many octets as the RFCs say.

#![allow(clippy::unwrap_used, reason = "these are tests")]

mod support;

use proptest::prelude::*;
use sixfold_air::address;
use sixfold_air::frame::{Destination, max_payload};
use sixfold_air::host::Datagram;
use sixfold_air::scenario::{InterfaceIdentifiers, Network, Scope};
use sixfold_air::sixlowpan::{self, MTU, Malformed, Piece};
use sixfold_air::topology::NodeId;
use sixfold_air::udp;
use std::net::{Ipv6Addr, SocketAddrV6};
use support::BORDER_ROUTER;

const DEVICE: NodeId = NodeId(1);
const TO: Destination = Destination::Unicast(DEVICE);

fn packet(network: Network, ports: (u16, u16), payload: &[u8]) -> Vec<u8> {
    let endpoint = |node, port| SocketAddrV6::new(address::address(&network, node), port, 0, 0);
    let (from, to) = (endpoint(BORDER_ROUTER, ports.0), endpoint(DEVICE, ports.1));
    udp::packet(&Datagram { from, to, payload: payload.to_vec() })
}

fn frames(packet: &[u8]) -> Vec<Vec<u8>> {
    sixlowpan::frames(packet, BORDER_ROUTER, TO, 7, max_payload(TO, false)).unwrap()
}

/// Octets before the UDP payload: dispatch and IPHC 2, hop limit 64 elided, addresses, UDP NHC 1 + ports + checksum 2.
#[test]
fn headers_are_as_long_as_rfc_6282_says() {
    let link_local = |interface_identifiers| Network { interface_identifiers, ..Network::default() };
    let global = Network { scope: Scope::Global, ..Network::default() };
    let table = [
        (link_local(InterfaceIdentifiers::Eui64), (5683, 49_152), 2 + 1 + 4 + 2),
        (link_local(InterfaceIdentifiers::Eui64), (0xf0b1, 49_152), 2 + 1 + 3 + 2),
        (link_local(InterfaceIdentifiers::Private), (5683, 49_152), 2 + 8 + 8 + 1 + 4 + 2),
        (global, (5683, 49_152), 2 + 16 + 16 + 1 + 4 + 2),
    ];
    for (network, ports, headers) in table {
        let frames = frames(&packet(network, ports, b"payload"));
        assert_eq!(frames.len(), 1);
        assert_eq!(frames[0].len(), headers + b"payload".len(), "{network:?} {ports:?}");
    }
}

/// RFC 4944 §5.3: 4 octets before the first fragment, 5 before the others, all but the last in units of 8.
#[test]
fn fragments_are_as_long_as_rfc_4944_says() {
    let network = Network { interface_identifiers: InterfaceIdentifiers::Eui64, ..Network::default() };
    let packet = packet(network, (5683, 49_152), &[0; 1052]);
    let room = 127 - 23;
    // The first fragment: 9 octets of headers stand for 48, so 88 octets of payload make a multiple of 8.
    let lengths: Vec<usize> = frames(&packet).iter().map(Vec::len).collect();
    assert_eq!(lengths[0], 4 + 9 + 88);
    assert!(lengths[0] <= room);
    let rest = 1052 - 88;
    assert_eq!(lengths.len(), 1 + rest / 96 + 1);
    assert!(lengths[1..lengths.len() - 1].iter().all(|length| *length == 5 + 96));
    assert_eq!(*lengths.last().unwrap(), 5 + rest % 96);
}

/// smoltcp 0.14 gets the short forms of destination ports wrong: they must not be given to it.
#[test]
fn short_ports_survive() {
    for ports in [(0xf0b0, 0xf0bf), (0xf0b5, 0xf0ba), (0xf012, 0xf0b3), (0xf0b3, 0xf012)] {
        let packet = packet(Network::default(), ports, b"x");
        assert_eq!(reassemble(&frames(&packet)), packet, "{ports:x?}");
    }
}

#[test]
fn what_is_no_packet_is_refused() {
    let good = packet(Network::default(), (1, 2), b"payload");
    let mut ipv4 = good.clone();
    ipv4[0] = 0x45;
    let too_long = packet(Network::default(), (1, 2), &[0; MTU]);
    for bad in [&[][..], &good[..20], &good[..good.len() - 1], &ipv4, &too_long] {
        let frames = sixlowpan::frames(bad, BORDER_ROUTER, TO, 0, 100);
        assert_eq!(frames, Err(Malformed), "{} bytes", bad.len());
    }
}

/// Puts a packet together again, whatever the order of its fragments.
fn reassemble(frames: &[Vec<u8>]) -> Vec<u8> {
    let mut packet = Vec::new();
    for frame in frames {
        match sixlowpan::read(frame, BORDER_ROUTER, TO).unwrap() {
            Piece::Whole(whole) => packet = whole,
            Piece::Fragment(fragment) => {
                assert_eq!(fragment.tag, 7);
                packet.resize(fragment.size, 0);
                packet[fragment.offset..fragment.offset + fragment.bytes.len()]
                    .copy_from_slice(&fragment.bytes);
            }
        }
    }
    packet
}

fn addresses() -> impl Strategy<Value = Ipv6Addr> {
    let link_local = |identifier: u64| Ipv6Addr::from(0xfe80_u128 << 112 | u128::from(identifier));
    prop_oneof![
        any::<u64>().prop_map(link_local),
        any::<u16>().prop_map(move |short| link_local(0x0000_00ff_fe00_0000 | u64::from(short))),
        (any::<u128>()).prop_map(|bits| Ipv6Addr::from(0xfd_u128 << 120 | bits >> 8)),
        Just(address::address(
            &Network { interface_identifiers: InterfaceIdentifiers::Eui64, ..Network::default() },
            BORDER_ROUTER
        )),
        Just(address::address(
            &Network { interface_identifiers: InterfaceIdentifiers::Eui64, ..Network::default() },
            DEVICE
        )),
    ]
}

fn groups() -> impl Strategy<Value = Ipv6Addr> {
    prop_oneof![
        Just("ff02::1".parse().unwrap()),
        Just("ff02::1:ff00:1".parse().unwrap()),
        Just("ff05::fd".parse().unwrap()),
        Just("ff35:30:fd00:6f::1".parse().unwrap()),
    ]
}

proptest! {
    #[test]
    fn every_datagram_comes_out_as_it_went_in(
        from in addresses(),
        to in prop_oneof![addresses(), groups()],
        ports in any::<(u16, u16)>(),
        payload in prop::collection::vec(any::<u8>(), 0..1200),
        room in 60_usize..104,
    ) {
        let (from, to) = (SocketAddrV6::new(from, ports.0, 0, 0), SocketAddrV6::new(to, ports.1, 0, 0));
        let packet = udp::packet(&Datagram { from, to, payload });
        let frames = sixlowpan::frames(&packet, BORDER_ROUTER, TO, 7, room).unwrap();
        prop_assert!(frames.iter().all(|frame| frame.len() <= room));
        prop_assert_eq!(reassemble(&frames), packet);
    }

    #[test]
    fn other_protocols_are_carried_as_they_are(
        protocol in prop_oneof![Just(0_u8), Just(58_u8), Just(6_u8), Just(60_u8)],
        hop_limit in any::<u8>(),
        payload in prop::collection::vec(any::<u8>(), 0..1200),
    ) {
        let mut packet = packet(Network::default(), (1, 2), b"");
        packet.truncate(40);
        packet[4..6].copy_from_slice(&(payload.len() as u16).to_be_bytes());
        (packet[6], packet[7]) = (protocol, hop_limit);
        packet.extend_from_slice(&payload);
        prop_assert_eq!(reassemble(&frames(&packet)), packet);
    }

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..130), dispatch in 0_usize..5) {
        let mut bytes = bytes;
        if let Some(first) = bytes.first_mut() {
            *first = [*first, 0x60 | *first >> 3, 0xc0 | *first & 7, 0xe0 | *first & 7, 0x7e][dispatch];
        }
        let _ = sixlowpan::read(&bytes, DEVICE, TO);
        let _ = sixlowpan::read(&bytes, DEVICE, Destination::Broadcast);
        let _ = sixlowpan::frames(&bytes, DEVICE, TO, 0, 100);
    }
}
