//! Address registration on low-power links (RFC 6775, RFC 8505).

#![allow(clippy::unwrap_used, reason = "these are tests")]

mod support;

use sixfold_air::frame;
use sixfold_air::topology::NodeId;
use sixfold_ip::State;
use smoltcp::phy::Medium;
use std::net::Ipv6Addr;
use std::time::Duration;
use support::node::{NA, NS, Node, Packet, Registers, link_local};
use support::wire::DEVICE;
use support::{FAR_RELAY, LINK_LOCAL, World, global, prefix};

const READY: State = State::Ready { source: global(1) };

fn router(id: u32, registers: Registers) -> Node {
    Node { registers, ..Node::router(id, 9000, &[prefix(1)]) }
}

fn world(nodes: Vec<Node>) -> World {
    World::new(Medium::Ieee802154, FAR_RELAY, nodes)
}

/// The registrations that were sent: to whom, and of what.
fn registrations(world: &World) -> Vec<Packet> {
    let registers = |packet: &&Packet| packet.option(33).is_some();
    world.messages(NS).into_iter().map(|(_, packet)| packet).filter(registers).cloned().collect()
}

#[test]
fn an_address_is_registered_as_rfc_6775_says() {
    let mut world = world(vec![router(2, Registers::Yes(0))]);
    world.until(READY);
    let sent = registrations(&world);
    let router = link_local(NodeId(2));
    assert_eq!(sent.len(), 1);
    assert_eq!((sent[0].source, sent[0].destination, sent[0].target()), (global(1), router, router));
    let eui64 = frame::eui64(DEVICE);
    let option = [&[33, 2, 0, 0, 0, 0, 0, 30], &eui64[..]].concat();
    assert_eq!(sent[0].option(33).unwrap(), option);
    // RFC 6775 §5.5.1 requires the source link-layer address too.
    assert_eq!(sent[0].option(1).unwrap()[2..10], eui64);
    assert_eq!((sent[0].hop_limit, sent[0].sum(58, 0)), (255, 0));
    assert!(world.echo(b"registered"));
    // smoltcp forgets neighbours after a minute.
    world.pass(Duration::from_secs(120));
    assert!(world.echo(b"registered still"));
    assert!(
        world.messages(NS).iter().all(|(_, packet)| !packet.source.is_unspecified()),
        "nothing is probed"
    );
    assert!(
        world.messages(NS).iter().all(|(_, packet)| !packet.destination.is_multicast()),
        "nobody else is asked"
    );
}

/// RFC 8505 §5: the target is registered, and the transaction has a number that grows.
#[test]
fn an_address_is_registered_as_rfc_8505_says() {
    let mut world = world(vec![router(2, Registers::Extended)]);
    world.until(READY);
    world.nodes[0].advertises = Some((9000, vec![prefix(1)]));
    world.pass(Duration::from_secs(3 * 1200));
    let sent = registrations(&world);
    assert_eq!(sent.len(), 4, "refreshed every twenty minutes");
    for (number, registration) in sent.iter().enumerate() {
        assert_eq!(registration.target(), global(1));
        let option = registration.option(33).unwrap();
        assert_eq!((option[4], usize::from(option[5])), (1, 240 + number));
    }
    assert_eq!(world.stack.state(), READY);
}

#[test]
fn a_router_that_does_not_register_is_used_all_the_same() {
    let mut world = world(vec![router(2, Registers::No)]);
    world.until(READY);
    assert!(world.echo(b"not registered"));
    world.pass(Duration::from_secs(3600));
    assert_eq!(registrations(&world).len(), 1);
}

#[test]
fn an_address_that_is_registered_by_somebody_else_is_not_used() {
    let mut world = world(vec![router(2, Registers::Yes(1))]);
    world.until(State::Duplicate);
    assert!(world.sent.iter().all(|(_, packet)| packet.datagram().is_none()));
    world.nodes[0].registers = Registers::Yes(0);
    world.until(READY);
}

#[test]
fn when_one_router_is_full_the_other_is_asked() {
    let mut world = world(vec![router(2, Registers::Yes(2)), router(5, Registers::Yes(0))]);
    world.until(READY);
    let asked: Vec<_> = registrations(&world).iter().map(|packet| packet.destination).collect();
    assert_eq!(asked, [link_local(NodeId(2)), link_local(NodeId(5))]);
    assert!(world.echo(b"other router"));
}

#[test]
fn when_one_router_is_silent_the_other_is_asked() {
    let silent = Node { deaf_to_neighbours: u32::MAX, ..router(2, Registers::Yes(0)) };
    let mut world = world(vec![silent, router(5, Registers::Yes(0))]);
    world.until(READY);
    let asked: Vec<_> = registrations(&world).iter().map(|packet| packet.destination).collect();
    let (silent, other) = (link_local(NodeId(2)), link_local(NodeId(5)));
    assert_eq!(asked, [silent, silent, silent, other]);
    assert!(world.echo(b"other router"));
}

#[test]
fn a_lost_registration_is_repeated_for_ever() {
    let mut world = world(vec![Node { deaf_to_neighbours: 20, ..router(2, Registers::Yes(0)) }]);
    world.run(Duration::from_secs(10), |world| world.stack.state() == State::Registering);
    assert!(world.stack.send(world.now, b"x").is_err());
    world.until(READY);
    assert_eq!(registrations(&world).len(), 21);
}

/// Answers for another owner (RFC 6775 §5.5.2), or for another address, change nothing.
#[test]
fn other_peoples_answers_are_ignored() {
    let router_address = link_local(NodeId(2));
    let answer = |target: Ipv6Addr, owner: [u8; 8]| {
        let mut message = vec![NA, 0, 0, 0, 0x60, 0, 0, 0];
        message.extend(target.octets());
        message.extend([33, 2, 1, 0, 0, 0, 0, 30]);
        message.extend(owner);
        Packet::icmp(router_address, global(1), message)
    };
    let mut world = world(vec![Node { deaf_to_neighbours: u32::MAX, ..router(2, Registers::Yes(0)) }]);
    world.run(Duration::from_secs(10), |world| world.stack.state() == State::Registering);
    world.hear(2, &answer(router_address, [9; 8]));
    world.hear(2, &answer(LINK_LOCAL, frame::eui64(DEVICE)));
    assert_eq!(world.stack.state(), State::Registering);
    world.hear(2, &answer(router_address, frame::eui64(DEVICE)));
    assert_eq!(world.stack.state(), State::Duplicate);
}

#[test]
fn a_relay_on_the_link_needs_no_registration() {
    let relay = link_local(NodeId(4));
    let mut world = World::new(Medium::Ieee802154, relay, vec![Node::host(4, &[relay])]);
    world.until(State::Ready { source: LINK_LOCAL });
    assert!(world.echo(b"neighbour"));
    assert!(registrations(&world).is_empty());
}
