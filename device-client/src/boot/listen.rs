//! A member of a group: what it takes from the stream, when it asks, and when it holds back.
//!
//! A member works on all chunks at once. First it looks through them all: those that are there are marked; in those whose opening
//! is noted in the journal, whatever is in them belongs to the image; of the others all is missing. From then on [`Map`] says
//! what is. A chunk is opened, that is erased and noted, when the first of it comes: to erase them all takes seconds, in which
//! nothing would be asked for.

mod chunks;

use super::core::{Boot, Cause, Event, State};
use super::map::{Map, UNIT, UNIT_BITS};
use super::parity::Decoder;
use super::record::BootError;
use super::wanted::Wanted;
use crate::blocks::{Answer, block_option};
use core::ops::Range;
use embedded_storage::nor_flash::NorFlash;
use sixfold_profile::Instant;
use sixfold_profile::coap::{Block, Code, Full, MAX_NUM, Message, Szx, Type, content_format, option};
use sixfold_profile::missing::{Deficit, NO_PARITY};
use sixfold_profile::parity::{Parity, SMALLEST, SYMBOLS};
use sixfold_profile::ticket::{Group, Ticket};

/// The least that the average gap between the datagrams of a stream is taken for.
const SHORTEST_GAP_US: u32 = 5_000;
/// The most.
const LONGEST_GAP_US: u32 = 1_000_000;
/// A stream has ended when nothing comes for 2³ average gaps.
const QUIET_BITS: u32 = 3;
/// Then a member asks in a slot that it draws, from 0 to 9, of 2¹³ µs each: it waits `slot × 2¹³ µs`, and a part of a slot. Each slot
/// has twice as many members as the one before; the first two have the same.
const SLOT_BITS: u32 = 13;
const LAST_SLOT: u32 = 9;
/// A member that lacks more than its memory has room for asks earlier: in slot `max(slot - 4, 0)`. If it has room for one symbol
/// at least, its slots last 2¹³ × 2³ µs.
const AHEAD: u32 = 4;
const LONGER_BITS: u32 = 3;
/// How long a stream that brings nothing new holds a member back, in units of 2²⁰ µs.
const PATIENCE: u32 = 32;
/// After this many answers 5.03 without a stream, a member asks as everybody does.
const MOST_PUT_OFF: u8 = 3;
/// More missing blocks than these are not listed.
const MOST_LISTED: u32 = 8;

/// The bytes of memory with which [`Boot::listen`] finds up to `missing` blocks of size `szx` of an image from parity symbols: a
/// bit for every 64 bytes of the image; and for each missing block its number, the block itself, and a bit for every
/// missing block; with the feature `encrypted` two bytes more for each, which an encrypted image needs. With `missing` 0 no parity
/// symbols are used. More blocks than that may be missing: they are fetched as blocks until few enough are.
pub const fn listening_memory(image_size: u32, missing: u32, szx: Szx) -> usize {
    let is_encrypted = cfg!(feature = "encrypted");
    Map::size(image_size) + if missing > 0 { Decoder::size(missing, szx, is_encrypted) } else { 0 }
}

/// What a member remembers.
#[derive(Debug)]
pub(super) struct Listen<'t> {
    ticket: Ticket<'t>,
    pub(super) is_on: bool,
    map: Map<'t>,
    decoder: Decoder<'t>,
    /// Parity symbols are not used: what was made of them was wrong, and no chunk was right since.
    is_distrustful: bool,
    /// The size of the blocks that are asked for: that of the ticket, or smaller when the relay's are.
    szx: Szx,
    /// Chunks that are marked.
    done: u32,
    /// The chunk that is to be judged.
    fetched: Option<u32>,
    /// A wrong chunk was fetched more than once in a row: nothing is written until sleep is over.
    is_deaf: bool,
    /// A stream was heard since the reset.
    is_stream_heard: bool,
    /// When the group was heard last, in microseconds, and when something new was, in units of 2²⁰. Both may have wrapped around.
    heard_us: u32,
    useful: u32,
    /// The average gap between datagrams of a stream.
    gap_us: u32,
    /// When it may ask.
    ask_at: Instant,
    proof: Proof,
    /// What is to be reported.
    pub(super) event: Option<Event>,
    /// Answers 5.03 since the group was heard; from [`MOST_PUT_OFF`] on it asks as everybody does.
    put_off: u8,
}

/// What the digest of the image says of what was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Proof {
    /// It was not computed.
    Unknown,
    /// Nothing: more is missing, or something is wrong.
    None,
    /// With what was found in its place the image is right.
    Right,
}

impl<'t> Listen<'t> {
    pub(super) const fn new(ticket: Ticket<'t>) -> Self {
        Self {
            ticket,
            is_on: false,
            map: Map::new(&mut []),
            decoder: Decoder::new(&mut [], false),
            is_distrustful: false,
            szx: Szx::MAX,
            done: 0,
            fetched: None,
            is_deaf: false,
            is_stream_heard: false,
            heard_us: 0,
            useful: 0,
            gap_us: SHORTEST_GAP_US,
            ask_at: Instant::ZERO,
            proof: Proof::Unknown,
            event: None,
            put_off: 0,
        }
    }

    /// Uses smaller blocks from now on, if these are; false when they are too small for a member.
    fn adopt(&mut self, szx: Szx) -> bool {
        let image_size = self.ticket.image_size();
        if szx < SMALLEST || (image_size - 1) >> szx.bits() > MAX_NUM {
            return false;
        }
        self.szx = self.szx.min(szx);
        true
    }

    /// Whether the image was found right before what was found was written, and read back.
    pub(super) fn is_proven(&self) -> bool {
        self.proof == Proof::Right
    }

    fn forget_equations(&mut self) {
        self.decoder.forget();
        self.proof = Proof::Unknown;
    }

    /// How much parity helps.
    fn deficit(&self, wanted: Wanted<'_, '_>, first: u32) -> Deficit {
        let segment = first & !(SYMBOLS - 1);
        let of_segment = wanted.count(segment, segment + SYMBOLS);
        if self.is_distrustful || !self.decoder.has_room(1, wanted.szx) {
            return Deficit::NoParity;
        }
        let small = |count: u32| u16::try_from(count).unwrap_or(NO_PARITY);
        if !self.decoder.has_room(of_segment, wanted.szx) {
            return Deficit::NoRoom(small(self.decoder.excess(of_segment, wanted.szx)));
        }
        Deficit::Symbols(small(wanted.count(0, u32::MAX).saturating_sub(self.decoder.finds())))
    }
}

impl<'t, F: NorFlash> Boot<'t, F> {
    /// Takes part in the ticket's group, with `memory` for the map of what is missing and for parity symbols
    /// ([`listening_memory`]). To be called before anything else. Does nothing when the ticket has no group, when its blocks are
    /// smaller than 64 bytes, or when `memory` is too small for the map. Of an encrypted image parity symbols cost the key stream of a
    /// whole segment once, when there are enough of them: half a second or more on a small core.
    pub fn listen(&mut self, memory: &'t mut [u8]) {
        let map = Map::size(self.image_size);
        let is_possible = matches!(self.listen.ticket.group(), Ok(Some(_))) && self.szx >= SMALLEST;
        if let Some((map, rest)) = memory.split_at_mut_checked(map).filter(|_| is_possible) {
            map.fill(0);
            self.listen.map = Map::new(map);
            self.listen.decoder = Decoder::new(rest, self.content.is_encrypted());
            self.listen.szx = self.szx;
            self.listen.is_on = true;
        }
    }

    /// The group to join: its address and port are where [`Boot::handle_group_datagram`]'s datagrams come to. `None` when the
    /// device does not listen, or not any more: a relay whose blocks are smaller than 64 bytes ends it.
    pub fn group(&self) -> Option<Group<'t>> {
        self.listen.ticket.group().ok().flatten().filter(|_| self.listen.is_on)
    }

    /// How many bytes of the image are missing, in pieces of 64. `None` when the device does not listen, or has not looked
    /// through all chunks yet.
    pub fn missing(&self) -> Option<u32> {
        let is_known = self.listen.is_on && self.chunk == self.record.chunks();
        is_known.then(|| (self.listen.map.count() << UNIT_BITS).min(self.image_size))
    }

    /// Takes a datagram that came from the relay's endpoint to the group's address and port. What is not of this image's stream
    /// is ignored. As after any datagram, call [`Boot::handle_timeout`] then.
    ///
    /// # Errors
    /// [`BootError::Flash`].
    pub fn handle_group_datagram(
        &mut self,
        now: Instant,
        datagram: &[u8],
    ) -> Result<Option<Event>, BootError<F::Error>> {
        let is_open = matches!(self.state, State::Sleeping | State::Fetching) && !self.listen.is_deaf;
        let message = Message::parse(datagram).ok().filter(|_| self.listen.is_on && is_open);
        if let Some(message) = message.filter(|message| self.is_of_stream(message)) {
            let is_parity =
                message.uint_option(option::CONTENT_FORMAT) == Some(content_format::PARITY.into());
            match (block_option(&message, option::BLOCK2), is_parity) {
                (Ok(Some(block)), false) => self.hear_block(now, block, message.payload)?,
                (Ok(None), true) => self.hear_parity(now, message.payload)?,
                _ => {}
            }
        }
        Ok(None)
    }

    fn is_of_stream(&self, message: &Message<'_>) -> bool {
        let ticket = &self.listen.ticket;
        // The Token names the version; now and then a message says all of its ETag.
        let named = message.option(option::ETAG);
        let is_version = |etag: Option<&[u8]>| etag.is_none() || named.is_none() || etag == named;
        message.message_type == Type::NonConfirmable
            && message.code == Code::CONTENT
            && ticket.group().is_ok_and(|group| group.is_some_and(|group| group.token == message.token))
            && ticket.etag().is_ok_and(is_version)
    }

    fn hear_block(&mut self, now: Instant, block: Block, payload: &[u8]) -> Result<(), BootError<F::Error>> {
        if block.szx <= self.szx && self.is_block(block, payload) && self.listen.adopt(block.szx) {
            let is_new = self.store(now, block, payload)?;
            self.heard(now, is_new);
        }
        Ok(())
    }

    fn hear_parity(&mut self, now: Instant, payload: &[u8]) -> Result<(), BootError<F::Error>> {
        let parity = Parity::read(payload).filter(|parity| parity.szx <= self.szx);
        let Some(parity) = parity.filter(|parity| self.listen.adopt(parity.szx)) else { return Ok(()) };
        let first = u32::from(parity.segment) * SYMBOLS;
        // Where symbols are missing of chunks that were not looked at yet there is nothing to be solved.
        let is_ready = self.chunk == self.record.chunks() && !self.listen.is_distrustful;
        let is_new = is_ready && self.solve_for(first, &parity)?;
        if self.listen.decoder.is_solved() {
            self.judge_soon(now);
        }
        self.listen.is_stream_heard = true;
        // Whom parity does not help does not wait for its end: blocks will be sent first then.
        if !is_ready || self.listen.decoder.is_of(first, parity.szx) {
            self.heard(now, is_new);
        }
        Ok(())
    }

    /// Adds an equation; true when it says something new.
    fn solve_for(&mut self, first: u32, parity: &Parity<'_>) -> Result<bool, F::Error> {
        let Self { listen: Listen { map, decoder, .. }, flash, image_size, slot, .. } = self;
        if !decoder.is_of(first, parity.szx) {
            let wanted = Wanted { map, image_size: *image_size, szx: parity.szx };
            decoder.begin(first, wanted);
        }
        if !decoder.is_of(first, parity.szx) {
            return Ok(false);
        }
        decoder.take_parity(parity, *image_size, |offset, to| {
            let mut piece = [0; UNIT];
            flash.read(*slot + offset, &mut piece)?;
            to.iter_mut().zip(piece).for_each(|(to, from)| *to ^= from);
            Ok(())
        })
    }

    /// The group was heard: asking is held back, or goes on if it brings nothing new for long.
    fn heard(&mut self, now: Instant, is_new: bool) {
        if is_new {
            self.listen.useful = coarse(now);
        } else if coarse(now).wrapping_sub(self.listen.useful) >= PATIENCE {
            return;
        }
        let (now_us, average) = (now.as_micros() as u32, self.listen.gap_us);
        let gap = now_us.wrapping_sub(self.listen.heard_us).min(average << 1).min(LONGEST_GAP_US);
        self.listen.gap_us = (average - (average >> 3) + (gap >> 3)).max(SHORTEST_GAP_US);
        self.listen.heard_us = now_us;
        self.listen.is_stream_heard = true;
        self.listen.put_off = 0;
        self.hold_back(now);
        if self.state == State::Fetching {
            self.blocks.stop();
            self.state = State::Sleeping;
        }
        if self.chunk == self.record.chunks() && self.state == State::Sleeping {
            self.until = self.listen.ask_at;
        }
    }

    /// Lets the others go first, each of which may ask for all.
    fn hold_back(&mut self, now: Instant) {
        let random = self.blocks.random_bits();
        // Of 512 members one is in the first slot, and one in the second, two in the next, ...
        let mut slot = LAST_SLOT;
        while slot > 0 && random >> (31 - LAST_SLOT + slot) == 0 {
            slot -= 1;
        }
        // Whom parity does not help asks while it is sent, so that blocks come before the rest of it. They have a queue before
        // them, and until then all others ask too: their slots are longer.
        let szx = self.listen.szx;
        let lacking = self.listen.map.count() << UNIT_BITS >> szx.bits();
        let mut bits = SLOT_BITS;
        if self.listen.is_stream_heard && !self.listen.decoder.has_room(lacking, szx) {
            slot = slot.saturating_sub(AHEAD);
            bits += if self.listen.decoder.has_room(1, szx) { LONGER_BITS } else { 0 };
        }
        let jitter = random & ((1 << bits) - 1);
        let wait = (self.listen.gap_us << QUIET_BITS) + (slot << bits) + jitter;
        self.listen.ask_at = now.after_micros(wait.into());
    }

    /// Whether this can be a block of the image.
    const fn is_block(&self, block: Block, payload: &[u8]) -> bool {
        let end = block.offset() + payload.len();
        let is_whole = payload.len() == block.szx.size() || !block.more && payload.len() < block.szx.size();
        let is_last = end == self.image_size as usize;
        is_whole && !payload.is_empty() && end <= self.image_size as usize && block.more != is_last
    }

    /// Writes what is missing of a block; true when something was.
    fn store(&mut self, now: Instant, block: Block, payload: &[u8]) -> Result<bool, F::Error> {
        let offset = block.offset() as u32;
        let chunk = offset >> self.chunk_size.exponent();
        if chunk >= self.chunk {
            return Ok(false);
        }
        let mut is_new = false;
        for (unit, piece) in (offset >> UNIT_BITS..).zip(payload.chunks(UNIT)) {
            if self.listen.map.is_missing(unit) {
                self.open_first(chunk, &self.range(chunk))?;
                is_new = true;
                self.listen.map.set(unit, false);
                self.content.write(&mut self.flash, self.slot, unit << UNIT_BITS, piece)?;
            }
        }
        if is_new {
            if self.listen.decoder.is_of_size(block.szx) {
                self.listen.decoder.take_block(block.num(), payload);
                if self.listen.decoder.is_solved() {
                    self.judge_soon(now);
                }
            }
            if !self.listen.map.misses(&self.range(chunk)) {
                self.listen.fetched = Some(chunk);
                self.judge_soon(now);
            }
        }
        Ok(is_new)
    }

    fn judge_soon(&mut self, now: Instant) {
        self.blocks.stop();
        self.state = State::Judging;
        self.until = now;
    }

    fn range(&self, chunk: u32) -> Range<u32> {
        self.chunk_size.range(self.image_size, chunk).unwrap_or_default()
    }

    /// Takes an answer of the relay.
    pub(super) fn answered_member(&mut self, now: Instant, answer: Answer<'_>) -> Result<(), F::Error> {
        let is_member = self.blocks.is_member();
        match answer {
            Answer::Block(block, response) if !self.is_block(block, response.payload) => {
                self.give_up(now, Cause::OtherSize);
            }
            Answer::Block(block, _) if !self.listen.adopt(block.szx) => {
                // Chunk by chunk, from now on.
                self.listen.is_on = false;
                self.chunk = 0;
                self.give_up(now, Cause::Refused);
            }
            Answer::Block(block, response) => {
                self.store(now, block, response.payload)?;
                self.listen.ask_at = now;
                if self.state == State::Fetching {
                    self.ask(now);
                }
            }
            Answer::Wait(time) => {
                self.listen.event = Some(Event::Wait(time));
                if is_member {
                    self.listen.put_off += 1;
                    self.listen.ask_at = self.blocks.pause();
                    self.blocks.stop();
                    self.resume(now);
                }
            }
            Answer::Refused(response) if is_member && response.code == Code::BAD_OPTION => {
                self.listen.put_off = MOST_PUT_OFF;
                self.ask(now);
            }
            Answer::TimedOut | Answer::Reset => self.give_up(now, Cause::Silence),
            Answer::Refused(_) | Answer::NotBlockwise | Answer::Violation(_) => {
                self.give_up(now, Cause::Refused);
            }
        }
        Ok(())
    }

    fn give_up(&mut self, now: Instant, cause: Cause) {
        self.listen.event = Some(self.sleep(now, cause));
    }

    /// Time is up: the next step of looking, judging or asking.
    pub(super) fn go_on(&mut self, now: Instant) -> Result<(), F::Error> {
        if let Some(chunk) = self.listen.fetched.take() {
            return self.judge(now, chunk, false);
        }
        if self.listen.decoder.is_solved() {
            return self.use_solution(now);
        }
        self.listen.is_deaf = false;
        if self.chunk < self.record.chunks() {
            return self.look(now);
        }
        self.ask(now);
        Ok(())
    }

    fn progress(&mut self, now: Instant) -> Result<(), F::Error> {
        let (done, all) = (self.listen.done, self.record.chunks());
        self.listen.event = Some(Event::Chunks { done, all });
        if done == all {
            self.listen.event = Some(self.finish(now)?);
        } else {
            self.resume(now);
        }
        Ok(())
    }

    /// Goes on with looking at once, with asking when it is time.
    fn resume(&mut self, now: Instant) {
        if self.listen.decoder.is_solved() {
            return self.judge_soon(now);
        }
        self.state = State::Sleeping;
        self.until = if self.chunk < self.record.chunks() { now } else { self.listen.ask_at };
    }

    /// Asks for what is missing.
    fn ask(&mut self, now: Instant) {
        let szx = self.listen.szx;
        let first = self.listen.map.first().map(|unit| unit << UNIT_BITS >> szx.bits());
        let Some(block) = first.and_then(|num| Block::new(num, false, szx)) else {
            return self.give_up(now, Cause::Refused);
        };
        let is_member = self.listen.put_off < MOST_PUT_OFF;
        self.blocks.seek_as(is_member, block);
        self.state = State::Fetching;
    }

    /// Writes the request, if it is to leave now: a member's says what is missing.
    pub(super) fn transmit(&mut self, now: Instant, buffer: &mut [u8]) -> Result<Option<usize>, Full> {
        let Self { listen, blocks, image_size, .. } = self;
        let wanted = Wanted { map: &listen.map, image_size: *image_size, szx: listen.szx };
        blocks.poll_transmit_with(
            now,
            buffer,
            |first, options, writer| {
                let is_many = listen.is_stream_heard && wanted.count(0, u32::MAX) > MOST_LISTED;
                let most = if listen.is_stream_heard && !is_many { MOST_LISTED } else { 1 };
                wanted.write_list(first.with_more(is_many), most, options, writer).map(|()| is_many)
            },
            |first, options, writer| {
                wanted.write_missing(listen.deficit(wanted, first.num()).write(), options, writer)
            },
        )
    }
}

/// Time in units of 2²⁰ µs.
const fn coarse(now: Instant) -> u32 {
    (now.as_micros() >> 20) as u32
}
