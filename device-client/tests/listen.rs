//! Devices that hear what a relay says to many: they end with the image, whatever gets lost, and say little meanwhile.
#![cfg(feature = "listen")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "these are tests")]

mod model;

use model::device::Release;
use model::fleet::Fleet;
use model::image;
use model::relay::{Item, Relay};
use sixfold_device::boot::listening_memory;
use sixfold_profile::coap::Szx;
use sixfold_profile::index::ChunkSize;

const CHUNK: usize = 1024;

fn release(length: usize) -> Release {
    Release::new(image(length, 2), ChunkSize::from_bytes(CHUNK as u32).unwrap(), 8)
}

/// `devices` that all start at once, with memory for `rows` missing blocks.
fn fleet(length: usize, devices: usize, rows: u32) -> (Fleet, Release) {
    let release = release(length);
    let memory = listening_memory(length as u32, rows, Szx::B64);
    let fleet = Fleet::new(Relay::new(release.image.clone()), &release, &[], devices, memory);
    (fleet, release)
}

fn ends_right(fleet: &mut Fleet, release: &Release) {
    assert!(
        fleet.run(),
        "not all are done: {:?}",
        fleet.members.iter().map(|member| member.done).collect::<Vec<_>>()
    );
    for member in &fleet.members {
        assert_eq!(member.slot(sixfold_device::boot::Which::A, release.image.len()), release.image);
    }
}

#[test]
fn one_device_alone_is_served_alone() {
    let (mut fleet, release) = fleet(20 * CHUNK + 100, 1, 40);
    ends_right(&mut fleet, &release);
    assert_eq!(fleet.relay.sent, []);
    assert_eq!(fleet.relay.asked, release.image.len().div_ceil(64), "each block is asked for once");
}

#[test]
fn many_devices_hear_each_block_once_where_nothing_gets_lost() {
    let (mut fleet, release) = fleet(20 * CHUNK + 100, 10, 40);
    ends_right(&mut fleet, &release);
    let blocks: Vec<Item> = (0..release.image.len().div_ceil(64) as u32).map(Item::Block).collect();
    assert_eq!(fleet.relay.sent, blocks);
    assert!(fleet.relay.asked <= 8, "{} requests", fleet.relay.asked);
}

#[test]
fn what_gets_lost_is_made_up_for_by_parity() {
    for loss in [1, 5, 10, 20, 30, 40] {
        let (mut fleet, release) = fleet(96 * CHUNK, 20, 800);
        fleet.loss = loss;
        fleet.relay.expected_loss = loss;
        ends_right(&mut fleet, &release);
        let last = fleet.members.iter().filter_map(|member| member.done).max().unwrap();
        eprintln!(
            "{loss} %: {} datagrams, {} requests, {} plain, {:?}",
            fleet.relay.sent.len(),
            fleet.relay.asked,
            fleet.relay.plain,
            last
        );
    }
}
