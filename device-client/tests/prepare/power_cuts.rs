//! A preparation, again and again, with the power cut at every flash operation. Afterwards the ticket that was in force
//! before is whole, with its journal and index, or the new one is; what was accepted stays so; and to prepare once more
//! succeeds, even if that is cut off once, too. With two slots, an update that waits may be given up for the new one: then the
//! image that runs is in force.

use super::model::Server;
use super::model::device::{Device, End, Release};
use super::model::flash::{Cut, Flash, How, PowerGone};
use super::world::{CHUNK, RUNNING, World, release};
use sixfold_device::boot::{BootError, Choice, Event, Record, Which, accepted_sequence_number, choose};
use sixfold_device::prepare::PrepareError;
use sixfold_manifest::Refusal;
use sixfold_profile::record::Entry;
use sixfold_profile::ticket::{MAX_TICKET, Ticket};
use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

/// Cuts of a preparation and of the one after it, this many pairs for each kind of device.
const PAIRS: u64 = 500;

/// What the flash holds before.
#[derive(Clone, Copy, Debug)]
enum Before {
    /// The old image runs.
    Running,
    /// Another update was prepared, and is half there.
    HalfUpdated,
    /// The same manifest was prepared, and nothing fetched.
    Prepared,
    /// An image from the factory runs, in slot A, which no record vouches for; an update was prepared, and is half there.
    FactoryHalfUpdated,
}

struct Rig<const WRITE: usize, const ERASE: usize> {
    world: World<WRITE, ERASE>,
    flash: Flash<WRITE, ERASE>,
    new: Release,
    /// The highest sequence number that was accepted before.
    accepted: u64,
    /// The records that may be in force afterwards, byte for byte: the new one, the one before, and that of the image
    /// that runs, which is another where there are two slots and an update was waiting for the other one. An image from the factory
    /// has none: nothing is in force.
    whole: [Vec<u8>; 3],
}

#[derive(Default)]
struct Count {
    operations: u32,
    cuts: u32,
    /// How often each of the rig's records was in force after a cut.
    in_force: [u32; 3],
    /// Pairs of cuts of which both came.
    pairs: u32,
}

/// Whether the boot program has an image to run or to fetch, and the record that says so, byte for byte; nothing when that image
/// is the factory's.
fn in_force<const WRITE: usize, const ERASE: usize>(device: &mut Device<WRITE, ERASE>) -> Vec<u8> {
    let choice = choose(&mut device.flash, &device.layout, &mut [0; MAX_TICKET]).unwrap();
    let record = match choice {
        Choice::Run(record) | Choice::Update { record, .. } => record,
        Choice::Nothing => return Vec::new(),
        Choice::Lost => panic!("lost"),
    };
    let place = device.layout.record(record).clone();
    device.flash.bytes()[place.start as usize..place.end as usize].to_vec()
}

impl<const WRITE: usize, const ERASE: usize> Rig<WRITE, ERASE> {
    fn new(two_slots: bool, before: Before) -> Self {
        let mut world = World::new(two_slots);
        if matches!(before, Before::FactoryHalfUpdated) {
            let slot = world.device.layout.slot(Which::A).start as usize;
            let flash = world.device.flash.bytes_mut();
            flash.fill(0xff);
            flash[slot..slot + world.old.image.len()].copy_from_slice(&world.old.image);
        }
        let running = in_force(&mut world.device);
        let new = release(1200, 3, world.new.sequence_number + 1);
        match before {
            Before::Running => world.publish(new.clone()),
            Before::HalfUpdated | Before::FactoryHalfUpdated => {
                world.prepare().unwrap();
                stops_at(&mut world, 12);
                world.publish(new.clone());
            }
            Before::Prepared => {
                world.publish(new.clone());
                world.prepare().unwrap();
            }
        }
        let flash = world.device.flash.clone();
        let old = in_force(&mut world.device);
        let accepted = accepted(&mut world.device);
        world.prepare().unwrap();
        let running = if two_slots { running } else { old.clone() };
        let whole = [in_force(&mut world.device), old, running];
        Self { world, flash, new, accepted, whole }
    }

    fn every_cut(&mut self) -> Count {
        self.start(None, 0);
        self.world.prepare().unwrap();
        let operations = self.world.device.flash.operations;
        let mut count = Count { operations, ..Count::default() };
        for at in 0..operations {
            for how in How::ALL {
                for seed in 0..if how == How::Torn { 8 } else { 1 } {
                    let found = self.live(&[Cut { at, how }], seed);
                    assert_eq!(found.len(), 1, "{at}, {how:?}: the cut never came");
                    count.in_force[found[0]] += 1;
                    count.cuts += 1;
                }
            }
        }
        count.pairs = self.pairs_of_cuts(operations);
        count
    }

    fn start(&mut self, cut: Option<Cut>, seed: u64) {
        self.world.device.flash = self.flash.clone();
        self.world.device.flash.power_on(cut, seed);
    }

    /// The second cut is in the preparation after the first. How many came.
    fn pairs_of_cuts(&mut self, operations: u32) -> u32 {
        let mut came = 0;
        for seed in 0..PAIRS {
            let random = |salt: u64| (seed * 2 + salt).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let at = |salt, operations| (random(salt) >> 33) as u32 % operations;
            let hows = [How::Before, How::Torn, How::After, How::Weak];
            let first = Cut { at: at(0, operations), how: hows[(random(0) >> 20) as usize % 4] };
            // Where an update waits only since the first preparation, the second one needs a note: some operations more.
            let second = Cut { at: at(1, operations + 3), how: How::ALL[(random(1) >> 20) as usize % 3] };
            came += u32::from(self.live(&[first, second], seed).len() == 2);
        }
        came
    }

    /// Preparations with power cuts at `cuts`, each counted from the last, until one succeeds; then the boot program. Which
    /// of the rig's records was in force after each cut that came.
    fn live(&mut self, cuts: &[Cut], seed: u64) -> Vec<usize> {
        let mut later = cuts.iter().copied();
        let mut in_force = Vec::new();
        self.start(later.next(), seed);
        while let Err(error) = self.world.prepare() {
            assert_eq!(error, PrepareError::Flash(BootError::Flash(PowerGone)), "{cuts:?}, {seed}");
            self.world.device.flash.power_on(later.next(), seed);
            in_force.push(self.found(cuts, seed));
            self.refuses_what_is_older(cuts, seed);
        }
        self.world.device.flash.power_on(None, seed);
        let new = self.new.clone();
        self.world.boots_into(&new);
        in_force
    }

    /// Which of the rig's records is in force.
    fn found(&mut self, cuts: &[Cut], seed: u64) -> usize {
        let found = in_force(&mut self.world.device);
        if found.is_empty() {
            let old = &self.world.old.image;
            assert!(self.world.device.slot(Which::A, old.len()) == old, "{cuts:?}, {seed}: wrong bytes run");
        }
        let found = self.whole.iter().position(|record| self.is(record, &found));
        found.unwrap_or_else(|| panic!("{cuts:?}, {seed}: no record that was whole before or is new"))
    }

    /// Whether what was found is this record, byte for byte, to the end of its index. With two slots, the journal of an update that
    /// waits may have lost marks, to a note that may be torn; it must not have got any.
    fn is(&self, record: &[u8], found: &[u8]) -> bool {
        if record.is_empty() || found.is_empty() {
            return record.is_empty() && found.is_empty();
        }
        let ticket = Ticket::read(record).unwrap();
        let parts = Record::new::<Flash<WRITE, ERASE>>(&(0..record.len() as u32), &ticket).unwrap();
        let [start, journal, end] =
            [parts.journal().start, parts.journal().end, parts.index().end].map(|at| at as usize);
        let entries =
            |record: &[u8]| record[start..journal].chunks(WRITE.max(4)).map(Entry::read).collect::<Vec<_>>();
        let mut marks = entries(record).into_iter().zip(entries(found));
        record[..start] == found[..start]
            && record[journal..end] == found[journal..end]
            && if self.world.device.layout.is_single() {
                record[start..journal] == found[start..journal]
            } else {
                marks.all(|(before, now)| now != Entry::Marked || before == Entry::Marked)
            }
    }

    /// Whatever the cut left, a signed manifest of before is not for this device any more.
    fn refuses_what_is_older(&mut self, cuts: &[Cut], seed: u64) {
        let accepted = accepted(&mut self.world.device);
        assert!(
            accepted >= self.accepted,
            "{cuts:?}, {seed}: {} was accepted, now {accepted}",
            self.accepted
        );
        let offered = self.accepted - 1;
        self.world.sign_suit(|manifest| manifest.sequence_number = offered);
        let error = self.world.prepare().unwrap_err();
        assert_eq!(error, PrepareError::Refused(Refusal::Sequence { offered, accepted }), "{cuts:?}, {seed}");
        self.world.sign_suit(|_| ());
    }
}

/// What the flash says was accepted.
fn accepted<const WRITE: usize, const ERASE: usize>(device: &mut Device<WRITE, ERASE>) -> u64 {
    accepted_sequence_number(&mut device.flash, &device.layout).unwrap().unwrap()
}

/// The boot program works until the relay falls silent at this request: at 12, in the middle of the second chunk.
fn stops_at<const WRITE: usize, const ERASE: usize>(world: &mut World<WRITE, ERASE>, request: usize) {
    let device = &mut world.device;
    let patience = device.patience;
    device.patience = Duration::ZERO;
    let mut server =
        Server::new(world.new.image.clone()).script(move |n, server| server.silent = n >= request);
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
        Before::FactoryHalfUpdated => "a factory image, half of another update",
    };
    let Count { operations, cuts, in_force: [new, before, running], pairs } = count;
    format!(
        "| {slots} | {ERASE} | {WRITE} | {what} | {operations} | {cuts} | {new} | {before} | {running} | {pairs} |\n"
    )
}

#[test]
fn a_power_cut_at_any_flash_operation_leaves_the_old_ticket_or_the_new_one() {
    let mut table = "# Power cuts survived by `prepare`

One preparation, again for each cut, over flash that holds what the table says. A cut comes before, after or in the middle of
each flash operation (torn: eight ways each). Then the record in force is compared byte for byte: it is the new one, the one before, or,
where there are two slots and an update that waited was given up, that of the image that runs. A manifest older than what was
accepted before the cut is refused; then the preparation is repeated, and the image fetched.

Of 500 random pairs of cuts, the second one in the repeated preparation, those count in which both came; the same is checked after
each. There a first cut may also weaken a page to be erased: it reads as before, but not after the second cut.

| slots | page | write unit | flash before | flash operations | cuts | new record in force | that before | that of the running image | pairs of cuts |
|--:|--:|--:|--|--:|--:|--:|--:|--:|--:|
"
    .to_owned();
    for two_slots in [false, true] {
        for before in [Before::Running, Before::HalfUpdated, Before::Prepared] {
            let _ = write!(table, "{}", row::<4, 256>(two_slots, before));
            let _ = write!(table, "{}", row::<1, 512>(two_slots, before));
            let _ = write!(table, "{}", row::<16, 128>(two_slots, before));
        }
    }
    let _ = write!(table, "{}", row::<4, 256>(true, Before::FactoryHalfUpdated));
    let _ = write!(table, "{}", row::<1, 512>(true, Before::FactoryHalfUpdated));
    let _ = write!(table, "{}", row::<16, 128>(true, Before::FactoryHalfUpdated));
    let snapshot = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/snapshots/prepare-power-cuts.md");
    if std::env::var_os("SIXFOLD_BLESS").is_some() {
        std::fs::write(&snapshot, &table).unwrap();
    }
    let expected = std::fs::read_to_string(&snapshot).unwrap_or_default();
    assert_eq!(table, expected, "another table: look at it, then run with SIXFOLD_BLESS=1");
}

/// The power goes before the last flash operations, so many.
fn prepare_but_for<const WRITE: usize, const ERASE: usize>(last: u32, world: &mut World<WRITE, ERASE>) {
    let flash = world.device.flash.clone();
    world.device.flash.power_on(None, 0);
    world.prepare().unwrap();
    let at = world.device.flash.operations - last;
    world.device.flash = flash;
    world.device.flash.power_on(Some(Cut { at, how: How::Before }), 0);
    assert!(world.prepare().is_err(), "the power went");
    world.device.flash.power_on(None, 0);
}

/// The power went just before a note was withdrawn, the boot program marked chunks behind it, and then the ticket rotted: marks
/// of another image must not outlive it for the sake of a number.
#[test]
fn a_note_among_marks_is_given_up() {
    let mut world = World::<4, 256>::new(true);
    world.publish(release(6 * CHUNK as usize, 3, RUNNING + 1));
    world.prepare().unwrap();
    prepare_but_for(2, &mut world);
    stops_at(&mut world, 5 * CHUNK as usize / 64 + 4);
    let place = world.device.layout.records[0].start as usize;
    world.device.flash.bytes_mut()[place + 60] ^= 1;
    world.publish(release(6 * CHUNK as usize, 9, RUNNING + 2));
    world.device.events.clear();
    prepare_but_for(1, &mut world);
    let new = world.new.clone();
    world.device.boot(&mut Server::new(new.image.clone())).unwrap();
    let is_sleep = |event: &&Event| matches!(event, Event::Sleep { .. });
    assert_eq!(world.device.events.iter().find(is_sleep), None, "a chunk was marked that is not there");
    world.prepare().unwrap();
    world.boots_into(&new);
}

/// The boot program is next, when the power went just before a note was withdrawn, and in the middle of it.
#[test]
fn a_note_does_not_keep_a_boot_program_from_its_update() {
    for last in [1, 2] {
        let mut world = World::<4, 256>::new(true);
        world.publish(release(6 * CHUNK as usize, 3, RUNNING + 1));
        world.prepare().unwrap();
        prepare_but_for(last, &mut world);
        let new = world.new.clone();
        world.boots_into(&new);
        let choice = choose(&mut world.device.flash, &world.device.layout, &mut [0; MAX_TICKET]);
        assert_eq!(choice, Ok(Choice::Run(Which::A)), "{last}: the marks are whole again");
    }
}
