//! The boot algorithm.

use super::record::{BootError, MAX_WRITE_SIZE, Record, digest_of};
use crate::fetch::{self, Fetch, Received};
use crate::random::Random;
use core::ops::Range;
use core::time::Duration;
use embedded_storage::nor_flash::NorFlash;
use sixfold_profile::Instant;
use sixfold_profile::coap::{Block, Full, Opt, Szx};
use sixfold_profile::ticket::Ticket;

/// After the first failure the device sleeps for this long at least; after each further one twice as long.
const SHORTEST_SLEEP: Duration = Duration::from_secs(2);
const MOST_DOUBLINGS: u32 = 10;
const ERASED: u8 = 0xff;

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
    target: &'t [Opt<'t>],
    szx: Szx,
    random: Random,
    /// The chunk that is being fetched; the number of chunks when all are there.
    chunk: u32,
    /// How many bytes of the image are in flash, up to and with this chunk's.
    position: u32,
    state: State<'t>,
    /// Since the last chunk that was right.
    failures: u32,
}

#[derive(Debug)]
enum State<'t> {
    Fetching(Fetch<'t>),
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
    Sleep(Duration),
    /// The image is whole and marked: it may run.
    Bootable,
}

impl<'t, F: NorFlash> Boot<'t, F> {
    /// Goes on with the update of the record in `record`, whose ticket is `ticket`, into `slot`. `target` holds the
    /// ticket's options, taken apart. `seed`: see [`crate::Exchange::new`].
    ///
    /// # Errors
    /// All but [`BootError::Ticket`] and [`BootError::Request`].
    pub fn new(
        mut flash: F,
        record: &Range<u32>,
        slot: &Range<u32>,
        ticket: Ticket<'t>,
        target: &'t [Opt<'t>],
        seed: u32,
    ) -> Result<Self, BootError<F::Error>> {
        let record = Record::new::<F>(record, &ticket)?;
        check_slot::<F>(slot, &ticket)?;
        record.check_index(&mut flash, &ticket.index_digest)?;
        // A block must not be larger than a chunk; both are powers of two, and the smallest chunk is 256 bytes.
        let szx =
            Szx::new(ticket.chunk_size.exponent().saturating_sub(4)).unwrap_or(Szx::MAX).min(ticket.szx);
        let mut boot = Self {
            flash,
            record,
            slot: slot.start,
            ticket,
            target,
            szx,
            random: Random::new(seed),
            chunk: 0,
            position: 0,
            state: State::Bootable,
            failures: 0,
        };
        if !boot.record.is_marked(&mut boot.flash, boot.record.chunks())? {
            boot.advance(Instant::ZERO)?;
        }
        Ok(boot)
    }

    /// Whether the image may run.
    pub const fn is_bootable(&self) -> bool {
        matches!(self.state, State::Bootable)
    }

    /// Gives the flash back.
    pub fn into_flash(self) -> F {
        self.flash
    }

    /// Takes a datagram from the relay's address.
    ///
    /// # Errors
    /// [`BootError::Flash`].
    pub fn handle_datagram(
        &mut self,
        now: Instant,
        datagram: &[u8],
    ) -> Result<Option<Event>, BootError<F::Error>> {
        let State::Fetching(fetch) = &mut self.state else { return Ok(None) };
        match fetch.handle_datagram(now, datagram) {
            None | Some(fetch::Event::Wait(_)) => Ok(None),
            Some(fetch::Event::Block(block)) => self.take(now, &block),
            Some(_) => Ok(Some(self.sleep(now))),
        }
    }

    /// To be called at [`Boot::poll_timeout`]; too early or too often does no harm.
    ///
    /// # Errors
    /// [`BootError::Flash`].
    pub fn handle_timeout(&mut self, now: Instant) -> Result<Option<Event>, BootError<F::Error>> {
        match &mut self.state {
            State::Sleeping(until) if now >= *until => self.advance(now),
            State::Fetching(fetch) => Ok(fetch.handle_timeout(now).map(|_silence| self.sleep(now))),
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
        match &mut self.state {
            State::Fetching(fetch) => fetch.poll_transmit(now, buffer).map_err(|Full| BootError::Request),
            State::Sleeping(_) | State::Bootable => Ok(None),
        }
    }

    /// When [`Boot::handle_timeout`] is due; `None` when the image may run.
    pub fn poll_timeout(&self) -> Option<Instant> {
        match &self.state {
            State::Fetching(fetch) => fetch.poll_timeout(),
            State::Sleeping(until) => Some(*until),
            State::Bootable => None,
        }
    }

    /// Writes a block; after a chunk's last one, judges the chunk.
    fn take(&mut self, now: Instant, block: &Received<'_>) -> Result<Option<Event>, BootError<F::Error>> {
        let Some(chunk) = self.ticket.chunk_size.range(self.ticket.image_size, self.chunk) else {
            return Ok(None);
        };
        let length = u32::try_from(block.payload.len()).unwrap_or(u32::MAX);
        let end = block.offset.saturating_add(length);
        // The image that the relay has is shorter or longer than the one that was signed.
        let fits =
            block.offset == self.position && end <= chunk.end && block.more == (end < self.ticket.image_size);
        if !fits {
            return Ok(Some(self.sleep(now)));
        }
        self.write(block.offset, block.payload)?;
        self.position = end;
        if end < chunk.end {
            return Ok(None);
        }
        if self.is_right(self.chunk, &chunk)? {
            self.record.mark(&mut self.flash, self.chunk)?;
            self.failures = 0;
            self.chunk = self.chunk.saturating_add(1);
            return self.advance(now);
        }
        Ok(Some(self.sleep(now)))
    }

    /// Writes bytes of the image. What is shorter than the write unit can only be its end: erased bytes follow.
    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), F::Error> {
        let at = self.slot.saturating_add(offset);
        let whole = bytes.len() - bytes.len().checked_rem(F::WRITE_SIZE).unwrap_or(0);
        let (whole, rest) = bytes.split_at_checked(whole).unwrap_or((bytes, &[]));
        self.flash.write(at, whole)?;
        if rest.is_empty() {
            return Ok(());
        }
        let mut padded = [ERASED; MAX_WRITE_SIZE];
        padded.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
        let after = at.saturating_add(u32::try_from(whole.len()).unwrap_or(u32::MAX));
        self.flash.write(after, padded.get(..F::WRITE_SIZE).unwrap_or(&padded))
    }

    /// Whether what is in flash is what the index says.
    fn is_right(&mut self, chunk: u32, range: &Range<u32>) -> Result<bool, F::Error> {
        let place = self.slot.saturating_add(range.start)..self.slot.saturating_add(range.end);
        Ok(digest_of(&mut self.flash, place)? == self.record.expected(&mut self.flash, chunk)?)
    }

    /// Finds the next chunk that is not there, and begins to fetch it.
    fn advance(&mut self, now: Instant) -> Result<Option<Event>, BootError<F::Error>> {
        while let Some(range) = self.ticket.chunk_size.range(self.ticket.image_size, self.chunk) {
            if !self.record.is_marked(&mut self.flash, self.chunk)? {
                if !self.is_right(self.chunk, &range)? {
                    self.fetch(&range)?;
                    let done = self.chunk;
                    return Ok(Some(Event::Chunks { done, all: self.record.chunks() }));
                }
                // Power went after the chunk was written, or its mark was torn.
                self.record.mark(&mut self.flash, self.chunk)?;
            }
            self.chunk = self.chunk.saturating_add(1);
        }
        self.finish(now).map(Some)
    }

    /// Erases a chunk and asks for its first block, unless that is the next one anyway.
    fn fetch(&mut self, range: &Range<u32>) -> Result<(), BootError<F::Error>> {
        let page = F::ERASE_SIZE as u32;
        let end = range.end.checked_next_multiple_of(page).unwrap_or(range.end);
        self.flash.erase(self.slot.saturating_add(range.start), self.slot.saturating_add(end))?;
        let goes_on =
            matches!(self.state, State::Fetching(_)) && self.position == range.start && range.start > 0;
        self.position = range.start;
        if !goes_on {
            let num = range.start.checked_div(self.szx.size() as u32).unwrap_or(0);
            let block = Block::new(num, false, self.szx).ok_or(BootError::Layout)?;
            self.state = State::Fetching(Fetch::from_block(self.target, block, self.random.next()));
        }
        Ok(())
    }

    /// All chunks are there: judges the whole image.
    fn finish(&mut self, now: Instant) -> Result<Event, BootError<F::Error>> {
        let image = self.slot..self.slot.saturating_add(self.ticket.image_size);
        if digest_of(&mut self.flash, image)? == self.ticket.image_digest {
            self.record.mark(&mut self.flash, self.record.chunks())?;
            self.state = State::Bootable;
            return Ok(Event::Bootable);
        }
        // Chunks that were right once are wrong now: the flash lost something. The journal is of no use.
        let journal = self.record.journal().clone();
        self.flash.erase(journal.start, journal.end)?;
        self.chunk = 0;
        Ok(self.sleep(now))
    }

    /// Gives up for a while. What there is of the chunk is thrown away.
    fn sleep(&mut self, now: Instant) -> Event {
        let longest = SHORTEST_SLEEP.saturating_mul(1 << self.failures.min(MOST_DOUBLINGS));
        self.failures = self.failures.saturating_add(1);
        // Between once and twice that, so that a building's devices do not come back together.
        let jitter =
            Duration::from_millis((u64::from(self.random.next()) * longest.as_millis() as u64) >> 32);
        let pause = longest.saturating_add(jitter);
        self.state = State::Sleeping(now + pause);
        Event::Sleep(pause)
    }
}

/// Whether the image fits the slot, and chunks are made of whole pages.
fn check_slot<F: NorFlash>(slot: &Range<u32>, ticket: &Ticket<'_>) -> Result<(), BootError<F::Error>> {
    let page = F::ERASE_SIZE as u32;
    let is_whole = |offset: u32| offset.checked_rem(page) == Some(0);
    let image = ticket.image_size.checked_next_multiple_of(page).ok_or(BootError::Layout)?;
    let end = slot.start.checked_add(image).ok_or(BootError::Layout)?;
    let fits = end <= slot.end && is_whole(slot.start) && is_whole(ticket.chunk_size.bytes());
    if fits { Ok(()) } else { Err(BootError::Layout) }
}
