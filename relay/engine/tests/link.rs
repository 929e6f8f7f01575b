//! What a paced link makes of everything else: block sizes, small answers, notifications, refusals.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use sixfold_engine::{DropReason, Event, LinkConfig, LinkDecision};
use sixfold_profile::coap::{Code, Type, option};
use std::time::Duration;
use support::{Answer, Ask, Bench, body, empty, path};

const MS: Duration = Duration::from_millis(1);
/// A link that may hardly ever send: whatever leaves, the next answer waits.
const SLOW: u8 = 1;

fn paced(length: usize, config: LinkConfig) -> Bench {
    let mut bench = Bench::with_image(length, 3600);
    bench.engine.set_link(bench.now, 0, Some(config));
    bench
}

fn slow() -> LinkConfig {
    LinkConfig { duty_cycle: SLOW, ..LinkConfig::default() }
}

fn decided(bench: &Bench, decision: LinkDecision) -> usize {
    bench.events.iter().filter(|found| **found == Event::Decided(decision)).count()
}

/// The answer to a request, when it comes.
fn fetch(bench: &mut Bench, ask: &Ask) -> Answer {
    bench.send(ask);
    let mut answers = bench.answers();
    for _ in 0..600 {
        let mine = |answer: &Answer| answer.peer == ask.peer && answer.code != Code::EMPTY;
        if let Some(answer) = answers.into_iter().find(mine) {
            return answer;
        }
        answers = bench.pass(MS * 100);
    }
    panic!("no answer to {ask:?}");
}

/// Asks for a block again and again, as a client whose answers get lost; what arrives at last.
fn fetch_in_vain(bench: &mut Bench, ask: &Ask, times: usize) -> Answer {
    for _ in 0..times {
        fetch(bench, ask);
        bench.pass(MS * 2500);
    }
    fetch(bench, ask)
}

#[test]
fn a_link_that_loses_frames_gets_smaller_blocks() {
    let mut bench = paced(100_000, LinkConfig::default());
    assert_eq!(fetch(&mut bench, &Ask::block(0, 1, "image.bin", 0, 6)).payload.len(), 1024);
    let answer = fetch_in_vain(&mut bench, &Ask::block(0, 2, "image.bin", 1, 6), 12);
    assert!(answer.payload.len() < 1024, "{}", answer.payload.len());
    assert_eq!(answer.block().offset(), 1024, "the bytes that were asked for");
    assert!(decided(&bench, LinkDecision::SmallerBlocks) > 0);
    let small = answer.payload.len();
    // All is well again, as another client shows.
    for num in 0..400 {
        fetch(&mut bench, &Ask::block(1, 100 + num, "image.bin", u32::from(num), 2));
    }
    assert_eq!(fetch(&mut bench, &Ask::block(2, 1, "image.bin", 0, 6)).payload.len(), 1024, "for newcomers");
    let again = fetch(&mut bench, &Ask::block(0, 3, "image.bin", 5, 6));
    assert!(again.payload.len() <= small, "sizes never grow within a transfer");
    assert_eq!(
        fetch(&mut bench, &Ask::block(0, 4, "image.bin", 7, 0)).payload.len(),
        16,
        "never above what is asked"
    );
}

#[test]
fn long_bodies_keep_blocks_that_can_be_counted() {
    let length = (1 << 20) * 32 + 1;
    let mut bench = Bench::new(sixfold_engine::Config { max_object: 1 << 30, ..support::config() });
    bench.engine.set_link(bench.now, 0, Some(LinkConfig::default()));
    bench.send(&Ask::block(0, 1, "large.bin", 0, 6));
    let id = bench.fetch();
    bench.origin(id, support::head(1, length, 60));
    assert_eq!(bench.answers(), []);
    bench.origin(id, sixfold_engine::OriginEvent::Data(vec![7; 8192].into()));
    bench.answers();
    let answer = fetch_in_vain(&mut bench, &Ask::block(0, 2, "large.bin", 1, 6), 40);
    assert_eq!((answer.code, answer.payload.len()), (Code::CONTENT, 64), "NUM has 20 bits");
}

#[test]
fn blocks_fit_what_devices_can_put_together() {
    let mut bench = paced(6400, LinkConfig { mtu: 300, ..LinkConfig::default() });
    let answer = fetch(&mut bench, &Ask::block(0, 1, "image.bin", 1, 6));
    assert_eq!((answer.payload.len(), answer.block().offset()), (128, 1024));
    assert_eq!(fetch(&mut bench, &Ask::get(1, 1, "image.bin")).payload.len(), 128, "without Block2, too");
}

#[test]
fn small_answers_wait_for_their_turn_too() {
    let mut bench = paced(6400, slow());
    bench.send(&Ask::get(5, 1, "absent"));
    let id = bench.fetch();
    bench.origin(id, sixfold_engine::OriginEvent::Failed(sixfold_engine::Failure::Status(404)));
    assert_eq!(bench.answers()[0].code, Code::NOT_FOUND, "the link was idle");
    let etag = bench.pass(MS * 5000).len();
    assert_eq!(etag, 0);
    let first = bench.ask(&Ask::block(0, 1, "image.bin", 0, 2));
    bench.send(&Ask::get(1, 1, "absent"));
    bench.send(&Ask::get(2, 1, "image.bin").with(option::ETAG, &first.etag()));
    assert_eq!(bench.answers(), [], "neither what is remembered nor what is validated");
    let later = bench.pass(MS * 20_000);
    let codes = |peer| later.iter().filter(move |answer| answer.peer == peer).map(|answer| answer.code);
    assert!(codes(1).any(|code| code == Code::NOT_FOUND) && codes(2).any(|code| code == Code::VALID));
}

#[test]
fn whatever_leaves_keeps_the_channel() {
    let mut bench = paced(6400, slow());
    let wrong = Ask { code: Code::PUT, ..Ask::get(0, 1, "image.bin") };
    assert_eq!(bench.ask(&wrong).code, Code::METHOD_NOT_ALLOWED);
    bench.send(&Ask::block(1, 1, "image.bin", 0, 2));
    assert_eq!(bench.answers(), [], "an error took its share of the time");
    assert_eq!(bench.engine.link_status(bench.now)[0].waiting, 1);
}

/// Five observers of an image with two blocks.
fn observed(config: LinkConfig) -> Bench {
    let mut bench = Bench::with_image(100, 10);
    for peer in 0..5 {
        let answer = bench.ask(&Ask::block(peer, 1, "image.bin", 0, 2).uint(option::OBSERVE, 0));
        assert_eq!(answer.code, Code::CONTENT);
    }
    bench.engine.set_link(bench.now, 0, Some(config));
    bench
}

/// The origin has another version, which its observers will hear of.
fn change(bench: &mut Bench, version: u8) -> Vec<Answer> {
    let mut answers = bench.pass(MS * 15_000);
    let id = bench.fetch();
    bench.deliver(id, version, &body(version, 100), 10);
    answers.extend(bench.answers());
    answers.into_iter().filter(|answer| answer.message_type == Type::Confirmable).collect()
}

#[test]
fn notifications_leave_one_by_one() {
    let mut bench = observed(LinkConfig::default());
    let mut told = change(&mut bench, 2);
    for number in 1..=5 {
        assert_eq!(told.len(), 1, "notification {number}");
        assert_eq!((told[0].code, told[0].payload.as_slice()), (Code::CONTENT, &body(2, 100)[..64]));
        bench.now += MS * 20;
        let acknowledgement = empty(Type::Acknowledgement, told[0].message_id);
        bench.datagram(told[0].peer, &acknowledgement);
        told = bench.answers();
    }
    assert_eq!(told, []);
}

#[test]
fn a_notification_that_waited_is_the_newest() {
    let mut bench = observed(slow());
    // The first answer keeps the link for so long that the others wait when the next version comes.
    bench.ask(&Ask::get(9, 1, "image.bin"));
    let mut told = change(&mut bench, 2);
    assert!(told.len() < 5, "{told:?}");
    told.extend(change(&mut bench, 3));
    told.extend(bench.pass(MS * 60_000));
    for peer in 0..5 {
        let last = told.iter().rfind(|answer| answer.peer == peer && answer.code == Code::CONTENT);
        assert_eq!(last.unwrap().payload, body(3, 100)[..64], "{peer}");
    }
}

#[test]
fn observers_hear_that_there_is_nothing_left() {
    let mut bench = observed(LinkConfig::default());
    bench.pass(MS * 15_000);
    let id = bench.fetch();
    bench.origin(id, sixfold_engine::OriginEvent::Failed(sixfold_engine::Failure::Status(404)));
    let told = [bench.answers(), bench.pass(MS * 1000)].concat();
    let told: Vec<_> = told.iter().filter(|answer| answer.code == Code::NOT_FOUND).map(|a| a.peer).collect();
    assert_eq!(told, [0, 1, 2, 3, 4]);
    assert_eq!(bench.engine.load().observers, 0);
}

#[test]
fn who_is_refused_and_asks_on_hears_nothing() {
    let mut bench = paced(64_000, slow());
    (0..30).for_each(|num| bench.send(&Ask::block(0, 100 + num as u16, "image.bin", num, 2)));
    let answers = bench.answers();
    let refused: Vec<_> = answers.iter().filter(|answer| answer.code == Code::TOO_MANY_REQUESTS).collect();
    assert_eq!(refused.len(), 3, "of thirteen");
    assert!(refused.iter().all(|answer| answer.uint(option::MAX_AGE) == Some(1)), "RFC 8516");
    assert_eq!(decided(&bench, LinkDecision::Limited), 13);
    assert_eq!(decided(&bench, LinkDecision::Silenced), 10);
    let dropped = bench.events.iter().filter(|event| **event == Event::Dropped(DropReason::Refused));
    assert_eq!(dropped.count(), 10);
    bench.now += MS * 2000;
    bench.send(&Ask::block(0, 500, "image.bin", 400, 2));
    assert_eq!(bench.answers(), [], "what it asked in vain puts the next refusal off");
    bench.now += MS * 8000;
    assert_eq!(bench.ask(&Ask::block(0, 501, "image.bin", 400, 2)).code, Code::TOO_MANY_REQUESTS);
}

#[test]
fn who_may_come_back_is_told_when() {
    let config = sixfold_engine::Config {
        limits: sixfold_engine::Limits { fetches: 0, ..Default::default() },
        ..support::config()
    };
    let answer = Bench::new(config).ask(&Ask::get(0, 1, "image.bin"));
    assert_eq!(answer.code, Code::SERVICE_UNAVAILABLE);
    assert_eq!(answer.uint(option::MAX_AGE), Some(1), "without it a client waits for a minute");
}

#[test]
fn who_is_not_let_in_is_told_so() {
    let mut bench = paced(6400, LinkConfig::default());
    let excess = |bench: &mut Bench, datagram: &[u8]| {
        bench.engine.handle_excess(bench.now, path(0), datagram);
        bench.answers()
    };
    let ask = Ask::block(0, 1, "image.bin", 0, 2);
    let told = excess(&mut bench, &ask.datagram());
    assert_eq!((told[0].message_type, told[0].code), (Type::Acknowledgement, Code::TOO_MANY_REQUESTS));
    assert_eq!((told[0].token.clone(), told[0].uint(option::MAX_AGE)), (ask.token.clone(), Some(1)));
    let told = excess(&mut bench, &ask.non().datagram());
    assert_eq!((told[0].message_type, told[0].code), (Type::NonConfirmable, Code::TOO_MANY_REQUESTS));
    assert_eq!(excess(&mut bench, b"nonsense"), []);
    assert_eq!(excess(&mut bench, &empty(Type::Acknowledgement, 1)), []);
    let dropped = bench.events.iter().filter(|event| **event == Event::Dropped(DropReason::ClientRate));
    assert_eq!(dropped.count(), 4);
}

#[test]
fn the_response_is_confirmable_if_its_request_was() {
    let mut bench = paced(6400, slow());
    bench.ask(&Ask::block(0, 1, "image.bin", 0, 2));
    bench.send(&Ask::block(1, 1, "image.bin", 0, 2).non());
    bench.send(&Ask::block(2, 1, "image.bin", 0, 2));
    let answers = bench.pass(MS * 10_000);
    let of = |peer| -> Vec<_> {
        let mine = answers.iter().filter(|answer| answer.peer == peer);
        mine.map(|answer| (answer.message_type, answer.code)).collect()
    };
    assert_eq!(of(1), [(Type::NonConfirmable, Code::CONTENT)]);
    assert_eq!(of(2)[..2], [(Type::Acknowledgement, Code::EMPTY), (Type::Confirmable, Code::CONTENT)]);
    assert_eq!(decided(&bench, LinkDecision::Separated), 1);
}

/// A link with all places taken. Peer 0 has one, peers 10 and 11 have none.
fn full() -> Bench {
    let mut bench = paced(6400, slow());
    (0..12).for_each(|peer| bench.send(&Ask::block(peer, 1, "image.bin", 98, 2)));
    bench.answers();
    bench
}

#[test]
fn the_end_of_an_image_needs_no_new_place() {
    let mut bench = full();
    assert_eq!(bench.ask(&Ask::block(11, 2, "image.bin", 99, 2)).code, Code::SERVICE_UNAVAILABLE);
    let last = Ask::block(0, 2, "image.bin", 99, 2);
    assert_eq!(fetch(&mut bench, &last).code, Code::CONTENT);
    // It was lost, and the client asks once more: as a newcomer it would be sent away.
    assert_eq!(fetch(&mut bench, &Ask { message_id: 3, ..last }).code, Code::CONTENT);
}

#[test]
fn who_ignores_its_appointment_is_not_served_before_it() {
    let mut bench = full();
    let again = |bench: &mut Bench, peer, message_id| {
        bench.pass(MS * 1000);
        bench.ask(&Ask::block(peer, message_id, "image.bin", 0, 2))
    };
    let patient = again(&mut bench, 10, 10).uint(option::MAX_AGE).unwrap();
    let appointment = bench.now + Duration::from_secs(patient.into());
    let impatient = again(&mut bench, 11, 10).uint(option::MAX_AGE).unwrap();
    let own = bench.now + Duration::from_secs(impatient.into());
    for message_id in 20..30 {
        let answer = again(&mut bench, 11, message_id);
        let at = bench.now + Duration::from_secs(answer.uint(option::MAX_AGE).unwrap().into());
        assert_eq!(answer.code, Code::SERVICE_UNAVAILABLE);
        // Max-Age is in whole seconds.
        assert!(at + MS * 1000 > own && at < own + MS * 1000, "neither sooner nor later for it");
    }
    assert!(own > appointment, "who was there first is served first");
}

/// Deficit round robin does not care how much anybody has still to get: who is near its end waits for one round.
#[test]
fn devices_near_their_end_are_not_starved_by_newcomers() {
    let mut bench = paced(6400, LinkConfig::default());
    let (mut next, mut asked) = (1, None);
    bench.send(&Ask::block(0, 1, "image.bin", 98, 2));
    (1..20).for_each(|peer| bench.send(&Ask::block(peer, 1, "image.bin", 0, 2)));
    let mut others = 0;
    for step in 0..2000_u16 {
        let answers = bench.answers();
        for answer in answers.into_iter().filter(|answer| answer.code == Code::CONTENT) {
            match (answer.peer, answer.block().num()) {
                (0, 99) => {
                    assert!(
                        others < 19 * 40,
                        "{others} answers to others meanwhile: more than a turn for each"
                    );
                    return;
                }
                (0, num) => {
                    asked = Some(step);
                    bench.send(&Ask::block(0, 2, "image.bin", num + 1, 2));
                }
                (peer, num) => {
                    others += usize::from(asked.is_some());
                    next += 1;
                    bench.send(&Ask::block(peer, 1000 + next, "image.bin", num + 1, 2));
                    // Somebody new comes with each answer, too.
                    bench.send(&Ask::block(100 + next, 1, "image.bin", 0, 2));
                }
            }
        }
        bench.now += MS * 20;
        bench.engine.handle_timeout(bench.now);
    }
    panic!("never served: {asked:?}");
}
