//! The boot algorithm.

use super::layout::{Layout, Which};
use super::record::{BootError, Record, digest_of, retire, write};
use crate::exchange::Exchange;
use crate::fetch::{self, Fetch, Received};
use crate::random::Random;
use core::fmt;
use core::ops::Range;
use core::time::Duration;
use embedded_storage::nor_flash::NorFlash;
use sixfold_profile::Instant;
use sixfold_profile::coap::{Block, Full, Opt, Szx};
use sixfold_profile::ticket::Ticket;

/// After the first failure the device sleeps for this long at least; after each further one twice as long.
const SHORTEST_SLEEP: Duration = Duration::from_secs(2);
/// How often that is doubled: to 34 minutes.
const MOST_DOUBLINGS: u32 = 10;

/// One update.
///
/// After each input ([`Boot::handle_datagram`], [`Boot::handle_timeout`]), and at the start, call
/// [`Boot::poll_transmit`] until it has nothing more; then sleep until a datagram comes or [`Boot::poll_timeout`].
/// When that is `None`, the image may run. An error is a matter of this device alone: no datagram can cause one.
#[derive(Debug)]
pub struct Boot<'t, F> {
    flash: F,
    record: Record,
    slot: u32,
    ticket: Ticket<'t>,
    szx: Szx,
    fetch: Fetch<'t>,
    random: Random,
    /// The chunk that is being fetched; the number of chunks when all are there.
    chunk: u32,
    /// Up to where the image is in flash.
    position: u32,
    state: State,
    /// Since the last chunk that was right.
    failures: u32,
}

#[derive(Debug)]
enum State {
    Fetching,
    Sleeping(Instant),
    Bootable,
}

/// What happened, for whoever shows progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// So many of all chunks are whole.
    Chunks {
        /// Whole and marked.
        done: u32,
        /// All.
        all: u32,
    },
    /// Something went wrong; the device tries again after this time.
    Sleep {
        /// What it was.
        cause: Cause,
        /// From now.
        time: Duration,
    },
    /// The relay asked the device to come back after this time.
    Wait(Duration),
    /// The image is whole and marked: it may run.
    Bootable,
}

/// Why a chunk has to be fetched once more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The relay did not answer (RFC 7252 §4.2), or rejected the request.
    Silence,
    /// The relay refused, answered against the rules, or changed the version under way.
    Refused,
    /// The relay's image is shorter or longer than the signed one.
    OtherSize,
    /// A chunk is not what the chunk index says.
    WrongChunk,
    /// All chunks were right, but the whole is not: flash lost something.
    WrongImage,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Silence => "the relay does not answer",
            Self::Refused => "the relay refuses, or its answers make no sense",
            Self::OtherSize => "the relay's image has another size than the signed one",
            Self::WrongChunk => "a chunk is not what the publisher signed",
            Self::WrongImage => "the image in flash is not what the publisher signed",
        })
    }
}

impl<'t, F: NorFlash> Boot<'t, F> {
    /// Goes on with the update of record `which`, whose ticket is `ticket`. `target` holds the ticket's options, taken
    /// apart. `seed`: see [`crate::Exchange::new`].
    ///
    /// # Errors
    /// All but [`BootError::Ticket`] and [`BootError::Request`].
    pub fn new(
        mut flash: F,
        layout: &Layout,
        which: Which,
        ticket: Ticket<'t>,
        target: &'t [Opt<'t>],
        seed: u32,
    ) -> Result<Self, BootError<F::Error>> {
        let (place, slot) = (layout.record(which), layout.slot(which));
        let record = Record::new::<F>(place, &ticket)?;
        check_slot::<F>(slot, &ticket)?;
        let szx = block_size(&ticket);
        let mut random = Random::new(seed);
        let fetch = Fetch::idle(target, szx, random.next());
        let is_bootable = record.is_marked(&mut flash, record.chunks())?;
        if !is_bootable {
            record.check_index(&mut flash, &ticket.index_digest)?;
            if layout.is_single() {
                retire(&mut flash, layout.record(which.other()))?;
            }
        }
        let state = if is_bootable { State::Bootable } else { State::Sleeping(Instant::ZERO) };
        let slot = slot.start;
        let (chunk, position, failures) = (0, 0, 0);
        Ok(Self { flash, record, slot, ticket, szx, fetch, random, chunk, position, state, failures })
    }

    /// Whether the image may run.
    pub const fn is_bootable(&self) -> bool {
        matches!(self.state, State::Bootable)
    }

    /// The exchanges with the relay, for their counters.
    pub const fn exchange(&self) -> &Exchange {
        self.fetch.exchange()
    }

    /// The flash, for whoever has to look at it; the update relies on what is there.
    pub const fn flash_mut(&mut self) -> &mut F {
        &mut self.flash
    }

    /// Gives the flash back.
    pub fn into_flash(self) -> F {
        self.flash
    }

    /// Takes a datagram from the relay's address.
    ///
    /// # Errors
    /// [`BootError::Flash`] and [`BootError::Layout`].
    pub fn handle_datagram(
        &mut self,
        now: Instant,
        datagram: &[u8],
    ) -> Result<Option<Event>, BootError<F::Error>> {
        match self.fetch.handle_datagram(now, datagram) {
            None => Ok(None),
            Some(fetch::Event::Wait(time)) => Ok(Some(Event::Wait(time))),
            Some(fetch::Event::Block(block)) => self.take(now, &block),
            Some(fetch::Event::TimedOut | fetch::Event::Reset) => Ok(Some(self.sleep(now, Cause::Silence))),
            Some(_) => Ok(Some(self.sleep(now, Cause::Refused))),
        }
    }

    /// To be called at [`Boot::poll_timeout`]; too early or too often does no harm.
    ///
    /// # Errors
    /// [`BootError::Flash`] and [`BootError::Layout`].
    pub fn handle_timeout(&mut self, now: Instant) -> Result<Option<Event>, BootError<F::Error>> {
        match self.state {
            State::Sleeping(until) if now >= until => self.advance(now).map(Some),
            State::Fetching => {
                let silence = self.fetch.handle_timeout(now);
                Ok(silence.map(|_timed_out| self.sleep(now, Cause::Silence)))
            }
            State::Sleeping(_) | State::Bootable => Ok(None),
        }
    }

    /// Writes the next datagram that is to leave now, if any, and returns its length.
    ///
    /// # Errors
    /// [`BootError::Request`] when `buffer` is too small for the request, or the ticket's options are out of order.
    pub fn poll_transmit(
        &mut self,
        now: Instant,
        buffer: &mut [u8],
    ) -> Result<Option<usize>, BootError<F::Error>> {
        self.fetch.poll_transmit(now, buffer).map_err(|Full| BootError::Request)
    }

    /// When [`Boot::handle_timeout`] is due; `None` when the image may run. Ask after [`Boot::poll_transmit`] has nothing
    /// more to send.
    pub fn poll_timeout(&self) -> Option<Instant> {
        match self.state {
            State::Fetching => self.fetch.poll_timeout(),
            State::Sleeping(until) => Some(until),
            State::Bootable => None,
        }
    }

    /// Writes a block; after a chunk's last one, judges the chunk.
    fn take(&mut self, now: Instant, block: &Received<'_>) -> Result<Option<Event>, BootError<F::Error>> {
        let chunk = self.ticket.chunk_size.range(self.ticket.image_size, self.chunk);
        let Some(chunk) = chunk.filter(|_| matches!(self.state, State::Fetching)) else { return Ok(None) };
        let length = u32::try_from(block.payload.len()).unwrap_or(u32::MAX);
        let end = block.offset.saturating_add(length);
        let goes_on = block.offset == self.position && length > 0 && end <= chunk.end;
        if !goes_on || block.more != (end < self.ticket.image_size) {
            return Ok(Some(self.sleep(now, Cause::OtherSize)));
        }
        write(&mut self.flash, self.slot.saturating_add(block.offset), block.payload)?;
        self.position = end;
        if end < chunk.end {
            return Ok(None);
        }
        if !self.is_right(self.chunk, &chunk)? {
            return Ok(Some(self.sleep(now, Cause::WrongChunk)));
        }
        self.record.mark(&mut self.flash, self.chunk)?;
        self.failures = 0;
        self.chunk = self.chunk.saturating_add(1);
        self.advance(now).map(Some)
    }

    /// Whether what is in flash is what the index says.
    fn is_right(&mut self, chunk: u32, range: &Range<u32>) -> Result<bool, F::Error> {
        let place = self.slot.saturating_add(range.start)..self.slot.saturating_add(range.end);
        Ok(digest_of(&mut self.flash, place)? == self.record.expected(&mut self.flash, chunk)?)
    }

    /// Finds the next chunk that is not there, and begins to fetch it.
    fn advance(&mut self, now: Instant) -> Result<Event, BootError<F::Error>> {
        while let Some(range) = self.ticket.chunk_size.range(self.ticket.image_size, self.chunk) {
            if !self.record.is_marked(&mut self.flash, self.chunk)? {
                if !self.is_right(self.chunk, &range)? {
                    self.begin(&range)?;
                    return Ok(Event::Chunks { done: self.chunk, all: self.record.chunks() });
                }
                // It came before the power went, or its mark was torn, or the old image has the same bytes here.
                self.record.mark(&mut self.flash, self.chunk)?;
            }
            self.chunk = self.chunk.saturating_add(1);
        }
        self.finish(now)
    }

    /// Erases a chunk and asks for its first block, unless that one is asked for anyway.
    fn begin(&mut self, range: &Range<u32>) -> Result<(), BootError<F::Error>> {
        let end = range.end.checked_next_multiple_of(F::ERASE_SIZE as u32).unwrap_or(range.end);
        self.flash.erase(self.slot.saturating_add(range.start), self.slot.saturating_add(end))?;
        let goes_on =
            matches!(self.state, State::Fetching) && self.position == range.start && range.start > 0;
        if !goes_on {
            let num = range.start.checked_div(self.szx.size() as u32).unwrap_or(0);
            self.fetch.seek(Block::new(num, false, self.szx).ok_or(BootError::Layout)?);
        }
        self.position = range.start;
        self.state = State::Fetching;
        Ok(())
    }

    /// All chunks are there: judges the whole image.
    fn finish(&mut self, now: Instant) -> Result<Event, BootError<F::Error>> {
        self.fetch.stop();
        let image = self.slot..self.slot.saturating_add(self.ticket.image_size);
        if digest_of(&mut self.flash, image)? == self.ticket.image_digest {
            self.record.mark(&mut self.flash, self.record.chunks())?;
            self.state = State::Bootable;
            return Ok(Event::Bootable);
        }
        // Chunks that were right once are wrong now. Without marks, each is looked at again.
        let journal = self.record.journal().clone();
        self.flash.erase(journal.start, journal.end)?;
        self.chunk = 0;
        Ok(self.sleep(now, Cause::WrongImage))
    }

    /// Gives up for a while. The chunk that was being fetched will be fetched from its start.
    fn sleep(&mut self, now: Instant, cause: Cause) -> Event {
        self.fetch.stop();
        let shortest = SHORTEST_SLEEP.saturating_mul(1 << self.failures.min(MOST_DOUBLINGS));
        self.failures = self.failures.saturating_add(1);
        // Up to twice that, so that a building's devices do not come back together.
        let jitter = (u64::from(self.random.next()) * shortest.as_secs() * 1000) >> 32;
        let time = shortest.saturating_add(Duration::from_millis(jitter));
        self.state = State::Sleeping(now + time);
        Event::Sleep { cause, time }
    }
}

/// A block must not be larger than a chunk. Both are powers of two, and chunks have 256 bytes at least.
fn block_size(ticket: &Ticket<'_>) -> Szx {
    let of_chunk = Szx::new(ticket.chunk_size.exponent().saturating_sub(4)).unwrap_or(Szx::MAX);
    of_chunk.min(ticket.szx)
}

/// Whether the image fits the slot, and chunks are made of whole pages.
pub(super) fn check_slot<F: NorFlash>(
    slot: &Range<u32>,
    ticket: &Ticket<'_>,
) -> Result<(), BootError<F::Error>> {
    let page = F::ERASE_SIZE as u32;
    let is_whole = |offset: u32| offset.checked_rem(page) == Some(0);
    let image = ticket.image_size.checked_next_multiple_of(page).ok_or(BootError::Layout)?;
    let end = slot.start.checked_add(image).ok_or(BootError::Layout)?;
    let fits = end <= slot.end && is_whole(slot.start) && is_whole(ticket.chunk_size.bytes());
    if fits { Ok(()) } else { Err(BootError::Layout) }
}
