//! A preparation, again and again, with the power cut at every flash operation. Afterwards the ticket that was in force
//! before is whole, with its journal and index, or the new one is; and to prepare once more succeeds.

use super::model::Server;
use super::model::device::{Device, End, Release};
use super::model::flash::{Cut, Flash, How, PowerGone};
use super::world::{World, release};
use sixfold_device::boot::{BootError, Choice, choose};
use sixfold_device::prepare::PrepareError;
use sixfold_profile::ticket::MAX_TICKET;
use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

/// What the flash holds before.
#[derive(Clone, Copy, Debug)]
enum Before {
    /// The old image runs.
    Running,
    /// Another update was prepared, and is half there.
    HalfUpdated,
    /// The same manifest was prepared, and nothing fetched.
    Prepared,
}

struct Rig<const WRITE: usize, const ERASE: usize> {
    world: World<WRITE, ERASE>,
    flash: Flash<WRITE, ERASE>,
    new: Release,
    /// The records that may be in force afterwards, byte for byte: the new one, the one before, and that of the image
    /// that runs, which is another where there are two slots and an update was waiting for the other one.
    whole: [Vec<u8>; 3],
}

#[derive(Default)]
struct Count {
    operations: u32,
    cuts: u32,
    new_in_force: u32,
}

/// Whether the boot program has an image to run or to fetch, and the record that says so, byte for byte.
fn in_force<const WRITE: usize, const ERASE: usize>(device: &mut Device<WRITE, ERASE>) -> Vec<u8> {
    let choice = choose(&mut device.flash, &device.layout, &mut [0; MAX_TICKET]).unwrap();
    let (Choice::Run(record) | Choice::Update { record, .. }) = choice else { panic!("{choice:?}") };
    let place = device.layout.record(record).clone();
    device.flash.bytes()[place.start as usize..place.end as usize].to_vec()
}

impl<const WRITE: usize, const ERASE: usize> Rig<WRITE, ERASE> {
    fn new(two_slots: bool, before: Before) -> Self {
        let mut world = World::new(two_slots);
        let running = in_force(&mut world.device);
        let new = release(1200, 3, world.new.sequence_number + 1);
        match before {
            Before::Running => world.publish(new.clone()),
            Before::HalfUpdated => {
                world.prepare().unwrap();
                half_boot(&mut world);
                world.publish(new.clone());
            }
            Before::Prepared => {
                world.publish(new.clone());
                world.prepare().unwrap();
            }
        }
        let flash = world.device.flash.clone();
        let old = in_force(&mut world.device);
        world.prepare().unwrap();
        let running = if two_slots { running } else { old.clone() };
        let whole = [in_force(&mut world.device), old, running];
        Self { world, flash, new, whole }
    }

    fn every_cut(&mut self) -> Count {
        self.start(None, 0);
        self.world.prepare().unwrap();
        let operations = self.world.device.flash.operations;
        let mut count = Count { operations, ..Count::default() };
        for at in 0..operations {
            for how in How::ALL {
                for seed in 0..if how == How::Torn { 8 } else { 1 } {
                    self.cut(Cut { at, how }, seed, &mut count);
                }
            }
        }
        count
    }

    fn start(&mut self, cut: Option<Cut>, seed: u64) {
        self.world.device.flash = self.flash.clone();
        self.world.device.flash.power_on(cut, seed);
    }

    fn cut(&mut self, cut: Cut, seed: u64, count: &mut Count) {
        self.start(Some(cut), seed);
        let error = self.world.prepare().unwrap_err();
        assert_eq!(error, PrepareError::Flash(BootError::Flash(PowerGone)), "{cut:?}");
        self.world.device.flash.power_on(None, seed);
        let found = in_force(&mut self.world.device);
        assert!(self.whole.contains(&found), "{cut:?}, {seed}: no record that was whole before or is new");
        count.new_in_force += u32::from(found == self.whole[0]);
        count.cuts += 1;
        self.world.prepare().unwrap();
        let new = self.new.clone();
        self.world.boots_into(&new);
    }
}

/// The relay falls silent in the middle of the second chunk.
fn half_boot<const WRITE: usize, const ERASE: usize>(world: &mut World<WRITE, ERASE>) {
    let device = &mut world.device;
    let patience = device.patience;
    device.patience = Duration::ZERO;
    let mut server = Server::new(world.new.image.clone()).script(|n, server| server.silent = n >= 12);
    assert_eq!(device.boot(&mut server), Ok(End::StillTrying));
    device.patience = patience;
}

fn row<const WRITE: usize, const ERASE: usize>(two_slots: bool, before: Before) -> String {
    let count = Rig::<WRITE, ERASE>::new(two_slots, before).every_cut();
    let slots = if two_slots { 2 } else { 1 };
    let what = match before {
        Before::Running => "an old image",
        Before::HalfUpdated => "half of another update",
        Before::Prepared => "the same ticket",
    };
    let Count { operations, cuts, new_in_force } = count;
    format!("| {slots} | {ERASE} | {WRITE} | {what} | {operations} | {cuts} | {new_in_force} | 0 |\n")
}

#[test]
fn a_power_cut_at_any_flash_operation_leaves_the_old_ticket_or_the_new_one() {
    let mut table = "# Power cuts survived by `prepare`

One preparation, again for each cut, over flash that holds what the table says. A cut comes before, after or in the middle of
each flash operation (torn: eight ways each). Then the record in force is compared byte for byte with the new one, the one before, and,
where there are two slots, that of the image that runs; then the preparation is repeated, and the image fetched.

| slots | page | write unit | flash before | flash operations | cuts | new ticket in force | tickets lost |
|--:|--:|--:|--|--:|--:|--:|--:|
"
    .to_owned();
    for two_slots in [false, true] {
        for before in [Before::Running, Before::HalfUpdated, Before::Prepared] {
            let _ = write!(table, "{}", row::<4, 256>(two_slots, before));
            let _ = write!(table, "{}", row::<1, 512>(two_slots, before));
            let _ = write!(table, "{}", row::<16, 128>(two_slots, before));
        }
    }
    let snapshot = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/snapshots/prepare-power-cuts.md");
    if std::env::var_os("SIXFOLD_BLESS").is_some() {
        std::fs::write(&snapshot, &table).unwrap();
    }
    let expected = std::fs::read_to_string(&snapshot).unwrap_or_default();
    assert_eq!(table, expected, "another table: look at it, then run with SIXFOLD_BLESS=1");
}
