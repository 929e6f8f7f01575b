//! The vectors that a device speaks: records in flash, what it is told of a group, and its side of whole exchanges.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "these are tests")]

mod model;
#[path = "../../profile/vectors/tests/reader/mod.rs"]
mod reader;

use model::flash::{Flash, PowerGone};
use reader::{bytes, file, golden, list, number, refused, text};
use serde_json::Value;
use sixfold_device::boot::{Boot, BootError, Choice, Layout, Record, Which, choose, install, record};
use sixfold_device::prepare::informative;
use sixfold_profile::Instant;
use sixfold_profile::ticket::{Endpoint, MAX_TICKET, Ticket};

const PAGE: u32 = 256;
/// More than the records of the vectors need.
const PLACE: u32 = 8 * PAGE;

fn layout() -> Layout {
    Layout::single([0..PLACE, PLACE..2 * PLACE], 2 * PLACE..3 * PLACE)
}

/// Erased flash with these bytes in place of record A.
fn flash_with<const WRITE: usize>(record: &[u8]) -> Flash<WRITE, 256> {
    let mut flash = Flash::erased((3 * PLACE / PAGE) as usize);
    flash.bytes_mut()[..record.len()].copy_from_slice(record);
    flash
}

fn choice<const WRITE: usize>(flash: &mut Flash<WRITE, 256>) -> &'static str {
    match choose(flash, &layout(), &mut [0; MAX_TICKET]).unwrap() {
        Choice::Run(Which::A) => "run",
        Choice::Update { record: Which::A, fallback: None } => "update",
        Choice::Nothing => "nothing",
        Choice::Lost => "lost",
        other => panic!("{other:?}"),
    }
}

#[test]
fn records_mean_what_they_say() {
    for (name, vector) in list(&file(reader::RECORDS), "vectors") {
        assert_eq!(number(&vector["page"]), u64::from(PAGE));
        match number(&vector["write_unit"]) {
            4 => means::<4>(name, vector),
            16 => means::<16>(name, vector),
            other => panic!("{other}"),
        }
    }
}

fn means<const WRITE: usize>(name: &str, vector: &Value) {
    let mut flash = flash_with::<WRITE>(&bytes(&vector["bytes"]));
    golden(name, choice(&mut flash), text(&vector["choice"]));
    let mut buffer = [0; MAX_TICKET];
    let ticket = record::read_ticket(&mut flash, &(0..PLACE), &mut buffer).unwrap();
    let record = Record::new::<Flash<WRITE, 256>>(&(0..PLACE), &ticket).unwrap();
    let list = |key: &str| vector[key].as_array().unwrap().iter();
    let entries = list("journal").chain([&vector["image"]]).chain(list("openings"));
    for (at, entry) in (0..).zip(entries) {
        golden(name, record.is_marked(&mut flash, at), Ok(text(entry) == "marked"));
    }
    golden(name, u64::from(record.journal().start), number(&vector["journal_at"]));
    golden(name, u64::from(record.index().start), number(&vector["index_at"]));
}

#[test]
fn bad_records_are_refused() {
    for (name, vector) in list(&file(reader::RECORDS), "refused") {
        let mut flash = flash_with::<4>(&bytes(&vector["bytes"]));
        golden(name, choice(&mut flash), text(&vector["choice"]));
        refused(name, vector, begin(&mut flash));
    }
}

fn begin(flash: &mut Flash<4, 256>) -> Result<(), BootError<PowerGone>> {
    let mut buffer = [0; MAX_TICKET];
    let ticket = record::read_ticket(flash, &(0..PLACE), &mut buffer)?;
    Boot::new(flash, &layout(), Which::A, ticket, 0).map(drop)
}

fn endpoint(value: &Value) -> Endpoint {
    Endpoint { address: text(&value["address"]).parse().unwrap(), port: number(&value["port"]) as u16 }
}

#[test]
fn informative_responses_are_read() {
    for (name, vector) in list(&file(reader::GROUPS), "informative") {
        let told = informative::read(&bytes(&vector["bytes"]), endpoint(&vector["relay"])).expect(name);
        golden(name, told.endpoint, endpoint(&vector["group"]));
        golden(name, told.token, bytes(&vector["token"]));
    }
}

#[test]
fn bad_informative_responses_are_refused() {
    for (name, vector) in list(&file(reader::GROUPS), "uninformative") {
        refused(name, vector, informative::read(&bytes(&vector["bytes"]), endpoint(&vector["relay"])));
    }
}

#[test]
fn the_boot_program_sends_exactly_these_datagrams() {
    let file = file(reader::EXCHANGES);
    for (name, vector) in list(&file, "vectors") {
        replay(name, vector, &file);
    }
}

/// Gives the device what arrived, and looks at what it sends, and at its flash in the end.
fn replay(name: &str, vector: &Value, file: &Value) {
    let (ticket_bytes, index, image) = (bytes(&file["ticket"]), bytes(&file["index"]), bytes(&file["image"]));
    let ticket = Ticket::read(&ticket_bytes).unwrap();
    let mut flash = flash_with::<4>(&[]);
    let which = install(&mut flash, &layout(), &ticket.fields().unwrap(), &index).unwrap();
    let place = layout().record(which).start as usize;
    let record = |flash: &Flash<4, 256>, golden: &[u8]| flash.bytes()[place..][..golden.len()].to_vec();
    let (fresh, whole) =
        (record_vector("as the main program leaves it"), record_vector("the image is whole"));
    golden(name, record(&flash, &fresh), fresh);
    let seed = number(&file["device"]["seed"]) as u32;
    let mut boot = Boot::new(&mut flash, &layout(), which, ticket, seed).unwrap();
    for step in vector["steps"].as_array().unwrap() {
        play(name, &mut boot, step);
    }
    assert!(boot.is_bootable(), "{name}: the image is not whole");
    assert_eq!(sent(&mut boot, Instant::from_micros(u64::MAX)), None, "{name}: one datagram more");
    assert_eq!(&flash.bytes()[2 * PLACE as usize..][..image.len()], &image, "{name}: another image");
    golden(name, record(&flash, &whole), whole);
}

/// A record in flash that writes 4 bytes at once.
fn record_vector(moment: &str) -> Vec<u8> {
    let file = file(reader::RECORDS);
    let found = list(&file, "vectors").find(|(name, _)| *name == format!("{moment}, write units of 4 bytes"));
    bytes(&found.unwrap().1["bytes"])
}

fn play(name: &str, boot: &mut Boot<'_, &mut Flash<4, 256>>, step: &Value) {
    let at = Instant::from_micros(number(&step["at_us"]));
    while let Some(due) = boot.poll_timeout().filter(|due| *due <= at) {
        boot.handle_timeout(due).unwrap();
    }
    match text(&step["from"]) {
        "device" => golden(name, sent(boot, at), Some(bytes(&step["bytes"]))),
        "relay" => {
            if let Some(datagram) = arrives(step) {
                assert_eq!(sent(boot, at), None, "{name}: a datagram that is not in the vector");
                boot.handle_datagram(at, &datagram).unwrap();
                boot.handle_timeout(at).unwrap();
            }
        }
        _ => {}
    }
}

fn sent(boot: &mut Boot<'_, &mut Flash<4, 256>>, now: Instant) -> Option<Vec<u8>> {
    let mut buffer = [0; 256];
    let length = boot.poll_transmit(now, &mut buffer).unwrap();
    length.map(|length| buffer[..length].to_vec())
}

/// What of a datagram arrives.
fn arrives(step: &Value) -> Option<Vec<u8>> {
    let mut datagram = bytes(&step["bytes"]);
    match text(&step["fate"]) {
        "arrives" => {}
        "lost" => return None,
        "last bit flipped" => *datagram.last_mut().unwrap() ^= 1,
        other => panic!("{other}"),
    }
    Some(datagram)
}
