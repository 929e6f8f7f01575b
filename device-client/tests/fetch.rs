//! One fetch, block by block (RFC 7959 §2.4): what is asked for, what is accepted, and what ends it.
#![allow(clippy::unwrap_used, clippy::expect_used)] // A panic is how a test fails.

use sixfold_device::fetch::{Change, Received, Violation};
use sixfold_device::uri::encode;
use sixfold_device::{ETag, Event, Fetch};
use sixfold_profile::Instant;
use sixfold_profile::coap::params::DEFAULT_MAX_AGE_S;
use sixfold_profile::coap::{Block, Code, Full, MAX_NUM, Message, Options, Szx, Type, Writer, option};
use std::time::Duration;

const NOW: Instant = Instant::from_micros(5);
/// Uri-Path: fw.
const TARGET: Options<'static> = Options::new(b"\xb2fw");
const B32: Szx = Szx::new(1).unwrap();

/// The request that leaves now.
struct Request {
    message_id: u16,
    token: Vec<u8>,
    options: Vec<(u16, Vec<u8>)>,
}

impl Request {
    fn next(fetch: &mut Fetch<'_>) -> Option<Self> {
        let mut buffer = [0; 256];
        let length = fetch.poll_transmit(NOW, &mut buffer).unwrap()?;
        let message = Message::parse(&buffer[..length]).unwrap();
        assert_eq!(message.code, Code::GET);
        let options = message.options().map(|option| (option.number, option.value.to_vec())).collect();
        Some(Self { message_id: message.message_id, token: message.token.to_vec(), options })
    }

    fn numbers(&self) -> Vec<u16> {
        self.options.iter().map(|option| option.0).collect()
    }

    fn block(&self) -> Block {
        let value = &self.options.iter().find(|option| option.0 == option::BLOCK2).unwrap().1;
        Block::decode(value).unwrap()
    }

    /// A piggybacked response.
    fn answer(&self, code: Code, options: &[(u16, &[u8])], payload: &[u8]) -> Vec<u8> {
        let mut buffer = [0; 2048];
        let mut writer =
            Writer::new(&mut buffer, Type::Acknowledgement, code, self.message_id, &self.token).unwrap();
        for (number, value) in options {
            writer.option(*number, value).unwrap();
        }
        let length = writer.payload(payload).unwrap();
        buffer[..length].to_vec()
    }

    /// 2.05 with an ETag and a Block2 option.
    fn content(&self, etag: &[u8], num: u32, more: bool, szx: Szx, payload: &[u8]) -> Vec<u8> {
        let block = Block::new(num, more, szx).unwrap().encode().to_be_bytes();
        self.answer(Code::CONTENT, &[(option::ETAG, etag), (option::BLOCK2, &block[1..])], payload)
    }
}

fn heard(fetch: &mut Fetch<'_>, datagram: &[u8]) -> String {
    format!("{:?}", fetch.handle_datagram(NOW, datagram).expect("an event"))
}

fn violation(violation: Violation) -> String {
    format!("{:?}", Event::Violation(violation))
}

fn start_over(change: Change) -> String {
    format!("{:?}", Event::StartOver(change))
}

/// A fetch of 32-byte blocks that has the first one and asks for the second.
fn second(etag: &[u8]) -> (Fetch<'static>, Request) {
    let mut fetch = Fetch::new(TARGET, B32, 1);
    let request = Request::next(&mut fetch).unwrap();
    fetch.handle_datagram(NOW, &request.content(etag, 0, true, B32, &[7; 32])).expect("a block");
    let request = Request::next(&mut fetch).unwrap();
    (fetch, request)
}

#[test]
fn two_blocks() {
    let mut fetch = Fetch::new(TARGET, B32, 1);
    let first = Request::next(&mut fetch).unwrap();
    assert_eq!(first.numbers(), [option::URI_PATH, option::BLOCK2, option::SIZE2]);
    assert_eq!((first.block(), &first.options[2].1), (Block::first(B32), &vec![]));

    let block = Block::new(0, true, B32).unwrap().encode() as u8;
    let options: &[(u16, &[u8])] =
        &[(option::ETAG, b"v"), (option::BLOCK2, &[block]), (option::SIZE2, &[37])];
    let answer = first.answer(Code::CONTENT, options, &[7; 32]);
    let etag = ETag::new(b"v");
    let expected = Received { offset: 0, payload: &[7; 32], more: true, etag, szx: B32, size: Some(37) };
    assert_eq!(fetch.handle_datagram(NOW, &answer), Some(Event::Block(expected)));

    let second = Request::next(&mut fetch).unwrap();
    assert_eq!(second.numbers(), [option::URI_PATH, option::BLOCK2], "the size is asked for once");
    assert_eq!(second.block(), Block::new(1, false, B32).unwrap());
    assert_ne!((second.message_id, &second.token), (first.message_id, &first.token));
    assert_eq!(fetch.handle_datagram(NOW, &answer), None, "a duplicate");

    let answer = second.content(b"v", 1, false, B32, &[8; 5]);
    let expected = Received { offset: 32, payload: &[8; 5], more: false, etag, szx: B32, size: None };
    assert_eq!(fetch.handle_datagram(NOW, &answer), Some(Event::Block(expected)));
    assert_eq!(fetch.poll_timeout(), None, "over");
    assert!(Request::next(&mut fetch).is_none());
}

#[test]
fn a_body_without_block2_is_complete() {
    for payload in [&b""[..], b"small", &[1; 1500]] {
        let mut fetch = Fetch::new(TARGET, Szx::MIN, 1);
        let request = Request::next(&mut fetch).unwrap();
        let answer = request.answer(Code::CONTENT, &[], payload);
        let szx = Szx::MIN;
        let expected = Received { offset: 0, payload, more: false, etag: None, szx, size: None };
        assert_eq!(fetch.handle_datagram(NOW, &answer), Some(Event::Block(expected)));
        assert_eq!(fetch.poll_timeout(), None);
    }
}

#[test]
fn the_server_makes_blocks_smaller() {
    let (mut fetch, request) = second(b"v");
    let answer = request.content(b"v", 2, true, Szx::MIN, &[1; 16]);
    assert!(heard(&mut fetch, &answer).contains("offset: 32"));
    let request = Request::next(&mut fetch).unwrap();
    assert_eq!(request.block(), Block::new(3, false, Szx::MIN).unwrap(), "offset 48, and it stays small");
    let larger = request.content(b"v", 3, true, B32, &[1; 32]);
    assert_eq!(heard(&mut fetch, &larger), violation(Violation::LargerBlocks));
}

#[test]
fn answers_that_contradict_the_request() {
    let long = Block::new(1, true, B32).unwrap().encode().to_be_bytes();
    type Answer<'a> = &'a dyn Fn(&Request) -> Vec<u8>;
    let cases: [(Answer<'_>, Violation); 10] = [
        (&|r| r.content(b"v", 0, true, B32, &[0; 32]), Violation::WrongBlock),
        (&|r| r.content(b"v", 2, true, B32, &[0; 32]), Violation::WrongBlock),
        (&|r| r.content(b"v", 1, true, Szx::MIN, &[0; 16]), Violation::WrongBlock),
        (&|r| r.content(b"v", 1, true, Szx::MAX, &[0; 1024]), Violation::LargerBlocks),
        (&|r| r.content(b"v", 1, true, B32, &[0; 31]), Violation::PayloadSize),
        (&|r| r.content(b"v", 1, true, B32, &[]), Violation::PayloadSize),
        (&|r| r.content(b"v", 1, false, B32, &[0; 33]), Violation::PayloadSize),
        (&|r| r.answer(Code::CONTENT, &[(option::BLOCK2, &[0x17])], &[0; 32]), Violation::BlockOption),
        (&|r| r.answer(Code::CONTENT, &[(option::BLOCK2, &long), (23, &long)], b""), Violation::BlockOption),
        (&|r| r.answer(Code::CONTENT, &[(option::OSCORE, b"")], b""), Violation::CriticalOption(9)),
    ];
    for (at, (answer, expected)) in cases.into_iter().enumerate() {
        let (mut fetch, request) = second(b"v");
        assert_eq!(heard(&mut fetch, &answer(&request)), violation(expected), "case {at}");
        assert_eq!(fetch.poll_timeout(), None, "over");
    }
}

#[test]
fn a_confirmable_response_with_an_unknown_critical_option_is_reset() {
    let (mut fetch, request) = second(b"v");
    let mut answer = request.answer(Code::CONTENT, &[(option::OSCORE, b"")], b"");
    answer[0] &= 0x4f;
    assert_eq!(heard(&mut fetch, &answer), violation(Violation::CriticalOption(9)));
    let mut buffer = [0; 4];
    assert_eq!(fetch.poll_transmit(NOW, &mut buffer), Ok(Some(4)));
    assert_eq!(Message::parse(&buffer).unwrap().message_type, Type::Reset);
}

#[test]
fn every_block_must_be_of_the_same_version() {
    for (old, new) in [(&b"v"[..], &b"w"[..]), (b"v", b""), (b"", b"v"), (b"v", b"v\0")] {
        let (mut fetch, request) = second(old);
        let answer = request.content(new, 1, true, B32, &[0; 32]);
        assert_eq!(heard(&mut fetch, &answer), start_over(Change::ETag), "{old:?} {new:?}");
        let request = Request::next(&mut fetch).unwrap();
        assert_eq!(request.block(), Block::first(B32));
        assert!(request.numbers().contains(&option::SIZE2), "the size may be another now");
        assert!(heard(&mut fetch, &request.content(new, 0, true, B32, &[0; 32])).contains("offset: 0,"));
    }
}

#[test]
fn a_body_that_became_shorter_starts_over() {
    for code in [Code::BAD_REQUEST, Code::BAD_OPTION, Code::REQUEST_ENTITY_INCOMPLETE] {
        let (mut fetch, request) = second(b"v");
        assert_eq!(heard(&mut fetch, &request.answer(code, &[], b"")), start_over(Change::NoSuchBlock));
        let request = Request::next(&mut fetch).unwrap();
        let refused = heard(&mut fetch, &request.answer(code, &[], b"why"));
        assert_eq!(
            refused,
            format!("{:?}", Event::Refused { code, diagnostic: b"why" }),
            "block 0: for good"
        );
    }
    let (mut fetch, request) = second(b"v");
    let answer = request.answer(Code::CONTENT, &[(option::ETAG, b"v")], b"small");
    assert_eq!(heard(&mut fetch, &answer), start_over(Change::NotBlockwise));
}

#[test]
fn resumes_at_a_block() {
    let etag = ETag::new(b"v").unwrap();
    let block = Block::new(100, false, B32).unwrap();
    let mut fetch = Fetch::resume(TARGET, block, etag, 1);
    let request = Request::next(&mut fetch).unwrap();
    assert_eq!(request.block(), block);
    assert!(request.numbers().contains(&option::SIZE2));
    assert!(heard(&mut fetch, &request.content(b"v", 100, true, B32, &[0; 32])).contains("offset: 3200"));

    let mut fetch = Fetch::resume(TARGET, block, etag, 1);
    let request = Request::next(&mut fetch).unwrap();
    let answer = request.content(b"w", 100, true, B32, &[0; 32]);
    assert_eq!(heard(&mut fetch, &answer), start_over(Change::ETag));
}

#[test]
fn block_numbers_end_at_20_bits() {
    let last = Block::new(MAX_NUM, false, Szx::MIN).unwrap();
    let mut fetch = Fetch::resume(TARGET, last, ETag::new(b"v").unwrap(), 1);
    let request = Request::next(&mut fetch).unwrap();
    let end = request.content(b"v", MAX_NUM, false, Szx::MIN, &[0; 16]);
    assert!(heard(&mut fetch.clone(), &end).contains("more: false"));
    let more = request.content(b"v", MAX_NUM, true, Szx::MIN, &[0; 16]);
    assert_eq!(heard(&mut fetch, &more), violation(Violation::BodyTooLong));
}

#[test]
fn a_busy_server_is_asked_again() {
    for code in [Code::SERVICE_UNAVAILABLE, Code::TOO_MANY_REQUESTS] {
        for (max_age, seconds) in [(Some(&[7][..]), 7), (Some(&[]), 1), (None, DEFAULT_MAX_AGE_S)] {
            let (mut fetch, request) = second(b"v");
            let options: Vec<_> = max_age.map(|value| (option::MAX_AGE, value)).into_iter().collect();
            let wait = Duration::from_secs(u64::from(seconds));
            let event = heard(&mut fetch, &request.answer(code, &options, b""));
            assert_eq!(event, format!("{:?}", Event::Wait(wait)));
            assert_eq!(fetch.poll_timeout(), Some(NOW + wait));
            assert_eq!(fetch.handle_timeout(NOW + wait - Duration::from_micros(1)), None);
            assert!(Request::next(&mut fetch).is_none(), "not yet");
            assert_eq!(fetch.handle_timeout(NOW + wait), None);
            let again = Request::next(&mut fetch).unwrap();
            assert_eq!(again.block(), request.block());
            assert_ne!(again.message_id, request.message_id);
            assert_ne!(fetch.poll_timeout(), Some(NOW + wait), "waits for the answer now");
        }
    }
}

#[test]
fn refusals() {
    for code in [Code::NOT_FOUND, Code::VALID, Code::CHANGED, Code::PROXYING_NOT_SUPPORTED, Code(0x5e)] {
        let (mut fetch, request) = second(b"v");
        let event = heard(&mut fetch, &request.answer(code, &[], b"gone"));
        assert_eq!(event, format!("{:?}", Event::Refused { code, diagnostic: b"gone" }));
        assert_eq!(fetch.poll_timeout(), None);
    }
    let (mut fetch, request) = second(b"v");
    let [high, low] = request.message_id.to_be_bytes();
    assert_eq!(fetch.handle_datagram(NOW, &[0x70, 0, high, low]), Some(Event::Reset));
    assert_eq!(fetch.poll_timeout(), None);
}

#[test]
fn who_has_enough_acknowledges_and_asks_for_nothing_more() {
    let mut fetch = Fetch::new(TARGET, B32, 1);
    let request = Request::next(&mut fetch).unwrap();
    let mut separate = request.content(b"e", 0, true, B32, &[7; 32]);
    // A Confirmable message of its own.
    separate[0] &= !0x30;
    fetch.handle_datagram(NOW, &separate).expect("a block");
    fetch.stop();
    let mut buffer = [0; 256];
    let length = fetch.poll_transmit(NOW, &mut buffer).unwrap().expect("an acknowledgement");
    let message = Message::parse(&buffer[..length]).unwrap();
    assert_eq!((message.message_type, message.code), (Type::Acknowledgement, Code::EMPTY));
    assert_eq!((fetch.poll_transmit(NOW, &mut buffer), fetch.poll_timeout()), (Ok(None), None));
}

#[test]
fn options_of_the_target_keep_their_order() {
    let options = [(3, &b"h"[..]), (11, b"a"), (11, b"b"), (27, b""), (39, b"coap")]
        .map(|(n, value)| (n, value.to_vec()));
    let target = encode(&options).unwrap();
    let mut fetch = Fetch::new(Options::new(&target), B32, 1);
    assert_eq!(Request::next(&mut fetch).unwrap().numbers(), [3, 11, 11, 23, 27, 28, 39]);
    assert_eq!(encode(&[(15, b"q".to_vec()), (11, b"a".to_vec())]), Err(Full));
}

#[test]
fn a_fetch_is_small() {
    let size = size_of::<Fetch<'_>>();
    // 48 of them are for the value of an Echo option.
    assert!(size <= 184, "{size} bytes on a 64-bit machine");
}
