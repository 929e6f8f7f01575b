//! What counts as a transfer: when one begins, and that it ends.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "these are tests")]

mod support;

use sixfold_engine::{Event, TransferState};
use sixfold_profile::coap::{Code, option};
use std::time::Duration;
use support::{Ask, Bench, body, config};

const SECOND: Duration = Duration::from_secs(1);

/// Transfers that began, that ended, and that are shown.
fn counts(bench: &mut Bench) -> (usize, usize, usize) {
    bench.answers();
    let count = |is: fn(&Event) -> bool| bench.events.iter().filter(|event| is(event)).count();
    let started = count(|event| matches!(event, Event::TransferStarted));
    let ended = count(|event| matches!(event, Event::TransferEnded { .. }));
    let (rows, _) = bench.engine.transfers(bench.now, 0, 10);
    let shown = rows.iter().filter(|row| row.state != TransferState::Asked).count();
    (started, ended, shown)
}

/// As `prepare` does, so that it finds what is wrong while the old image still runs.
#[test]
fn who_asks_for_the_first_block_alone_only_looks() {
    let mut bench = Bench::with_image(600, 3600);
    let (started, ended, shown) = counts(&mut bench);
    assert_eq!((started, ended), (0, 0));
    for (id, szx) in [(1, 4), (2, 2)] {
        assert_eq!(bench.ask(&Ask::block(1, id, "image.bin", 0, szx)).code, Code::CONTENT);
    }
    assert_eq!(counts(&mut bench), (0, 0, shown), "smaller blocks are no further blocks");
    assert_eq!(bench.engine.longest_transfers::<1>(bench.now), [None]);
    bench.ask(&Ask::block(1, 3, "image.bin", 1, 2));
    assert_eq!(counts(&mut bench), (1, 0, shown + 1));
    bench.pass(300 * SECOND);
    assert_eq!(counts(&mut bench), (1, 1, 0), "given up");
}

#[test]
fn a_probe_that_goes_no_further_is_no_transfer_that_was_given_up() {
    let mut bench = Bench::with_image(600, 3600);
    bench.ask(&Ask::block(1, 1, "image.bin", 0, 2));
    bench.pass(300 * SECOND);
    assert_eq!(counts(&mut bench), (0, 0, 0));
    assert_eq!(bench.engine.load().timers, 0);
}

#[test]
fn what_fits_one_block_and_what_is_resumed_is_a_transfer() {
    let mut bench = Bench::with_image(600, 3600);
    bench.ask(&Ask::block(1, 1, "image.bin", 0, 6));
    let (started, ended, _) = counts(&mut bench);
    assert_eq!((started, ended), (1, 1), "all in one");
    bench.ask(&Ask::block(2, 1, "image.bin", 7, 2));
    bench.ask(&Ask::block(2, 2, "image.bin", 8, 2));
    bench.ask(&Ask::block(2, 3, "image.bin", 9, 2));
    let (started, ended, _) = counts(&mut bench);
    assert_eq!((started, ended), (2, 2), "from the middle to the end");
}

/// Its device asks for other things, and would keep it active for ever.
#[test]
fn a_transfer_ends_by_its_own_silence() {
    let mut bench = Bench::with_image(600, 3600);
    // The device that it was fetched for is forgotten.
    bench.pass(300 * SECOND);
    bench.ask(&Ask::block(1, 1, "image.bin", 0, 2));
    bench.ask(&Ask::block(1, 2, "image.bin", 1, 2));
    let mut polls = 0;
    let mut poll = |bench: &mut Bench| {
        bench.pass(30 * SECOND);
        polls += 1;
        let ask = Ask { options: vec![], ..Ask::get(1, 100 + polls, "") };
        bench.ask(&ask.with(option::URI_PATH, b".well-known").with(option::URI_PATH, b"core"));
    };
    for _ in 0..8 {
        poll(&mut bench);
    }
    assert_eq!(counts(&mut bench), (1, 0, 1), "240 s");
    poll(&mut bench);
    assert_eq!(counts(&mut bench), (1, 1, 0), "EXCHANGE_LIFETIME, 247 s");
    assert_eq!(bench.engine.load().peers, 1, "the device is still known");
    // A block in between is no silence.
    let mut bench = Bench::new(config());
    bench.send(&Ask::block(1, 1, "image.bin", 0, 2));
    let id = bench.fetch();
    bench.deliver(id, 1, &body(1, 600), 3600);
    bench.answers();
    for num in 1..4 {
        bench.pass(200 * SECOND);
        bench.ask(&Ask::block(1, 1 + num as u16, "image.bin", num, 2));
    }
    assert_eq!(counts(&mut bench), (1, 0, 1));
}
