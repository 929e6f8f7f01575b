//! A device whose flash, power, relay and link a script decides about, and the promises that it must keep.

use super::model::device::Release;
use super::model::flash::{Cut, Flash, PowerGone};
use super::model::image;
use sixfold_device::boot::{
    Boot, BootError, Choice, Event, Layout, Which, accepted_sequence_number, choose, install, record,
};
use sixfold_profile::Instant;
use sixfold_profile::coap::{Block, Code, Message, Szx, Type, Writer, content_format, option};
use sixfold_profile::index::ChunkSize;
use sixfold_profile::parity::{Parity, word};
use sixfold_profile::ticket::{Endpoint, Fields, Group, MAX_TICKET};
use std::time::Duration;

const CHUNK: usize = 256;
const TOKEN: &[u8] = b"\x51\x52";
const PAGE: u32 = 256;
/// Datagrams that one input may cause: a reply, and a request.
const MOST_DATAGRAMS: usize = 3;
/// More steps than an update needs whose relay is honest at last.
const STEPS: usize = 2_000;

pub(super) type Store = Flash<4, 256>;
type Trouble = BootError<PowerGone>;

/// The device between two resets, as the script drives it.
pub(super) struct Session<'a> {
    boot: Boot<'a, &'a mut Store>,
    pub(super) now: &'a mut Instant,
    slot: usize,
    record: usize,
    is_rotten: &'a mut bool,
    old: &'a [u8],
    new: &'a [u8],
    /// The request that was sent last.
    request: Vec<u8>,
}

/// What outlives a reset.
pub(super) struct World {
    pub(super) flash: Store,
    layout: Layout,
    old: Release,
    new: Release,
    now: Instant,
    seed: u32,
    /// Whether a ticket rotted.
    is_rotten: bool,
    /// The memory that a member of the group has.
    memory: Option<Vec<u8>>,
}

/// What a reset leads to.
pub(super) enum Next {
    /// The old image runs; its main program may prepare.
    Old,
    New,
    Update(Which),
    /// The ticket of the only image rotted while it was replaced.
    Lost,
}

impl World {
    /// Release 7 runs, in slot B where there are two. With so much `memory` the device takes part in the group.
    pub(super) fn new(two_slots: bool, memory: Option<usize>) -> Self {
        let release = |length, seed, number| Release::new(image(length, seed), ChunkSize::MIN, number);
        let (old, mut new) = (release(3 * CHUNK, 1, 7), image(3 * CHUNK + 90, 2));
        new[CHUNK..2 * CHUNK].copy_from_slice(&old.image[CHUNK..2 * CHUNK]);
        let place = |first: u32, pages: u32| first * PAGE..(first + pages) * PAGE;
        let records = [place(0, 4), place(4, 4)];
        let layout = match two_slots {
            true => Layout { records, slots: [place(8, 4), place(12, 4)] },
            false => Layout::single(records, place(8, 4)),
        };
        let new = Release::new(new, ChunkSize::MIN, 8);
        let mut world = Self {
            flash: Flash::erased(16),
            layout,
            old,
            new,
            now: Instant::ZERO,
            seed: 0,
            is_rotten: false,
            memory: None,
        };
        world.install_old();
        world.memory = memory.map(|length| vec![0xaa; length]);
        world
    }

    fn install_old(&mut self) {
        let which = install(&mut self.flash, &self.layout, &self.old.ticket(), &self.old.index).unwrap();
        let start = self.layout.slot(which).start as usize;
        self.flash.bytes_mut()[start..start + self.old.image.len()].copy_from_slice(&self.old.image);
        // All chunks are there: the first step finds and marks them.
        let new = std::mem::replace(&mut self.new, self.old.clone());
        self.session(which, |session| {
            session.advance();
        })
        .unwrap();
        self.new = new;
    }

    /// What a reset leads to. Whatever may run is one of the two images, whole; and no power cut makes the device forget.
    pub(super) fn reset(&mut self) -> Next {
        self.flash.power_on(None, 1);
        let accepted = accepted_sequence_number(&mut self.flash, &self.layout).unwrap();
        assert!(accepted == Some(7) || accepted == Some(8) || self.is_rotten, "{accepted:?}");
        match choose(&mut self.flash, &self.layout, &mut [0; MAX_TICKET]).unwrap() {
            Choice::Run(which) if self.holds(which, &self.new) => Next::New,
            Choice::Run(which) => {
                assert!(self.holds(which, &self.old), "wrong bytes run");
                Next::Old
            }
            Choice::Update { record, fallback } => {
                assert!(
                    fallback.is_none_or(|which| self.holds(which, &self.old)),
                    "wrong bytes run meanwhile"
                );
                Next::Update(record)
            }
            Choice::Lost if self.is_rotten => Next::Lost,
            choice => panic!("{choice:?}: nothing can run"),
        }
    }

    fn holds(&self, which: Which, release: &Release) -> bool {
        self.flash.bytes()[self.layout.slot(which).start as usize..].starts_with(&release.image)
    }

    /// The main program's part, under `cut`.
    pub(super) fn prepare(&mut self, cut: Option<Cut>, seed: u64) {
        self.flash.power_on(cut, seed);
        let endpoint = Endpoint { address: "ff02::fd".parse().unwrap(), port: 5685 };
        let group = Some(Group { endpoint, token: TOKEN });
        let ticket = Fields { group, ..self.new.ticket() };
        match install(&mut self.flash, &self.layout, &ticket, &self.new.index) {
            Ok(_) | Err(BootError::Flash(PowerGone)) => {}
            Err(error) => panic!("{error}"),
        }
    }

    /// The boot program's part, as far as `act` takes it. An error is a power cut.
    pub(super) fn session<R>(
        &mut self,
        which: Which,
        act: impl FnOnce(&mut Session<'_>) -> R,
    ) -> Result<R, PowerGone> {
        let mut buffer = [0; MAX_TICKET];
        let place = self.layout.record(which).clone();
        let ticket = record::read_ticket(&mut self.flash, &place, &mut buffer).map_err(power_gone)?;
        self.seed += 1;
        let boot = Boot::new(&mut self.flash, &self.layout, which, ticket, self.seed);
        let slot = self.layout.slot(which).start as usize;
        let (old, new) = (&self.old.image[..], &self.new.image[..]);
        let mut boot = boot.map_err(power_gone)?;
        if let Some(memory) = &mut self.memory {
            boot.listen(memory);
        }
        let record = place.start as usize;
        let (now, is_rotten, request) = (&mut self.now, &mut self.is_rotten, Vec::new());
        let mut session = Session { boot, now, slot, record, is_rotten, old, new, request };
        Ok(act(&mut session))
    }

    /// Power stays, the relay is honest: the new image comes.
    pub(super) fn come_to_rest(&mut self) {
        for _ in 0..3 {
            match self.reset() {
                Next::New => return,
                Next::Old | Next::Lost => self.prepare(None, 1),
                // Its last mark may be torn, and then each reset leads here again.
                Next::Update(which) => {
                    self.session(which, |session| session.finish()).unwrap();
                    assert!(self.holds(which, &self.new), "wrong bytes run");
                    return;
                }
            }
        }
        panic!("the new image never comes");
    }
}

/// No datagram, and no power cut, may cause another error.
fn power_gone(error: Trouble) -> PowerGone {
    match error {
        BootError::Flash(PowerGone) => PowerGone,
        error => panic!("{error}"),
    }
}

impl Session<'_> {
    /// Whether it goes on: power is there, and the image is not.
    pub(super) fn goes_on(&mut self, outcome: Result<Option<Event>, Trouble>) -> bool {
        if outcome.map_err(power_gone).is_err() {
            return false;
        }
        let mut buffer = [0; 320];
        for _ in 0..MOST_DATAGRAMS {
            let Some(length) = self.boot.poll_transmit(*self.now, &mut buffer).unwrap() else {
                return self.boot.poll_timeout().is_some();
            };
            if buffer[1] == Code::GET.0 {
                self.request = buffer[..length].to_vec();
            }
        }
        panic!("it never stops sending");
    }

    pub(super) fn hear(&mut self, datagram: &[u8]) -> bool {
        let outcome = self.boot.handle_datagram(*self.now, &mut datagram.to_vec());
        self.goes_on(outcome)
    }

    /// A datagram to the group.
    pub(super) fn overhear(&mut self, datagram: &[u8]) -> bool {
        let outcome = self.boot.handle_group_datagram(*self.now, datagram);
        self.goes_on(outcome)
    }

    /// The time of the next deadline comes.
    pub(super) fn advance(&mut self) -> bool {
        *self.now = self.boot.poll_timeout().unwrap_or(*self.now).max(*self.now);
        self.pass(Duration::ZERO)
    }

    pub(super) fn pass(&mut self, time: Duration) -> bool {
        *self.now += time;
        let outcome = self.boot.handle_timeout(*self.now);
        self.goes_on(outcome)
    }

    /// A bit of the slot that is being written rots. Erased flash holds: the model would take a write there for a second one.
    pub(super) fn rot(&mut self, at: usize, bit: u8) {
        let at = self.slot + at % (4 * CHUNK);
        let byte = &mut self.boot.flash_mut().bytes_mut()[at];
        if *byte != 0xff {
            *byte ^= 1 << (bit % 8);
        }
    }

    /// A bit of the ticket rots, in one life of a device.
    pub(super) fn rot_ticket(&mut self, at: usize, bit: u8) {
        if !std::mem::replace(self.is_rotten, true) {
            self.boot.flash_mut().bytes_mut()[self.record + at % 200] ^= 1 << (bit % 8);
        }
    }

    /// What a relay says to the last request that has the new image, or the old one.
    pub(super) fn answer(&self, is_old: bool) -> Vec<u8> {
        self.write(|request, writer| {
            let image = if is_old { self.old } else { self.new };
            let is_member = request.option(option::Q_BLOCK2).is_some();
            let number = if is_member { option::Q_BLOCK2 } else { option::BLOCK2 };
            let block = request.option(number).and_then(|value| Block::decode(value).ok())?;
            let (start, end) = (block.offset(), block.offset() + block.szx.size());
            let block = Block::new(block.num(), end < image.len(), block.szx)?;
            writer.option(option::ETAG, b"one").ok()?;
            writer.uint_option(number, block.encode()).ok()?;
            Some(image.get(start..end.min(image.len())).unwrap_or_default())
        })
    }

    /// A block of the stream, of the new image or the old one.
    pub(super) fn block(&self, is_old: bool, num: u32) -> Vec<u8> {
        let image = if is_old { self.old } else { self.new };
        let blocks = image.len().div_ceil(64) as u32;
        let start = (num % blocks) as usize * 64;
        let end = image.len().min(start + 64);
        let block = Block::new(num % blocks, end < image.len(), Szx::B64).unwrap();
        streamed(option::BLOCK2, block.encode(), &image[start..end])
    }

    /// A parity symbol of the stream, of the new image or the old one.
    pub(super) fn parity(&self, is_old: bool, seed: u16) -> Vec<u8> {
        let image = if is_old { self.old } else { self.new };
        let mut payload = [&Parity::header(0, seed)[..], &[0; 64]].concat();
        for (place, symbol) in
            image.chunks(64).enumerate().filter(|(place, _)| word(seed, 0) >> place & 1 != 0)
        {
            assert!(place < 32);
            payload[3..].iter_mut().zip(symbol).for_each(|(to, from)| *to ^= from);
        }
        streamed(option::CONTENT_FORMAT, content_format::PARITY.into(), &payload)
    }

    pub(super) fn refuse(&self, code: Code, max_age: u32) -> Vec<u8> {
        let mut datagram = self.write(|_, writer| {
            writer.uint_option(option::MAX_AGE, max_age).ok()?;
            Some(&[])
        });
        datagram.get_mut(1).into_iter().for_each(|place| *place = code.0);
        datagram
    }

    fn write<'i>(&self, fill: impl FnOnce(&Message<'_>, &mut Writer<'_>) -> Option<&'i [u8]>) -> Vec<u8> {
        let Ok(request) = Message::parse(&self.request) else { return Vec::new() };
        let mut buffer = [0; 256];
        let (id, token) = (request.message_id, request.token);
        let mut writer = Writer::new(&mut buffer, Type::Acknowledgement, Code::CONTENT, id, token).unwrap();
        let payload = fill(&request, &mut writer).unwrap_or_default();
        let length = writer.finish();
        let mut datagram = buffer[..length].to_vec();
        if !payload.is_empty() {
            datagram.push(0xff);
            datagram.extend(payload);
        }
        datagram
    }

    fn finish(&mut self) {
        let mut goes_on = self.pass(Duration::ZERO);
        for _ in 0..STEPS {
            if !goes_on {
                return assert!(self.boot.is_bootable());
            }
            let answer = self.answer(false);
            goes_on = self.hear(&answer) && self.advance();
        }
        panic!("an honest relay is not enough");
    }
}

/// What a relay sends to the group.
fn streamed(number: u16, value: u32, payload: &[u8]) -> Vec<u8> {
    let mut buffer = [0; 128];
    let mut writer = Writer::new(&mut buffer, Type::NonConfirmable, Code::CONTENT, 7, TOKEN).unwrap();
    writer.option(option::ETAG, b"one").unwrap();
    writer.uint_option(number, value).unwrap();
    let length = writer.payload(payload).unwrap();
    buffer[..length].to_vec()
}
