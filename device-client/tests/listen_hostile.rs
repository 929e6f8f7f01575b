//! A device in a group between a hostile stream and relays that know nothing of groups: nothing wrong runs, little is lost, and
//! in the end it has the image.
#![cfg(feature = "listen")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "these are tests")]

mod model;

use model::device::Release;
use model::fleet::Fleet;
use model::image;
use model::relay::{Item, Relay};
use sixfold_device::boot::{Cause, Event, Which, listening_memory};
use sixfold_profile::coap::{Message, Szx, option};
use sixfold_profile::index::ChunkSize;
use std::time::Duration;

const CHUNK: usize = 1024;
const LENGTH: usize = 24 * CHUNK + 100;
const BLOCKS: usize = LENGTH.div_ceil(64);

fn release(seed: u32, number: u64) -> Release {
    Release::new(image(LENGTH, seed), ChunkSize::from_bytes(CHUNK as u32).unwrap(), number)
}

fn fleet(devices: usize, rows: u32) -> Fleet {
    let (old, new) = (release(1, 7), release(2, 8));
    let memory = listening_memory(LENGTH as u32, rows, Szx::B64);
    Fleet::new(Relay::new(new.image.clone()), &new, &old, devices, memory)
}

fn wrong_chunks(fleet: &Fleet) -> Vec<usize> {
    let is_wrong = |event: &&Event| matches!(event, Event::Sleep { cause: Cause::WrongChunk, .. });
    fleet.members.iter().map(|member| member.events.iter().filter(is_wrong).count()).collect()
}

/// Erasures of the pages of its slot, beyond one each.
fn erased_again(fleet: &Fleet, member: usize) -> u32 {
    let member = &fleet.members[member];
    let pages =
        member.layout.slot(Which::A).start as usize / 256..member.layout.slot(Which::A).end as usize / 256;
    let erasures = &member.flash.as_ref().unwrap().erasures[pages];
    erasures.iter().map(|count| count.saturating_sub(1)).sum()
}

fn is_parity(datagram: &[u8]) -> bool {
    Message::parse(datagram).is_ok_and(|message| message.option(option::CONTENT_FORMAT).is_some())
}

#[test]
fn a_forged_block_costs_one_chunk() {
    let mut fleet = fleet(4, 100);
    let mut n = 0;
    fleet.tamper = Box::new(move |member, datagram| {
        n += usize::from(member == 1);
        if member == 1 && n == 100 {
            *datagram.last_mut().unwrap() ^= 1;
        }
    });
    assert!(fleet.run());
    assert_eq!(wrong_chunks(&fleet), [0, 1, 0, 0]);
    assert_eq!(erased_again(&fleet, 1), (CHUNK / 256) as u32);
    let again = fleet.relay.sent.len() - BLOCKS;
    assert!(again <= 3 * CHUNK / 64, "{again} datagrams more");
}

#[test]
fn a_forged_parity_symbol_writes_nothing_and_is_recovered_from() {
    for bit in [0, 7, 64 * 8 - 1] {
        let mut fleet = fleet(4, 100);
        fleet.loss = 10;
        let mut is_done = false;
        fleet.tamper = Box::new(move |member, datagram| {
            if member == 1 && !is_done && is_parity(datagram) {
                let length = datagram.len();
                datagram[length - 64 + bit / 8] ^= 1 << (bit % 8);
                is_done = true;
            }
        });
        assert!(fleet.run());
        assert_eq!(wrong_chunks(&fleet), [0; 4], "{bit}");
        assert_eq!(erased_again(&fleet, 1), 0, "{bit}: something wrong was written");
        assert!(fleet.relay.no_parity > 0, "{bit}: it trusts parity as before");
    }
}

/// What a forged block leaves in flash is in every equation.
#[test]
fn a_forged_block_in_flash_spoils_parity_until_its_chunk_is_judged() {
    let mut fleet = fleet(4, 150);
    fleet.loss = 15;
    let mut n = 0;
    fleet.tamper = Box::new(move |member, datagram| {
        n += usize::from(member == 1);
        if member == 1 && n % 40 == 0 && n < 300 && !is_parity(datagram) {
            *datagram.last_mut().unwrap() ^= 1;
        }
    });
    assert!(fleet.run());
    assert_eq!(wrong_chunks(&fleet)[0], 0);
    assert!((1..=8).contains(&wrong_chunks(&fleet)[1]), "{:?}", wrong_chunks(&fleet));
}

#[test]
fn a_stream_of_something_else_is_nobodys() {
    type Change = fn(&mut Vec<u8>);
    let changes: [(&str, Change); 8] = [
        ("another Token", |datagram| datagram[4] ^= 1),
        ("a longer Token", |datagram| {
            datagram[0] += 1;
            datagram.insert(6, 0);
        }),
        ("another ETag", |datagram| datagram[8] ^= 1),
        ("a Confirmable message", |datagram| datagram[0] &= 0xef),
        ("an acknowledgement", |datagram| datagram[0] ^= 0x30),
        ("an error", |datagram| datagram[1] = 0x84),
        ("a request", |datagram| datagram[1] = 1),
        ("half a datagram", |datagram| datagram.truncate(40)),
    ];
    for (what, change) in changes {
        let mut fleet = fleet(2, 100);
        fleet.tamper = Box::new(move |_, datagram| change(datagram));
        assert!(fleet.run(), "{what}");
        assert!(fleet.relay.plain > 0, "{what}: as if there were no stream");
        assert_eq!(wrong_chunks(&fleet), [0; 2], "{what}");
    }
}

/// The Token may be the same: two bytes are soon used again. The ETag is not.
#[test]
fn a_replayed_stream_of_an_older_image_is_ignored() {
    let mut fleet = fleet(2, 100);
    let mut older = Relay::new(release(1, 7).image);
    older.etag = b"\x51\x52old".to_vec();
    let mut n = 0;
    fleet.tamper = Box::new(move |_, datagram| {
        n += 1;
        if n % 3 == 0 {
            *datagram =
                if n % 2 == 0 { older.block(n / 3 % BLOCKS as u32) } else { older.parity(0, n as u16) };
        }
    });
    assert!(fleet.run());
    assert_eq!(wrong_chunks(&fleet), [0; 2]);
}

/// Most datagrams of a stream do not name it. Then an older image with the same Token is so many wrong chunks, and no more.
#[test]
fn a_replayed_stream_without_etags_costs_chunks() {
    let mut fleet = fleet(2, 100);
    fleet.relay.named = 16;
    let mut older = Relay::new(release(1, 7).image);
    older.named = u32::MAX;
    let mut n = 0;
    fleet.tamper = Box::new(move |_, datagram| {
        n += 1;
        if n % 50 == 0 && n < 700 {
            *datagram = older.block(n % BLOCKS as u32);
        }
    });
    assert!(fleet.run());
    let wrong: usize = wrong_chunks(&fleet).iter().sum();
    assert!((1..=14).contains(&wrong), "{wrong}");
}

/// With the right ETag too, its blocks are those of an attacker.
#[test]
fn a_stream_that_lies_for_ever_neither_wears_flash_out_nor_stops_the_update() {
    let mut fleet = fleet(1, 100);
    let mut liar = Relay::new(release(3, 9).image);
    let mut num = 0;
    // The relay streams for a second member that is never seen to be done.
    fleet.relay.ghosts = true;
    fleet.relay.gap = Duration::from_millis(100);
    fleet.tamper = Box::new(move |_, datagram| {
        num += 1;
        *datagram = liar.block(num % BLOCKS as u32);
    });
    fleet.patience = Duration::from_secs(24 * 3600);
    assert!(!fleet.run());
    let erased = fleet.members[0].boot.as_mut().unwrap().flash_mut().erasures.iter().max().copied().unwrap();
    assert!(erased < 100, "a page was erased {erased} times in a day");
    fleet.tamper = Box::new(|_, _| {});
    assert!(fleet.run());
}

/// Old blocks, heard again and again, neither hold a device back for ever nor make it ask more often.
#[test]
fn a_stream_that_brings_nothing_new_holds_nobody_back() {
    let mut fleet = fleet(1, 100);
    fleet.relay.ghosts = true;
    let mut replayed = Relay::new(release(2, 8).image);
    fleet.tamper = Box::new(move |_, datagram| *datagram = replayed.block(3));
    fleet.patience = Duration::from_secs(600);
    assert!(fleet.run());
    assert!(fleet.relay.plain > 0, "the stream helped nothing");
}

#[test]
fn too_little_memory_falls_back_on_blocks() {
    for rows in [0, 1, 3] {
        let mut fleet = fleet(6, rows);
        fleet.loss = 10;
        assert!(fleet.run(), "{rows}");
    }
    let (old, new) = (release(1, 7), release(2, 8));
    let memory = listening_memory(LENGTH as u32, 0, Szx::B64) - 1;
    let mut none = Fleet::new(Relay::new(new.image.clone()), &new, &old, 2, memory);
    none.run_until(|fleet| fleet.relay.plain > 0);
    assert!(
        none.members.iter().all(|member| member.boot().unwrap().group().is_none()),
        "no room for the map"
    );
    assert!(none.run());
    assert_eq!((none.relay.asked, none.relay.plain), (0, 2 * BLOCKS), "it asks as it always did");
}

#[test]
fn a_relay_that_knows_no_q_block2_is_asked_for_blocks() {
    let mut fleet = fleet(3, 100);
    fleet.relay.is_legacy = true;
    assert!(fleet.run());
    assert_eq!((fleet.relay.asked, fleet.relay.plain), (0, 3 * BLOCKS));
    assert!(fleet.members.iter().all(|member| member.events.len() == 26), "and sleeps for nothing");
}

#[test]
fn a_stream_that_was_promised_three_times_is_given_up() {
    let mut fleet = fleet(3, 100);
    fleet.relay.is_mute = true;
    assert!(fleet.run());
    assert_eq!((fleet.relay.asked, fleet.relay.plain), (3 * 3, 3 * BLOCKS));
    // Three times a second, not more.
    assert!(fleet.now.as_micros() > 3_000_000);
}

/// The stream comes back: so do its members.
#[test]
fn once_the_group_is_heard_again_it_is_asked_again() {
    let mut fleet = fleet(3, 100);
    fleet.relay.is_mute = true;
    fleet.run_until(|fleet| fleet.relay.plain > 30);
    fleet.relay.is_mute = false;
    let stream = fleet.relay.block(BLOCKS as u32 - 1);
    fleet.say(&stream);
    let plain = fleet.relay.plain;
    assert!(fleet.run());
    assert!(fleet.relay.plain <= plain + 3, "what was under way at most");
    assert!(fleet.relay.sent.iter().any(|item| matches!(item, Item::Block(_))));
}

/// Blocks of 16 bytes are no pieces of a map of 64 bytes: the device goes on chunk by chunk.
#[test]
fn a_relay_with_tiny_blocks_ends_listening() {
    let mut fleet = fleet(1, 100);
    fleet.relay.szx = Szx::MIN;
    fleet.run_until(|fleet| fleet.relay.plain > 0);
    assert!(fleet.members[0].boot().unwrap().group().is_none());
    assert!(fleet.run());
}
