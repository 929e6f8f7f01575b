//! Observers hear of new versions (RFC 7641).

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "these are tests")]

mod support;

use sixfold_engine::{Event, Failure, FetchCommand, Freshness, OriginEvent};
use sixfold_profile::coap::{Code, Type, option};
use std::time::Duration;
use support::{Answer, Ask, Bench, body, config, empty};

const SECOND: Duration = Duration::from_secs(1);

fn observe(peer: u16, token: u16) -> Ask {
    Ask::block(peer, token, "image.bin", 0, 2).uint(option::OBSERVE, 0)
}

/// A relay with one observer, and the answer that it got.
fn observed() -> (Bench, Answer) {
    let mut bench = Bench::with_image(200, 10);
    let answer = bench.ask(&observe(1, 7));
    (bench, answer)
}

/// The origin has another version when it is asked on behalf of the observers.
fn change(bench: &mut Bench, version: u8) -> Vec<Answer> {
    bench.pass(11 * SECOND);
    let id = bench.fetch();
    bench.deliver(id, version, &body(version, 200), 10);
    bench.answers()
}

#[test]
fn a_new_version_is_told_with_its_first_block() {
    let (mut bench, registered) = observed();
    assert!(registered.uint(option::OBSERVE).is_some());
    let news = change(&mut bench, 2).remove(0);
    assert_eq!(
        (news.message_type, news.code, &news.token[..]),
        (Type::Confirmable, Code::CONTENT, &[0, 7][..])
    );
    assert_eq!((&news.payload[..], news.block().more), (&body(2, 200)[..64], true));
    assert!(news.uint(option::OBSERVE) > registered.uint(option::OBSERVE));
    bench.datagram(1, &empty(Type::Acknowledgement, news.message_id));
    let more = change(&mut bench, 3).remove(0);
    assert!(more.uint(option::OBSERVE) > news.uint(option::OBSERVE));
}

#[test]
fn an_unchanged_version_is_no_news() {
    let (mut bench, _) = observed();
    bench.pass(11 * SECOND);
    let Some(FetchCommand::Start { id, have: Some(_), .. }) = bench.command() else { panic!() };
    bench.origin(id, OriginEvent::NotModified(Freshness { max_age: 20 * SECOND, ..Freshness::default() }));
    assert_eq!(bench.answers(), []);
    assert_eq!(bench.pass(19 * SECOND), []);
    assert_eq!(bench.command(), None, "fresh");
    bench.pass(2 * SECOND);
    assert!(bench.command().is_some(), "and asked again");
}

#[test]
fn an_image_without_freshness_is_not_asked_for_all_the_time() {
    let mut bench = Bench::with_image(200, 0);
    bench.send(&observe(1, 7));
    let id = bench.fetch();
    bench.deliver(id, 1, &body(1, 200), 0);
    bench.answers();
    bench.pass(4 * SECOND);
    assert_eq!(bench.command(), None);
    bench.pass(2 * SECOND);
    assert!(bench.command().is_some());
}

#[test]
fn whoever_says_no_or_nothing_is_removed() {
    for says_no in [true, false] {
        let (mut bench, _) = observed();
        let news = change(&mut bench, 2).remove(0);
        if says_no {
            bench.datagram(1, &empty(Type::Reset, news.message_id));
            bench.answers();
        } else {
            bench.pass(100 * SECOND);
        }
        assert_eq!((bench.engine.load().observers, bench.engine.load().outgoing), (0, 0));
        assert!(bench.events.contains(&Event::ObserverRemoved));
    }
}

#[test]
fn deregistering_and_registering_again() {
    let (mut bench, _) = observed();
    bench.ask(&observe(1, 7));
    assert_eq!(bench.engine.load().observers, 1, "the same endpoint and token");
    let plain = bench.ask(&Ask::block(1, 8, "image.bin", 0, 2).uint(option::OBSERVE, 1));
    assert_eq!((plain.uint(option::OBSERVE), bench.engine.load().observers), (None, 1), "another token");
    let mut leave = Ask::block(1, 9, "image.bin", 0, 2).uint(option::OBSERVE, 1);
    leave.token = vec![0, 7];
    bench.ask(&leave);
    assert_eq!(bench.engine.load().observers, 0);
}

#[test]
fn a_resource_that_is_gone_ends_the_observation() {
    let (mut bench, _) = observed();
    bench.pass(11 * SECOND);
    let id = bench.fetch();
    bench.origin(id, OriginEvent::Failed(Failure::Status(404)));
    let news = bench.answers().remove(0);
    assert_eq!((news.code, news.uint(option::OBSERVE)), (Code::NOT_FOUND, None));
    assert_eq!(bench.engine.load().observers, 0);
}

#[test]
fn newer_news_take_the_place_of_unacknowledged_ones() {
    let (mut bench, _) = observed();
    change(&mut bench, 2);
    let latest = change(&mut bench, 3);
    let latest = latest.iter().filter(|news| news.payload == body(3, 200)[..64]).count();
    assert_eq!((latest, bench.engine.load().outgoing), (1, 1));
    let repeated = bench.pass(10 * SECOND);
    assert!(!repeated.is_empty() && repeated.iter().all(|news| news.payload == body(3, 200)[..64]));
}

#[test]
fn observers_are_bounded() {
    let mut config = config();
    config.limits.observers = 1;
    let mut bench = Bench::new(config);
    bench.send(&observe(1, 7));
    let id = bench.fetch();
    bench.deliver(id, 1, &body(1, 200), 60);
    bench.answers();
    let served = bench.ask(&observe(2, 7));
    assert_eq!((served.code, served.uint(option::OBSERVE)), (Code::CONTENT, None));
}
