//! Fan-out: who takes part, what a stream is made of, and that a fleet with losses has everything in the end.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "these are tests")]

mod support;

use sixfold_engine::{Event, FanoutEvent, LinkConfig, PlanKind};
use sixfold_profile::coap::{Code, Type, option};
use std::time::Duration;
use support::members::{Fleet, GROUP, q_block};
use support::{Ask, Bench, body};

const MS: Duration = Duration::from_millis(1);
const KIB: usize = 1024;

fn fanned_out(length: usize) -> Bench {
    let mut bench = Bench::with_image(length, 3600);
    bench.engine.set_link(bench.now, 0, Some(LinkConfig::default()));
    bench
}

fn ask(peer: u16, message_id: u16, nums: &[u32]) -> Ask {
    let ask = Ask::get(peer, message_id, "image.bin").uint(option::OBSERVE, 0);
    nums.iter().fold(ask, |ask, &num| ask.uint(option::Q_BLOCK2, q_block(num, false)))
}

fn count(bench: &Bench, event: FanoutEvent) -> usize {
    bench.events.iter().filter(|found| **found == Event::Fanout(event)).count()
}

#[test]
fn the_second_member_starts_a_stream_and_who_asks_meanwhile_changes_nothing() {
    let mut bench = fanned_out(640);
    let alone = bench.ask(&ask(1, 1, &[0]));
    assert_eq!((alone.code, alone.uint(option::Q_BLOCK2)), (Code::CONTENT, Some(0b1010)));
    assert_eq!((alone.uint(option::BLOCK2), &alone.payload[..]), (None, &body(1, 640)[..64]));
    bench.now += MS * 100;
    bench.send(&ask(2, 1, &[0]));
    let mut answers = bench.answers();
    let told = answers.remove(0);
    assert_eq!((told.message_type, told.code), (Type::Acknowledgement, Code::SERVICE_UNAVAILABLE));
    assert_eq!((told.uint(option::MAX_AGE), told.payload.len()), (Some(1), 0));
    bench.send(&ask(3, 1, &[0]));
    answers.extend(bench.answers().into_iter().filter(|answer| answer.peer == GROUP));
    answers.extend(bench.pass(MS * 500));
    assert_eq!(answers.len(), 10, "{answers:?}");
    let bytes: Vec<u8> = answers.iter().flat_map(|answer| answer.payload.clone()).collect();
    assert_eq!(bytes, body(1, 640));
    for (num, datagram) in (0..).zip(&answers) {
        assert_eq!((datagram.peer, datagram.message_type), (GROUP, Type::NonConfirmable));
        assert_eq!((datagram.code, datagram.block().num()), (Code::CONTENT, num));
        assert_eq!(datagram.token, alone.etag()[..2]);
        assert_eq!(datagram.etag(), alone.etag());
        let numbers: Vec<_> = datagram.options.iter().map(|(number, _)| *number).collect();
        assert_eq!(numbers, [option::ETAG, option::BLOCK2]);
    }
    assert_eq!(count(&bench, FanoutEvent::Started(PlanKind::Pass)), 1);
    assert_eq!((count(&bench, FanoutEvent::Alone), count(&bench, FanoutEvent::Merged)), (1, 1));
    assert_eq!(count(&bench, FanoutEvent::Ended), 1);
}

#[test]
fn a_fleet_with_a_tenth_lost_has_all_after_a_pass_and_some_parity() {
    let mut fleet = Fleet::new(fanned_out(96 * KIB), 1536, 100, 10, 1);
    let start = fleet.bench.now;
    fleet.run(Duration::from_secs(60));
    let last = fleet.last().expect("all have everything");
    println!("blocks {} parity {} after {:?}", fleet.blocks, fleet.parity, last.since(start));
    for (place, event) in fleet.bench.events.iter().enumerate() {
        if let Event::Fanout(event) = event
            && !matches!(event, FanoutEvent::Block(_) | FanoutEvent::Parity)
        {
            println!("{place} {event:?}");
        }
    }
    assert!(fleet.blocks < 1650 && fleet.parity < 350, "{} {}", fleet.blocks, fleet.parity);
}
