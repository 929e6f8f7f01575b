//! What the status says of devices: every one that was heard, those in trouble first, each in its place.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "these are tests")]

mod support;

use sixfold_engine::{Failure, LinkConfig, OriginEvent, TransferState};
use sixfold_profile::coap::{Code, option};
use std::time::Duration;
use support::{Ask, Bench, URL, config};

const SECOND: Duration = Duration::from_secs(1);

/// All rows in short: which device, how it stands, with which code, and what it asked for.
fn rows(bench: &Bench) -> Vec<(u16, &'static str, String, String)> {
    let (rows, counts) = bench.engine.transfers(bench.now, 0, 100);
    let of = |state: TransferState| rows.iter().filter(|row| row.state == state).count();
    assert_eq!(counts, TransferState::ALL.map(of));
    let row = |row: sixfold_engine::TransferStatus| {
        let code = row.code.map_or(String::new(), |code| code.to_string());
        let url = row.url.as_deref().unwrap_or_default().to_owned();
        (row.peer.port(), row.state.label(), code, url)
    };
    rows.into_iter().map(row).collect()
}

fn row(port: u16, state: &'static str, code: &str, url: &str) -> (u16, &'static str, String, String) {
    (support::path(port).peer.port(), state, code.to_owned(), url.to_owned())
}

#[test]
fn who_is_refused_is_listed_with_code_and_path() {
    let mut bench = Bench::new(config());
    let astray = Ask { options: vec![(option::URI_PATH, b"fx".to_vec())], ..Ask::get(1, 1, "image.bin") };
    assert_eq!(bench.ask(&astray).code, Code::NOT_FOUND);
    bench.send(&Ask::get(2, 1, "image.bin"));
    assert_eq!(rows(&bench), [row(1, "refused", "4.04", "/fx"), row(2, "waiting", "", "")]);
    let id = bench.fetch();
    bench.origin(id, OriginEvent::Failed(Failure::Connect));
    assert_eq!(bench.answers()[0].code, Code::BAD_GATEWAY);
    assert_eq!(rows(&bench), [row(1, "refused", "4.04", "/fx"), row(2, "refused", "5.02", URL)]);
}

#[test]
fn a_refusal_is_over_when_the_device_gets_what_it_was_refused_and_not_before() {
    let mut bench = Bench::new(config());
    bench.send(&Ask::get(1, 1, "image.bin"));
    let id = bench.fetch();
    bench.origin(id, OriginEvent::Failed(Failure::Connect));
    bench.pass(20 * SECOND);
    bench.send(&Ask::get(1, 2, "other.bin"));
    let id = bench.fetch();
    bench.deliver(id, 1, &[7; 10], 60);
    let other = URL.replace("image", "other");
    assert_eq!(rows(&bench), [row(1, "refused", "5.02", URL), row(1, "finished", "", &other)]);
    bench.send(&Ask::get(1, 3, "image.bin"));
    let id = bench.fetch();
    bench.deliver(id, 1, &[7; 10], 60);
    assert_eq!(rows(&bench), [row(1, "finished", "", URL), row(1, "finished", "", &other)]);
}

#[test]
fn whoever_only_asks_is_listed_too() {
    let mut bench = Bench::with_image(600, 3600);
    bench.pass(300 * SECOND);
    let core = vec![(option::URI_PATH, b".well-known".to_vec()), (option::URI_PATH, b"core".to_vec())];
    bench.ask(&Ask { options: core, ..Ask::get(1, 1, "") });
    bench.ask(&Ask::block(2, 1, "image.bin", 0, 2));
    assert_eq!(rows(&bench), [row(1, "asked", "", ""), row(2, "asked", "", URL)]);
}

#[test]
fn what_is_remembered_of_a_refusal_is_bounded() {
    let mut bench = Bench::new(config());
    let segment = (option::URI_PATH, vec![b'x'; 255]);
    bench.ask(&Ask { options: vec![segment.clone(), segment], ..Ask::get(1, 1, "") });
    assert_eq!(rows(&bench)[0].3.len(), 128);
}

#[test]
fn a_device_keeps_its_place_for_as_long_as_its_state_is_the_same() {
    let mut bench = Bench::with_image(6000, 3600);
    bench.engine.set_link(bench.now, 0, Some(LinkConfig::default()));
    bench.pass(300 * SECOND);
    let astray = Ask { options: vec![(option::URI_PATH, b"fx".to_vec())], ..Ask::get(9, 1, "image.bin") };
    bench.ask(&astray);
    // Whoever asks last is not first, and whoever waits for the link is not before those whose block left.
    let mut mixed = 0;
    for num in 0..5 {
        for peer in [3, 1, 4, 2] {
            bench.send(&Ask::block(peer, num as u16 + 1, "image.bin", num, 6));
        }
        let rows = rows(&bench);
        let is_any = |state| rows.iter().any(|(_, other, ..)| *other == state);
        mixed += usize::from(num > 0 && is_any("waiting") && is_any("fetching"));
        let places: Vec<_> = rows.iter().map(|(peer, ..)| *peer).collect();
        if num > 0 {
            assert_eq!(places, [9, 1, 2, 3, 4].map(|peer| support::path(peer).peer.port()), "{rows:?}");
        }
        bench.pass(SECOND);
    }
    assert!(mixed > 0);
    let (page, _) = bench.engine.transfers(bench.now, 2, 2);
    let page: Vec<_> = page.into_iter().map(|row| row.peer.port()).collect();
    assert_eq!(page, [2, 3].map(|peer| support::path(peer).peer.port()));
}

#[test]
fn the_reason_of_a_failure_outlives_the_time_for_which_the_origin_is_spared() {
    let mut bench = Bench::new(config());
    bench.send(&Ask::get(1, 1, "image.bin"));
    let id = bench.fetch();
    bench.origin(id, OriginEvent::Failed(Failure::Connect));
    bench.pass(100 * SECOND);
    assert_eq!(bench.engine.image(bench.now, URL).unwrap().failure, Some(Failure::Connect));
    bench.send(&Ask::get(1, 2, "image.bin"));
    let id = bench.fetch();
    bench.deliver(id, 1, &[7; 10], 60);
    assert_eq!(bench.engine.image(bench.now, URL).unwrap().failure, None);
}
