//! The test vectors of RFC 8613, Appendix C, byte by byte, on both sides.
#![allow(clippy::unwrap_used, reason = "these are tests")]

use sixfold_oscore::{Derived, Plain, Received, Repetition, ReplayWindow, Secret, SenderSequence};
use sixfold_profile::coap::Message;

const SECRET: &str = "0102030405060708090a0b0c0d0e0f10";
const SALT: &str = "9e7ca92223786340";
const ID_CONTEXT: &str = "37cbf3210017a2d3";

fn hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

/// The client of a vector; the server is its peer.
fn client(salt: &str, sender_id: &str, id_context: Option<&str>) -> Derived {
    let id_context = id_context.map(hex);
    let secret =
        Secret { master_secret: &hex(SECRET), master_salt: &hex(salt), id_context: id_context.as_deref() };
    Derived::new(secret, &hex(sender_id), &[1]).unwrap()
}

/// C.1.1, C.2.1, C.3.1; and with the identifiers exchanged, C.1.2, C.2.2, C.3.2.
#[test]
fn keys_are_derived() {
    let table = [
        (
            client(SALT, "", None),
            "f0910ed7295e6ad4b54fc793154302ff",
            "ffb14e093c94c9cac9471648b4f98710",
            "4622d4dd6d944168eefb54987c",
        ),
        (
            client("", "00", None),
            "321b26943253c7ffb6003b0b64d74041",
            "e57b5635815177cd679ab4bcec9d7dda",
            "be35ae297d2dace910c52e99f9",
        ),
        (
            client(SALT, "", Some(ID_CONTEXT)),
            "af2a1300a5e95788b356336eeecd2b92",
            "e39a0c7c77b43f03b4b39ab9a268699f",
            "2ca58fb85ff1b81c0b7181b85e",
        ),
    ];
    for (client, sender_key, recipient_key, common_iv) in table {
        let derived = client.parameters();
        assert_eq!(derived.sender_key[..], hex(sender_key));
        assert_eq!(derived.recipient_key[..], hex(recipient_key));
        assert_eq!(derived.common_iv[..], hex(common_iv));
        let secret = Secret {
            master_secret: &hex(SECRET),
            master_salt: &if client == self::client("", "00", None) { Vec::new() } else { hex(SALT) },
            id_context: derived.id_context,
        };
        let server = Derived::new(secret, derived.recipient_id, derived.sender_id).unwrap();
        assert_eq!(server.context(), client.peer());
        assert_eq!(server.peer(), client.context());
    }
}

/// Protects a request with Sender Sequence Number 20, and has the server read it.
fn request(client: &Derived, plain: &str, protected: &str) -> Received {
    let (plain, protected) = (hex(plain), hex(protected));
    let number = SenderSequence::new(20..21).take().unwrap();
    let mut buffer = [0; 128];
    let message = Message::parse(&plain).unwrap();
    let length = client.context().protect_request(&number, &Plain::from(&message), &mut buffer).unwrap();
    assert_eq!(buffer[..length], protected);

    let (mut window, message) = (ReplayWindow::new(), Message::parse(&protected).unwrap());
    let server = client.peer();
    let request = server.unprotect_request(&mut window, Repetition::Refused, &message, &mut buffer).unwrap();
    assert_eq!(buffer[..request.length], plain);
    assert_eq!((request.received.number(), request.is_repetition), (20, false));
    request.received
}

#[test]
fn c4_request() {
    request(
        &client(SALT, "", None),
        "44015d1f00003974396c6f63616c686f737483747631",
        "44025d1f00003974396c6f63616c686f7374620914ff612f1092f1776f1c1668b3825e",
    );
}

#[test]
fn c5_request_with_a_sender_id() {
    request(
        &client("", "00", None),
        "440171c30000b932396c6f63616c686f737483747631",
        "440271c30000b932396c6f63616c686f737463091400ff4ed339a5a379b0b8bc731fffb0",
    );
}

#[test]
fn c6_request_with_an_id_context() {
    request(
        &client(SALT, "", Some(ID_CONTEXT)),
        "44012f8eef9bbf7a396c6f63616c686f737483747631",
        "44022f8eef9bbf7a396c6f63616c686f73746b19140837cbf3210017a2d3ff72cd7273fd331ac45cffbe55c3",
    );
}

/// Protects a response to the request of C.4, and has the client read it.
fn response(number: Option<u64>, protected: &str) {
    let client = client(SALT, "", None);
    let mut received = request(
        &client,
        "44015d1f00003974396c6f63616c686f737483747631",
        "44025d1f00003974396c6f63616c686f7374620914ff612f1092f1776f1c1668b3825e",
    );
    let plain = hex("64455d1f00003974ff48656c6c6f20576f726c6421");
    let iv = number.and_then(|number| SenderSequence::new(number..number + 1).take());
    let (mut buffer, message) = ([0; 128], Message::parse(&plain).unwrap());
    let response = Plain::from(&message);
    let length = client.peer().protect_response(&mut received, iv.as_ref(), &response, &mut buffer).unwrap();
    assert_eq!(buffer[..length], hex(protected));

    let response = client.context().unprotect_response(20, &mut buffer[..length]).unwrap();
    assert_eq!(buffer[..response.length], plain);
    assert_eq!((response.partial_iv, response.is_notification), (number, false));
}

#[test]
fn c7_response() {
    response(None, "64445d1f0000397490ffdbaad1e9a7e7b2a813d3c31524378303cdafae119106");
}

#[test]
fn c8_response_with_a_partial_iv() {
    response(Some(0), "64445d1f00003974920100ff4d4c13669384b67354b2b6175ff4b8658c666a6cf88e");
}
