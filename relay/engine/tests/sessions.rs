//! Devices with sessions (RFC 8613): what is protected, what is refused, and what an attacker gets.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "these are tests")]

mod support;

use sixfold_engine::{DropReason, Event, SessionRefusal};
use sixfold_profile::coap::{Code, Message, Type, option};
use std::collections::BTreeSet;
use std::time::Duration;
use support::sessions::{Device, refusals};
use support::{Answer, Ask, Bench, body, config, empty, path, read};

const SECOND: Duration = Duration::from_secs(1);

/// Plain answers to a datagram.
fn plain(bench: &mut Bench, peer: u16, datagram: &[u8]) -> Vec<Answer> {
    bench.datagram(peer, datagram);
    bench.datagrams().iter().map(|bytes| read(bytes, path(peer).peer)).collect()
}

#[test]
fn a_whole_image_in_a_session() {
    let mut bench = Bench::with_image(1000, 60);
    let mut device = Device::with_session(&mut bench, 1, b"kid");
    let mut image = Vec::new();
    for num in 0..16 {
        let answer = device.ask(&mut bench, &Ask::block(1, num, "image.bin", num.into(), 2));
        assert_eq!((answer.code, answer.message_type), (Code::CONTENT, Type::Acknowledgement));
        assert_eq!(answer.block().num(), num.into());
        image.extend_from_slice(&answer.payload);
    }
    assert_eq!(image, body(1, 1000));
    let (datagram, _) = device.protect(&Ask::block(1, 99, "image.bin", 0, 2));
    bench.datagram(1, &datagram);
    let bytes = bench.datagrams().remove(0);
    let message = Message::parse(&bytes).unwrap();
    let outer: Vec<_> = message.options().map(|option| (option.number, option.value.len())).collect();
    assert_eq!((message.code, outer), (Code::CHANGED, vec![(option::OSCORE, 0)]), "nothing else is seen");
    assert!(!bytes.windows(16).any(|window| window == &body(1, 16)[..]));
}

#[test]
fn protection_costs_a_block_eleven_bytes() {
    let mut bench = Bench::with_image(1000, 60);
    let mut device = Device::with_session(&mut bench, 1, b"kid");
    let ask = Ask::block(1, 1, "image.bin", 0, 2);
    let (datagram, _) = device.protect(&ask);
    bench.datagram(1, &datagram);
    let protected = bench.datagrams().remove(0).len();
    bench.send(&Ask::block(2, 1, "image.bin", 0, 2));
    assert_eq!(protected, bench.datagrams().remove(0).len() + 11);
}

#[test]
fn errors_within_a_session_are_protected() {
    let mut bench = Bench::with_image(100, 60);
    let mut device = Device::with_session(&mut bench, 1, b"kid");
    let wrong = Ask { options: vec![(option::URI_PATH, b"nowhere".to_vec())], ..Ask::get(1, 1, "") };
    assert_eq!(device.ask(&mut bench, &wrong).code, Code::NOT_FOUND);
    let critical = Ask::get(1, 2, "image.bin").with(2049, b"x");
    assert_eq!(device.ask(&mut bench, &critical).code, Code::BAD_OPTION);
    let post = Ask { code: Code::POST, ..Ask::get(1, 3, "image.bin") };
    assert_eq!(device.ask(&mut bench, &post).code, Code::METHOD_NOT_ALLOWED);
}

#[test]
fn a_separate_response_is_protected_and_repeated_as_it_is() {
    let mut bench = Bench::new(config());
    let mut device = Device::with_session(&mut bench, 1, b"kid");
    let (datagram, number) = device.protect(&Ask::get(1, 5, "image.bin"));
    bench.datagram(1, &datagram);
    let id = bench.fetch();
    assert_eq!(bench.pass(SECOND).remove(0).code, Code::EMPTY);
    bench.datagram(1, &datagram);
    let again = bench.datagrams();
    assert_eq!(again, [empty(Type::Acknowledgement, 5)], "absorbed, and acknowledged again");
    bench.deliver(id, 1, &body(1, 10), 60);
    let first = bench.datagrams().remove(0);
    let (answer, own) = device.open(number.number(), &first).unwrap();
    assert_eq!((answer.message_type, answer.payload, own), (Type::Confirmable, body(1, 10), None));
    bench.now = bench.engine.poll_timeout().unwrap();
    bench.engine.handle_timeout(bench.now);
    assert_eq!(bench.datagrams(), [first], "the very same bytes");
}

/// Answers are made again, each with a number of its own: no nonce is used twice.
#[test]
fn a_retransmission_is_answered_with_a_new_nonce() {
    let mut bench = Bench::with_image(100, 60);
    let mut device = Device::with_session(&mut bench, 1, b"kid");
    let (datagram, number) = device.protect(&Ask::get(1, 5, "image.bin"));
    let mut seen = BTreeSet::new();
    for _ in 0..5 {
        bench.datagram(1, &datagram);
        let answer = bench.datagrams().remove(0);
        let (answer, own) = device.open(number.number(), &answer).unwrap();
        assert_eq!(answer.payload, body(1, 100));
        assert!(seen.insert(own), "{own:?} twice");
    }
    assert!(seen.contains(&None), "the first is the shortest");
    assert_eq!(refusals(&bench), []);
}

#[test]
fn a_replay_is_refused_whoever_sends_it() {
    let mut bench = Bench::with_image(1000, 60);
    let mut device = Device::with_session(&mut bench, 1, b"kid");
    let (datagram, _) = device.protect(&Ask::get(1, 5, "image.bin"));
    bench.datagram(1, &datagram);
    bench.datagrams();
    // From another address, and in another message from the same one.
    let mut other = datagram.clone();
    other[3] ^= 0xff;
    // And again: what was refused once is no retransmission.
    for (peer, bytes) in [(2, &datagram), (1, &other), (2, &datagram), (1, &other)] {
        let answers = plain(&mut bench, peer, bytes);
        assert_eq!((answers[0].code, answers[0].uint(option::MAX_AGE)), (Code::UNAUTHORIZED, Some(0)));
        assert!(answers[0].payload.len() < 32, "small");
    }
    assert_eq!(refusals(&bench), [SessionRefusal::Replayed; 4]);
}

#[test]
fn requests_may_overtake_each_other() {
    let mut bench = Bench::with_image(1000, 60);
    let mut device = Device::with_session(&mut bench, 1, b"kid");
    let sent: Vec<_> = (0..20).map(|n| device.protect(&Ask::get(1, n, "image.bin"))).collect();
    for (datagram, number) in sent.iter().rev() {
        bench.datagram(1, datagram);
        let answer = bench.datagrams().remove(0);
        assert_eq!(device.open(number.number(), &answer).unwrap().0.code, Code::CONTENT);
    }
}

#[test]
fn what_cannot_be_opened_is_refused_in_a_few_bytes() {
    let mut bench = Bench::with_image(1000, 60);
    let mut device = Device::with_session(&mut bench, 1, b"kid");
    let mut stranger = Device::new(1, b"kix");
    let (unknown, _) = stranger.protect(&Ask::get(1, 1, "image.bin"));
    let answer = &plain(&mut bench, 1, &unknown)[0];
    assert_eq!((answer.code, &answer.payload[..]), (Code::UNAUTHORIZED, &b"Security context not found"[..]));
    let (mut forged, _) = device.protect(&Ask::get(1, 2, "image.bin"));
    *forged.last_mut().unwrap() ^= 1;
    assert_eq!(plain(&mut bench, 1, &forged)[0].code, Code::BAD_REQUEST);
    bench.pass(SECOND);
    // Reserved flags; an empty option in a request; no payload.
    for value in [&[0x20, 1][..], &[], &[0x09, 1, b'k', b'i', b'd']] {
        let ask = Ask { code: Code::POST, options: Vec::new(), ..Ask::get(1, 3, "") };
        let answer = &plain(&mut bench, 1, &ask.with(option::OSCORE, value).datagram())[0];
        assert!(matches!(answer.code, Code::BAD_OPTION | Code::BAD_REQUEST), "{answer:?}");
    }
    // The window has not moved: the same number is taken when its message is whole.
    *forged.last_mut().unwrap() ^= 1;
    forged[3] ^= 0x10;
    bench.datagram(1, &forged);
    assert_eq!(device.open(0, &bench.datagrams()[0]).unwrap().0.code, Code::CONTENT);
}

#[test]
fn a_flood_of_one_address_is_not_answered() {
    let mut bench = Bench::with_image(1000, 60);
    let mut stranger = Device::new(1, b"kix");
    let mut answers = 0;
    for n in 0..1000 {
        let (datagram, _) = stranger.protect(&Ask::get(1, n, "image.bin"));
        bench.datagram(1, &datagram);
        answers += bench.datagrams().len();
    }
    assert_eq!(answers, 4);
    assert!(bench.events.contains(&Event::Dropped(DropReason::Refused)));
    bench.pass(SECOND);
    let (datagram, _) = stranger.protect(&Ask::get(1, 2000, "image.bin"));
    assert_eq!(plain(&mut bench, 1, &datagram).len(), 1, "a second later");
}

/// Junk from many sources, more than are remembered, does not keep a device from being told that its session is gone.
#[test]
fn a_flood_of_many_addresses_silences_no_refusal() {
    let mut config = config();
    config.limits.transfers = 100;
    let mut bench = Bench::new(config);
    let mut stranger = Device::new(1, b"kix");
    for turn in 0..3_u16 {
        for n in 0..1000 {
            let (datagram, _) = stranger.protect(&Ask::get(1, n, "image.bin"));
            bench.datagram(10 + n, &datagram);
        }
        bench.datagrams();
        let (datagram, _) = stranger.protect(&Ask::get(1, 2000 + turn, "image.bin"));
        let answers = plain(&mut bench, 1, &datagram);
        assert_eq!(answers[0].payload, b"Security context not found", "{turn}");
    }
}

/// Tokens of RFC 8974, and bombs of options, within and without.
#[test]
fn huge_tokens_and_many_options() {
    let mut bench = Bench::with_image(1000, 60);
    let mut device = Device::with_session(&mut bench, 1, b"kid");
    let (datagram, _) = device.protect(&Ask { token: vec![1; 8], ..Ask::get(1, 1, "image.bin") });
    for nibble in 9..16 {
        let mut extended = datagram.clone();
        extended[0] = extended[0] & 0xf0 | nibble;
        let answers = plain(&mut bench, 1, &extended);
        assert_eq!(answers[0].message_type, Type::Reset, "{nibble}");
    }
    let bomb = (0..250).fold(Ask::get(1, 2, "image.bin"), |ask, n| ask.with(2048 + 2 * n, &[]));
    assert_eq!(device.ask(&mut bench, &bomb).code, Code::CONTENT, "elective: ignored");
    let mut critical = bomb;
    critical.message_id = 3;
    critical = critical.with(4001, &[]);
    assert_eq!(device.ask(&mut bench, &critical).code, Code::BAD_OPTION);
    let mut outer = datagram[..12].to_vec();
    outer.extend(std::iter::repeat_n(0x00, 1200));
    bench.datagram(1, &outer);
    bench.datagrams();
    assert!(bench.engine.load().exchanges == 0);
}

#[test]
fn notifications_take_a_number_each() {
    let mut bench = Bench::with_image(1000, 5);
    let mut device = Device::with_session(&mut bench, 1, b"kid");
    let (datagram, number) = device.protect(&Ask::get(1, 1, "image.bin").uint(option::OBSERVE, 0));
    bench.datagram(1, &datagram);
    let answer = bench.datagrams().remove(0);
    let (_, registered) = device.open(number.number(), &answer).unwrap();
    assert!(registered.is_some(), "it has Observe");
    // Nobody on the way ends it, or takes its place.
    let ask = Ask { token: vec![0, 1], ..Ask::get(1, 9, "image.bin") };
    for observe in [0, 1] {
        let ask = Ask { message_id: 10 + observe as u16, ..ask.clone() }.uint(option::OBSERVE, observe);
        assert_eq!(bench.ask(&ask).uint(option::OBSERVE), None);
    }
    assert_eq!(bench.engine.load().observers, 1);
    let mut numbers = vec![registered.unwrap()];
    for version in 2..5 {
        bench.pass(6 * SECOND);
        let id = bench.fetch();
        bench.deliver(id, version, &body(version, 1000), 5);
        let notification = bench.datagrams().remove(0);
        let (answer, own) = device.open(number.number(), &notification).unwrap();
        assert_eq!(answer.payload, body(version, 1000));
        numbers.extend(own);
        bench.datagram(1, &empty(Type::Reset, answer.message_id));
        assert_eq!(bench.engine.load().observers, 1, "anybody can send a Reset");
        bench.datagram(1, &empty(Type::Acknowledgement, answer.message_id));
    }
    assert!(numbers.is_sorted_by(|a, b| a < b) && numbers.len() == 4, "{numbers:?}");
    let end = Ask { token: vec![0, 1], ..Ask::get(1, 20, "image.bin") }.uint(option::OBSERVE, 1);
    device.ask(&mut bench, &end);
    assert_eq!(bench.engine.load().observers, 0);
}

#[test]
fn where_a_session_is_required() {
    // The word of the route counts, then that of the relay; discovery is open.
    for (route, allow_plain, is_served) in
        [(None, true, true), (None, false, false), (Some(true), true, false), (Some(false), false, true)]
    {
        let mut bench = Bench::with_image(100, 60);
        let mut config = config();
        config.routes[0].require_session = route;
        config.allow_plain = allow_plain;
        bench.engine.reconfigure(config);
        let answer = bench.ask(&Ask::get(1, 1, "image.bin"));
        let expected = if is_served { Code::CONTENT } else { Code::UNAUTHORIZED };
        assert_eq!(answer.code, expected, "{route:?} {allow_plain}");
        assert_eq!(refusals(&bench).len(), usize::from(!is_served));
        if !is_served {
            let diagnostic = String::from_utf8(answer.payload).unwrap();
            assert!(diagnostic.starts_with("device: ") && diagnostic.contains("prepare"), "{diagnostic}");
        }
        let forward = Ask { options: Vec::new(), ..Ask::get(1, 2, "") };
        let forward = forward.with(option::PROXY_URI, b"https://origin.example/open/x");
        bench.send(&forward);
        assert_eq!(bench.command().is_some(), allow_plain, "the forward proxy: no route has a word");
        bench.datagrams();
        let core = vec![(option::URI_PATH, b".well-known".to_vec()), (option::URI_PATH, b"core".to_vec())];
        assert_eq!(bench.ask(&Ask { options: core, ..Ask::get(1, 3, "") }).code, Code::CONTENT);
        let mut device = Device::with_session(&mut bench, 5, b"kid");
        assert_eq!(device.ask(&mut bench, &Ask::get(5, 1, "image.bin")).code, Code::CONTENT);
    }
}

/// A forged request with the same Message ID, and as many as may wait, do not keep the device's own from being taken.
#[test]
fn forged_requests_take_no_place_of_those_in_a_session() {
    let mut bench = Bench::new(config());
    let mut device = Device::with_session(&mut bench, 1, b"kid");
    for message_id in 1..=20 {
        bench.send(&Ask::get(1, message_id, "image.bin"));
    }
    let (datagram, _) = device.protect(&Ask::get(1, 1, "image.bin"));
    bench.datagrams();
    let before = bench.engine.load().exchanges;
    bench.datagram(1, &datagram);
    assert_eq!(bench.datagrams(), Vec::<Vec<u8>>::new(), "it waits too");
    assert_eq!(bench.engine.load().exchanges, before + 1);
}

/// Nor do they lead its transfer to another version.
#[test]
fn forged_requests_leave_a_transfer_in_a_session_at_its_version() {
    let mut bench = Bench::with_image(100, 5);
    let mut device = Device::with_session(&mut bench, 1, b"kid");
    let first = device.ask(&mut bench, &Ask::block(1, 1, "image.bin", 0, 1));
    bench.pass(6 * SECOND);
    bench.send(&Ask::block(2, 1, "image.bin", 0, 1));
    let id = bench.fetch();
    bench.deliver(id, 2, &body(2, 100), 5);
    bench.answers();
    bench.ask(&Ask::block(1, 2, "image.bin", 0, 1));
    let next = device.ask(&mut bench, &Ask::block(1, 3, "image.bin", 1, 1));
    assert_eq!(next.etag(), first.etag());
}
