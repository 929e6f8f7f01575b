//! The vectors that a device speaks: records in flash, what it is told of a group, and its side of whole exchanges.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "these are tests")]

mod model;
#[path = "../../profile/vectors/tests/reader/mod.rs"]
mod reader;

use model::flash::{Flash, PowerGone};
use reader::{bytes, file, golden, list, number, refused, text};
use serde_json::Value;
use sixfold_device::Fetch;
use sixfold_device::boot::{
    Boot, BootError, Choice, Layout, Record, Which, choose, install, listening_memory, record,
};
use sixfold_device::fetch::Event;
use sixfold_device::prepare::{Inquiry, NoGroup, Probe, Request, Source, Target, informative, prepare};
use sixfold_device::uri::encode;
use sixfold_manifest::keys::VerifyingKey;
use sixfold_manifest::{Device, class_identifier, suit, vendor_identifier};
use sixfold_profile::Instant;
use sixfold_profile::coap::{Options, Szx};
use sixfold_profile::ticket::{Endpoint, Fields, MAX_TICKET, Ticket};
use std::convert::Infallible;
use std::iter::Peekable;
use std::slice;

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

/// Each with a ticket of its own, which has a session.
#[test]
fn the_boot_program_protects_exactly_these_datagrams() {
    let file = file(reader::EXCHANGES);
    for (name, vector) in list(&file, "sessions") {
        let ticket_bytes = bytes(&vector["ticket"]);
        let ticket = Ticket::read(&ticket_bytes).unwrap();
        let mut flash = flash_with::<4>(&[]);
        let which =
            install(&mut flash, &layout(), &ticket.fields().unwrap(), &bytes(&file["index"])).unwrap();
        let seed = number(&file["device"]["seed"]) as u32;
        let mut boot = Boot::new(&mut flash, &layout(), which, ticket, seed).unwrap();
        assert!(boot.is_protected());
        for step in vector["steps"].as_array().unwrap() {
            play(name, &mut boot, step);
        }
        assert!(boot.is_bootable(), "{name}: the image is not whole");
        let image = bytes(&file["image"]);
        assert_eq!(&flash.bytes()[2 * PLACE as usize..][..image.len()], &image, "{name}: another image");
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

#[test]
fn the_main_program_sends_exactly_these_datagrams() {
    let file = file(reader::EXCHANGES);
    for (name, vector) in list(&file, "preparations") {
        let mut flash = flash_with::<4>(&[]);
        let mut relay = Relay::new(name, vector, number(&file["device"]["seed"]) as u32);
        let key = VerifyingKey::from_pem(include_str!("../../profile/vectors/keys/ed25519.pub")).unwrap();
        assert_eq!(text(&vector["key"]), "ed25519");
        let golden_ticket = bytes(&vector["ticket"]);
        let fields = Ticket::read(&golden_ticket).unwrap().fields().unwrap();
        let request = request(text(&vector["manifest"]), &fields);
        let verify = |signed: &[u8]| suit::verify(signed, slice::from_ref(&key));
        let prepared = prepare(&mut flash, &layout(), &mut relay, verify, &request).unwrap();
        assert!(relay.steps.next().is_none(), "{name}: it ends too early");
        let place = layout().record(prepared.record.unwrap()).start as usize;
        golden(name, &flash.bytes()[place..][..golden_ticket.len()], &golden_ticket);
        golden(name, fields.group, Some(prepared.group.unwrap().unwrap().group()));
    }
}

/// Of a lamp that gets such a ticket.
fn request(manifest: &str, ticket: &Fields<'_>) -> Request {
    let vendor = vendor_identifier("example.com");
    Request {
        relay: ticket.relay,
        manifest: Target::new(manifest).unwrap(),
        device: Device {
            vendor,
            class: class_identifier(vendor, "lamp"),
            slot_size: PLACE,
            page_size: PAGE,
            last_sequence_number: None,
        },
        keys: Vec::new(),
        interface_identifier: ticket.interface_identifier,
        szx: ticket.szx,
        group: true,
    }
}

/// Says what it says in a vector, and looks at what it is asked.
struct Relay<'v> {
    name: &'v str,
    steps: Peekable<slice::Iter<'v, Value>>,
    /// Of the next question.
    seed: u32,
}

impl<'v> Relay<'v> {
    fn new(name: &'v str, vector: &'v Value, seed: u32) -> Self {
        Self { name, steps: vector["steps"].as_array().unwrap().iter().peekable(), seed }
    }

    fn next_seed(&mut self) -> u32 {
        self.seed += 1;
        self.seed - 1
    }

    /// When the next step is.
    fn now(&mut self) -> Instant {
        Instant::from_micros(self.steps.peek().map_or(0, |step| number(&step["at_us"])))
    }

    /// The device sends this; what comes next, and when.
    fn asked(&mut self, datagram: &[u8]) -> (Instant, Vec<u8>) {
        let step = self.steps.next().expect(self.name);
        golden(self.name, text(&step["from"]), "device");
        golden(self.name, datagram, &bytes(&step["bytes"]));
        let step = self.steps.find(|step| text(&step["from"]) != "origin").expect(self.name);
        golden(self.name, text(&step["from"]), "relay");
        (Instant::from_micros(number(&step["at_us"])), arrives(step).unwrap())
    }

    fn body(&mut self, target: &Target, szx: Szx, is_probe: bool) -> (Vec<u8>, Probe) {
        let options = encode(&target.options).unwrap();
        let mut fetch = Fetch::new(Options::new(&options), szx, self.next_seed());
        let mut body = Vec::new();
        loop {
            let mut buffer = [0; 256];
            let length = fetch.poll_transmit(self.now(), &mut buffer).unwrap().expect(self.name);
            let (now, answer) = self.asked(&buffer[..length]);
            let Some(Event::Block(block)) = fetch.handle_datagram(now, &answer) else {
                panic!("{}: no block", self.name)
            };
            body.extend_from_slice(block.payload);
            if is_probe || !block.more {
                return (body, Probe { size: block.size, etag: block.etag, szx: block.szx });
            }
        }
    }
}

impl Source for Relay<'_> {
    type Error = Infallible;

    fn fetch(&mut self, target: &Target, _limit: usize) -> Result<Vec<u8>, Infallible> {
        Ok(self.body(target, Szx::MAX, false).0)
    }

    fn probe(&mut self, target: &Target, szx: Szx) -> Result<Probe, Infallible> {
        Ok(self.body(target, szx, true).1)
    }

    fn group(&mut self, target: &Target) -> Result<Vec<u8>, NoGroup> {
        let options = encode(&target.options).unwrap();
        let mut inquiry = Inquiry::new(Options::new(&options), self.now(), self.next_seed());
        let mut buffer = [0; 256];
        let length = inquiry.poll_transmit(self.now(), &mut buffer).unwrap().expect(self.name);
        let (now, answer) = self.asked(&buffer[..length]);
        inquiry.handle_datagram(now, &answer).expect(self.name)
    }
}

#[test]
fn a_member_sends_exactly_these_datagrams() {
    let file = file(reader::EXCHANGES);
    let image = bytes(&file["image"]);
    for (name, vector) in list(&file, "members") {
        let ticket_bytes = bytes(&vector["ticket"]);
        let ticket = Ticket::read(&ticket_bytes).unwrap();
        let mut flash = flash_with::<4>(&[]);
        let which =
            install(&mut flash, &layout(), &ticket.fields().unwrap(), &bytes(&file["index"])).unwrap();
        let blocks = ticket.image_size().div_ceil(ticket.szx().size() as u32);
        let mut memory = vec![0; listening_memory(ticket.image_size(), blocks, ticket.szx())];
        let seed = number(&file["device"]["seed"]) as u32;
        let mut boot = Boot::new(&mut flash, &layout(), which, ticket, seed).unwrap();
        boot.listen(&mut memory);
        assert_eq!(boot.is_protected(), !vector["session"].is_null());
        for step in vector["steps"].as_array().unwrap() {
            play(name, &mut boot, step);
        }
        assert!(boot.is_bootable(), "{name}: the image is not whole");
        assert_eq!(&flash.bytes()[2 * PLACE as usize..][..image.len()], &image, "{name}: another image");
    }
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
                match step["to"].as_str() {
                    None => drop(boot.handle_datagram(at, &mut datagram.clone()).unwrap()),
                    Some("group") => drop(boot.handle_group_datagram(at, &datagram).unwrap()),
                    Some(other) => golden(name, other, "other member"),
                }
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
