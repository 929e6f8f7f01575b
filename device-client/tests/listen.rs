//! Devices that hear what a relay says to many: they end with the image, whatever gets lost, and say little meanwhile.
#![cfg(feature = "listen")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "these are tests")]

mod model;

use model::device::Release;
use model::fleet::Fleet;
use model::image;
use model::relay::{Item, Relay};
use sixfold_device::boot::{Event, listening_memory};
use sixfold_profile::Instant;
use sixfold_profile::coap::Szx;
use sixfold_profile::index::ChunkSize;
use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

const CHUNK: usize = 1024;

fn release(length: usize, seed: u32, number: u64) -> Release {
    Release::new(image(length, seed), ChunkSize::from_bytes(CHUNK as u32).unwrap(), number)
}

/// `devices` that all start at once, with memory for `rows` missing blocks.
fn fleet(length: usize, devices: usize, rows: u32) -> Fleet {
    let (old, new) = (release(length, 1, 7), release(length, 2, 8));
    let memory = listening_memory(length as u32, rows, Szx::B64);
    Fleet::new(Relay::new(new.image.clone()), &new, &old, devices, memory)
}

fn blocks(length: usize) -> usize {
    length.div_ceil(64)
}

/// When the last device was done.
fn last(fleet: &Fleet) -> Duration {
    let last = fleet.members.iter().filter_map(|member| member.done).max().unwrap();
    last.since(Instant::ZERO)
}

#[test]
fn one_device_alone_is_served_alone() {
    let length = 20 * CHUNK + 100;
    let mut fleet = fleet(length, 1, 40);
    assert!(fleet.run());
    assert_eq!(fleet.relay.sent, []);
    assert_eq!(fleet.relay.asked, blocks(length), "each block is asked for once");
    let events = &fleet.members[0].events;
    assert_eq!(events.first(), Some(&Event::Chunks { done: 0, all: 21 }));
    assert_eq!(events.len(), 22, "each chunk is reported, and the end: {events:?}");
    assert_eq!(events.last(), Some(&Event::Bootable));
}

#[test]
fn many_devices_hear_each_block_once_where_nothing_gets_lost() {
    let length = 20 * CHUNK + 100;
    let mut fleet = fleet(length, 10, 40);
    assert!(fleet.run());
    assert_eq!(fleet.relay.sent, (0..blocks(length) as u32).map(Item::Block).collect::<Vec<_>>());
    assert!(fleet.relay.asked <= 10, "{} requests", fleet.relay.asked);
}

/// Thousands of devices must not answer a silence with thousands of requests.
#[test]
fn of_many_devices_few_ask() {
    let mut fleet = fleet(4 * CHUNK, 1000, 40);
    fleet.loss = 10;
    assert!(fleet.run());
    let per_silence = fleet.relay.asked / fleet.relay.plans;
    assert!(per_silence <= 25, "{} requests, {} plans", fleet.relay.asked, fleet.relay.plans);
}

#[test]
fn a_lossy_stream_ends_right() {
    let mut table = "# A stream with loss

20 devices, 96 KiB in blocks of 64 bytes, one every 6 ms, each device with memory for 800 missing blocks or for none. Virtual
time; what gets lost is lost to each device on its own, requests and answers too.

| loss | memory for parity | blocks sent | parity symbols sent | requests | of these without Observe | last device done |
|--:|---|--:|--:|--:|--:|--:|
"
    .to_owned();
    for loss in [0, 1, 5, 10, 20, 30, 40] {
        for rows in [800, 0] {
            let mut fleet = fleet(96 * CHUNK, 20, rows);
            (fleet.loss, fleet.relay.expected_loss) = (loss, loss);
            assert!(fleet.run(), "{loss} %, {rows} rows");
            let relay = &fleet.relay;
            assert!(rows == 0 || relay.no_parity == 0 || loss > 20, "{loss} %");
            let blocks = relay.sent.iter().filter(|item| matches!(item, Item::Block(_))).count();
            let parity = relay.sent.len() - blocks;
            let memory = if rows > 0 { "yes" } else { "no" };
            let (asked, plain, seconds) =
                (relay.asked + relay.plain, relay.plain, last(&fleet).as_secs_f32());
            let _ = writeln!(
                table,
                "| {loss} % | {memory} | {blocks} | {parity} | {asked} | {plain} | {seconds:.1} s |"
            );
        }
    }
    let snapshot = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/snapshots/stream.md");
    if std::env::var_os("SIXFOLD_BLESS").is_some() {
        std::fs::write(&snapshot, &table).unwrap();
    }
    let expected = std::fs::read_to_string(&snapshot).unwrap_or_default();
    assert_eq!(table, expected, "another table: look at it, then run with SIXFOLD_BLESS=1");
}

#[test]
fn larger_blocks_are_heard_and_found_too() {
    for size in [128, 256, 1024] {
        let (old, new) = (release(64 * CHUNK + 77, 1, 7), release(64 * CHUNK + 77, 2, 8));
        let szx = Szx::from_size(size).unwrap();
        let mut relay = Relay::new(new.image.clone());
        relay.szx = szx;
        let memory = listening_memory(new.image.len() as u32, 64, szx);
        let mut fleet = Fleet::new(relay, &new, &old, 10, memory);
        fleet.loss = 10;
        assert!(fleet.run(), "{size}");
        let parity = fleet.relay.sent.iter().filter(|item| matches!(item, Item::Parity(_))).count();
        assert!(parity > 0, "{size}: nothing but blocks");
    }
}

/// Devices ask for blocks of 1024 bytes, the link gets smaller ones.
#[test]
fn a_stream_of_smaller_blocks_than_asked_for_is_taken() {
    let (old, new) = (release(32 * CHUNK + 77, 1, 7), release(32 * CHUNK + 77, 2, 8));
    let memory = listening_memory(new.image.len() as u32, 200, Szx::B64);
    for devices in [1, 8] {
        let mut relay = Relay::new(new.image.clone());
        relay.szx = Szx::MAX;
        let mut fleet = Fleet::new(relay, &new, &old, devices, memory);
        fleet.relay.szx = Szx::B64;
        fleet.loss = 10;
        assert!(fleet.run());
        assert_eq!(fleet.relay.plain, 0);
    }
}

/// Two segments of 2048 symbols: parity symbols of one say nothing about the other.
#[test]
fn an_image_of_several_segments() {
    let mut fleet = fleet(300 * CHUNK, 6, 500);
    fleet.loss = 10;
    assert!(fleet.run());
    for segment in 0..3 {
        assert!(fleet.relay.sent.contains(&Item::Parity(segment)), "no parity of segment {segment}");
    }
}

#[test]
fn what_is_there_of_the_old_image_is_not_asked_for() {
    let mut new = image(40 * CHUNK, 2);
    new[4 * CHUNK..36 * CHUNK].copy_from_slice(&image(40 * CHUNK, 1)[4 * CHUNK..36 * CHUNK]);
    let new = Release::new(new, ChunkSize::from_bytes(CHUNK as u32).unwrap(), 8);
    let memory = listening_memory(new.image.len() as u32, 40, Szx::B64);
    let mut fleet = Fleet::new(Relay::new(new.image.clone()), &new, &release(40 * CHUNK, 1, 7), 1, memory);
    assert!(fleet.run());
    assert_eq!(fleet.relay.asked, 8 * CHUNK / 64);
}

#[test]
fn half_come_late_a_quarter_sleeps_and_a_quarter_is_reset_again_and_again() {
    let mut undisturbed = fleet(96 * CHUNK, 20, 400);
    undisturbed.loss = 10;
    assert!(undisturbed.run());
    let mut fleet = fleet(96 * CHUNK, 20, 400);
    fleet.loss = 10;
    for (n, member) in fleet.members.iter_mut().enumerate() {
        if n % 2 == 0 {
            member.starts = Instant::from_micros(5_000_000);
        }
        if n % 4 == 1 {
            member.deaf_until = Instant::from_micros(7_000_000);
        }
    }
    let mut next = 0;
    let resets = |fleet: &Fleet| fleet.now.as_micros() / 1_500_000;
    while !fleet.run_until(|fleet| resets(fleet) > next) {
        next += 1;
        assert!(next < 1000, "it never ends");
        let now = fleet.now;
        fleet
            .members
            .iter_mut()
            .skip(3)
            .step_by(4)
            .filter(|_| next < 20)
            .for_each(|member| member.reset(now));
    }
    assert!(fleet.members.iter().any(|member| member.resets > 3));
    let (took, without) = (last(&fleet), last(&undisturbed));
    assert!(took < without * 5 / 2, "{took:?} and {without:?} without disturbance");
    // Nobody starts over.
    let sent = fleet.relay.sent.len();
    assert!(sent < 3 * blocks(96 * CHUNK), "{sent} datagrams");
}

/// Those that leave in the middle leave nothing behind that keeps the others waiting.
#[test]
fn leaving_early_harms_nobody() {
    let mut fleet = fleet(32 * CHUNK, 6, 200);
    fleet.loss = 10;
    fleet.run_until(|fleet| fleet.relay.sent.len() > 200);
    let now = fleet.now;
    for member in &mut fleet.members[..5] {
        member.reset(now);
        member.starts = now + Duration::from_secs(1000);
    }
    assert!(!fleet.run_until(|fleet| fleet.members[5].done.is_some()));
    assert!(fleet.now.since(now) < Duration::from_secs(40), "{:?}", fleet.now.since(now));
}
