//! From a silent start to datagrams that go to the relay and back, on every link.

#![allow(clippy::unwrap_used, reason = "these are tests")]

mod support;

use sixfold_air::topology::NodeId;
use sixfold_ip::State;
use std::net::Ipv6Addr;
use std::time::Duration;
use support::node::{NA, NS, Node, Packet, RS, link_local};
use support::{FAR_RELAY, LINK_LOCAL, MEDIA, PROBING, World, global, prefix};

const DAY: u32 = 86_400;

/// Seconds with fractions, as a duration.
fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

#[test]
fn a_relay_on_the_link_needs_no_router() {
    for medium in MEDIA {
        let relay = link_local(NodeId(4));
        let mut world = World::new(medium, relay, vec![Node::host(4, &[relay])]);
        world.until(State::Ready { source: LINK_LOCAL });
        for length in [1, 40, 500, 1024] {
            assert!(world.echo(&vec![length as u8; length]), "{medium:?}: {length} bytes");
        }
        assert!(world.messages(RS).is_empty(), "{medium:?}");
    }
}

#[test]
fn a_relay_behind_a_router_is_reached_with_a_global_address() {
    for medium in MEDIA {
        let mut world = World::new(medium, FAR_RELAY, vec![Node::router(2, 1800, &[prefix(1)])]);
        world.until(State::Ready { source: global(1) });
        assert!(world.echo(&[7; 300]), "{medium:?}");
        let datagram = world.sent.iter().find(|(_, packet)| packet.datagram().is_some()).unwrap();
        assert_eq!((datagram.1.source, datagram.1.destination), (global(1), FAR_RELAY));
        assert_eq!(world.messages(RS)[0].1.source, LINK_LOCAL);
    }
}

#[test]
fn a_relay_with_the_same_prefix_is_reached_without_the_router() {
    for medium in PROBING {
        let relay = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 9);
        let on_link = support::node::Prefix { on_link: true, ..prefix(1) };
        let mut router = Node::router(2, 1800, &[on_link]);
        router.echoes = false;
        let mut world = World::new(medium, relay, vec![router, Node::host(4, &[relay])]);
        world.until(State::Ready { source: global(1) });
        assert!(world.echo(b"neighbour"), "{medium:?}");
    }
}

/// RFC 4862 §5.4.2: from nobody, once, and then a second of silence.
#[test]
fn addresses_are_probed_before_they_are_used() {
    for medium in PROBING {
        let mut world = World::new(medium, FAR_RELAY, vec![Node::router(2, 1800, &[prefix(1)])]);
        world.until(State::Ready { source: global(1) });
        let probes: Vec<_> =
            world.messages(NS).into_iter().filter(|(_, ns)| ns.source.is_unspecified()).collect();
        assert_eq!(probes.iter().map(|(_, ns)| ns.target()).collect::<Vec<_>>(), [LINK_LOCAL, global(1)]);
        let solicited_node = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff05, 0x0607);
        for (_, probe) in &probes {
            assert_eq!((probe.destination, probe.hop_limit, probe.payload.len()), (solicited_node, 255, 24));
            assert_eq!(probe.sum(58, 0), 0, "the checksum is wrong");
        }
        let (asked, _) = world.messages(RS)[0];
        assert_eq!(asked.since(probes[0].0), seconds(1.0), "{medium:?}");
        assert!(
            world
                .sent
                .iter()
                .all(|(at, packet)| packet.source != global(1) || at.since(probes[1].0) >= seconds(1.0))
        );
    }
}

#[test]
fn an_address_that_somebody_has_is_not_used_until_it_is_free() {
    for medium in PROBING {
        let relay = link_local(NodeId(4));
        let nodes = vec![Node::host(4, &[relay]), Node::host(3, &[LINK_LOCAL])];
        let mut world = World::new(medium, relay, nodes);
        world.until(State::Duplicate);
        world.pass(Duration::from_secs(60));
        assert_eq!(world.stack.state(), State::Duplicate);
        assert_eq!(world.stack.send(world.now, b"x"), Err(sixfold_ip::SendError::NotReady));
        assert!(world.sent.iter().all(|(_, packet)| packet.source.is_unspecified()), "{medium:?}");
        assert!(world.messages(NS).len() >= 3, "it looks again");
        world.nodes[1].alive = false;
        world.until(State::Ready { source: LINK_LOCAL });
    }
}

#[test]
fn a_global_address_that_somebody_has_is_not_used() {
    for medium in PROBING {
        let nodes = vec![Node::router(2, 1800, &[prefix(1)]), Node::host(3, &[global(1)])];
        let mut world = World::new(medium, FAR_RELAY, nodes);
        world.until(State::ProbingGlobal);
        world.until(State::Duplicate);
        assert!(world.sent.iter().all(|(_, packet)| packet.source != global(1)), "{medium:?}");
    }
}

/// RFC 4862 §5.4.3: two that start at once both lose.
#[test]
fn an_address_that_somebody_else_probes_too_is_given_up() {
    for medium in PROBING {
        let mut world = World::new(medium, link_local(NodeId(4)), vec![]);
        world.run(Duration::from_secs(2), |world| !world.messages(NS).is_empty());
        let probe = world.messages(NS)[0].1.clone();
        world.hear(3, &probe);
        assert_eq!(world.stack.state(), State::Duplicate, "{medium:?}");
    }
}

/// RFC 4861 §7.2.4; smoltcp alone would be silent.
#[test]
fn an_address_in_use_is_defended() {
    for medium in MEDIA {
        let relay = link_local(NodeId(4));
        let mut world = World::new(medium, relay, vec![Node::host(4, &[relay])]);
        world.until(State::Ready { source: LINK_LOCAL });
        let mut probe = vec![NS, 0, 0, 0, 0, 0, 0, 0];
        probe.extend(LINK_LOCAL.octets());
        let solicited_node = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff05, 0x0607);
        world.hear(3, &Packet::icmp(Ipv6Addr::UNSPECIFIED, solicited_node, probe));
        let (_, answer) = world.messages(NA)[0];
        assert_eq!((answer.source, answer.destination), (LINK_LOCAL, support::node::ALL_NODES));
        assert_eq!((answer.target(), answer.sum(58, 0)), (LINK_LOCAL, 0), "{medium:?}");
        assert_eq!(world.stack.state(), State::Ready { source: LINK_LOCAL });
    }
}

/// RFC 7559 §2: 4 s, then twice as long each time, up to an hour, each a tenth more or less.
#[test]
fn routers_are_solicited_until_one_answers() {
    for medium in MEDIA {
        let router = Node { deaf: 14, ..Node::router(2, 1800, &[prefix(1)]) };
        let mut world = World::new(medium, FAR_RELAY, vec![router]);
        world.until(State::Ready { source: global(1) });
        let times: Vec<_> = world.messages(RS).iter().map(|(at, _)| *at).collect();
        assert_eq!(times.len(), 15, "{medium:?}");
        let mut before = 2.0;
        for pair in times.windows(2) {
            let waited = pair[1].since(pair[0]).as_secs_f64();
            let expected = f64::min(2.0 * before, 3600.0);
            assert!((expected * 0.89..expected * 1.11).contains(&waited), "{waited} s after {before} s");
            before = waited;
        }
        assert!(before > 3000.0);
    }
}

#[test]
fn an_address_ends_with_its_prefix_and_another_begins() {
    for medium in MEDIA {
        let short = support::node::Prefix { valid: 600, preferred: 600, ..prefix(1) };
        let mut world = World::new(medium, FAR_RELAY, vec![Node::router(2, 9000, &[short])]);
        world.until(State::Ready { source: global(1) });
        world.nodes[0].deaf = 1;
        world.until(State::Soliciting);
        assert!(world.stack.send(world.now, b"x").is_err(), "{medium:?}");
        world.nodes[0].advertises = Some((9000, vec![prefix(2)]));
        world.until(State::Ready { source: global(2) });
        assert!(world.echo(b"renumbered"), "{medium:?}");
    }
}

/// RFC 4862 §5.5.3 e: an advertisement, which may be forged, cannot end an address within two hours.
#[test]
fn lifetimes_are_not_cut_short() {
    for medium in MEDIA {
        let mut world = World::new(medium, FAR_RELAY, vec![Node::router(2, 9000, &[prefix(1)])]);
        world.until(State::Ready { source: global(1) });
        let ended = support::node::Prefix { valid: 1, preferred: 1, ..prefix(1) };
        world.nodes[0].advertises = Some((9000, vec![ended]));
        let advertisement = world.nodes[0].advertisement(&world.wire.link_layer(NodeId(2))).unwrap();
        world.nodes[0].alive = false;
        world.hear(2, &advertisement);
        world.pass(Duration::from_secs(7190));
        assert_eq!(world.stack.state(), State::Ready { source: global(1) }, "{medium:?}");
        world.pass(Duration::from_secs(20));
        assert_eq!(world.stack.state(), State::Soliciting, "{medium:?}");
    }
}

#[test]
fn prefixes_that_make_no_addresses_are_ignored() {
    let bad = [
        support::node::Prefix { prefix: "fe80::".parse().unwrap(), ..prefix(1) },
        support::node::Prefix { prefix: "ff02::".parse().unwrap(), ..prefix(1) },
        support::node::Prefix { prefix: "::".parse().unwrap(), ..prefix(1) },
        support::node::Prefix { valid: 10, preferred: DAY, ..prefix(1) },
    ];
    for medium in MEDIA {
        for bad in bad {
            let mut world = World::new(medium, FAR_RELAY, vec![Node::router(2, 1800, &[bad])]);
            world.pass(Duration::from_secs(10));
            assert_eq!(world.stack.state(), State::Soliciting, "{medium:?} {}", bad.prefix);
        }
    }
}

#[test]
fn when_one_router_is_silent_the_other_is_used() {
    for medium in PROBING {
        let nodes = vec![Node::router(2, 9000, &[prefix(1)]), Node::router(5, 9000, &[prefix(2)])];
        let mut world = World::new(medium, FAR_RELAY, nodes);
        world.until(State::Ready { source: global(1) });
        assert!(world.echo(b"first"), "{medium:?}");
        if medium == smoltcp::phy::Medium::Ip {
            continue; // Nobody can tell which neighbour is silent.
        }
        world.nodes[0].alive = false;
        // What smoltcp knows of the neighbour has to grow old first.
        let found = (0..60).any(|_| {
            world.pass(Duration::from_secs(3));
            world.echo(b"second")
        });
        assert!(found, "{:?}", world.stack.state());
        assert_eq!(world.stack.state(), State::Ready { source: global(2) });
    }
}

#[test]
fn a_router_that_resigns_is_left() {
    for medium in MEDIA {
        let mut world = World::new(medium, FAR_RELAY, vec![Node::router(2, 1800, &[prefix(1)])]);
        world.until(State::Ready { source: global(1) });
        world.nodes[0].advertises = Some((0, vec![prefix(1)]));
        let resignation = world.nodes[0].advertisement(&world.wire.link_layer(NodeId(2))).unwrap();
        world.nodes[0].alive = false;
        world.hear(2, &resignation);
        assert_eq!(world.stack.state(), State::Soliciting, "{medium:?}");
    }
}
