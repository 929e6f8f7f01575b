//! A relay is asked for a group, message by message: whatever it answers, the question ends.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "these are tests")]

use sixfold_device::prepare::{Inquiry, NoGroup, Nonsense};
use sixfold_profile::Instant;
use sixfold_profile::coap::{Code, Message, Options, Type, Writer, content_format, option};
use std::time::Duration;

const NOW: Instant = Instant::from_micros(1_000_000);
/// Uri-Path `fw`, Uri-Query `a`, Proxy-Scheme `https`.
const TARGET: [u8; 12] = [0xb2, b'f', b'w', 0x41, b'a', 0xd5, 11, b'h', b't', b't', b'p', b's'];

type Outcome = Option<Result<Vec<u8>, NoGroup>>;

struct World {
    inquiry: Inquiry<'static>,
    now: Instant,
    requests: Vec<Vec<u8>>,
}

impl World {
    fn new() -> Self {
        let target = Options::new(&TARGET);
        let mut world = Self { inquiry: Inquiry::new(target, NOW, 7), now: NOW, requests: Vec::new() };
        world.send();
        world
    }

    fn send(&mut self) {
        let mut buffer = [0; 64];
        while let Some(length) = self.inquiry.poll_transmit(self.now, &mut buffer).unwrap() {
            self.requests.push(buffer[..length].to_vec());
        }
    }

    fn last(&self) -> Message<'_> {
        Message::parse(self.requests.last().unwrap()).unwrap()
    }

    fn answer(&mut self, code: Code, options: &[(u16, u32)], payload: &[u8]) -> Outcome {
        let (id, token) = (self.last().message_id, self.last().token.to_vec());
        self.hear(Type::Acknowledgement, code, id, &token, options, payload)
    }

    fn hear(
        &mut self,
        kind: Type,
        code: Code,
        id: u16,
        token: &[u8],
        options: &[(u16, u32)],
        payload: &[u8],
    ) -> Outcome {
        let mut buffer = [0; 128];
        let mut writer = Writer::new(&mut buffer, kind, code, id, token).unwrap();
        options.iter().for_each(|(number, value)| writer.uint_option(*number, *value).unwrap());
        let length = if payload.is_empty() { writer.finish() } else { writer.payload(payload).unwrap() };
        let outcome = self.inquiry.handle_datagram(self.now, &buffer[..length]);
        self.send();
        outcome
    }

    fn wait(&mut self) -> Outcome {
        self.now = self.inquiry.poll_timeout();
        let outcome = self.inquiry.handle_timeout(self.now);
        self.send();
        outcome
    }
}

const INFORMATIVE: [(u16, u32); 2] =
    [(option::CONTENT_FORMAT, content_format::INFORMATIVE_RESPONSE as u32), (option::MAX_AGE, 30)];

/// RFC 9175 §2.3: a relay with `echo = "always"` answers nothing longer before the value came back.
#[test]
fn a_value_to_bring_back_is_brought_back_once() {
    let mut world = World::new();
    let first = world.last().token.to_vec();
    assert_eq!(world.answer(Code::UNAUTHORIZED, &[(option::ECHO, 0x0102_0304)], b""), None);
    let again = world.last();
    assert_ne!(again.token, first, "another request");
    assert_eq!(again.option(option::ECHO), Some(&[1, 2, 3, 4][..]));
    assert!(again.option(option::OBSERVE).is_some() && again.option(option::ACCEPT).is_some());
    let refused = world.answer(Code::UNAUTHORIZED, &[(option::ECHO, 5)], b"");
    assert_eq!(refused, Some(Err(NoGroup::Refused(Code::UNAUTHORIZED))), "it would go on for ever");
}

#[test]
fn it_registers_and_accepts_nothing_but_an_informative_response() {
    let world = World::new();
    let message = world.last();
    assert_eq!((message.message_type, message.code), (Type::Confirmable, Code::GET));
    let options: Vec<_> = message.options().map(|option| (option.number, option.value)).collect();
    let expected: [(u16, &[u8]); 5] = [
        (option::OBSERVE, b""),
        (option::URI_PATH, b"fw"),
        (option::URI_QUERY, b"a"),
        (option::ACCEPT, &content_format::INFORMATIVE_RESPONSE.to_be_bytes()),
        (option::PROXY_SCHEME, b"https"),
    ];
    assert_eq!(options, expected);
}

#[test]
fn a_piggybacked_answer_ends_it() {
    let answered = World::new().answer(Code::SERVICE_UNAVAILABLE, &INFORMATIVE, b"payload");
    assert_eq!(answered, Some(Ok(b"payload".to_vec())));
}

/// As the draft wants it: Confirmable.
#[test]
fn a_separate_answer_is_acknowledged() {
    let mut world = World::new();
    let (id, token) = (world.last().message_id, world.last().token.to_vec());
    assert_eq!(world.hear(Type::Acknowledgement, Code::EMPTY, id, &[], &[], b""), None);
    let answered =
        world.hear(Type::Confirmable, Code::SERVICE_UNAVAILABLE, 77, &token, &INFORMATIVE, b"payload");
    assert_eq!(answered, Some(Ok(b"payload".to_vec())));
    let reply = world.last();
    assert_eq!((reply.message_type, reply.message_id), (Type::Acknowledgement, 77));
}

#[test]
fn other_answers_end_it_too() {
    for code in [Code::NOT_ACCEPTABLE, Code::BAD_OPTION, Code::CONTENT, Code::NOT_FOUND, Code::VALID] {
        let answered = World::new().answer(code, &INFORMATIVE, b"payload");
        assert_eq!(answered, Some(Err(NoGroup::Refused(code))));
    }
    let critical = [INFORMATIVE[0], (option::BLOCK2, 8)];
    let answered = World::new().answer(Code::SERVICE_UNAVAILABLE, &critical, b"payload");
    assert_eq!(answered, Some(Err(NoGroup::Nonsense(Nonsense::Malformed))));
    let mut world = World::new();
    let id = world.last().message_id;
    assert_eq!(world.hear(Type::Reset, Code::EMPTY, id, &[], &[], b""), Some(Err(NoGroup::Silence)));
}

#[test]
fn a_relay_that_is_busy_for_a_short_time_is_asked_again() {
    for code in [Code::SERVICE_UNAVAILABLE, Code::TOO_MANY_REQUESTS] {
        let mut world = World::new();
        let first = world.last().token.to_vec();
        assert_eq!(world.answer(code, &[(option::MAX_AGE, 5)], b""), None);
        assert_eq!(world.inquiry.poll_timeout(), NOW + Duration::from_secs(5));
        assert_eq!((world.wait(), world.requests.len()), (None, 2));
        assert_ne!(world.last().token, first, "another request");
        let answered = world.answer(Code::SERVICE_UNAVAILABLE, &INFORMATIVE, b"payload");
        assert_eq!(answered, Some(Ok(b"payload".to_vec())));
        assert_eq!(World::new().answer(code, &[], b""), Some(Err(NoGroup::Busy)), "a minute");
    }
    // 4.29 with this Content-Format is no informative response.
    let answered = World::new().answer(Code::TOO_MANY_REQUESTS, &INFORMATIVE, b"payload");
    assert_eq!(answered, Some(Err(NoGroup::Busy)));
}

#[test]
fn silence_ends_it_before_people_wonder() {
    let mut world = World::new();
    let outcome = loop {
        if let Some(outcome) = world.wait() {
            break outcome;
        }
    };
    assert_eq!(outcome, Err(NoGroup::Silence));
    assert_eq!(world.now, NOW + Duration::from_secs(20));
    assert!((3..=4).contains(&world.requests.len()), "it was sent again: {}", world.requests.len());
    assert!(world.requests.iter().all(|request| *request == world.requests[0]));
}

#[test]
fn an_acknowledgement_without_an_answer_is_not_waited_for() {
    let mut world = World::new();
    let id = world.last().message_id;
    assert_eq!(world.hear(Type::Acknowledgement, Code::EMPTY, id, &[], &[], b""), None);
    assert_eq!(world.wait(), Some(Err(NoGroup::Silence)));
    assert_eq!((world.now, world.requests.len()), (NOW + Duration::from_secs(20), 1));
}
