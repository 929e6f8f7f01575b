//! No amplifier (RFC 9175 §2.3): what an address gets that was not shown to be live.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "these are tests")]

mod support;

use sixfold_engine::{Config, EchoPolicy, Engine, LinkConfig, Path, Prefix, UnboundedStore};
use sixfold_profile::coap::{Code, Message, Type, option};
use std::net::{Ipv6Addr, SocketAddr};
use std::time::Duration;
use support::sessions::Device;
use support::{Answer, Ask, Bench, body, config, read};

/// An address from elsewhere.
fn from(n: u32) -> Path {
    let address = Ipv6Addr::from_bits(0x2001_0db8 << 96 | u128::from(n));
    Path {
        peer: SocketAddr::new(address.into(), 10_001),
        local: None,
        socket: 0,
        interface: 4,
        multicast: false,
    }
}

fn answers(bench: &mut Bench, path: Path, datagram: &[u8]) -> Vec<Vec<u8>> {
    bench.engine.handle_datagram(bench.now, path, datagram);
    bench.datagrams()
}

fn ask(bench: &mut Bench, path: Path, ask: &Ask) -> Answer {
    let datagram = ask.datagram();
    let mut answers = answers(bench, path, &datagram);
    assert_eq!(answers.len(), 1, "{answers:02x?}");
    let answer = answers.remove(0);
    read(&answer, path.peer)
}

/// Requests that one might think get long answers.
fn requests() -> Vec<Vec<u8>> {
    let mut requests = Vec::new();
    for token in [0, 2, 8] {
        let with_token = |ask: Ask| Ask { token: vec![7; token], ..ask };
        for szx in 0..7 {
            requests.push(with_token(Ask::block(1, 1, "image.bin", 0, szx)).datagram());
            requests.push(with_token(Ask::block(1, 1, "image.bin", 3, szx)).non().datagram());
        }
        requests.push(with_token(Ask::get(1, 1, "image.bin")).datagram());
        requests.push(
            with_token(Ask::get(1, 1, "image.bin"))
                .uint(option::OBSERVE, 0)
                .uint(option::SIZE2, 0)
                .datagram(),
        );
        requests.push(with_token(Ask::get(1, 1, "image.bin")).with(option::ECHO, &[1; 9]).datagram());
        let core = vec![(option::URI_PATH, b".well-known".to_vec()), (option::URI_PATH, b"core".to_vec())];
        for path in [
            core,
            Vec::new(),
            vec![(option::URI_PATH, b"x".to_vec())],
            vec![(option::PROXY_URI, b"h".to_vec())],
        ] {
            let plain = with_token(Ask { options: path, ..Ask::get(1, 1, "") });
            requests.push(plain.datagram());
            requests.push(plain.clone().non().datagram());
            requests.push(Ask { code: Code::POST, ..plain }.datagram());
        }
        let oscore = Ask { options: Vec::new(), code: Code::POST, ..Ask::get(1, 1, "") };
        for value in [&[][..], &[9, 0, 1], &[0xff], &[1, 0]] {
            requests.push(with_token(oscore.clone()).with(option::OSCORE, value).datagram());
        }
    }
    requests.push(vec![0x40, 0, 0, 1]);
    requests.push(vec![0x4f, 1, 0, 1]);
    requests.push(vec![0x40, 0x45, 0, 1]);
    requests
}

/// Every kind of request, each from an address of its own, while the origin is slow, and when all is there: what leaves in five
/// minutes, retransmissions included, is three times what came at most.
#[test]
fn an_address_that_was_not_shown_to_be_live_gets_three_times_what_it_sent() {
    let mut worst = 0.0_f64;
    for is_here in [true, false] {
        for (n, request) in requests().iter().enumerate() {
            let mut bench = if is_here { Bench::with_image(5000, 600) } else { Bench::new(config()) };
            let path = from(n as u32);
            let mut sent: usize = answers(&mut bench, path, request).iter().map(Vec::len).sum();
            let excess = Engine::new(config(), UnboundedStore::default(), [0; 32]);
            let mut excess = Bench { engine: excess, now: bench.now, events: Vec::new() };
            excess.engine.handle_excess(excess.now, path, request);
            let told: usize = excess.datagrams().iter().map(Vec::len).sum();
            assert!(told <= 3 * request.len(), "excess: {request:02x?}");
            let end = bench.now + Duration::from_secs(300);
            let mut fetched = is_here;
            while let Some(at) = bench.engine.poll_timeout().filter(|at| *at <= end) {
                bench.now = bench.now.max(at);
                bench.engine.handle_timeout(bench.now);
                if !fetched && let Some(command) = bench.command() {
                    let sixfold_engine::FetchCommand::Start { id, .. } = command else {
                        panic!("{command:?}")
                    };
                    bench.deliver(id, 1, &body(1, 5000), 600);
                    fetched = true;
                }
                sent += bench.datagrams().iter().map(Vec::len).sum::<usize>();
            }
            assert!(sent <= 3 * request.len(), "{sent} for {}: {request:02x?}", request.len());
            worst = worst.max(sent as f64 / request.len() as f64);
        }
    }
    assert!((2.0..=3.0).contains(&worst), "{worst}");
}

/// Ten thousand forged sources: each pays for what its victim gets.
#[test]
fn a_flood_of_forged_sources_is_no_flood_of_answers() {
    let mut bench = Bench::with_image(5000, 600);
    let request = Ask::block(1, 1, "image.bin", 0, 6).datagram();
    let mut sent = 0;
    for n in 0..10_000 {
        sent += answers(&mut bench, from(n), &request).iter().map(Vec::len).sum::<usize>();
    }
    assert!(sent <= 3 * 10_000 * request.len());
    assert!(bench.engine.load().peers <= config().limits.transfers, "and memory is bounded");
}

#[test]
fn a_client_that_does_not_know_echo_gets_small_blocks() {
    let mut bench = Bench::with_image(500, 600);
    let mut bytes = Vec::new();
    let mut szx = 6;
    for num in 0.. {
        let answer = ask(&mut bench, from(1), &Ask::block(1, num as u16, "image.bin", num, szx));
        assert_eq!(answer.code, Code::CONTENT, "{answer:?}");
        szx = answer.block().szx.exponent();
        bytes.extend_from_slice(&answer.payload);
        if !answer.block().more {
            break;
        }
    }
    assert_eq!(bytes, body(1, 500));
}

#[test]
fn who_brings_an_echo_value_back_gets_what_it_asks_for() {
    let mut bench = Bench::with_image(5000, 6000);
    // Long enough that an Echo value has room beside the block.
    let large = Ask { token: vec![1; 8], ..Ask::block(1, 1, "image.bin", 0, 6) };
    let small = ask(&mut bench, from(1), &large);
    assert!(small.payload.len() <= 64, "{small:?}");
    let echo = small.value(option::ECHO);
    let brings = |message_id: u16| Ask { message_id, ..large.clone() }.with(option::ECHO, &echo);
    assert!(ask(&mut bench, from(2), &brings(2)).payload.len() <= 64, "another's");
    assert_eq!(ask(&mut bench, from(1), &brings(3)).payload.len(), 1024);
    let again = Ask { message_id: 4, ..large.clone() };
    assert_eq!(ask(&mut bench, from(1), &again).payload.len(), 1024, "without Echo, for a while");
    bench.pass(Duration::from_secs(601));
    let late = Ask { message_id: 5, ..large };
    assert!(ask(&mut bench, from(1), &late).payload.len() <= 64, "and no longer");
}

#[test]
fn a_request_that_is_too_short_for_any_block_is_asked_for_echo() {
    let mut bench = Bench::with_image(5000, 600);
    let short =
        Ask { options: vec![(option::URI_PATH, b"fw".to_vec())], token: Vec::new(), ..Ask::get(1, 1, "") };
    let answer = ask(&mut bench, from(1), &short);
    assert_eq!((answer.code, answer.payload.len()), (Code::UNAUTHORIZED, 0));
    let with_echo = Ask { message_id: 2, ..short }.with(option::ECHO, &answer.value(option::ECHO));
    bench.engine.handle_datagram(bench.now, from(1), &with_echo.datagram());
    assert!(bench.command().is_some(), "the origin is asked now");
}

/// A request for the largest block, as devices in a session make it.
fn in_session(message_id: u16) -> Ask {
    Ask::block(1, message_id, "image.bin", 0, 6)
}

/// Sends a request of a session from an address, and reads the one answer.
fn ask_in_session(bench: &mut Bench, path: Path, device: &mut Device, ask: &Ask) -> Answer {
    let (datagram, number) = device.protect(ask);
    let answers = answers(bench, path, &datagram);
    assert_eq!(answers.len(), 1, "{answers:02x?}");
    let answer = device.open(number.number(), &answers[0]).unwrap().0;
    assert!(answer.code == Code::CONTENT || answers[0].len() <= 3 * datagram.len());
    answer
}

#[test]
fn a_request_in_a_session_is_answered_in_full_where_its_address_is_live() {
    let mut bench = Bench::with_image(5000, 6000);
    let mut device = Device::with_session(&mut bench, 1, b"kid");
    let asked = ask_in_session(&mut bench, from(1), &mut device, &in_session(1));
    assert_eq!((asked.code, asked.payload.len()), (Code::UNAUTHORIZED, 0));
    let brings = |id: u16| in_session(id).with(option::ECHO, &asked.value(option::ECHO));
    let elsewhere = ask_in_session(&mut bench, from(2), &mut device, &brings(2));
    assert_eq!(elsewhere.code, Code::UNAUTHORIZED, "the value is for one address");
    let plain = ask(&mut bench, from(1), &brings(3));
    assert!(plain.payload.len() <= 64, "and for the session: {plain:?}");
    let (datagram, number) = device.protect(&brings(4));
    for turn in 0..2 {
        let answer = answers(&mut bench, from(1), &datagram).remove(0);
        let answer = device.open(number.number(), &answer).unwrap().0;
        assert_eq!(answer.payload.len(), 1024, "{turn}");
    }
    let without = ask_in_session(&mut bench, from(1), &mut device, &in_session(5));
    assert_eq!(without.payload.len(), 1024, "for a while");
    bench.pass(Duration::from_secs(601));
    let late = ask_in_session(&mut bench, from(1), &mut device, &in_session(6));
    assert_eq!(late.code, Code::UNAUTHORIZED, "and no longer");
}

/// Whoever recorded one request, and whoever has a key: neither makes the relay send more than three times what it got.
#[test]
fn replays_and_forged_sources_in_a_session_get_three_times_what_they_sent() {
    let observe = |id: u16| in_session(id).uint(option::OBSERVE, 0);
    let total = |bench: &mut Bench, path: Path, datagram: &[u8]| {
        let sent: usize = answers(bench, path, datagram).iter().map(Vec::len).sum();
        assert!(sent <= 3 * datagram.len(), "{sent} for {}", datagram.len());
        sent
    };
    let mut bench = Bench::with_image(5000, 10);
    let mut device = Device::with_session(&mut bench, 1, b"kid");
    let (recorded, _) = device.protect(&observe(1));
    assert!(total(&mut bench, from(1), &recorded) > 0);
    let again: usize = (0..1000).map(|_| total(&mut bench, from(1), &recorded)).sum();
    assert!(again <= 4 * 3 * recorded.len(), "{again}: a number each, so not all are answered");
    for n in 0..1000 {
        let (datagram, _) = device.protect(&observe(n));
        assert!(total(&mut bench, from(u32::from(n) + 2), &datagram) > 0);
    }
    assert_eq!(bench.engine.load().observers, 0);
    assert_eq!(bench.engine.load().outgoing, 0, "nothing is repeated to them");
    let asked = ask_in_session(&mut bench, from(1), &mut device, &observe(2000));
    let shown = observe(2001).with(option::ECHO, &asked.value(option::ECHO));
    assert_eq!(ask_in_session(&mut bench, from(1), &mut device, &shown).code, Code::CONTENT);
    assert_eq!(bench.engine.load().observers, 1);
}

/// After a restart, too, an Echo value shows one address to be live.
#[test]
fn freshness_of_a_session_is_shown_at_one_address() {
    let mut before = Bench::with_image(5000, 600);
    let mut device = Device::with_session(&mut before, 1, b"kid");
    let kept = before.engine.keep_sessions(before.now);
    let mut after = Bench::with_image(5000, 600);
    kept.into_iter().for_each(|kept| after.engine.restore_session(after.now, kept).unwrap());
    let kept = after.engine.keep_sessions(after.now);
    after.engine.sessions_kept(&kept);
    let asked = ask_in_session(&mut after, from(1), &mut device, &in_session(1));
    let brings = |id: u16| in_session(id).with(option::ECHO, &asked.value(option::ECHO));
    let elsewhere = ask_in_session(&mut after, from(2), &mut device, &brings(2));
    assert_eq!(elsewhere.code, Code::UNAUTHORIZED);
    assert_eq!(after.engine.sessions(after.now, 0, 1)[0].heard, None);
    let here = ask_in_session(&mut after, from(1), &mut device, &brings(3));
    assert_eq!(here.payload.len(), 1024, "one round trip, for freshness and the address");
}

#[test]
fn neighbours_and_links_are_trusted_unless_nobody_is() {
    let large = Ask::block(1, 1, "image.bin", 0, 6);
    let length = |bench: &mut Bench| {
        bench.engine.handle_datagram(bench.now, from(1), &large.datagram());
        let end = bench.now + Duration::from_secs(10);
        loop {
            if let Some(bytes) = bench.datagrams().iter().find(|bytes| bytes.len() > 4) {
                return Message::parse(bytes).unwrap().payload.len();
            }
            bench.now = bench.engine.poll_timeout().filter(|at| *at <= end).unwrap();
            bench.engine.handle_timeout(bench.now);
        }
    };
    let mut bench = Bench::with_image(5000, 600);
    bench.engine.set_prefixes(vec![Prefix { interface: 4, address: from(9).peer.ip(), length: 64 }]);
    assert_eq!(length(&mut bench), 1024);
    bench.engine.set_prefixes(vec![Prefix { interface: 5, address: from(9).peer.ip(), length: 64 }]);
    assert!(length(&mut bench) <= 64);
    bench.engine.set_link(bench.now, 4, Some(LinkConfig { mtu: 65_000, ..LinkConfig::default() }));
    assert_eq!(length(&mut bench), 1024);
    let mut strict = config();
    strict.echo = EchoPolicy::Always;
    bench.engine.reconfigure(strict);
    assert!(length(&mut bench) <= 64);
    let mut off = config();
    off.echo = EchoPolicy::Off;
    bench.engine.reconfigure(off);
    bench.engine.set_link(bench.now, 4, None);
    assert_eq!(length(&mut bench), 1024);
}

/// A victim that is not there cannot be made to hear of every new version.
#[test]
fn nobody_observes_in_the_name_of_others() {
    let mut bench = Bench::with_image(500, 600);
    let observe = Ask::get(1, 1, "image.bin").uint(option::OBSERVE, 0).uint(option::BLOCK2, 0);
    let answer = ask(&mut bench, from(1), &observe);
    assert_eq!((answer.code, answer.message_type), (Code::CONTENT, Type::Acknowledgement));
    assert_eq!(bench.engine.load().observers, 0);
}

#[test]
fn an_agreement_begins_when_its_address_was_shown_to_be_live() {
    let mut bench = Bench::new(Config { edhoc: true, ..config() });
    let path = vec![(option::URI_PATH, b".well-known".to_vec()), (option::URI_PATH, b"edhoc".to_vec())];
    let first = Ask { code: Code::POST, options: path, ..Ask::get(1, 1, "") };
    let with_payload = |ask: &Ask| [&ask.datagram()[..], &[0xff, 0xf5, 0, 1]].concat();
    let asked = answers(&mut bench, from(1), &with_payload(&first)).remove(0);
    let asked = read(&asked, from(1).peer);
    assert_eq!((asked.code, asked.payload.len()), (Code::UNAUTHORIZED, 0));
    assert!(bench.engine.poll_edhoc().is_none());
    let again = Ask { message_id: 2, ..first }.with(option::ECHO, &asked.value(option::ECHO));
    assert!(answers(&mut bench, from(1), &with_payload(&again)).is_empty());
    assert_eq!(bench.engine.poll_edhoc().unwrap().payload, [0xf5, 0, 1]);
}
