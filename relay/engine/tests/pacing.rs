//! The engine behind a paced link: who waits, what they are told meanwhile, and that nobody is forgotten.

mod support;

use proptest::prelude::*;
use sixfold_engine::{DropReason, Event, LinkConfig, LinkDecision, LinkEvent};
use sixfold_profile::coap::{Code, Type};
use std::collections::BTreeMap;
use std::time::Duration;
use support::{Answer, Ask, Bench};

const MS: Duration = Duration::from_millis(1);
/// Blocks of 64 bytes.
const SZX: u8 = 2;

fn paced(length: usize, config: LinkConfig) -> Bench {
    let mut bench = Bench::with_image(length, 3600);
    bench.engine.set_link(bench.now, 0, Some(config));
    bench
}

fn block(peer: u16, num: u32) -> Ask {
    Ask::block(peer, 100 + num as u16, "image.bin", num, SZX)
}

fn count(bench: &Bench, event: LinkEvent) -> usize {
    bench.events.iter().filter(|found| **found == Event::Link(event)).count()
}

fn decided(bench: &Bench, decision: LinkDecision) -> usize {
    bench.events.iter().filter(|found| **found == Event::Decided(decision)).count()
}

#[test]
fn answers_wait_for_each_other_and_come_in_turn() {
    let mut bench = paced(6400, LinkConfig::default());
    (0..3).for_each(|peer| bench.send(&block(peer, 0)));
    let first = bench.answers();
    assert_eq!((first.len(), first[0].peer), (1, 0), "one at a time");
    bench.now += MS * 20;
    bench.send(&block(0, 1));
    let second = bench.answers();
    assert_eq!((second.len(), second[0].peer), (1, 1), "the next in turn, not the one who asks most");
    bench.now += MS * 20;
    bench.send(&block(1, 1));
    assert_eq!(bench.answers()[0].peer, 2);
    assert_eq!((decided(&bench, LinkDecision::Queued), count(&bench, LinkEvent::Delivered)), (4, 2));
}

#[test]
fn who_waits_longer_is_acknowledged_and_repetitions_are_absorbed() {
    let mut bench = paced(6400, LinkConfig { duty_cycle: 1, ..LinkConfig::default() });
    bench.send(&block(0, 0));
    bench.send(&block(1, 0));
    assert_eq!(bench.answers().len(), 1);
    bench.send(&block(1, 0));
    assert_eq!(bench.answers(), [], "absorbed");
    let later = bench.pass(MS * 1000);
    assert_eq!(
        (later[0].message_type, later[0].code, later[0].peer),
        (Type::Acknowledgement, Code::EMPTY, 1)
    );
    bench.send(&block(1, 0));
    assert_eq!(bench.answers()[0].code, Code::EMPTY, "acknowledged again");
    let separate = bench.pass(MS * 2000);
    assert_eq!((separate[0].message_type, separate[0].code), (Type::Confirmable, Code::CONTENT));
    assert_eq!(separate[0].payload.len(), 64);
}

#[test]
fn a_duty_cycle_spaces_answers() {
    let mut bench = paced(6400, LinkConfig { duty_cycle: 10, ..LinkConfig::default() });
    let mut times = Vec::new();
    for num in 0..10 {
        bench.send(&block(0, num));
        while bench.answers().is_empty() {
            bench.now = bench.engine.poll_timeout().expect("it waits").max(bench.now);
            bench.engine.handle_timeout(bench.now);
        }
        times.push(bench.now);
    }
    // Two frames of about 11 ms together, and nine times as much silence.
    let gaps: Vec<_> = times.windows(2).map(|pair| pair[1].since(pair[0])).collect();
    assert!(gaps.iter().all(|gap| *gap >= MS * 100 && *gap <= MS * 130), "{gaps:?}");
}

/// A client that takes one block and goes must not slow the link for those that stay.
#[test]
fn only_who_fetches_block_after_block_is_missed() {
    for (blocks, missed) in [(1, false), (2, true)] {
        let mut bench = paced(6400, LinkConfig::default());
        for num in 0..blocks {
            bench.send(&block(0, num));
            bench.pass(MS * 20);
        }
        bench.pass(MS * 500);
        bench.send(&block(1, 0));
        bench.answers();
        assert_eq!(decided(&bench, LinkDecision::Quiet) > 0, missed, "{blocks} blocks");
    }
}

/// Who asks again and again while an answer waits pays for it, and is told so.
#[test]
fn who_floods_is_refused_and_waits_longer() {
    let mut bench = paced(640_000, LinkConfig::default());
    let mut served = [0_u16; 21];
    (1..21).for_each(|peer| bench.send(&block(peer, 0)));
    for step in 0..2000_u16 {
        bench.send(&Ask::block(0, 1000 + step, "image.bin", u32::from(step) * 7 % 5000, SZX));
        for answer in bench.pass(MS * 20).into_iter().filter(|answer| answer.code == Code::CONTENT) {
            let count = &mut served[usize::from(answer.peer)];
            *count += 1;
            if answer.peer > 0 {
                bench.send(&Ask::block(answer.peer, 5000 + *count, "image.bin", u32::from(*count), SZX));
            }
        }
    }
    assert!(served[1..].iter().all(|&other| other > 2 * served[0]), "{served:?}");
    assert!(decided(&bench, LinkDecision::Limited) > 1000 && decided(&bench, LinkDecision::Silenced) > 1000);
}

#[test]
fn lost_and_late_are_told_apart() {
    let mut bench = paced(6400, LinkConfig::default());
    bench.send(&block(0, 0));
    bench.now += MS;
    bench.send(&block(0, 0));
    bench.pass(MS * 3000);
    bench.send(&block(0, 0));
    bench.answers();
    assert_eq!(
        (count(&bench, LinkEvent::Late), count(&bench, LinkEvent::Lost)),
        (1, 1),
        "{:?}",
        bench.events
    );
    assert!(count(&bench, LinkEvent::Expired) > 0);
}

#[test]
fn a_client_over_its_own_limit_is_told_so() {
    let mut bench = paced(64_000, LinkConfig { duty_cycle: 1, ..LinkConfig::default() });
    (0..20).for_each(|num| bench.send(&block(0, num)));
    let codes: Vec<_> = bench.answers().iter().map(|answer| answer.code).collect();
    assert_eq!(codes[0], Code::CONTENT);
    assert_eq!(codes[1..], [Code::TOO_MANY_REQUESTS; 3], "16 wait");
}

#[test]
fn beyond_what_the_link_carries_newcomers_are_sent_away() {
    let mut bench = paced(6400, LinkConfig { duty_cycle: 1, ..LinkConfig::default() });
    (0..300).for_each(|peer| bench.send(&block(peer, 0)));
    let refused: Vec<Answer> =
        bench.answers().into_iter().filter(|answer| answer.code == Code::SERVICE_UNAVAILABLE).collect();
    assert!(refused.len() > 30, "{}", refused.len());
    let ages: Vec<_> = refused.iter().filter_map(|answer| answer.uint(14)).collect();
    assert_eq!(ages.len(), refused.len(), "each has a Max-Age");
    assert!(ages.iter().min() < ages.iter().max(), "spread");
    let early = bench.ask(&block(299, 1));
    assert_eq!(early.code, Code::SERVICE_UNAVAILABLE, "who comes early is not served for it");
}

#[test]
fn an_idle_link_answers_as_if_it_were_not_paced() {
    let mut paced = paced(6400, LinkConfig::default());
    let mut plain = Bench::with_image(6400, 3600);
    for num in 0..100 {
        assert_eq!(paced.ask(&block(0, num)), plain.ask(&block(0, num)));
        (paced.now, plain.now) = (paced.now + MS * 20, plain.now + MS * 20);
    }
}

#[test]
fn those_who_wait_are_answered_when_pacing_ends() {
    let mut bench = paced(6400, LinkConfig { duty_cycle: 10, ..LinkConfig::default() });
    (0..5).for_each(|peer| bench.send(&block(peer, 0)));
    assert_eq!(bench.answers().len(), 1);
    bench.engine.set_link(bench.now, 0, None);
    assert_eq!(bench.answers().len(), 4);
    assert_eq!(bench.engine.load().exchanges, 0);
}

proptest! {
    /// Whatever devices ask, and whatever is lost: each request is answered or refused in the end, once, and nothing is
    /// left waiting.
    #[test]
    fn every_admitted_request_is_answered_or_refused(
        steps in proptest::collection::vec((0_u16..12, 0_u32..40, 0_u32..300, any::<bool>()), 1..150),
        duty_cycle in 1_u8..=100,
    ) {
        let mut bench = paced(2560, LinkConfig { duty_cycle, ..LinkConfig::default() });
        let (mut asked, mut answers) = (BTreeMap::new(), Vec::new());
        for (message_id, (peer, num, wait, confirmable)) in (1000..).zip(steps) {
            let ask = Ask::block(peer, message_id, "image.bin", num, SZX);
            asked.insert((peer, ask.token.clone()), 0);
            bench.send(&if confirmable { ask } else { ask.non() });
            answers.extend(bench.answers());
            answers.extend(bench.pass(MS * wait));
        }
        // Longer than patience and the retransmissions of separate responses.
        answers.extend(bench.pass(Duration::from_secs(400)));
        let mut seen = std::collections::BTreeSet::new();
        for answer in answers.iter().filter(|answer| answer.code != Code::EMPTY) {
            if seen.insert((answer.peer, answer.message_id, answer.message_type as u8)) {
                *asked.get_mut(&(answer.peer, answer.token.clone())).expect("asked for") += 1;
            }
        }
        let dropped = Event::Dropped(DropReason::Refused);
        let dropped = bench.events.iter().filter(|event| **event == dropped).count();
        prop_assert!(asked.values().all(|&times| times <= 1), "{:?}", asked);
        prop_assert_eq!(asked.values().filter(|&&times| times == 0).count(), dropped, "{:?}", asked);
        prop_assert_eq!((bench.engine.load().exchanges, bench.engine.load().outgoing), (0, 0));
        prop_assert!(!bench.events.contains(&Event::Dropped(DropReason::Exchanges)));
    }
}
