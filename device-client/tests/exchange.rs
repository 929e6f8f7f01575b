//! One exchange, message by message (RFC 7252 §4.2, §5.2): what leaves, when, and what ends it.
#![allow(clippy::unwrap_used, clippy::expect_used)] // A panic is how a test fails.

use sixfold_device::exchange::{Exchange, Heard, RESPONSE_WAIT};
use sixfold_profile::Instant;
use sixfold_profile::coap::params::{MAX_RETRANSMIT, MAX_TRANSMIT_WAIT};
use sixfold_profile::coap::{Code, Full, Message, Type, Writer};
use std::time::Duration;

const NOW: Instant = Instant::from_micros(1_000_000);

/// An exchange with its first request sent; its Message ID and Token.
fn asked(seed: u32) -> (Exchange, u16, Vec<u8>) {
    let mut exchange = Exchange::new(seed);
    exchange.request();
    let request = sent(&mut exchange, NOW).expect("the request is due at once");
    let message = Message::parse(&request).unwrap();
    assert_eq!((message.message_type, message.code), (Type::Confirmable, Code::GET));
    (exchange, message.message_id, message.token.to_vec())
}

fn sent(exchange: &mut Exchange, now: Instant) -> Option<Vec<u8>> {
    let mut buffer = [0; 64];
    let length = exchange.poll_transmit(now, &mut buffer, |writer| writer.option(11, b"fw")).unwrap();
    length.map(|length| buffer[..length].to_vec())
}

fn message(message_type: Type, code: Code, message_id: u16, token: &[u8]) -> Vec<u8> {
    let mut buffer = [0; 64];
    let writer = Writer::new(&mut buffer, message_type, code, message_id, token).unwrap();
    let length = writer.finish();
    buffer[..length].to_vec()
}

fn empty(message_type: Type, message_id: u16) -> Vec<u8> {
    message(message_type, Code::EMPTY, message_id, &[])
}

fn is_nothing(heard: Heard<'_>) -> bool {
    matches!(heard, Heard::Nothing)
}

fn is_response(heard: Heard<'_>) -> bool {
    matches!(heard, Heard::Response(_))
}

#[test]
fn retransmits_with_back_off_and_gives_up() {
    let mut firsts = Vec::new();
    for seed in 0..200 {
        let (mut exchange, _, _) = asked(seed);
        let request = {
            let mut again = Exchange::new(seed);
            again.request();
            sent(&mut again, NOW)
        };
        let first = exchange.poll_timeout().unwrap().since(NOW);
        assert!((2.0..=3.0).contains(&first.as_secs_f64()), "{first:?}");
        firsts.push(first);
        let mut now = NOW;
        for repeat in 0..MAX_RETRANSMIT {
            let until = exchange.poll_timeout().unwrap();
            assert_eq!(until.since(now), first * (1 << repeat));
            assert!(!exchange.handle_timeout(until - Duration::from_micros(1)), "early is harmless");
            assert_eq!(sent(&mut exchange, now), None);
            assert!(!exchange.handle_timeout(until));
            now = until;
            assert_eq!(sent(&mut exchange, now), request, "the same datagram again");
        }
        let until = exchange.poll_timeout().unwrap();
        assert!(until.since(NOW) <= MAX_TRANSMIT_WAIT, "{:?}", until.since(NOW));
        assert!(exchange.handle_timeout(until), "gives up");
        assert_eq!((exchange.poll_timeout(), sent(&mut exchange, until)), (None, None));
        assert_eq!(exchange.retransmissions(), u32::from(MAX_RETRANSMIT));
    }
    let mean = firsts.iter().sum::<Duration>() / 200;
    assert!((2.4..2.6).contains(&mean.as_secs_f64()), "the jitter is spread: mean {mean:?}");
}

#[test]
fn a_piggybacked_response_needs_message_id_and_token() {
    let (mut exchange, id, token) = asked(1);
    let other = message(Type::Acknowledgement, Code::CONTENT, id.wrapping_add(1), &token);
    assert!(is_nothing(exchange.handle_datagram(NOW, &other)));
    for wrong in [&[0, 0, 0, 0][..], &token[..3], &[]] {
        let other = message(Type::Acknowledgement, Code::CONTENT, id, wrong);
        assert!(is_nothing(exchange.handle_datagram(NOW, &other)), "{wrong:?}");
    }
    assert_eq!(sent(&mut exchange, NOW), None, "an ACK is never answered");
    let response = message(Type::Acknowledgement, Code::CONTENT, id, &token);
    assert!(is_response(exchange.handle_datagram(NOW, &response)));
    assert!(is_nothing(exchange.handle_datagram(NOW, &response)), "a duplicate");
    assert_eq!((exchange.poll_timeout(), sent(&mut exchange, NOW)), (None, None));
}

#[test]
fn an_empty_ack_stops_retransmission() {
    let (mut exchange, id, token) = asked(2);
    let later = NOW + Duration::from_secs(1);
    assert!(is_nothing(exchange.handle_datagram(later, &empty(Type::Acknowledgement, id))));
    assert_eq!(exchange.poll_timeout(), Some(later + RESPONSE_WAIT));
    let again = later + Duration::from_secs(1);
    assert!(is_nothing(exchange.handle_datagram(again, &empty(Type::Acknowledgement, id))));
    assert_eq!(
        exchange.poll_timeout(),
        Some(later + RESPONSE_WAIT),
        "a second ACK does not prolong the wait"
    );

    let response = message(Type::Confirmable, Code::CONTENT, 77, &token);
    assert!(is_response(exchange.handle_datagram(later, &response)));
    assert_eq!(sent(&mut exchange, later), Some(empty(Type::Acknowledgement, 77)));
    assert_eq!(sent(&mut exchange, later), None);
}

#[test]
fn no_separate_response_in_time() {
    let (mut exchange, id, _) = asked(3);
    exchange.handle_datagram(NOW, &empty(Type::Acknowledgement, id));
    assert!(!exchange.handle_timeout(NOW + RESPONSE_WAIT - Duration::from_micros(1)));
    assert!(exchange.handle_timeout(NOW + RESPONSE_WAIT));
    assert_eq!(exchange.poll_timeout(), None);
}

#[test]
fn a_separate_response_may_overtake_its_ack() {
    for message_type in [Type::Confirmable, Type::NonConfirmable] {
        let (mut exchange, _, token) = asked(4);
        let response = message(message_type, Code::CONTENT, 9, &token);
        assert!(is_response(exchange.handle_datagram(NOW, &response)));
        let ack = (message_type == Type::Confirmable).then(|| empty(Type::Acknowledgement, 9));
        assert_eq!(sent(&mut exchange, NOW), ack);
    }
}

#[test]
fn a_repeated_confirmable_response_is_acknowledged_again() {
    let (mut exchange, _, token) = asked(5);
    let response = message(Type::Confirmable, Code::CONTENT, 9, &token);
    assert!(is_response(exchange.handle_datagram(NOW, &response)));
    for _ in 0..3 {
        sent(&mut exchange, NOW);
        assert!(is_nothing(exchange.handle_datagram(NOW, &response)));
        assert_eq!(sent(&mut exchange, NOW), Some(empty(Type::Acknowledgement, 9)));
    }
    for _ in 0..100 {
        exchange.request();
        sent(&mut exchange, NOW);
    }
    assert!(is_nothing(exchange.handle_datagram(NOW, &response)), "a hundred requests later");
    assert_eq!(sent(&mut exchange, NOW), Some(empty(Type::Acknowledgement, 9)));
}

#[test]
fn what_is_not_for_us_is_rejected_or_ignored() {
    let (mut exchange, id, token) = asked(6);
    let unused = (u32::from_be_bytes(token[..].try_into().unwrap()).wrapping_sub(1)).to_be_bytes();
    let cases = [
        (message(Type::Confirmable, Code::CONTENT, 9, &[1, 2, 3, 4]), true),
        (message(Type::NonConfirmable, Code::CONTENT, 9, &[1, 2, 3, 4]), false),
        (empty(Type::Confirmable, 9), true),
        (message(Type::Confirmable, Code::GET, 9, &[]), true),
        (message(Type::NonConfirmable, Code::GET, 9, &[]), false),
        (message(Type::Confirmable, Code::GET, 9, &token), true),
        (message(Type::NonConfirmable, Code::GET, 9, &token), false),
        (message(Type::Confirmable, Code::CONTENT, 9, &unused), true),
        (empty(Type::Acknowledgement, id.wrapping_sub(1)), false),
        (empty(Type::Reset, id.wrapping_sub(1)), false),
        (vec![0x40, 0xe0, 0, 9], true),
        (vec![0x40, 0x45, 0, 9, 0xff], true),
        (vec![0x50, 0x45, 0, 9, 0xff], false),
        (vec![0x60, 0x45, 0, 9, 0xff], false),
        (vec![0x80, 0x45, 0, 9, 0xff], false),
        (vec![0x40, 0x45, 0], false),
        (vec![], false),
    ];
    let until = exchange.poll_timeout();
    for (datagram, rejected) in cases {
        assert!(is_nothing(exchange.handle_datagram(NOW, &datagram)), "{datagram:02x?}");
        let reply = rejected.then(|| empty(Type::Reset, 9));
        assert_eq!(sent(&mut exchange, NOW), reply, "{datagram:02x?}");
        assert_eq!(exchange.poll_timeout(), until, "the exchange goes on");
    }
}

#[test]
fn reset_ends_it() {
    let (mut exchange, id, token) = asked(7);
    assert!(matches!(exchange.handle_datagram(NOW, &empty(Type::Reset, id)), Heard::Reset));
    assert_eq!(exchange.poll_timeout(), None);
    let response = message(Type::Acknowledgement, Code::CONTENT, id, &token);
    assert!(is_nothing(exchange.handle_datagram(NOW, &response)), "too late");
}

#[test]
fn what_comes_after_the_response_changes_nothing() {
    for late in [Type::Acknowledgement, Type::Reset] {
        let (mut exchange, id, token) = asked(10);
        let response = message(Type::NonConfirmable, Code::CONTENT, 9, &token);
        assert!(is_response(exchange.handle_datagram(NOW, &response)));
        assert!(is_nothing(exchange.handle_datagram(NOW, &empty(late, id))), "{late:?}");
        assert_eq!((exchange.poll_timeout(), sent(&mut exchange, NOW)), (None, None), "{late:?}");
    }
}

#[test]
fn a_small_buffer_loses_nothing() {
    let (mut exchange, _, token) = asked(8);
    exchange.request();
    exchange.handle_datagram(NOW, &message(Type::Confirmable, Code::CONTENT, 9, &token));
    for size in 0..4 {
        let mut buffer = vec![0; size];
        assert_eq!(exchange.poll_transmit(NOW, &mut buffer, |_| Ok(())), Err(Full), "{size}");
    }
    assert_eq!(exchange.poll_transmit(NOW, &mut [0; 4], |_| Ok(())), Ok(Some(4)), "the ACK first");
    assert_eq!(exchange.poll_transmit(NOW, &mut [0; 7], |_| Ok(())), Err(Full));
    assert_eq!(exchange.poll_transmit(NOW, &mut [0; 8], |_| Ok(())), Ok(Some(8)), "then the request");
}
