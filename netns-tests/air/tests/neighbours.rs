//! Stacks that exchange frames find the nodes that exchange packets, and the other way round.

mod support;

use sixfold_air::air::{Air, Event};
use sixfold_air::frame::{self, Destination};
use sixfold_air::host::Datagram;
use sixfold_air::scenario::{Network, Radio};
use sixfold_air::sixlowpan::{self, Piece};
use sixfold_air::topology::NodeId;
use sixfold_air::udp;
use sixfold_profile::Instant;
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    IPV6_HEADER_LEN, Icmpv6Packet, Icmpv6Repr, Ieee802154Address, IpProtocol, Ipv6Packet, Ipv6Repr, NdiscRepr,
};
use std::net::{Ipv6Addr, SocketAddrV6};
use support::{BORDER_ROUTER, broadcast_frame, star};

const STACK: NodeId = NodeId(1);
const ROUTER_ADDRESS: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
const STACK_ADDRESS: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0x57ac);
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

fn air() -> Air {
    let mut air = Air::new(star(1), Radio::default(), Network::default(), 1);
    air.use_frames(STACK);
    air.assign(ROUTER_ADDRESS, BORDER_ROUTER);
    air
}

fn solicitation(source: Ipv6Addr, target: Ipv6Addr, hop_limit: u8) -> Vec<u8> {
    let lladdr = Some(Ieee802154Address::Extended(frame::eui64(STACK)).into());
    let icmp = Icmpv6Repr::Ndisc(NdiscRepr::NeighborSolicit { target_addr: target, lladdr });
    let payload_len = icmp.buffer_len();
    let ip = Ipv6Repr {
        src_addr: source,
        dst_addr: ALL_NODES,
        next_header: IpProtocol::Icmpv6,
        payload_len,
        hop_limit,
    };
    let mut packet = vec![0; IPV6_HEADER_LEN + payload_len];
    let (header, rest) = packet.split_at_mut(IPV6_HEADER_LEN);
    ip.emit(&mut Ipv6Packet::new_unchecked(header));
    let checksums = ChecksumCapabilities::default();
    icmp.emit(&source, &ALL_NODES, &mut Icmpv6Packet::new_unchecked(rest), &checksums);
    packet
}

/// What comes out after the stack has sent `packet` to all.
fn after(air: &mut Air, packet: &[u8]) -> Vec<Event> {
    let to = Destination::Broadcast;
    let payloads = sixlowpan::frames(packet, STACK, to, 0, frame::max_payload(to, false));
    for payload in payloads.iter().flatten() {
        air.send_frame(Instant::ZERO, STACK, &broadcast_frame(STACK, payload));
    }
    let mut events = Vec::new();
    while let Some(next) = air.poll_timeout() {
        air.handle_timeout(next);
        events.extend(std::iter::from_fn(|| air.poll_event()));
    }
    events
}

#[test]
fn the_link_layer_address_of_a_node_with_packets_is_told() {
    let events = after(&mut air(), &solicitation(STACK_ADDRESS, ROUTER_ADDRESS, 255));
    let [Event::Frame { node: STACK, mpdu }] = &events[..] else { panic!("{events:?}") };
    let (to, payload) = frame::parse(mpdu).unwrap();
    let Piece::Whole(packet) = sixlowpan::read(payload, BORDER_ROUTER, to).unwrap() else { panic!() };
    let ip = Ipv6Packet::new_checked(&packet[..]).unwrap();
    assert_eq!((ip.src_addr(), ip.dst_addr(), ip.hop_limit()), (ROUTER_ADDRESS, STACK_ADDRESS, 255));
    let icmp = Icmpv6Packet::new_checked(ip.payload()).unwrap();
    let repr =
        Icmpv6Repr::parse(&ip.src_addr(), &ip.dst_addr(), &icmp, &ChecksumCapabilities::default()).unwrap();
    let Icmpv6Repr::Ndisc(NdiscRepr::NeighborAdvert { target_addr, lladdr, .. }) = repr else {
        panic!("{repr:?}")
    };
    assert_eq!(target_addr, ROUTER_ADDRESS);
    assert_eq!(lladdr, Some(Ieee802154Address::Extended(frame::eui64(BORDER_ROUTER)).into()));
}

/// Nobody's address, duplicate address detection, and what came from beyond the link.
#[test]
fn other_solicitations_are_the_nodes_own_business() {
    let stranger = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0x99);
    for packet in [
        solicitation(STACK_ADDRESS, stranger, 255),
        solicitation(Ipv6Addr::UNSPECIFIED, ROUTER_ADDRESS, 255),
        solicitation(STACK_ADDRESS, ROUTER_ADDRESS, 254),
    ] {
        let events = after(&mut air(), &packet);
        assert_eq!(events, [Event::Packet { node: BORDER_ROUTER, packet }]);
    }
}

#[test]
fn the_addresses_of_other_stacks_are_learned() {
    let mut air = air();
    after(&mut air, &solicitation(STACK_ADDRESS, ROUTER_ADDRESS, 255));
    let endpoint = |address| SocketAddrV6::new(address, 5683, 0, 0);
    let (from, to) = (endpoint(ROUTER_ADDRESS), endpoint(STACK_ADDRESS));
    let answer = udp::packet(&Datagram { from, to, payload: b"answer".to_vec() });
    air.send_packet(Instant::from_micros(1_000_000), BORDER_ROUTER, &answer);
    while let Some(next) = air.poll_timeout() {
        air.handle_timeout(next);
    }
    assert!(matches!(air.poll_event(), Some(Event::Frame { node: STACK, .. })));
}
