//! A whole update, again and again, with the power cut at every flash operation: before it, in the middle of it and after
//! it. Afterwards the device still runs the old image, or goes on to the new one; never neither, never wrong bytes. Where a
//! boot program says that another image can run meanwhile, that one is looked at too.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "these are tests")]

mod model;

use model::device::{Device, End, Release};
use model::flash::{Cut, Flash, How};
use model::{Server, image};
use sixfold_device::boot::{BootError, Cause, Choice, Event, Layout, Which, choose};
use sixfold_profile::index::ChunkSize;
use sixfold_profile::ticket::MAX_TICKET;
use std::fmt::Write;
use std::path::Path;

/// Cuts at two moments of one update, this many pairs for each kind of device.
const PAIRS: u64 = 2_000;

/// Where the old image came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Old {
    /// From an update, with a record.
    Updated,
    /// From the factory: it is in slot A, and no record is about it.
    Factory,
}

/// A kind of device, with the old image in place.
struct Rig<const WRITE: usize, const ERASE: usize> {
    flash: Flash<WRITE, ERASE>,
    layout: Layout,
    old: Release,
    new: Release,
}

/// What was counted.
#[derive(Default)]
struct Count {
    operations: u32,
    cuts: u32,
    /// Turns in which the boot program ran the old image, of all lives.
    old_image_ran: u32,
    /// Turns in which the old image could have run instead of an update.
    fallbacks: u32,
    /// Lives in which each cut came.
    all_cuts_came: u32,
    /// Lives that ended with the new image.
    survived: u32,
}

impl<const WRITE: usize, const ERASE: usize> Rig<WRITE, ERASE> {
    fn new(two_slots: bool, old_image: Old, chunk_bytes: u32) -> Self {
        let chunk_size = ChunkSize::from_bytes(chunk_bytes).unwrap();
        let chunk = chunk_bytes as usize;
        let old = Release::new(image(chunk * 4 + 100, 1), chunk_size, 7);
        // The new image is longer, ends in the middle of a block and of a write unit, and has one chunk of the old one.
        let mut bytes = image(chunk * 5 + 77, 2);
        bytes[chunk * 2..chunk * 3].copy_from_slice(&old.image[chunk * 2..chunk * 3]);
        let new = Release::new(bytes, chunk_size, 8);
        let pages = |bytes: usize| (bytes.div_ceil(ERASE) + 1) as u32;
        let mut device = Device::<WRITE, ERASE>::new(two_slots, pages(512) + 4, pages(chunk * 6));
        match old_image {
            Old::Updated => {
                device.prepare(&old).unwrap();
                let end = device.boot(&mut Server::new(old.image.clone())).unwrap();
                assert!(matches!(end, End::Runs(_)));
            }
            Old::Factory => {
                let start = device.layout.slots[0].start as usize;
                device.flash.bytes_mut()[start..start + old.image.len()].copy_from_slice(&old.image);
            }
        }
        Self { flash: device.flash, layout: device.layout, old, new }
    }

    fn device(&self, cut: Option<Cut>, seed: u64) -> Device<WRITE, ERASE> {
        let mut device = Device::new(false, 1, 1);
        device.flash = self.flash.clone();
        device.layout = self.layout.clone();
        device.flash.power_on(cut, seed);
        device
    }

    /// The life of a device from the old image to the new one, with power cuts at `cuts`, each counted from the last.
    fn live(&self, cuts: &[Cut], seed: u64, count: &mut Count) {
        let mut later = cuts.iter().copied();
        let mut device = self.device(later.next(), seed);
        let mut server = Server::new(self.new.image.clone());
        let mut came = 0;
        // Each power cut may cost two turns: one that ends with it, and one that prepares once more.
        for turn in 0..2 * cuts.len() as u64 + 2 {
            count.fallbacks += u32::from(self.could_fall_back(&mut device));
            let is_cut = match device.boot_or_power_gone(&mut server) {
                End::PowerGone => true,
                End::Runs(which) if device.slot(which, self.new.image.len()) == self.new.image => {
                    count.operations = device.flash.operations;
                    let lost = device.events.iter().filter(|event| is_wrong_image(event)).count();
                    assert_eq!(lost, 0, "a chunk was marked that is not there");
                    count.all_cuts_came += u32::from(came == cuts.len());
                    count.survived += 1;
                    return;
                }
                End::Runs(which) => {
                    self.runs_the_old_image(&device, which);
                    count.old_image_ran += u32::from(turn > 0);
                    self.prepare(&mut device)
                }
                End::Factory => {
                    self.runs_the_old_image(&device, Which::A);
                    count.old_image_ran += u32::from(turn > 0);
                    self.prepare(&mut device)
                }
                end @ (End::Lost | End::StillTrying) => panic!("{end:?}: nothing can run"),
            };
            if is_cut {
                came += 1;
                device.flash.power_on(later.next(), seed + turn);
            }
        }
        panic!("the new image never came");
    }

    fn runs_the_old_image(&self, device: &Device<WRITE, ERASE>, which: Which) {
        assert!(device.slot(which, self.old.image.len()) == self.old.image, "wrong bytes run");
    }

    /// Whether there is an update, and the boot program may run the old image instead: then that is whole, byte for byte.
    fn could_fall_back(&self, device: &mut Device<WRITE, ERASE>) -> bool {
        let choice = choose(&mut device.flash, &device.layout, &mut [0; MAX_TICKET]);
        let Ok(Choice::Update { fallback: Some(which), .. }) = choice else { return false };
        self.runs_the_old_image(device, which);
        true
    }

    /// The main program's part. True when the power went.
    fn prepare(&self, device: &mut Device<WRITE, ERASE>) -> bool {
        match device.prepare(&self.new) {
            Ok(_) => false,
            Err(BootError::Flash(_)) => true,
            Err(error) => panic!("{error}"),
        }
    }

    fn every_cut(&self) -> Count {
        let mut count = Count::default();
        self.live(&[], 0, &mut count);
        let operations = count.operations;
        let mut count = Count::default();
        for at in 0..operations {
            for how in How::ALL {
                for seed in 0..if how == How::Torn { 8 } else { 1 } {
                    self.live(&[Cut { at, how }], seed, &mut count);
                    count.cuts += 1;
                }
            }
        }
        assert_eq!(count.all_cuts_came, count.cuts, "a cut never came");
        Count { operations, ..count }
    }

    /// Two cuts in one life, the second among as many operations as are left after the first.
    fn pairs_of_cuts(&self, operations: u32) -> Count {
        let mut count = Count::default();
        for seed in 0..PAIRS {
            let cut = |salt: u64, operations: u32| {
                let x = (seed * 2 + salt).wrapping_mul(0x9e37_79b9_7f4a_7c15);
                Cut { at: (x >> 33) as u32 % operations, how: How::ALL[(x >> 20) as usize % 3] }
            };
            let first = cut(0, operations);
            // A cut before the ticket is written costs the preparation: then there are more operations left, never fewer.
            let left = (operations - first.at).max(2) - 1;
            self.live(&[first, cut(1, left)], seed, &mut count);
        }
        count
    }
}

fn is_wrong_image(event: &Event) -> bool {
    matches!(event, Event::Sleep { cause: Cause::WrongImage, .. })
}

fn row<const WRITE: usize, const ERASE: usize>(two_slots: bool, old: Old, chunk: u32) -> String {
    let rig = Rig::<WRITE, ERASE>::new(two_slots, old, chunk);
    let count = rig.every_cut();
    let pairs = rig.pairs_of_cuts(count.operations);
    let slots = if two_slots { 2 } else { 1 };
    let old = if old == Old::Factory { "factory" } else { "update" };
    let lost = u64::from(count.cuts - count.survived) + (PAIRS - u64::from(pairs.survived));
    let fallbacks = count.fallbacks + pairs.fallbacks;
    if fallbacks == 0 {
        assert_eq!(old, "factory", "with a record of the old image, it could run until its slot is touched");
    }
    format!(
        "| {slots} | {old} | {ERASE} | {WRITE} | {chunk} | {} | {} | {} | {fallbacks} | {} | {lost} |\n",
        count.operations, count.cuts, count.old_image_ran, pairs.all_cuts_came
    )
}

#[test]
fn a_power_cut_at_any_flash_operation_leaves_the_old_image_or_the_new_one() {
    let mut table = "# Power cuts survived

One update, prepare and boot, again for each cut. A cut comes before, after or in the middle of each flash operation (torn:
eight ways each). Of 2000 random pairs of cuts in one update, those count in which both came. A fallback is a turn in which the old
image could have run instead of the update, and was compared.

| slots | old image from | page | write unit | chunk | flash operations | cuts | old image ran meanwhile | fallbacks | pairs of cuts | devices lost |
|--:|--|--:|--:|--:|--:|--:|--:|--:|--:|--:|
"
    .to_owned();
    for two_slots in [false, true] {
        for old in [Old::Updated, Old::Factory] {
            let _ = write!(table, "{}", row::<4, 256>(two_slots, old, 256));
            let _ = write!(table, "{}", row::<1, 1024>(two_slots, old, 1024));
            let _ = write!(table, "{}", row::<8, 128>(two_slots, old, 512));
            let _ = write!(table, "{}", row::<16, 512>(two_slots, old, 512));
        }
    }
    let snapshot = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/snapshots/power-cuts.md");
    if std::env::var_os("SIXFOLD_BLESS").is_some() {
        std::fs::write(&snapshot, &table).unwrap();
    }
    let expected = std::fs::read_to_string(&snapshot).unwrap_or_default();
    assert_eq!(table, expected, "another table: look at it, then run with SIXFOLD_BLESS=1");
}

/// Its ticket rotted while the only image was being replaced. A new preparation helps, and must not be what makes the boot
/// program take half an image for that of the factory.
#[test]
fn a_device_that_is_lost_stays_lost_until_a_ticket_is_whole() {
    let rig = Rig::<4, 256>::new(false, Old::Updated, 256);
    let mut lost = rig.device(None, 1);
    lost.prepare(&rig.new).unwrap();
    lost.patience = std::time::Duration::ZERO;
    let mut server = Server::new(rig.new.image.clone());
    server.silent = true;
    assert_eq!(lost.boot(&mut server), Ok(End::StillTrying));
    let ticket = lost.layout.records[0].start as usize;
    lost.flash.bytes_mut()[ticket + 60] ^= 1;
    assert_eq!(lost.boot(&mut server), Ok(End::Lost));
    for at in 0..7 {
        for how in How::ALL {
            let mut device = rig.device(None, 1);
            device.flash = lost.flash.clone();
            device.flash.power_on(Some(Cut { at, how }), 1);
            assert!(rig.prepare(&mut device), "the power went");
            device.flash.power_on(None, 1);
            let end = device.boot(&mut Server::new(rig.new.image.clone())).unwrap();
            assert!(matches!(end, End::Lost | End::Runs(_)), "{at}, {how:?}: {end:?}");
        }
    }
}

/// Otherwise each reset hashes the whole image again, and where there are two slots the next preparation takes the one that
/// runs for the free one.
#[test]
fn a_torn_last_mark_is_mended() {
    for two_slots in [false, true] {
        let rig = Rig::<4, 256>::new(two_slots, Old::Updated, 256);
        let mut server = Server::new(rig.new.image.clone());
        let mut prepared = rig.device(None, 1);
        prepared.prepare(&rig.new).unwrap();
        let mut whole = rig.device(None, 1);
        whole.flash = prepared.flash.clone();
        whole.flash.power_on(None, 1);
        let Ok(End::Runs(which)) = whole.boot(&mut server) else { panic!("the new image never came") };
        let at = whole.flash.operations - 1;
        for seed in 0..8 {
            let mut device = rig.device(None, 1);
            device.flash = prepared.flash.clone();
            device.flash.power_on(Some(Cut { at, how: How::Torn }), seed);
            assert_eq!(device.boot_or_power_gone(&mut server), End::PowerGone);
            device.flash.power_on(None, seed);
            assert_eq!(device.boot(&mut server), Ok(End::Runs(which)));
            let choice = choose(&mut device.flash, &device.layout, &mut [0; MAX_TICKET]);
            assert_eq!(choice, Ok(Choice::Run(which)), "two slots: {two_slots}");
        }
    }
}
