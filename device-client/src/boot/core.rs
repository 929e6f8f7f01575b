//! The boot algorithm.

use super::content::Content;
use super::layout::{Layout, Which};
#[cfg(feature = "listen")]
use super::listen::Listen;
#[cfg(feature = "oscore")]
use super::protection::Protection;
#[cfg(feature = "oscore")]
use super::record::layout_of;
use super::record::{BootError, Expected, Record, has_digest, retire, round_up};
use crate::blocks::{Answer, Blocks};
use crate::exchange::Exchange;
use core::fmt;
use core::ops::Range;
use core::time::Duration;
use embedded_storage::nor_flash::NorFlash;
use sixfold_profile::Instant;
use sixfold_profile::coap::{Block, Full, Options, Szx};
use sixfold_profile::index::{ChunkSize, DIGEST};
use sixfold_profile::ticket::Ticket;

/// After the first failure the device sleeps for this long at least; after each further one twice as long.
const SHORTEST_SLEEP_US: u32 = 2_000_000;
/// How often that is doubled: to 34 minutes, and with the most jitter to 68, for which 32 bits are just enough.
const MOST_DOUBLINGS: u8 = 10;

/// One update.
///
/// After each datagram ([`Boot::handle_datagram`]) call [`Boot::handle_timeout`]: that is where chunks are judged. After that,
/// and at the start, call [`Boot::poll_transmit`] until it has nothing more; then sleep until a datagram comes or
/// [`Boot::poll_timeout`].
/// When that is `None`, the image may run. An error is a matter of this device alone: no datagram can cause one.
#[derive(Debug)]
pub struct Boot<'t, F> {
    pub(super) flash: F,
    pub(super) record: Record,
    pub(super) slot: u32,
    pub(super) content: Content<'t>,
    pub(super) image_size: u32,
    pub(super) image_digest: &'t [u8; DIGEST],
    pub(super) chunk_size: ChunkSize,
    pub(super) szx: Szx,
    pub(super) blocks: Blocks<'t>,
    /// The chunk that is being fetched; the number of chunks when all are there.
    pub(super) chunk: u32,
    /// Where in the image that chunk ends.
    pub(super) end: u32,
    /// It is erased, and nothing was written to it since.
    pub(super) is_erased: bool,
    pub(super) state: State,
    /// When sleep is over, or a chunk is to be judged.
    pub(super) until: Instant,
    /// Since the last chunk that was right; no more than [`MOST_DOUBLINGS`] are counted.
    pub(super) failures: u8,
    #[cfg(feature = "listen")]
    pub(super) listen: Listen<'t>,
    #[cfg(feature = "oscore")]
    pub(super) protection: Protection<'t>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Fetching,
    /// A chunk is there. It is judged at the next time-out, which is at once: when no datagram is on the stack.
    Judging,
    Sleeping,
    Bootable,
}

/// What happened, for whoever shows progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// How many of all chunks are whole.
    Chunks {
        /// Whole and marked.
        done: u32,
        /// All.
        all: u32,
    },
    /// Something went wrong; the device tries again later.
    Sleep {
        /// What it was.
        cause: Cause,
        /// When.
        until: Instant,
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
    /// There was no answer but that the relay does not know the session, or has other keys. Anybody on the link can say so.
    Unknown,
    /// The session has no numbers left, and the ticket does not allow to go on without it.
    UsedUp,
    /// The relay refused, or answered against the rules.
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
            Self::Unknown => "the relay, or somebody on the link, says that it does not know the session",
            Self::UsedUp => "the session has no numbers left: prepare again",
            Self::Refused => "the relay refuses, or its answers make no sense",
            Self::OtherSize => "the relay's image has another size than the signed one",
            Self::WrongChunk => "a chunk is not what the publisher signed",
            Self::WrongImage => "the image in flash is not what the publisher signed",
        })
    }
}

impl<'t, F: NorFlash> Boot<'t, F> {
    /// Goes on with the update of record `which`, whose ticket is `ticket`. `seed`: see [`crate::Exchange::new`].
    ///
    /// # Errors
    /// All but [`BootError::Ticket`] and [`BootError::Request`].
    pub fn new(
        mut flash: F,
        places: &Layout,
        which: Which,
        ticket: Ticket<'t>,
        seed: u32,
    ) -> Result<Self, BootError<F::Error>> {
        let content = Content::new(&ticket);
        let (place, slot) = (places.record(which), places.slot(which));
        #[cfg(feature = "oscore")]
        let (record, protection) = {
            let layout = layout_of::<F>(place, &ticket)?;
            (Record::of(&layout), Protection::new(&mut flash, &layout.count, &ticket)?)
        };
        #[cfg(not(feature = "oscore"))]
        let record = Record::new::<F>(place, &ticket)?;
        check_slot::<F>(slot, &ticket)?;
        let (image_size, image_digest) = (ticket.image_size(), ticket.image_digest());
        let (chunk_size, szx) = (ticket.chunk_size(), block_size(&ticket));
        let blocks = Blocks::new(Options::new(ticket.options()), seed);
        #[cfg(not(feature = "oscore"))]
        if ticket.needs_session() {
            return Err(BootError::Session);
        }
        let is_bootable = record.is_marked(&mut flash, record.chunks())?;
        if !is_bootable {
            record.check_index(&mut flash, ticket.index_digest())?;
            if places.is_single() {
                retire(&mut flash, places.record(which.other()))?;
            }
        }
        let state = if is_bootable { State::Bootable } else { State::Sleeping };
        let slot = slot.start;
        Ok(Self {
            flash,
            record,
            slot,
            content,
            image_size,
            image_digest,
            chunk_size,
            szx,
            blocks,
            chunk: 0,
            end: 0,
            is_erased: false,
            state,
            until: Instant::ZERO,
            failures: 0,
            #[cfg(feature = "oscore")]
            protection,
            #[cfg(feature = "listen")]
            listen: Listen::new(ticket),
        })
    }

    /// Whether the image may run.
    pub const fn is_bootable(&self) -> bool {
        matches!(self.state, State::Bootable)
    }

    /// The exchanges with the relay, for their counters.
    pub const fn exchange(&self) -> &Exchange {
        self.blocks.exchange()
    }

    /// The flash, for whoever has to look at it; the update relies on what is there.
    pub const fn flash_mut(&mut self) -> &mut F {
        &mut self.flash
    }

    /// Gives the flash back.
    pub fn into_flash(self) -> F {
        self.flash
    }

    /// Takes a datagram from the relay's address; it may be unprotected where it is.
    ///
    /// # Errors
    /// [`BootError::Flash`] and [`BootError::Layout`].
    pub fn handle_datagram(
        &mut self,
        now: Instant,
        datagram: &mut [u8],
    ) -> Result<Option<Event>, BootError<F::Error>> {
        #[cfg(feature = "oscore")]
        let Some(datagram) = self.unprotect(datagram) else { return Ok(None) };
        let Some(answer) = self.blocks.handle_datagram(now, datagram) else { return Ok(None) };
        #[cfg(feature = "listen")]
        if self.listen.is_on {
            self.answered_member(now, answer)?;
            return Ok(self.listen.event.take());
        }
        let cause = match answer {
            Answer::Wait(time) => return Ok(Some(Event::Wait(time))),
            Answer::Block(block, response) => return self.take(now, block, response.payload),
            Answer::TimedOut | Answer::Reset => Cause::Silence,
            Answer::Refused(_) | Answer::NotBlockwise | Answer::Violation(_) => Cause::Refused,
        };
        Ok(Some(self.sleep(now, cause)))
    }

    /// To be called at [`Boot::poll_timeout`]; too early or too often does no harm.
    ///
    /// # Errors
    /// [`BootError::Flash`] and [`BootError::Layout`].
    pub fn handle_timeout(&mut self, now: Instant) -> Result<Option<Event>, BootError<F::Error>> {
        match self.state {
            State::Sleeping if now < self.until => Ok(None),
            #[cfg(feature = "listen")]
            State::Sleeping | State::Judging if self.listen.is_on => {
                self.go_on(now)?;
                Ok(self.listen.event.take())
            }
            State::Sleeping | State::Judging => self.advance(now).map(Some),
            State::Fetching => {
                let is_silent = self.blocks.handle_timeout(now);
                #[cfg(feature = "oscore")]
                let cause = if is_silent { self.silence()? } else { Cause::Silence };
                #[cfg(not(feature = "oscore"))]
                let cause = Cause::Silence;
                Ok(is_silent.then(|| self.sleep(now, cause)))
            }
            State::Bootable => Ok(None),
        }
    }

    /// Writes the next datagram that is to leave now, if any, and returns its length. With a session, `buffer` has to be twice as
    /// long as such a datagram, and numbers are reserved in flash.
    ///
    /// # Errors
    /// [`BootError::Request`] when `buffer` is too small for the request, or the ticket's options are out of order;
    /// [`BootError::Flash`].
    pub fn poll_transmit(
        &mut self,
        now: Instant,
        buffer: &mut [u8],
    ) -> Result<Option<usize>, BootError<F::Error>> {
        #[cfg(feature = "oscore")]
        let (sealed, buffer) = self.room(buffer);
        #[cfg(feature = "listen")]
        let written = self.transmit(now, buffer);
        #[cfg(not(feature = "listen"))]
        let written = self.blocks.poll_transmit(now, buffer, false);
        let written = written.map_err(|Full| BootError::Request)?;
        #[cfg(feature = "oscore")]
        if let Some(length) = written.filter(|_| self.is_protected()) {
            return self.protect(buffer.get(..length).unwrap_or_default(), sealed);
        }
        Ok(written)
    }

    /// When [`Boot::handle_timeout`] is due; `None` when the image may run. Ask after [`Boot::poll_transmit`] has nothing
    /// more to send.
    pub fn poll_timeout(&self) -> Option<Instant> {
        match self.state {
            State::Fetching => self.blocks.poll_timeout(),
            State::Judging | State::Sleeping => Some(self.until),
            State::Bootable => None,
        }
    }

    /// Writes a block; after a chunk's last one, judges the chunk.
    fn take(
        &mut self,
        now: Instant,
        block: Block,
        payload: &[u8],
    ) -> Result<Option<Event>, BootError<F::Error>> {
        // No overflow: offsets are below 2³⁰, and the payload is a block's at most.
        let offset = block.offset() as u32;
        let end = offset + payload.len() as u32;
        if end > self.end || block.more != (end < self.image_size) || payload.is_empty() {
            return Ok(Some(self.sleep(now, Cause::OtherSize)));
        }
        self.is_erased = false;
        self.content.write(&mut self.flash, self.slot, offset, payload)?;
        if end < self.end {
            let next = Block::new(block.num() + 1, false, block.szx);
            return Ok(match next {
                Some(next) => {
                    self.blocks.seek(next);
                    None
                }
                None => Some(self.sleep(now, Cause::Refused)),
            });
        }
        self.blocks.stop();
        self.until = now;
        self.state = State::Judging;
        Ok(None)
    }

    /// Where in the image the chunk begins.
    const fn start(&self) -> u32 {
        self.chunk << self.chunk_size.exponent()
    }

    /// Whether the chunk in flash is what the index says.
    fn is_right(&mut self) -> Result<bool, F::Error> {
        let place = self.slot + self.start()..self.slot + self.end;
        self.record.is_right(&mut self.flash, self.chunk, place)
    }

    /// Finds the next chunk that is not there, and begins to fetch it. First, judges the one that was fetched, if one was.
    fn advance(&mut self, now: Instant) -> Result<Event, BootError<F::Error>> {
        let mut is_fetched = self.state == State::Judging;
        while let Some(range) = self.chunk_size.range(self.image_size, self.chunk) {
            self.end = range.end;
            if !self.record.is_marked(&mut self.flash, self.chunk)? {
                if !self.is_right()? {
                    if is_fetched {
                        return Ok(self.sleep(now, Cause::WrongChunk));
                    }
                    self.begin()?;
                    return Ok(Event::Chunks { done: self.chunk, all: self.record.chunks() });
                }
                // It was fetched, or came before the power went, or its mark was torn, or the old image has the same bytes
                // here.
                self.record.mark(&mut self.flash, self.chunk)?;
            }
            if is_fetched {
                self.failures = 0;
                is_fetched = false;
            }
            self.chunk += 1;
            self.is_erased = false;
        }
        Ok(self.finish(now)?)
    }

    /// Erases a chunk, unless it is, and asks for its first block.
    #[inline(never)] // its frame is not to be below a digest
    fn begin(&mut self) -> Result<(), BootError<F::Error>> {
        let (start, end) = (self.start(), self.end);
        if !self.is_erased {
            let end = round_up(end, F::ERASE_SIZE as u32).unwrap_or(end);
            self.flash.erase(self.slot + start, self.slot + end)?;
            self.is_erased = true;
        }
        let block = Block::new(start >> self.szx.bits(), false, self.szx);
        self.blocks.seek(block.ok_or(BootError::Layout)?);
        self.state = State::Fetching;
        Ok(())
    }

    /// All chunks are there: judges the whole image.
    pub(super) fn finish(&mut self, now: Instant) -> Result<Event, F::Error> {
        self.blocks.stop();
        let is_right = self.is_image_right()?;
        let whole = self.record.chunks();
        if !is_right || !self.record.is_unmarked(&mut self.flash, whole)? {
            // Chunks that were right once are wrong now: without marks, each is looked at again. Or the last mark was torn.
            let journal = self.record.journal();
            self.flash.erase(journal.start, journal.end)?;
        }
        if is_right {
            self.record.mark(&mut self.flash, whole)?;
            self.state = State::Bootable;
            return Ok(Event::Bootable);
        }
        self.chunk = 0;
        Ok(self.sleep(now, Cause::WrongImage))
    }

    /// Whether the image in flash is the signed one.
    fn is_image_right(&mut self) -> Result<bool, F::Error> {
        #[cfg(feature = "listen")]
        if self.listen.is_proven() {
            return Ok(true);
        }
        let image = self.slot..self.slot + self.image_size;
        has_digest(&mut self.flash, image, Expected::Is(self.image_digest))
    }

    /// Gives up for a while. The chunk that was being fetched will be fetched from its start.
    pub(super) fn sleep(&mut self, now: Instant, cause: Cause) -> Event {
        self.blocks.stop();
        let shortest = SHORTEST_SLEEP_US << self.failures;
        self.failures = MOST_DOUBLINGS.min(self.failures + 1);
        // Up to twice that, so that a building's devices do not come back together.
        let jitter = (shortest >> 16) * (self.blocks.random_bits() >> 16);
        self.until = now.after_micros((shortest + jitter).into());
        self.state = State::Sleeping;
        Event::Sleep { cause, until: self.until }
    }
}

/// A block must not be larger than a chunk. Both are powers of two, and chunks have 256 bytes at least.
fn block_size(ticket: &Ticket<'_>) -> Szx {
    let of_chunk = Szx::new(ticket.chunk_size().exponent().saturating_sub(4)).unwrap_or(Szx::MAX);
    of_chunk.min(ticket.szx())
}

/// Whether the image fits the slot, and chunks are made of whole pages.
pub(super) fn check_slot<F: NorFlash>(
    slot: &Range<u32>,
    ticket: &Ticket<'_>,
) -> Result<(), BootError<F::Error>> {
    let page = F::ERASE_SIZE as u32;
    let is_whole = |offset: u32| offset & (page - 1) == 0;
    let image = round_up(ticket.image_size(), page).ok_or(BootError::Layout)?;
    let end = slot.start.checked_add(image).ok_or(BootError::Layout)?;
    let fits = end <= slot.end && is_whole(slot.start) && is_whole(ticket.chunk_size().bytes());
    if fits { Ok(()) } else { Err(BootError::Layout) }
}
