//! The message layer: what travels in which message, and what happens to what is repeated, malformed or unwanted
//! (RFC 7252 §4, §5; RFC 7967).

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "these are tests")]

mod support;

use sixfold_engine::{CacheResult, DropReason, Event, Failure, OriginEvent};
use sixfold_profile::coap::{Code, Type, option};
use std::time::Duration;
use support::{Ask, Bench, body, config, empty, head, path};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_confirmable_request_is_answered_in_its_acknowledgement() {
    let answer = Bench::with_image(100, 60).ask(&Ask::get(1, 77, "image.bin"));
    assert_eq!((answer.message_type, answer.message_id), (Type::Acknowledgement, 77));
    assert_eq!((answer.token, answer.payload), (vec![0, 77], body(1, 100)));
}

#[test]
fn a_non_confirmable_request_is_answered_in_kind() {
    let answer = Bench::with_image(100, 60).ask(&Ask::get(1, 77, "image.bin").non());
    assert_eq!((answer.message_type, answer.code), (Type::NonConfirmable, Code::CONTENT));
}

#[test]
fn a_slow_origin_means_empty_ack_then_separate_response() {
    let mut bench = Bench::new(config());
    bench.send(&Ask::get(1, 5, "image.bin"));
    let id = bench.fetch();
    assert_eq!(bench.answers(), []);
    let ack = bench.pass(SECOND).remove(0);
    assert_eq!((ack.message_type, ack.code, ack.message_id), (Type::Acknowledgement, Code::EMPTY, 5));
    bench.deliver(id, 1, &body(1, 10), 60);
    let response = bench.answers().remove(0);
    assert_eq!((response.message_type, response.code), (Type::Confirmable, Code::CONTENT));
    assert_eq!(response.token, [0, 5], "the token belongs to the request");
    bench.datagram(1, &empty(Type::Acknowledgement, response.message_id));
    assert_eq!(bench.pass(200 * SECOND), [], "acknowledged: not repeated");
}

#[test]
fn an_unacknowledged_response_is_repeated_with_back_off_and_then_given_up() {
    let mut bench = Bench::new(config());
    bench.send(&Ask::get(1, 5, "image.bin"));
    let id = bench.fetch();
    bench.pass(SECOND);
    bench.deliver(id, 1, &body(1, 10), 60);
    let first = bench.answers().remove(0);
    let mut gaps = Vec::new();
    let mut last = bench.now;
    while bench.engine.load().outgoing > 0 {
        bench.now = bench.engine.poll_timeout().unwrap();
        bench.engine.handle_timeout(bench.now);
        for repeated in bench.answers() {
            assert_eq!(repeated, first);
            gaps.push(bench.now.since(last));
            last = bench.now;
        }
    }
    assert_eq!(gaps.len(), 4, "MAX_RETRANSMIT");
    assert!((2 * SECOND..=3 * SECOND).contains(&gaps[0]));
    let micros = Duration::from_micros(9);
    assert!(gaps.windows(2).all(|pair| pair[1].abs_diff(2 * pair[0]) < micros), "{gaps:?}");
    assert!(bench.events.contains(&Event::Dropped(DropReason::Unacknowledged)));
}

/// RFC 7252 §4.7: NSTART is 1.
#[test]
fn one_separate_response_at_a_time_is_repeated() {
    let mut bench = Bench::new(config());
    (5..8).for_each(|message_id| bench.send(&Ask::block(1, message_id, "image.bin", 0, 2)));
    let id = bench.fetch();
    assert_eq!(bench.pass(SECOND).len(), 3, "each has an empty ACK");
    bench.deliver(id, 1, &body(1, 1000), 60);
    let types: Vec<_> = bench.answers().iter().map(|answer| answer.message_type).collect();
    assert_eq!(types, [Type::Confirmable, Type::NonConfirmable, Type::NonConfirmable]);
    assert_eq!(bench.engine.load().outgoing, 1);
}

/// RFC 7252 §4.2: there are other indications than an ACK that a message did arrive.
#[test]
fn who_asks_for_more_is_sent_the_answer_before_no_more() {
    let mut bench = Bench::new(config());
    bench.send(&Ask::block(1, 5, "image.bin", 0, 2));
    let id = bench.fetch();
    bench.pass(SECOND);
    bench.deliver(id, 1, &body(1, 1000), 60);
    assert_eq!(bench.answers()[0].message_type, Type::Confirmable);
    bench.send(&Ask::get(1, 6, "another.bin"));
    assert_eq!(bench.engine.load().outgoing, 1, "that says nothing of the first");
    bench.send(&Ask::block(1, 7, "image.bin", 1, 2));
    assert_eq!(bench.answers()[0].message_type, Type::Acknowledgement);
    assert_eq!(bench.engine.load().outgoing, 0, "no ACK, but the next request");
}

#[test]
fn repetitions_of_a_waiting_request_are_absorbed() {
    let mut bench = Bench::new(config());
    let ask = Ask::get(1, 5, "image.bin");
    bench.send(&ask);
    bench.fetch();
    bench.send(&ask);
    assert_eq!((bench.answers(), bench.command()), (vec![], None));
    bench.pass(SECOND);
    let again = bench.ask(&ask);
    assert_eq!((again.message_type, again.code), (Type::Acknowledgement, Code::EMPTY));
    assert_eq!(bench.engine.load().exchanges, 1);
    assert_eq!(bench.events.iter().filter(|event| **event == Event::RetransmittedRequest).count(), 2);
}

#[test]
fn whoever_waits_too_long_is_told() {
    let mut bench = Bench::new(config());
    bench.send(&Ask::get(1, 5, "image.bin"));
    bench.send(&Ask::get(2, 6, "image.bin").non());
    bench.fetch();
    let answers = bench.pass(100 * SECOND);
    let late: Vec<_> = answers
        .iter()
        .filter(|answer| answer.code == Code::GATEWAY_TIMEOUT)
        .map(|a| a.message_type)
        .collect();
    assert!(late.contains(&Type::Confirmable) && late.contains(&Type::NonConfirmable), "{answers:?}");
    assert_eq!(bench.engine.load().exchanges, 0);
}

#[test]
fn ping_and_nonsense() {
    let mut bench = Bench::with_image(10, 60);
    bench.datagram(1, &empty(Type::Confirmable, 9));
    let pong = bench.answers().remove(0);
    assert_eq!((pong.message_type, pong.message_id), (Type::Reset, 9));
    bench.datagram(1, &[0x4f, 1, 0, 8]);
    assert_eq!(bench.answers()[0].message_type, Type::Reset, "Confirmable and malformed");
    for silent in [&[0x5f, 1, 0, 8][..], &[0x8f, 1, 0, 8], &[], &[0x40], &[0x60, 0, 1, 1], &[0x70, 0, 1, 1]] {
        bench.datagram(1, silent);
        assert_eq!(bench.answers(), [], "{silent:?}");
    }
}

#[test]
fn critical_options_that_are_not_understood() {
    let mut bench = Bench::with_image(10, 60);
    let ask = Ask::get(1, 1, "image.bin").with(2049, b"x");
    assert_eq!(bench.ask(&ask).code, Code::BAD_OPTION);
    bench.send(&ask.non());
    assert_eq!(bench.answers(), [], "in a Non-confirmable message: rejected in silence");
}

#[test]
fn methods() {
    let mut bench = Bench::with_image(10, 60);
    for (code, expected) in [
        (Code::PUT, Code::METHOD_NOT_ALLOWED),
        (Code::POST, Code::METHOD_NOT_ALLOWED),
        (Code::DELETE, Code::METHOD_NOT_ALLOWED),
        (Code(31), Code::METHOD_NOT_ALLOWED),
        (Code::FETCH, Code::BAD_REQUEST),
    ] {
        let ask = Ask { code, ..Ask::get(1, u16::from(code.0), "image.bin") };
        assert_eq!(bench.ask(&ask).code, expected, "{code:?}");
    }
    let fetch = Ask { code: Code::FETCH, ..Ask::get(1, 900, "image.bin").uint(option::CONTENT_FORMAT, 60) };
    assert_eq!(bench.ask(&fetch).code, Code::UNSUPPORTED_CONTENT_FORMAT);
}

#[test]
fn unwanted_responses_stay_here() {
    let mut bench = Bench::with_image(10, 60);
    let quiet = bench.ask(&Ask::get(1, 1, "image.bin").uint(option::NO_RESPONSE, 2));
    assert_eq!((quiet.message_type, quiet.code), (Type::Acknowledgement, Code::EMPTY));
    bench.send(&Ask::get(1, 2, "image.bin").uint(option::NO_RESPONSE, 2).non());
    assert_eq!(bench.answers(), []);
    assert_eq!(bench.ask(&Ask::get(1, 3, "image.bin").uint(option::NO_RESPONSE, 8)).code, Code::CONTENT);
}

#[test]
fn forwarding_is_limited_to_what_is_configured_and_by_hops() {
    let mut bench = Bench::new(config());
    let proxy = |id, uri: &str| Ask {
        options: vec![(option::PROXY_URI, uri.as_bytes().to_vec())],
        ..Ask::get(1, id, "")
    };
    assert_eq!(bench.ask(&proxy(1, "https://elsewhere.example/x")).code, Code::PROXYING_NOT_SUPPORTED);
    let last_hop = proxy(2, "https://origin.example/open/x").uint(option::HOP_LIMIT, 1);
    assert_eq!(bench.ask(&last_hop).code, Code::HOP_LIMIT_REACHED);
    bench.send(&proxy(3, "https://origin.example/open/x"));
    let id = bench.fetch();
    bench.deliver(id, 1, b"hello", 60);
    assert_eq!(bench.answers()[0].payload, b"hello");
    let nowhere = Ask { options: vec![(option::URI_PATH, b"nowhere".to_vec())], ..Ask::get(1, 4, "") };
    assert_eq!(bench.ask(&nowhere).code, Code::NOT_FOUND);
}

#[test]
fn groups_are_answered_for_discovery_only_and_at_leisure() {
    let mut bench = Bench::with_image(10, 60);
    let group = sixfold_engine::Path { multicast: true, ..path(1) };
    let core =
        Ask { options: vec![(11, b".well-known".to_vec()), (11, b"core".to_vec())], ..Ask::get(1, 1, "") };
    for (ask, answered) in
        [(core.clone().non(), true), (core, false), (Ask::get(1, 2, "image.bin").non(), false)]
    {
        bench.engine.handle_datagram(bench.now, group, &ask.datagram());
        assert_eq!(bench.answers(), [], "never at once");
        let later = bench.pass(5 * SECOND);
        assert_eq!(later.len(), usize::from(answered), "{ask:?}");
        assert!(later.iter().all(|answer| answer.message_type == Type::NonConfirmable));
    }
}

#[test]
fn discovery_names_routes_and_images() {
    let mut bench = Bench::with_image(1000, 60);
    let core = |id, query: &str| {
        let options =
            vec![(11, b".well-known".to_vec()), (11, b"core".to_vec()), (15, query.as_bytes().to_vec())];
        Ask { options, ..Ask::get(1, id, "") }
    };
    let all = bench.ask(&core(1, "rt=sixfold.*"));
    let text = String::from_utf8(all.payload.clone()).unwrap();
    assert_eq!(text, "</fw>;rt=\"sixfold.route\",</fw/image.bin>;rt=\"sixfold.image\";ct=42;sz=1000;obs");
    assert_eq!(all.uint(option::CONTENT_FORMAT), Some(40));
    let images = bench.ask(&core(2, "rt=sixfold.image"));
    assert!(images.payload.starts_with(b"</fw/image.bin>"));
    assert_eq!(bench.ask(&core(3, "href=/nothing")).payload, b"");
}

#[test]
fn limits_on_waiting() {
    let mut config = config();
    config.limits.exchanges_per_client = 2;
    config.limits.exchanges = 3;
    config.limits.fetches = 1;
    let mut bench = Bench::new(config);
    for id in 0..2 {
        bench.send(&Ask::block(1, id, "image.bin", u32::from(id), 2));
    }
    assert_eq!(bench.ask(&Ask::get(1, 9, "image.bin")).code, Code::TOO_MANY_REQUESTS);
    bench.send(&Ask::get(2, 1, "image.bin"));
    assert_eq!(bench.ask(&Ask::get(3, 1, "image.bin")).code, Code::SERVICE_UNAVAILABLE, "exchanges");
    assert_eq!(bench.ask(&Ask::get(3, 2, "other.bin")).code, Code::SERVICE_UNAVAILABLE, "fetches");
}

#[test]
fn nothing_is_remembered_for_ever() {
    let mut bench = Bench::new(config());
    for peer in 0..50 {
        bench.send(&Ask::get(peer, 1, &format!("{}", peer % 5)));
    }
    while let Some(command) = bench.command() {
        if let sixfold_engine::FetchCommand::Start { id, .. } = command {
            bench.origin(id, head(1, 2000, 60));
            bench.origin(id, OriginEvent::Failed(Failure::Interrupted));
        }
    }
    bench.pass(400 * SECOND);
    let load = bench.engine.load();
    assert_eq!(
        (load.peers, load.exchanges, load.outgoing, load.fetches, load.timers),
        (0, 0, 0, 0, 0),
        "{load:?}"
    );
    let count = |started| {
        bench.events.iter().filter(|event| started == matches!(event, Event::TransferStarted)).count()
    };
    let ended = bench.events.iter().filter(|event| matches!(event, Event::TransferEnded { .. })).count();
    assert_eq!(count(true), ended, "every transfer that starts ends");
    assert!(bench.events.contains(&Event::Cache(CacheResult::Joined)));
}
