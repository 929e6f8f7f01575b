//! The boot program's way ([`Client`]) is the other one ([`Context`](sixfold_oscore::Context)), byte for byte, and RFC 8613's.
#![allow(clippy::unwrap_used, reason = "these are tests")]

use proptest::prelude::*;
use sixfold_oscore::{
    Client, Derived, Parameters, PartialIv, Plain, Repetition, ReplayWindow, Secret, SenderSequence,
    UnprotectError,
};
use sixfold_profile::coap::{Code, Full, Message, Type, Writer, option};
use sixfold_profile::ticket::{Numbers, Session};

const ROOM: usize = 2048;

fn hex(text: &str) -> Vec<u8> {
    let byte = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(byte).collect()
}

/// As it stands in a ticket.
fn session(derived: &Derived) -> Session<'_> {
    let Parameters { sender_id, recipient_id, sender_key, recipient_key, common_iv, .. } =
        derived.parameters();
    let numbers = Numbers { first: 0, exponent: 40 };
    Session { sender_id, recipient_id, sender_key, recipient_key, common_iv, numbers, plain_allowed: false }
}

fn derived(sender_id: &[u8], recipient_id: &[u8]) -> Derived {
    let secret = Secret { master_secret: b"a secret of 16 b", master_salt: b"salt", id_context: None };
    Derived::new(secret, sender_id, recipient_id).unwrap()
}

fn number(number: u64) -> PartialIv {
    SenderSequence::new(number..number + 1).take().unwrap()
}

fn protect(derived: &Derived, iv: u64, request: &[u8], room: usize) -> Result<Vec<u8>, Full> {
    let mut buffer = vec![0; room];
    let length = Client::of_session(&session(derived)).protect(&number(iv), request, &mut buffer)?;
    buffer.truncate(length);
    Ok(buffer)
}

fn unprotect(derived: &Derived, iv: u64, response: &[u8]) -> Result<Vec<u8>, UnprotectError> {
    let mut bytes = response.to_vec();
    let length = Client::of_session(&session(derived)).unprotect(&number(iv), &mut bytes)?;
    bytes.truncate(length);
    Ok(bytes)
}

/// RFC 8613, Appendix C.4, C.5, C.7 and C.8; C.6 has an ID Context, which no ticket has.
#[test]
fn the_messages_of_the_standard() {
    let master_secret: Vec<u8> = (1..=16).collect();
    let of_salt = |master_salt: &[u8], sender_id: &[u8]| {
        let secret = Secret { master_secret: &master_secret, master_salt, id_context: None };
        Derived::new(secret, sender_id, &[1]).unwrap()
    };
    let client = of_salt(&[], &[0]);
    let request = protect(&client, 20, &hex("440171c30000b932396c6f63616c686f737483747631"), ROOM);
    assert_eq!(request, Ok(hex("440271c30000b932396c6f63616c686f737463091400ff4ed339a5a379b0b8bc731fffb0")));
    let client = of_salt(&hex("9e7ca92223786340"), &[]);
    let request = protect(&client, 20, &hex("44015d1f00003974396c6f63616c686f737483747631"), ROOM);
    assert_eq!(request, Ok(hex("44025d1f00003974396c6f63616c686f7374620914ff612f1092f1776f1c1668b3825e")));
    for response in [
        "64445d1f0000397490ffdbaad1e9a7e7b2a813d3c31524378303cdafae119106",
        "64445d1f00003974920100ff4d4c13669384b67354b2b6175ff4b8658c666a6cf88e",
    ] {
        let plain = unprotect(&client, 20, &hex(response));
        assert_eq!(plain, Ok(hex("64455d1f00003974ff48656c6c6f20576f726c6421")));
        assert_eq!(unprotect(&client, 21, &hex(response)), Err(UnprotectError::Forged), "another request's");
    }
}

#[test]
fn what_is_not_protected_by_the_relay_is_named() {
    let client = derived(b"d", b"r");
    let plain = hex("64455d1f00003974ff48656c6c6f20576f726c6421");
    assert_eq!(unprotect(&client, 0, &plain), Err(UnprotectError::NotProtected));
    assert_eq!(unprotect(&client, 0, b"\x64"), Err(UnprotectError::NotCoap));
    // Reserved bits, a kid context, a value that must be empty, cut short, and another kid.
    for (value, error) in [
        ("9120", UnprotectError::Undecodable),
        ("931000ff", UnprotectError::Undecodable),
        ("9100", UnprotectError::Undecodable),
        ("920201", UnprotectError::Undecodable),
        ("920878", UnprotectError::UnknownContext),
        ("920100ff", UnprotectError::Forged),
    ] {
        let message = [&plain[..8], &hex(value), &[0xff][..], &[7; 20]].concat();
        assert_eq!(unprotect(&client, 0, &message), Err(error), "{value}");
    }
}

#[test]
fn what_cannot_be_protected_is_refused() {
    let client = derived(b"d", b"r");
    // Proxy-Uri, OSCORE; no datagram with a Token of four bytes.
    for request in ["44015d1f00003974d11675", "44015d1f0000397490", "40015d1f", ""] {
        assert_eq!(protect(&client, 0, &hex(request), ROOM), Err(Full), "{request}");
    }
    let request = hex("44015d1f00003974396c6f63616c686f737483747631");
    let length = protect(&client, 0, &request, ROOM).unwrap().len();
    for room in 0..length {
        assert_eq!(protect(&client, 0, &request, room), Err(Full), "{room}");
    }
    assert!(protect(&client, 0, &request, length).is_ok());
}

const NUMBERS: &[u16] = &[
    option::URI_HOST,
    option::ETAG,
    option::OBSERVE,
    option::URI_PORT,
    option::URI_PATH,
    option::URI_QUERY,
    option::HOP_LIMIT,
    option::BLOCK2,
    option::Q_BLOCK2,
    option::PROXY_SCHEME,
    option::ECHO,
    option::MISSING,
];

proptest! {
    #[test]
    fn both_ways_are_the_same(
        ids in (prop::collection::vec(any::<u8>(), 0..=7), prop::collection::vec(any::<u8>(), 0..=7))
            .prop_filter("two of them", |(a, b)| a != b),
        iv in 0_u64..1 << 40,
        own in prop::option::of(0_u64..1 << 40),
        mut options in prop::collection::vec(
            (prop::sample::select(NUMBERS), prop::collection::vec(any::<u8>(), 0..20)), 0..9),
        payload in prop::collection::vec(any::<u8>(), 0..80),
    ) {
        let client = derived(&ids.0, &ids.1);
        options.sort_by_key(|(number, _)| *number);
        let mut buffer = [0; ROOM];
        let mut writer = Writer::new(&mut buffer, Type::Confirmable, Code::GET, 7, b"four").unwrap();
        for (number, value) in &options {
            writer.option(*number, value).unwrap();
        }
        let length = writer.finish();
        let request = &buffer[..length];
        let mut other = [0; ROOM];
        let message = Message::parse(request).unwrap();
        let length =
            client.context().protect_request(&number(iv), &Plain::from(&message), &mut other).unwrap();
        let protected = protect(&client, iv, request, ROOM).unwrap();
        prop_assert_eq!(&protected, &other[..length]);

        // The server's answer, with a Partial IV of its own or without.
        let (mut window, mut room) = (ReplayWindow::new(), [0; ROOM]);
        let message = Message::parse(&protected).unwrap();
        let server = client.peer();
        let read = server.unprotect_request(&mut window, Repetition::Refused, &message, &mut room).unwrap();
        let mut received = read.received;
        let mut writer = Writer::new(&mut buffer, Type::Acknowledgement, Code::CONTENT, 7, b"four").unwrap();
        writer.option(option::ETAG, b"tag").unwrap();
        let length = writer.payload(&payload).unwrap();
        let plain = buffer[..length].to_vec();
        let own = own.map(number);
        let response = Plain::from(&Message::parse(&plain).unwrap());
        let length = server.protect_response(&mut received, own.as_ref(), &response, &mut room).unwrap();
        prop_assert_eq!(unprotect(&client, iv, &room[..length]), Ok(plain));
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..120), iv in 0_u64..1 << 40) {
        let client = derived(b"d", b"r");
        let _ = unprotect(&client, iv, &bytes);
        let _ = protect(&client, iv, &bytes, ROOM);
    }
}
