//! An update that a device hears with others, again and again, with the power cut at every flash operation: before it, in the
//! middle of it and after it. Afterwards the device goes on; the old image or the new one runs, never neither, never wrong bytes
//! (which [`model::fleet`] watches at each start and at the end).
#![cfg(all(feature = "listen", feature = "encrypted"))]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "these are tests")]

mod model;

use model::device::Release;
use model::flash::{Cut, How};
use model::fleet::{Fleet, Member, Prepared};
use model::image;
use model::relay::Relay;
use sixfold_device::boot::listening_memory;
use sixfold_oscore::Keystream;
use sixfold_profile::coap::Szx;
use sixfold_profile::index::ChunkSize;
use sixfold_profile::ticket::ContentKey;
use std::fmt::Write;
use std::path::Path;

const CHUNK: usize = 512;
const KEY: ContentKey<'static> = ContentKey { key: &[0x4b; 16], iv: &[0x49; 16] };
/// It ends in the middle of a block and of a write unit.
const LENGTH: usize = 5 * CHUNK + 77;
/// Cuts at two moments of one update, this many pairs.
const PAIRS: u64 = 1_000;

struct Rig {
    old: Release,
    new: Release,
    two_slots: bool,
    loss: u32,
    /// What the relay has.
    served: Vec<u8>,
}

/// What one update came to.
struct Life {
    operations: u32,
    /// Datagrams that the relay sent to the group, and requests of which a block was the answer.
    sent: usize,
    /// Power cuts that came.
    came: u32,
    /// Devices that never ran the new image.
    lost: usize,
}

impl Rig {
    fn new(two_slots: bool, loss: u32, is_encrypted: bool) -> Self {
        let chunk_size = ChunkSize::from_bytes(CHUNK as u32).unwrap();
        let old = Release::new(image(LENGTH, 1), chunk_size, 7);
        let mut bytes = image(LENGTH, 2);
        // One chunk is that of the old image; one has a piece that reads as erased flash.
        bytes[2 * CHUNK..3 * CHUNK].copy_from_slice(&old.image[2 * CHUNK..3 * CHUNK]);
        bytes[3 * CHUNK + 64..3 * CHUNK + 128].fill(0xff);
        let mut served = bytes.clone();
        if is_encrypted {
            Keystream::new(KEY.key, KEY.iv).apply(0, &mut served);
        }
        let new = Release { content_key: is_encrypted.then_some(KEY), ..Release::new(bytes, chunk_size, 8) };
        Self { old, new, two_slots, loss, served }
    }

    /// Three devices; the power of the first one goes at `cuts`, each counted from its last start.
    fn live(&self, cuts: &[Cut], seed: u32) -> Life {
        let memory = listening_memory(LENGTH as u32, 20, Szx::B64);
        let mut fleet = Fleet::new(Relay::new(self.served.clone()), &self.new, &self.old, 2, memory);
        let prepared = Prepared {
            relay: &fleet.relay,
            release: &self.new,
            old: &self.old,
            two_slots: self.two_slots,
            memory,
            session: None,
        };
        let mut first = Member::prepared(&prepared, 2 + seed);
        first.cuts.extend(cuts);
        fleet.members.insert(0, first);
        fleet.loss = self.loss;
        fleet.roll(seed.into());
        fleet.run();
        // The flash of one that is lost is still with its boot program.
        let operations = fleet.members[0].flash.as_ref().map_or(0, |flash| flash.operations);
        let lost = fleet.members.iter().filter(|member| member.done.is_none()).count();
        Life { operations, sent: fleet.relay.sent.len(), came: fleet.members[0].resets, lost }
    }

    fn row(&self) -> String {
        let undisturbed = self.live(&[], 0);
        let (mut cuts, mut pairs, mut most, mut lost) = (0, 0, 0, undisturbed.lost);
        for at in 0..undisturbed.operations {
            for how in How::ALL {
                for seed in 0..if how == How::Torn { 4 } else { 1 } {
                    let life = self.live(&[Cut { at, how }], seed);
                    assert_eq!(life.came, 1, "{at}, {how:?}, {seed}: the cut never came");
                    most = most.max(life.sent);
                    lost += life.lost;
                    cuts += 1;
                }
            }
        }
        for seed in 0..PAIRS {
            let cut = |salt: u64, operations: u32| {
                let x = (seed * 2 + salt).wrapping_mul(0x9e37_79b9_7f4a_7c15);
                Cut { at: (x >> 33) as u32 % operations, how: How::ALL[(x >> 20) as usize % 3] }
            };
            let first = cut(0, undisturbed.operations);
            // What was done before the first cut is not done again.
            let left = (undisturbed.operations - first.at).max(2) - 1;
            let life = self.live(&[first, cut(1, left)], seed as u32);
            pairs += u32::from(life.came == 2);
            lost += life.lost;
        }
        let slots = if self.two_slots { 2 } else { 1 };
        let (loss, operations, sent) = (self.loss, undisturbed.operations, undisturbed.sent);
        let kind = if self.new.content_key.is_some() { "encrypted" } else { "plain" };
        format!(
            "| {kind} | {slots} | {loss} % | {operations} | {cuts} | {pairs} | {sent} | {most} | {lost} |\n"
        )
    }
}

#[test]
fn a_power_cut_at_any_flash_operation_of_a_device_that_listens_loses_nothing_but_a_chunk() {
    let mut table = "# Power cuts survived while listening

One of three devices, all of which hear one stream; one update, again for each cut. A cut comes before, after or in the middle of
each flash operation of the first device (torn: four ways each). Of 1000 random pairs of cuts in one update, those count in
which both came. An image of 42 blocks, in 6 chunks of 512 bytes, one of which the old image has.

| image | slots | loss | flash operations | cuts | pairs of cuts | datagrams to the group | the most, with one cut | devices lost |
|---|--:|--:|--:|--:|--:|--:|--:|--:|
"
    .to_owned();
    for two_slots in [false, true] {
        for loss in [0, 20] {
            let _ = write!(table, "{}", Rig::new(two_slots, loss, false).row());
        }
    }
    let _ = write!(table, "{}", Rig::new(false, 20, true).row());
    let snapshot = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/snapshots/power-cuts-listening.md");
    if std::env::var_os("SIXFOLD_BLESS").is_some() {
        std::fs::write(&snapshot, &table).unwrap();
    }
    let expected = std::fs::read_to_string(&snapshot).unwrap_or_default();
    assert_eq!(table, expected, "another table: look at it, then run with SIXFOLD_BLESS=1");
}
