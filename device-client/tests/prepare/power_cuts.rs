//! A preparation, again and again, with the power cut at every flash operation. Afterwards the ticket that was in force
//! before is whole, with its journal and index, or the new one is; what was accepted stays so; and to prepare once more
//! succeeds. With two slots, an update that waits may be given up for the new one: then the image that runs is in force.

use super::model::Server;
use super::model::device::{Device, End, Release};
use super::model::flash::{Cut, Flash, How, PowerGone};
use super::world::{CHUNK, RUNNING, World, release};
use sixfold_device::boot::{BootError, Choice, Event, Record, accepted_sequence_number, choose};
use sixfold_device::prepare::PrepareError;
use sixfold_manifest::Refusal;
use sixfold_profile::record::Entry;
use sixfold_profile::ticket::{MAX_TICKET, Ticket};
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
    /// The highest sequence number that was accepted before.
    accepted: u64,
    /// The records that may be in force afterwards, byte for byte: the new one, the one before, and that of the image
    /// that runs, which is another where there are two slots and an update was waiting for the other one.
    whole: [Vec<u8>; 3],
}

#[derive(Default)]
struct Count {
    operations: u32,
    cuts: u32,
    /// How often each of the rig's records was in force after a cut.
    in_force: [u32; 3],
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
        let found = self.whole.iter().position(|record| self.is(record, &found));
        let found =
            found.unwrap_or_else(|| panic!("{cut:?}, {seed}: no record that was whole before or is new"));
        count.in_force[found] += 1;
        count.cuts += 1;
        self.refuses_what_is_older(cut);
        self.world.prepare().unwrap();
        let new = self.new.clone();
        self.world.boots_into(&new);
    }

    /// Whether what was found is this record, byte for byte. With two slots, the journal of an update that waits may have lost
    /// marks, to a note that may be torn; it must not have got any.
    fn is(&self, record: &[u8], found: &[u8]) -> bool {
        if !self.world.device.layout.is_single() {
            let ticket = Ticket::read(record).unwrap();
            let journal =
                Record::new::<Flash<WRITE, ERASE>>(&(0..record.len() as u32), &ticket).unwrap().journal();
            let (start, end) = (journal.start as usize, journal.end as usize);
            let entries =
                |record: &[u8]| record[start..end].chunks(WRITE.max(4)).map(Entry::read).collect::<Vec<_>>();
            let mut marks = entries(record).into_iter().zip(entries(found));
            return record[..start] == found[..start]
                && record[end..] == found[end..]
                && marks.all(|(before, now)| now != Entry::Marked || before == Entry::Marked);
        }
        record == found
    }

    /// Whatever the cut left, a signed manifest of before is not for this device any more.
    fn refuses_what_is_older(&mut self, cut: Cut) {
        let accepted = accepted(&mut self.world.device);
        assert!(accepted >= self.accepted, "{cut:?}: {} was accepted, now only {accepted}", self.accepted);
        let offered = self.accepted - 1;
        self.world.sign_suit(|manifest| manifest.sequence_number = offered);
        let error = self.world.prepare().unwrap_err();
        assert_eq!(error, PrepareError::Refused(Refusal::Sequence { offered, accepted }), "{cut:?}");
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
    };
    let Count { operations, cuts, in_force: [new, before, running] } = count;
    format!(
        "| {slots} | {ERASE} | {WRITE} | {what} | {operations} | {cuts} | {new} | {before} | {running} |\n"
    )
}

#[test]
fn a_power_cut_at_any_flash_operation_leaves_the_old_ticket_or_the_new_one() {
    let mut table = "# Power cuts survived by `prepare`

One preparation, again for each cut, over flash that holds what the table says. A cut comes before, after or in the middle of
each flash operation (torn: eight ways each). Then the record in force is compared byte for byte: it is the new one, the one before, or,
where there are two slots and an update that waited was given up, that of the image that runs. A manifest older than what was
accepted before the cut is refused; then the preparation is repeated, and the image fetched.

| slots | page | write unit | flash before | flash operations | cuts | new record in force | that before | that of the running image |
|--:|--:|--:|--|--:|--:|--:|--:|--:|
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

/// The power goes before the last flash operation.
fn prepare_but_for_the_last<const WRITE: usize, const ERASE: usize>(world: &mut World<WRITE, ERASE>) {
    let flash = world.device.flash.clone();
    world.device.flash.power_on(None, 0);
    world.prepare().unwrap();
    let at = world.device.flash.operations - 1;
    world.device.flash = flash;
    world.device.flash.power_on(Some(Cut { at, how: How::Before }), 0);
    assert!(world.prepare().is_err(), "the power went");
    world.device.flash.power_on(None, 0);
}

/// The power went just before a note was erased, the boot program marked chunks behind it, and then the ticket rotted: marks
/// of another image must not outlive it for the sake of a number.
#[test]
fn a_note_among_marks_is_given_up() {
    let mut world = World::<4, 256>::new(true);
    world.publish(release(6 * CHUNK as usize, 3, RUNNING + 1));
    world.prepare().unwrap();
    prepare_but_for_the_last(&mut world);
    stops_at(&mut world, 5 * CHUNK as usize / 64 + 4);
    let place = world.device.layout.records[0].start as usize;
    world.device.flash.bytes_mut()[place + 60] ^= 1;
    world.publish(release(6 * CHUNK as usize, 9, RUNNING + 2));
    world.device.events.clear();
    prepare_but_for_the_last(&mut world);
    let new = world.new.clone();
    world.device.boot(&mut Server::new(new.image.clone())).unwrap();
    let is_sleep = |event: &&Event| matches!(event, Event::Sleep { .. });
    assert_eq!(world.device.events.iter().find(is_sleep), None, "a chunk was marked that is not there");
    world.prepare().unwrap();
    world.boots_into(&new);
}
