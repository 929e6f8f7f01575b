//! The group of a ticket: from the relay's informative response, and never a reason to have no ticket.

use super::world::World;
use ciborium::Value;
use sixfold_device::boot::record;
use sixfold_device::prepare::{NoGroup, Nonsense, Told};
use sixfold_profile::coap::Code;
use sixfold_profile::ticket::{Endpoint, Group, MAX_TICKET};
use std::net::Ipv6Addr;

type Small = World<4, 256>;

/// Address, port and Token.
type InTicket = Option<(Endpoint, Vec<u8>)>;

const GROUP: Endpoint = Endpoint { address: Ipv6Addr::new(0xff12, 0, 0, 0, 0, 0, 0, 0x6f), port: 5684 };

fn informative(server: Endpoint, group: Endpoint, token: &[u8]) -> Vec<u8> {
    let cri = |of: Endpoint| {
        let authority = vec![Value::Bytes(of.address.octets().to_vec()), of.port.into()];
        Value::Array(vec![(-1).into(), Value::Array(authority)])
    };
    let transport = Value::Array(vec![cri(server), cri(group), Value::Bytes(token.to_vec())]);
    let mut bytes = Vec::new();
    ciborium::into_writer(&Value::Map(vec![(0.into(), transport)]), &mut bytes).unwrap();
    bytes
}

/// What came of it, and the group in the ticket that is in flash now.
fn prepared(world: &mut Small) -> (Option<Result<Told, NoGroup>>, InTicket) {
    let prepared = world.prepare().expect("a ticket is left");
    let mut buffer = [0; MAX_TICKET];
    let place = world.device.layout.record(prepared.record.unwrap()).clone();
    let ticket = record::read_ticket(&mut world.device.flash, &place, &mut buffer).unwrap();
    let group = ticket.group().unwrap().map(|Group { endpoint, token }| (endpoint, token.to_vec()));
    (prepared.group, group)
}

#[test]
fn the_relays_group_goes_into_the_ticket() {
    let mut world = Small::new(false);
    world.relay.group = Ok(informative(world.request.relay, GROUP, b"on"));
    let (told, in_ticket) = prepared(&mut world);
    let relay = world.request.relay;
    assert_eq!(told, Some(Ok(Told { relay, endpoint: GROUP, token: b"on".to_vec() })));
    assert_eq!(in_ticket, Some((GROUP, b"on".to_vec())));
    let release = world.new.clone();
    world.boots_into(&release);
}

#[test]
fn the_port_that_the_relay_names_goes_into_the_ticket() {
    let mut world = Small::new(false);
    let relay = Endpoint { port: 61_616, ..world.request.relay };
    world.relay.group = Ok(informative(relay, GROUP, b"on"));
    let prepared = world.prepare().expect("a ticket is left");
    let mut buffer = [0; MAX_TICKET];
    let place = world.device.layout.record(prepared.record.unwrap()).clone();
    let ticket = record::read_ticket(&mut world.device.flash, &place, &mut buffer).unwrap();
    assert_eq!(ticket.relay(), relay);
}

#[test]
fn without_a_group_there_is_a_ticket_all_the_same() {
    let other = Endpoint { address: Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1), port: 5683 };
    let nonsense = [
        (informative(other, GROUP, b"on"), Nonsense::OtherServer),
        (informative(Small::new(false).request.relay, other, b"on"), Nonsense::Group),
        (informative(Small::new(false).request.relay, GROUP, b"too long."), Nonsense::Token),
        (b"nonsense".to_vec(), Nonsense::Malformed),
    ];
    let nonsense = nonsense.map(|(response, why)| (Ok(response), NoGroup::Nonsense(why)));
    let refusals = [
        NoGroup::Refused(Code::NOT_ACCEPTABLE),
        NoGroup::Refused(Code::BAD_OPTION),
        NoGroup::Busy,
        NoGroup::Silence,
    ];
    for (said, why) in nonsense.into_iter().chain(refusals.map(|why| (Err(why), why))) {
        let mut world = Small::new(false);
        world.relay.group = said;
        assert_eq!(prepared(&mut world), (Some(Err(why)), None));
        assert!(!why.to_string().is_empty());
        let release = world.new.clone();
        world.boots_into(&release);
    }
}

#[test]
fn who_wants_no_group_does_not_ask() {
    let mut world = Small::new(false);
    world.relay.group = Ok(informative(world.request.relay, GROUP, b"on"));
    world.request.group = false;
    assert_eq!(prepared(&mut world), (None, None));
    let requests = world.relay.requests;
    world.request.group = true;
    assert!(prepared(&mut world).1.is_some());
    assert_eq!(world.relay.requests, requests + 1);
}
