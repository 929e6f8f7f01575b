//! Which datagrams are let through, groups, and rubbish.

#![allow(clippy::unwrap_used, reason = "these are tests")]

mod support;

use proptest::prelude::*;
use sixfold_air::topology::NodeId;
use sixfold_ip::{Buffers, Config, ConfigError, HardwareAddress, Received, SendError, Sockets, Stack, State};
use sixfold_profile::Instant;
use sixfold_profile::ticket::Endpoint;
use smoltcp::phy::Medium;
use smoltcp::wire::EthernetAddress;
use std::net::Ipv6Addr;
use std::time::Duration;
use support::node::{ALL_NODES, Node, Packet, Registers, link_local};
use support::wire::{DEVICE, Wire};
use support::{
    FAR_RELAY, GROUP, GROUP_PORT, IDENTIFIER, LINK_LOCAL, MEDIA, PORT, PROBING, World, global, prefix,
};

const STRANGER: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xbad, 0, 0, 0, 0, 1);
const HEARD: Endpoint = Endpoint { address: GROUP, port: GROUP_PORT };

/// A stack that is ready, with a relay that answers nothing by itself, and its own port.
fn ready(medium: Medium, group: Option<Endpoint>) -> (World, u16) {
    let router = Node { echoes: false, ..Node::router(2, 9000, &[prefix(1)]) };
    let mut world = World::with_group(medium, FAR_RELAY, vec![router], group);
    world.until(State::Ready { source: global(1) });
    world.stack.send(world.now, b"hello").unwrap();
    world.pass(Duration::from_secs(2));
    let datagram = &world.sent.iter().find(|(_, packet)| packet.datagram().is_some()).unwrap().1;
    let port = u16::from_be_bytes([datagram.payload[0], datagram.payload[1]]);
    (world, port)
}

/// What came for this host.
fn received(world: &mut World) -> Vec<Vec<u8>> {
    let (own, for_group) = everything(world);
    assert!(for_group.is_empty(), "{for_group:?}");
    own
}

/// What came for this host, and what came for the group.
fn everything(world: &mut World) -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
    let mut buffer = [0; 64];
    let (mut own, mut for_group) = (Vec::new(), Vec::new());
    while let Some(Received { length, is_for_group }) = world.stack.receive(&mut buffer) {
        if is_for_group { &mut for_group } else { &mut own }.push(buffer[..length].to_vec());
    }
    (own, for_group)
}

#[test]
fn only_the_relay_is_heard() {
    for medium in MEDIA {
        let (mut world, port) = ready(medium, None);
        let to = (global(1), port);
        for (from, to, data) in [
            ((STRANGER, PORT), to, &b"stranger"[..]),
            ((FAR_RELAY, PORT + 1), to, b"other port"),
            ((FAR_RELAY, PORT), (LINK_LOCAL, port), b"other address"),
            ((FAR_RELAY, PORT), (ALL_NODES, port), b"everybody"),
            ((FAR_RELAY, PORT), to, b"relay"),
        ] {
            world.hear(2, &Packet::udp(from, to, data));
            let expected = if data == b"relay" { vec![data.to_vec()] } else { vec![] };
            assert_eq!(received(&mut world), expected, "{medium:?}");
        }
    }
}

#[test]
fn a_relay_is_heard_behind_strangers() {
    for medium in MEDIA {
        let (mut world, port) = ready(medium, None);
        for n in 0..3 {
            world.hear(2, &Packet::udp((STRANGER, n), (global(1), port), b"stranger"));
        }
        world.hear(2, &Packet::udp((FAR_RELAY, PORT), (global(1), port), b"relay"));
        assert_eq!(received(&mut world), [b"relay"], "{medium:?}");
    }
}

#[test]
fn a_group_is_heard_on_its_port_and_address_alone() {
    for medium in MEDIA {
        let (mut world, _) = ready(medium, Some(HEARD));
        let before = world.sent.len();
        let other_group = Ipv6Addr::new(0xff35, 0x40, 0x2001, 0xdb8, 0, 0, 0, 0x9999);
        let relay = (FAR_RELAY, PORT);
        for (from, to, data) in [
            (relay, (GROUP, GROUP_PORT), &b"group"[..]),
            (relay, (GROUP, GROUP_PORT + 1), b"other port"),
            (relay, (other_group, GROUP_PORT), b"other group"),
            (relay, (global(1), GROUP_PORT), b"unicast"),
            ((STRANGER, PORT), (GROUP, GROUP_PORT), b"stranger"),
            ((FAR_RELAY, PORT + 1), (GROUP, GROUP_PORT), b"other service"),
        ] {
            world.hear(2, &Packet::udp(from, to, data));
            let expected = if data == b"group" { vec![data.to_vec()] } else { vec![] };
            assert_eq!(everything(&mut world), (vec![], expected), "{medium:?}");
        }
        // Errors about datagrams to groups are forbidden (RFC 4443 §2.4 e.3).
        let errors: Vec<_> =
            world.sent[before..].iter().filter(|(_, packet)| packet.message() == Some(1)).collect();
        assert!(
            errors.iter().all(|(_, packet)| packet.payload[32..48] == global(1).octets()),
            "{medium:?} {errors:?}"
        );
    }
}

/// RFC 3810 §5.2: to all routers that care, with Router Alert, and again when asked.
#[test]
fn membership_is_reported() {
    for medium in PROBING {
        let (mut world, _) = ready(medium, Some(HEARD));
        let reports = |world: &World| {
            let all = world.sent.iter().filter(|(_, packet)| packet.next_header == 0);
            all.map(|(_, packet)| packet.clone()).collect::<Vec<_>>()
        };
        let before = reports(&world);
        let last = before.last().unwrap();
        assert_eq!((last.source, last.hop_limit), (LINK_LOCAL, 1), "{medium:?}");
        assert_eq!(last.destination, Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x16));
        assert_eq!(last.payload[..8], [58, 0, 5, 2, 0, 0, 1, 0]);
        assert_eq!((last.payload[8], last.payload[15], last.sum(58, 8)), (143, 2, 0));
        assert!(last.payload.windows(16).any(|octets| octets == GROUP.octets()));
        let mut query = vec![130, 0, 0, 0, 0x27, 0x10, 0, 0];
        query.extend([0; 16]);
        query.extend([2, 125, 0, 0]);
        let mut query = Packet::icmp(link_local(NodeId(2)), ALL_NODES, query);
        (query.next_header, query.hop_limit) = (0, 1);
        query.payload = [&[58, 0, 5, 2, 0, 0, 1, 0], &query.payload[..]].concat();
        world.hear(2, &query);
        world.pass(Duration::from_secs(2));
        assert_eq!(reports(&world).len(), before.len() + 1, "{medium:?}");
    }
}

#[test]
fn what_is_too_long_is_refused_or_dropped() {
    for medium in MEDIA {
        let (mut world, port) = ready(medium, None);
        assert_eq!(world.stack.send(world.now, &[0; 1233]), Err(SendError::TooLong));
        world.hear(2, &Packet::udp((FAR_RELAY, PORT), (global(1), port), &[1; 100]));
        world.hear(2, &Packet::udp((FAR_RELAY, PORT), (global(1), port), &[2; 64]));
        assert_eq!(received(&mut world), [[2; 64]], "{medium:?}");
        world.nodes[0].echoes = true;
        assert!(world.echo(&[3; 1232]), "{medium:?}: the longest datagram");
    }
}

#[test]
fn impossible_configurations_are_refused() {
    let mut wire = Wire::new(Medium::Ethernet);
    let good = Config {
        hardware_address: wire.address(DEVICE),
        pan_id: None,
        interface_identifier: IDENTIFIER,
        relay: Endpoint { address: FAR_RELAY, port: PORT },
        group: None,
        seed: 0,
    };
    let group = HardwareAddress::Ethernet(EthernetAddress([1, 0, 0, 0, 0, 0]));
    let relay = |address, port| Config { relay: Endpoint { address, port }, ..good };
    let with_group = |address, port| Config { group: Some(Endpoint { address, port }), ..good };
    for (config, error) in [
        (Config { hardware_address: group, ..good }, ConfigError::HardwareAddress),
        (Config { hardware_address: HardwareAddress::Ip, ..good }, ConfigError::HardwareAddress),
        (relay(GROUP, PORT), ConfigError::Relay),
        (relay(Ipv6Addr::UNSPECIFIED, PORT), ConfigError::Relay),
        (relay(FAR_RELAY, 0), ConfigError::Relay),
        (with_group(FAR_RELAY, PORT), ConfigError::Group),
        (with_group(GROUP, 0), ConfigError::Group),
    ] {
        let (mut buffers, mut sockets) = (Buffers::<64>::new(), Sockets::default());
        let refused = Stack::new(config, &mut buffers, &mut sockets, &mut wire, Instant::ZERO).err();
        assert_eq!(refused, Some(error), "{config:?}");
    }
}

/// RFC 6282 §3.1.1: the destination's prefix is the context with identifier 2, which the router advertised.
#[test]
fn addresses_are_understood_that_are_compressed_with_a_context() {
    let (mut world, port) = ready(Medium::Ieee802154, None);
    let packet = Packet::udp((FAR_RELAY, PORT), (global(1), port), b"context");
    let iphc = [0x7e, 0x85, 0x02];
    let nhc = [&[0xf0], &packet.payload[..4], &packet.payload[6..8], b"context"].concat();
    let payload = [&iphc[..], &FAR_RELAY.octets(), &global(1).octets()[8..], &nhc].concat();
    let to = sixfold_air::frame::Destination::Unicast(DEVICE);
    let frame = sixfold_air::frame::data(NodeId(2), to, false, 0, false, &payload);
    let frame = &frame[..frame.len() - sixfold_air::frame::FCS];
    world.wire.incoming.push_back(frame.to_vec());
    world.settle();
    assert!(received(&mut world).is_empty(), "nobody advertised the context");

    let mut advertisement = world.nodes[0].advertisement(&world.wire.link_layer(NodeId(2))).unwrap();
    advertisement.payload.extend([34, 2, 64, 0x12, 0, 0, 0, 60]);
    advertisement.payload.extend(&global(1).octets()[..8]);
    let (source, payload) = (advertisement.source, advertisement.payload);
    world.hear(2, &Packet::icmp(source, ALL_NODES, payload));
    world.wire.incoming.push_back(frame.to_vec());
    world.settle();
    assert_eq!(received(&mut world), [b"context"]);
}

/// A first fragment of a packet of 40 bytes, with a compressed UDP header: smoltcp 0.14 would count below zero.
#[test]
fn a_packet_too_short_for_its_headers_is_dropped() {
    let (mut world, port) = ready(Medium::Ieee802154, None);
    world.wire.deliver(NodeId(2), &Packet::udp((FAR_RELAY, PORT), (global(1), port), &[1; 300]).bytes());
    world.wire.incoming.truncate(1);
    let header = sixfold_air::frame::overhead(sixfold_air::frame::Destination::Unicast(DEVICE), false) - 2;
    let first = world.wire.incoming.front_mut().unwrap();
    assert_eq!(first[header] >> 3, 0b11000, "not a first fragment");
    (first[header], first[header + 1]) = (0b1100_0000, 40);
    world.settle();
    assert!(received(&mut world).is_empty());
}

/// There is room for one datagram in pieces: one whose rest was lost must not keep it until the sender tries for the fifth
/// time.
#[test]
fn a_lost_fragment_is_not_waited_for() {
    let (mut world, port) = ready(Medium::Ieee802154, None);
    let packet = Packet::udp((FAR_RELAY, PORT), (global(1), port), &[1; 120]);
    world.wire.deliver(NodeId(2), &packet.bytes());
    assert_eq!(world.wire.incoming.len(), 2, "fragments");
    world.wire.incoming.truncate(1);
    world.settle();
    world.pass(Duration::from_secs(2));
    world.hear(2, &packet);
    let whole = Received { length: 120, is_for_group: false };
    assert_eq!(world.stack.receive(&mut [0; 256]), Some(whole), "the same datagram, sent again");
}

/// Frames as they could be: what neighbours really send, with some bytes changed, or cut.
fn mangled() -> impl Strategy<Value = (usize, Vec<(usize, u8)>, usize)> {
    (0..64_usize, prop::collection::vec((0..160_usize, any::<u8>()), 0..6), 0..200_usize)
}

fn corpus(medium: Medium) -> Vec<Vec<u8>> {
    let mut wire = Wire::new(medium);
    let router =
        Node { registers: Registers::Extended, ..Node::router(2, 9000, &[prefix(1), prefix(2), prefix(3)]) };
    let link_layer = wire.link_layer(NodeId(2));
    let mut solicitation = vec![135, 0, 0, 0, 0, 0, 0, 0];
    solicitation.extend(LINK_LOCAL.octets());
    let solicited = |source| Packet::icmp(source, LINK_LOCAL, solicitation.clone());
    let mut query = Packet::icmp(link_local(NodeId(2)), ALL_NODES, vec![130; 28]);
    query.hop_limit = 1;
    for packet in [
        router.advertisement(&link_layer).unwrap(),
        solicited(link_local(NodeId(2))),
        solicited(Ipv6Addr::UNSPECIFIED),
        query,
        Packet::udp((FAR_RELAY, PORT), (LINK_LOCAL, 0xc000), &[1; 20]),
        Packet::udp((FAR_RELAY, PORT), (GROUP, GROUP_PORT), &[1; 300]),
        Packet::udp((FAR_RELAY, PORT), (global(1), 0xc000), &[1; 300]),
    ] {
        wire.deliver(NodeId(2), &packet.bytes());
    }
    wire.incoming.into()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]
    #[test]
    fn no_frame_makes_it_panic_or_spin(rubbish in prop::collection::vec(mangled(), 1..20), medium in 0..3_usize) {
        let medium = MEDIA[medium];
        let corpus = corpus(medium);
        let mut world = World::with_group(medium, FAR_RELAY, vec![Node::router(2, 9000, &[prefix(1)])], Some(HEARD));
        world.until(State::Ready { source: global(1) });
        for (which, changes, length) in rubbish {
            let mut frame = corpus[which % corpus.len()].clone();
            for (at, byte) in changes {
                let at = at % frame.len();
                frame[at] = byte;
            }
            frame.truncate(length.max(1));
            world.wire.incoming.push_back(frame);
        }
        world.settle();
        world.pass(Duration::from_secs(100));
    }
}
