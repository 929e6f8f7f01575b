//! Packets across the air: routes, repeated multicasts, fragments, other stacks.

mod support;

use sixfold_air::air::{Air, Event};
use sixfold_air::counters::Counters;
use sixfold_air::frame;
use sixfold_air::host::Datagram;
use sixfold_air::loss::Loss;
use sixfold_air::scenario::{Network, Radio};
use sixfold_air::topology::{Hearing, NodeId, Topology};
use sixfold_air::udp;
use sixfold_profile::Instant;
use std::net::{Ipv6Addr, SocketAddrV6};
use std::time::Duration;
use support::{BORDER_ROUTER, frame_to, line, star, star_with};

const HOP_LIMIT: usize = 7;

fn address(node: NodeId) -> Ipv6Addr {
    Ipv6Addr::from((0xfd00_006f_u128 << 96) | (u128::from(node.0) + 1))
}

fn packet(from: NodeId, to: Ipv6Addr, payload: &[u8]) -> Vec<u8> {
    let endpoint = |address| SocketAddrV6::new(address, 5683, 0, 0);
    udp::packet(&Datagram { from: endpoint(address(from)), to: endpoint(to), payload: payload.to_vec() })
}

fn air(topology: Topology) -> Air {
    let mut air = Air::new(topology, Radio::default(), Network::default(), 1);
    for node in air.topology().ids() {
        air.assign(address(node), node);
    }
    air
}

/// Everything that comes out until all is quiet.
fn run(air: &mut Air) -> Vec<Event> {
    let mut now = Instant::ZERO;
    run_from(air, &mut now)
}

/// The same; `now` is the time of the last thing that happened.
fn run_from(air: &mut Air, now: &mut Instant) -> Vec<Event> {
    let mut events = Vec::new();
    while let Some(next) = air.poll_timeout() {
        *now = next;
        air.handle_timeout(next);
        events.extend(std::iter::from_fn(|| air.poll_event()));
    }
    events
}

fn total(air: &mut Air) -> Counters {
    let nodes = air.topology().ids();
    nodes.map(|node| air.counters(node)).sum()
}

#[test]
fn packets_go_hop_by_hop_in_both_directions() {
    for payload in [&b"small"[..], &[7; 1100]] {
        let (mut air, mut now) = (air(line(3)), Instant::ZERO);
        for (from, to) in [(BORDER_ROUTER, NodeId(3)), (NodeId(3), BORDER_ROUTER), (NodeId(1), NodeId(2))] {
            let sent = packet(from, address(to), payload);
            air.send_packet(now, from, &sent);
            let events = run_from(&mut air, &mut now);
            let [Event::Packet { node, packet }] = &events[..] else {
                panic!("{from:?} to {to:?}: {events:?}")
            };
            assert_eq!(*node, to);
            let forwarded = if from == NodeId(1) { 0 } else { 2 };
            assert_eq!(packet[HOP_LIMIT], sent[HOP_LIMIT] - forwarded);
            assert_eq!(packet[HOP_LIMIT + 1..], sent[HOP_LIMIT + 1..]);
        }
        assert_eq!(total(&mut air).undeliverable, 0);
    }
}

#[test]
fn a_packet_that_went_too_far_is_dropped_where_it_is() {
    let mut air = air(line(3));
    let mut sent = packet(BORDER_ROUTER, address(NodeId(3)), b"far");
    sent[HOP_LIMIT] = 2;
    air.send_packet(Instant::ZERO, BORDER_ROUTER, &sent);
    assert_eq!(run(&mut air), []);
    assert_eq!(air.counters(NodeId(2)).undeliverable, 1);
}

#[test]
fn what_is_nobodys_goes_to_the_border_router() {
    let mut air = air(line(2));
    air.send_packet(Instant::ZERO, NodeId(2), &packet(NodeId(2), "2001:db8::1".parse().unwrap(), b"out"));
    let events = run(&mut air);
    assert!(matches!(&events[..], [Event::Packet { node: BORDER_ROUTER, .. }]), "{events:?}");
}

#[test]
fn sources_are_learned() {
    let (mut air, mut now) = (Air::new(star(2), Radio::default(), Network::default(), 1), Instant::ZERO);
    air.send_packet(now, NodeId(2), &packet(NodeId(2), address(BORDER_ROUTER), b"hello"));
    run_from(&mut air, &mut now);
    air.send_packet(now, BORDER_ROUTER, &packet(BORDER_ROUTER, address(NodeId(2)), b"answer"));
    let events = run(&mut air);
    assert!(matches!(&events[..], [Event::Packet { node: NodeId(2), .. }]), "{events:?}");
}

#[test]
fn multicasts_reach_every_node_once() {
    for group in ["ff02::1", "ff05::fd"] {
        let (mut air, mut now) = (air(line(3)), Instant::ZERO);
        let group: Ipv6Addr = group.parse().unwrap();
        for (sender, others) in [(BORDER_ROUTER, 3), (NodeId(3), 3), (NodeId(1), 3)] {
            let begin = air.counters(sender).frames;
            air.send_packet(now, sender, &packet(sender, group, &[sender.0 as u8; 20]));
            let mut reached: Vec<NodeId> = run_from(&mut air, &mut now)
                .iter()
                .filter_map(|event| match event {
                    Event::Packet { node, .. } => Some(*node),
                    _ => None,
                })
                .collect();
            reached.sort_unstable();
            assert_eq!(reached.len(), others, "{group} from {sender:?}");
            assert!(!reached.contains(&sender));
            assert_eq!(air.counters(sender).frames - begin, 1);
        }
        assert_eq!(total(&mut air).acknowledgements, 0);
    }
}

/// A link-local multicast of a device is not the business of its siblings; a wider one is.
#[test]
fn the_border_router_repeats_only_wider_multicasts() {
    for (group, reached) in [("ff02::2", 1), ("ff05::fd", 3)] {
        let mut air = air(star(3));
        air.send_packet(Instant::ZERO, NodeId(1), &packet(NodeId(1), group.parse().unwrap(), b"hello"));
        let nodes = run(&mut air).iter().filter(|event| matches!(event, Event::Packet { .. })).count();
        assert_eq!(nodes, reached, "{group}");
    }
}

/// In real time the clock is never punctual: what happens must not depend on it.
#[test]
fn late_wake_ups_change_nothing() {
    let sent = |step: Option<Duration>| {
        let topology = star_with(3, Loss::Bernoulli(0.2), Hearing::All);
        let mut air = Air::new(topology, Radio::default(), Network::default(), 9);
        air.sniff();
        for node in 1..=3 {
            air.send_packet(
                Instant::ZERO,
                NodeId(node),
                &packet(NodeId(node), address(BORDER_ROUTER), &[1; 500]),
            );
        }
        let (mut now, mut events) = (Instant::ZERO, Vec::new());
        while let Some(next) = air.poll_timeout() {
            now = step.map_or(next, |step| now + step);
            air.handle_timeout(now);
            events.extend(std::iter::from_fn(|| air.poll_event()));
        }
        events
    };
    let punctual = sent(None);
    assert!(punctual.len() > 20);
    assert_eq!(sent(Some(Duration::from_millis(1))), punctual);
    assert_eq!(sent(Some(Duration::from_secs(3))), punctual);
}

/// A fragment that no retry gets across makes the rest of its datagram useless: it is not sent.
#[test]
fn a_datagram_ends_with_its_first_lost_fragment() {
    let mut air = air(star_with(1, Loss::Bernoulli(1.0), Hearing::All));
    air.send_packet(Instant::ZERO, NodeId(1), &packet(NodeId(1), address(BORDER_ROUTER), &[0; 1000]));
    assert_eq!(run(&mut air), []);
    let counters = air.counters(NodeId(1));
    assert_eq!((counters.frames, counters.retries, counters.unacknowledged), (4, 3, 1));
}

#[test]
fn garbage_is_counted_and_dropped() {
    let mut air = air(star(2));
    air.send_packet(Instant::ZERO, NodeId(1), b"no packet");
    air.send_packet(Instant::ZERO, NodeId(1), &[]);
    air.send_frame(Instant::ZERO, NodeId(1), b"no frame");
    // A frame for a node that is out of reach, and one for a node that does not exist.
    air.send_frame(Instant::ZERO, NodeId(1), &frame_to(NodeId(1), NodeId(2), b"x"));
    air.send_frame(Instant::ZERO, NodeId(1), &frame_to(NodeId(1), NodeId(77), b"x"));
    assert_eq!(air.poll_timeout(), None);
    assert_eq!(air.counters(NodeId(1)).undeliverable, 5);
    // A frame that can be carried, but is not 6LoWPAN.
    air.send_frame(Instant::ZERO, NodeId(1), &frame_to(NodeId(1), BORDER_ROUTER, b"\x00garbage"));
    assert_eq!(run(&mut air), []);
    assert_eq!(air.counters(BORDER_ROUTER).undeliverable, 1);
}

#[test]
fn a_stack_of_its_own_speaks_in_frames() {
    let mut air = air(star(1));
    air.use_frames(NodeId(1));
    let sent = packet(BORDER_ROUTER, address(NodeId(1)), b"to a stack");
    air.send_packet(Instant::ZERO, BORDER_ROUTER, &sent);
    let mut now = Instant::ZERO;
    let events = run_from(&mut air, &mut now);
    let [Event::Frame { node: NodeId(1), mpdu }] = &events[..] else { panic!("{events:?}") };
    let (to, payload) = frame::parse(mpdu).unwrap();
    assert_eq!(to, frame::Destination::Unicast(NodeId(1)));
    // The same payload in a frame to the border router is the same packet to somebody else: it is passed on.
    air.send_frame(now, NodeId(1), &frame_to(NodeId(1), BORDER_ROUTER, payload));
    let events = run_from(&mut air, &mut now);
    assert!(matches!(&events[..], [Event::Frame { node: NodeId(1), .. }]), "{events:?}");
}

#[test]
fn every_frame_can_be_seen() {
    let mut air = air(star(1));
    air.sniff();
    air.send_packet(Instant::ZERO, NodeId(1), &packet(NodeId(1), address(BORDER_ROUTER), &[0; 300]));
    let sent: Vec<Vec<u8>> = run(&mut air)
        .into_iter()
        .filter_map(|event| match event {
            Event::Sent { mpdu, .. } => Some(mpdu),
            _ => None,
        })
        .collect();
    let counters = total(&mut air);
    assert_eq!(sent.len() as u64, counters.frames + counters.acknowledgements);
    let octets: usize = sent.iter().map(|mpdu| mpdu.len() + 6).sum();
    assert_eq!(counters.transmitting, Duration::from_micros(32 * octets as u64));
}
