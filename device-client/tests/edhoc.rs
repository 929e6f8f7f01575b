//! A device agrees by EDHOC, in virtual time: with a relay as it should be, with lost datagrams, and with others.
#![allow(clippy::unwrap_used, reason = "these are tests")]

#[path = "../../profile/vectors/tests/reader/mod.rs"]
mod reader;

use reader::{array, bytes, file, golden, list};
use sixfold_device::agree::{AgreeError, Edhoc, EdhocError};
use sixfold_device::prepare::Agreed;
use sixfold_edhoc::{BEFORE_MESSAGE_1, Credential, Identity, responder};
use sixfold_oscore::{Derived, Secret};
use sixfold_profile::Instant;
use sixfold_profile::coap::{Code, Message, Type, Writer, content_format, option};
use std::time::Duration;

const RELAY_KEY: &str = include_str!("../../profile/edhoc/tests/relay.key");
const DEVICE_KEY: &str = include_str!("../../profile/edhoc/tests/device.key");
const C_R: [u8; 5] = [0xc1, 2, 3, 4, 5];

fn relay() -> Identity {
    Identity::named(RELAY_KEY, "relay").unwrap()
}

fn device() -> Identity {
    Identity::named(DEVICE_KEY, "lamp-7").unwrap()
}

/// A relay that answers each datagram, or does not.
struct Relay {
    known: Vec<Credential>,
    waiting: Option<responder::Waiting>,
    keys: Option<Derived>,
    requests: Vec<(u16, Vec<u8>)>,
}

impl Relay {
    fn new(known: &[&Identity]) -> Self {
        let known = known.iter().map(|one| one.credential().clone()).collect();
        Self { known, waiting: None, keys: None, requests: Vec::new() }
    }

    fn answer(&mut self, request: &[u8]) -> Vec<u8> {
        let message = Message::parse(request).unwrap();
        assert_eq!((message.message_type, message.code), (Type::Confirmable, Code::POST));
        let path: Vec<_> = message.options().filter(|option| option.number == option::URI_PATH).collect();
        assert_eq!(path.iter().map(|one| one.value).collect::<Vec<_>>(), [&b".well-known"[..], b"edhoc"]);
        let format = message.uint_option(option::CONTENT_FORMAT);
        assert_eq!(format, Some(content_format::CID_EDHOC_CBOR_SEQ.into()));
        self.requests.push((message.message_id, message.payload.to_vec()));
        let (code, payload) = match message.payload {
            [BEFORE_MESSAGE_1, message_1 @ ..] => {
                let (waiting, message_2) = responder::respond(&relay(), message_1, &C_R, [2; 32]).unwrap();
                self.waiting = Some(waiting);
                (Code::CHANGED, message_2)
            }
            [0x45, rest @ ..] => match self.waiting.take().unwrap().finish(&rest[5..], &self.known) {
                Ok((agreed, message_4)) => {
                    let secret = Secret {
                        master_secret: &agreed.master_secret,
                        master_salt: &agreed.master_salt,
                        id_context: None,
                    };
                    self.keys = Some(Derived::new(secret, &agreed.relay_id, &agreed.device_id).unwrap());
                    (Code::CHANGED, message_4)
                }
                Err(failure) => (Code::BAD_REQUEST, failure.message()),
            },
            other => panic!("{other:02x?}"),
        };
        response(request, code, &[(option::CONTENT_FORMAT, &[64])], &payload)
    }
}

fn response(request: &[u8], code: Code, options: &[(u16, &[u8])], payload: &[u8]) -> Vec<u8> {
    let message = Message::parse(request).unwrap();
    let mut buffer = [0; 300];
    let mut writer =
        Writer::new(&mut buffer, Type::Acknowledgement, code, message.message_id, message.token).unwrap();
    options.iter().for_each(|(number, value)| writer.option(*number, value).unwrap());
    let length = writer.payload(payload).unwrap();
    buffer[..length].to_vec()
}

/// Runs an agreement to its end. `answer` says what the device hears to its n-th datagram.
fn run(
    trusted: &Credential,
    mut answer: impl FnMut(usize, &[u8]) -> Option<Vec<u8>>,
) -> (Result<Agreed, AgreeError>, Duration) {
    let (identity, mut now) = (device(), Instant::ZERO);
    let mut edhoc = Edhoc::new(&identity, trusted, now, [1; 32], 7).unwrap();
    let mut buffer = [0; 300];
    let mut sent = 0;
    loop {
        if let Some(length) = edhoc.poll_transmit(now, &mut buffer).unwrap() {
            let heard = answer(sent, &buffer[..length]);
            sent += 1;
            let outcome = heard.and_then(|datagram| edhoc.handle_datagram(now, &datagram));
            if let Some(outcome) = outcome {
                return (outcome, now.since(Instant::ZERO));
            }
            continue;
        }
        now = edhoc.poll_timeout();
        if let Some(outcome) = edhoc.handle_timeout(now) {
            return (outcome, now.since(Instant::ZERO));
        }
    }
}

#[test]
fn a_device_and_its_relay_agree_by_edhoc() {
    let mut relay_side = Relay::new(&[&device()]);
    let (agreed, _) = run(relay().credential(), |_, request| Some(relay_side.answer(request)));
    let agreed = agreed.unwrap();
    let (ours, theirs) = (agreed.keys.parameters(), relay_side.keys.as_ref().unwrap());
    assert_eq!((ours.sender_id, ours.recipient_id), (&C_R[..], &[][..]));
    assert_eq!(ours.sender_key, theirs.parameters().recipient_key);
    assert_eq!(ours.recipient_key, theirs.parameters().sender_key);
    assert_eq!(ours.common_iv, theirs.parameters().common_iv);
    assert!(!agreed.plain_allowed && agreed.lifetime.is_none());
}

/// The requests of the vector, and the keys; the relay is the vector.
#[test]
fn a_device_posts_exactly_what_the_vectors_say() {
    let file = file(reader::EDHOC);
    let (name, vector) = list(&file, "vectors").next().unwrap();
    let credential = |side: &str| Credential::parse(&bytes(&vector[side]["credential"])).unwrap();
    let key = include_str!("../../profile/vectors/keys/edhoc-device.key");
    let (identity, relay) = (Identity::new(key, credential("device")).unwrap(), credential("relay"));
    let now = Instant::ZERO;
    let mut edhoc = Edhoc::new(&identity, &relay, now, array(&vector["device"]["seed"]), 7).unwrap();
    let mut outcome = None;
    for (request, answer) in [(0, "message_2"), (1, "message_4")] {
        let mut buffer = [0; 300];
        let length = edhoc.poll_transmit(now, &mut buffer).unwrap().unwrap();
        let sent = &buffer[..length];
        golden(name, Message::parse(sent).unwrap().payload, &bytes(&vector["requests"][request]));
        let answer =
            response(sent, Code::CHANGED, &[(option::CONTENT_FORMAT, &[64])], &bytes(&vector[answer]));
        outcome = edhoc.handle_datagram(now, &answer);
    }
    let agreed = outcome.unwrap().unwrap();
    let keys = agreed.keys.parameters();
    golden(name, *keys.sender_key, array(&vector["sender_key"]));
    golden(name, *keys.recipient_key, array(&vector["recipient_key"]));
    golden(name, *keys.common_iv, array(&vector["common_iv"]));
}

#[test]
fn lost_datagrams_and_a_busy_relay_cost_time_alone() {
    let mut relay_side = Relay::new(&[&device()]);
    let (agreed, time) = run(relay().credential(), |sent, request| match sent {
        0 => None,
        1 => Some(response(request, Code::SERVICE_UNAVAILABLE, &[(option::MAX_AGE, &[5])], &[])),
        3 => None,
        _ => Some(relay_side.answer(request)),
    });
    assert!(agreed.is_ok(), "{agreed:?}");
    assert!(time >= Duration::from_secs(2 + 5 + 2), "{time:?}");
    assert_eq!(relay_side.requests.len(), 2);
}

#[test]
fn a_device_shows_that_it_is_there_when_the_relay_asks() {
    let mut relay_side = Relay::new(&[&device()]);
    let (agreed, _) =
        run(relay().credential(), |_, request| match Message::parse(request).unwrap().option(option::ECHO) {
            None => Some(response(request, Code::UNAUTHORIZED, &[(option::ECHO, b"there?")], &[])),
            Some(value) => {
                assert_eq!(value, b"there?");
                Some(relay_side.answer(request))
            }
        });
    assert!(agreed.is_ok(), "{agreed:?}");
    let (outcome, _) = run(relay().credential(), |_, request| {
        Some(response(request, Code::UNAUTHORIZED, &[(option::ECHO, b"and now?")], &[]))
    });
    assert!(matches!(outcome, Err(AgreeError::Edhoc(EdhocError::Answer(Code::UNAUTHORIZED)))));
}

#[test]
fn silence_and_a_relay_that_stays_busy_end_in_time() {
    let outcome = |answer: fn(&[u8]) -> Option<Vec<u8>>| {
        let (outcome, time) = run(relay().credential(), |_, request| answer(request));
        assert!(time <= Duration::from_secs(60), "{time:?}");
        outcome.unwrap_err()
    };
    assert!(matches!(outcome(|_| None), AgreeError::Edhoc(EdhocError::Silence)));
    let busy = |request: &[u8]| Some(response(request, Code::TOO_MANY_REQUESTS, &[], &[]));
    assert!(matches!(outcome(busy), AgreeError::Edhoc(EdhocError::Busy)));
    let none = |request: &[u8]| Some(response(request, Code::NOT_FOUND, &[], &[]));
    assert!(matches!(outcome(none), AgreeError::Edhoc(EdhocError::Answer(Code::NOT_FOUND))));
    let critical = |request: &[u8]| Some(response(request, Code::CHANGED, &[(9, &[1])], &[0x40]));
    assert!(matches!(outcome(critical), AgreeError::Edhoc(EdhocError::Answer(Code::CHANGED))));
}

#[test]
fn another_relay_is_not_believed() {
    let mut relay_side = Relay::new(&[&device()]);
    let other = Identity::named(DEVICE_KEY, "relay").unwrap();
    let (outcome, _) = run(other.credential(), |_, request| Some(relay_side.answer(request)));
    assert!(outcome.unwrap_err().is_distrust());
    // The key identifier of the relay that is trusted, and another key.
    let kid = relay().credential().kid().to_vec();
    let thief = Identity::make(DEVICE_KEY, "relay", &kid).unwrap();
    let (outcome, _) = run(thief.credential(), |_, request| Some(relay_side.answer(request)));
    assert!(outcome.unwrap_err().is_distrust());
    assert!(relay_side.keys.is_none());
}

#[test]
fn a_device_that_the_relay_does_not_know_is_told_so() {
    let mut relay_side = Relay::new(&[]);
    let (outcome, _) = run(relay().credential(), |_, request| Some(relay_side.answer(request)));
    let error = outcome.unwrap_err();
    assert!(error.is_rejection() && error.to_string().contains("sessions.edhoc_devices"), "{error}");
}
