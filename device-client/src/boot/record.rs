//! The record in flash ([`RecordLayout`]), read and written.
//!
//! No journal entry is written twice between erasures, so that flash with error correction can hold it.

#[cfg(feature = "listen")]
use super::parity::Solution;
use super::sha256::{BLOCK, Sha256};
use core::fmt;
use core::ops::Range;
use embedded_storage::nor_flash::{NorFlash, NorFlashError};
use sixfold_profile::index::{ChunkSize, DIGEST};
use sixfold_profile::record::{LARGEST_ENTRY, RecordLayout, SMALLEST_ENTRY, TOMBSTONE};
use sixfold_profile::ticket::{MAX_TICKET, Ticket, TicketError};

/// The largest write unit that is supported: blocks are multiples of it.
pub const MAX_WRITE_SIZE: usize = LARGEST_ENTRY as usize;
const DONE: u8 = 0x00;
/// What erased flash reads as.
pub(super) const ERASED: u8 = 0xff;

/// Why a boot program cannot go on. Network trouble is none of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BootError<E> {
    /// The flash failed.
    Flash(E),
    /// There is no ticket, or none that can be used.
    Ticket(TicketError),
    /// The chunk index is not the one that the ticket names: the main program has to prepare again.
    Index,
    /// The image, or the record, does not fit its place in flash, or places are not made of whole pages, or this
    /// flash writes more than [`MAX_WRITE_SIZE`] bytes at once. Whoever laid out the flash is to blame.
    Layout,
    /// The ticket's options do not fit a request, or what a session makes of it: the main program is to blame. Or the buffer is
    /// too small: whoever drives the boot program is.
    Request,
    /// The ticket has a session that cannot be used, or one whose numbers an earlier record has, or this boot program knows none and must not go on without it: the main
    /// program is to blame.
    Session,
}

impl<E: fmt::Debug> fmt::Display for BootError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flash(error) => write!(f, "the flash failed ({error:?})"),
            Self::Ticket(error) => error.fmt(f),
            Self::Index => f.write_str("the chunk index is not the one that the ticket names: prepare again"),
            Self::Layout => f.write_str("image or record do not fit their place in flash"),
            Self::Request => f.write_str("the ticket's options do not fit a request: prepare again"),
            Self::Session => f.write_str("the ticket's session cannot be used: prepare again"),
        }
    }
}

impl<E: fmt::Debug> core::error::Error for BootError<E> {}

impl<E: NorFlashError> From<E> for BootError<E> {
    fn from(error: E) -> Self {
        Self::Flash(error)
    }
}

/// Where the parts of a record are, for one ticket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    journal: u32,
    index: u32,
    chunks: u32,
}

/// Reads the ticket of the record at `place` into `buffer`.
///
/// # Errors
/// [`BootError::Flash`] and [`BootError::Ticket`].
pub fn read_ticket<'b, F: NorFlash>(
    flash: &mut F,
    place: &Range<u32>,
    buffer: &'b mut [u8; MAX_TICKET],
) -> Result<Ticket<'b>, BootError<F::Error>> {
    flash.read(place.start, buffer)?;
    Ticket::read(buffer).map_err(BootError::Ticket)
}

/// Replaces the record at `place` by a tombstone: the slot does not hold any more what it, or the factory, put there.
///
/// # Errors
/// [`BootError::Flash`] and [`BootError::Layout`].
pub(super) fn retire<F: NorFlash>(flash: &mut F, place: &Range<u32>) -> Result<(), BootError<F::Error>> {
    if is_retired(flash, place)? {
        return Ok(());
    }
    let page = place.start.checked_add(F::ERASE_SIZE as u32).ok_or(BootError::Layout)?;
    flash.erase(place.start, page)?;
    Ok(write(flash, place.start, &TOMBSTONE)?)
}

/// Whether there is a tombstone at `place`.
///
/// # Errors
/// When flash cannot be read.
pub fn is_retired<F: NorFlash>(flash: &mut F, place: &Range<u32>) -> Result<bool, F::Error> {
    let mut start = [0; TOMBSTONE.len()];
    flash.read(place.start, &mut start)?;
    Ok(start == TOMBSTONE)
}

/// Writes bytes from `start` on; what the last write unit needs more is ones.
pub(super) fn write<F: NorFlash>(flash: &mut F, start: u32, bytes: &[u8]) -> Result<(), F::Error> {
    let whole = bytes.len() & !(F::WRITE_SIZE - 1);
    let (whole, rest) = bytes.split_at_checked(whole).unwrap_or((bytes, &[]));
    if !whole.is_empty() {
        flash.write(start, whole)?;
    }
    if rest.is_empty() {
        return Ok(());
    }
    let mut padded = [ERASED; MAX_WRITE_SIZE];
    padded.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
    flash.write(start + whole.len() as u32, padded.get(..F::WRITE_SIZE).unwrap_or(&padded))
}

impl Record {
    /// The record in `place` that belongs to a ticket.
    ///
    /// # Errors
    /// [`BootError::Layout`] when it does not fit.
    pub fn new<F: NorFlash>(place: &Range<u32>, ticket: &Ticket<'_>) -> Result<Self, BootError<F::Error>> {
        layout_of::<F>(place, ticket).map(|layout| Self::of(&layout))
    }

    /// The one that is laid out so.
    pub(super) const fn of(layout: &RecordLayout) -> Self {
        Self { journal: layout.journal.start, index: layout.index.start, chunks: layout.chunks }
    }

    /// How many bytes of flash a record needs, for images of up to `image_size` bytes, with a session or without; `None` for sizes
    /// that no flash has.
    pub fn size(
        image_size: u32,
        chunk_size: ChunkSize,
        page: u32,
        write_unit: u32,
        has_session: bool,
    ) -> Option<u32> {
        RecordLayout::new(0, image_size, chunk_size, page, write_unit, has_session)
            .map(|layout| layout.count.end)
    }

    /// How many chunks there are.
    pub const fn chunks(&self) -> u32 {
        self.chunks
    }

    /// Where the journal is: whole pages.
    pub const fn journal(&self) -> Range<u32> {
        self.journal..self.index
    }

    /// Where the chunk index is: 32 bytes a chunk, from the start of a page.
    pub const fn index(&self) -> Range<u32> {
        // No overflow here and below: it was laid out.
        self.index..self.index + self.chunks * DIGEST as u32
    }

    /// Whether the chunk index is the one that the ticket names.
    pub(super) fn check_index<F: NorFlash>(
        &self,
        flash: &mut F,
        digest: &[u8; DIGEST],
    ) -> Result<(), BootError<F::Error>> {
        if has_digest(flash, self.index(), Expected::Is(digest))? { Ok(()) } else { Err(BootError::Index) }
    }

    /// Whether what is in `place` is what the index says of a chunk.
    pub(super) fn is_right<F: NorFlash>(
        &self,
        flash: &mut F,
        chunk: u32,
        place: Range<u32>,
    ) -> Result<bool, F::Error> {
        has_digest(flash, place, self.digest(chunk))
    }

    /// What the index says of a chunk.
    pub(super) const fn digest(&self, chunk: u32) -> Expected<'static> {
        Expected::At(self.index + chunk * DIGEST as u32)
    }

    /// The entry that says that a chunk is open ([`RecordLayout::opening`]).
    #[cfg(feature = "listen")]
    pub(super) const fn opening(&self, chunk: u32) -> u32 {
        self.chunks + 1 + chunk
    }

    /// Whether a chunk is marked; the entry behind the last chunk's is that of the whole image.
    ///
    /// # Errors
    /// When flash cannot be read.
    pub fn is_marked<F: NorFlash>(&self, flash: &mut F, entry: u32) -> Result<bool, F::Error> {
        self.entry_is(flash, entry, DONE)
    }

    /// Whether an entry can be marked.
    pub(super) fn is_unmarked<F: NorFlash>(&self, flash: &mut F, entry: u32) -> Result<bool, F::Error> {
        self.entry_is(flash, entry, ERASED)
    }

    /// Marks an entry, unless it was touched before: then it stays as it is, and says nothing.
    pub(super) fn mark<F: NorFlash>(&self, flash: &mut F, entry: u32) -> Result<(), F::Error> {
        mark_entry(flash, entry_offset::<F>(self.journal, entry)).map(drop)
    }

    fn entry_is<F: NorFlash>(&self, flash: &mut F, entry: u32, pattern: u8) -> Result<bool, F::Error> {
        entry_is(flash, entry_offset::<F>(self.journal, entry), pattern)
    }
}

/// Where everything is in the record at `place`.
pub(super) fn layout_of<F: NorFlash>(
    place: &Range<u32>,
    ticket: &Ticket<'_>,
) -> Result<RecordLayout, BootError<F::Error>> {
    RecordLayout::of(ticket, place.start, F::ERASE_SIZE as u32, F::WRITE_SIZE as u32)
        .filter(|layout| layout.count.end <= place.end)
        .ok_or(BootError::Layout)
}

/// Marks the entry at `offset`, unless it was touched before. Whether it says afterwards that it was marked now.
pub(super) fn mark_entry<F: NorFlash>(flash: &mut F, offset: u32) -> Result<bool, F::Error> {
    if !entry_is(flash, offset, ERASED)? {
        return Ok(false);
    }
    let zeros = [DONE; MAX_WRITE_SIZE];
    flash.write(offset, zeros.get(..entry_size::<F>()).unwrap_or_default())?;
    entry_is(flash, offset, DONE)
}

/// Whether the entry at `offset` has nothing but this byte.
pub(super) fn entry_is<F: NorFlash>(flash: &mut F, offset: u32, pattern: u8) -> Result<bool, F::Error> {
    let mut bytes = [!pattern; MAX_WRITE_SIZE];
    let bytes = bytes.get_mut(..entry_size::<F>()).unwrap_or_default();
    flash.read(offset, bytes)?;
    Ok(bytes.iter().all(|byte| *byte == pattern))
}

/// How long a journal entry is.
pub(super) const fn entry_size<F: NorFlash>() -> usize {
    if F::WRITE_SIZE > SMALLEST_ENTRY as usize { F::WRITE_SIZE } else { SMALLEST_ENTRY as usize }
}

/// Where it is. No overflow: it was laid out.
const fn entry_offset<F: NorFlash>(journal: u32, entry: u32) -> u32 {
    journal + entry * entry_size::<F>() as u32
}

/// The next multiple of `unit`, a power of two; `None` when it does not fit.
pub(super) fn round_up(bytes: u32, unit: u32) -> Option<u32> {
    Some(bytes.checked_add(unit - 1)? & !(unit - 1))
}

/// A digest in memory, or where it is in flash: then it is not read while there is hashing.
pub(super) enum Expected<'d> {
    Is(&'d [u8; DIGEST]),
    At(u32),
}

/// Whether a piece of flash, which begins with a page, has this SHA-256.
#[cfg(not(feature = "listen"))]
#[inline(never)] // the digest in the making is on the stack only here
pub(super) fn has_digest<F: NorFlash>(
    flash: &mut F,
    range: Range<u32>,
    expected: Expected<'_>,
) -> Result<bool, F::Error> {
    digest_is(flash, range, expected, |flash, offset, block| flash.read(offset, block))
}

/// The same.
#[cfg(feature = "listen")]
pub(super) fn has_digest<F: NorFlash>(
    flash: &mut F,
    range: Range<u32>,
    expected: Expected<'_>,
) -> Result<bool, F::Error> {
    has_digest_with(flash, range, expected, None)
}

/// Whether a part of the image would have this digest if what was found were in its place.
#[cfg(feature = "listen")]
pub(super) fn would_be<F: NorFlash>(
    flash: &mut F,
    slot: u32,
    range: &Range<u32>,
    expected: Expected<'_>,
    solution: &Solution<'_, '_>,
) -> Result<bool, F::Error> {
    has_digest_with(flash, slot + range.start..slot + range.end, expected, Some((slot, solution)))
}

/// The same, with what was found in its place; the slot is where it is said.
#[cfg(feature = "listen")]
#[inline(never)] // as above
fn has_digest_with<F: NorFlash>(
    flash: &mut F,
    range: Range<u32>,
    expected: Expected<'_>,
    found: Option<(u32, &Solution<'_, '_>)>,
) -> Result<bool, F::Error> {
    digest_is(flash, range, expected, |flash, offset, block| {
        match found.and_then(|(slot, solution)| solution.piece(offset - slot)) {
            Some(piece) => {
                *block = *piece;
                Ok(())
            }
            None => flash.read(offset, block),
        }
    })
}

#[inline]
fn digest_is<F: NorFlash>(
    flash: &mut F,
    range: Range<u32>,
    expected: Expected<'_>,
    mut read: impl FnMut(&mut F, u32, &mut [u8; BLOCK]) -> Result<(), F::Error>,
) -> Result<bool, F::Error> {
    let mut hash = Sha256::new();
    let mut offset = range.start;
    loop {
        let rest = range.end - offset;
        if rest > 0 {
            // Whole blocks: a read may have to be longer than what is asked for, and pages are multiples of it.
            read(flash, offset, hash.block_mut())?;
        }
        if rest < BLOCK as u32 {
            break;
        }
        hash.absorb();
        offset += BLOCK as u32;
    }
    hash.finish(range.end - range.start);
    match expected {
        Expected::Is(digest) => Ok(hash.is(digest)),
        Expected::At(place) => is_at(flash, &hash, place),
    }
}

#[inline(never)] // as above
fn is_at<F: NorFlash>(flash: &mut F, hash: &Sha256, place: u32) -> Result<bool, F::Error> {
    let mut digest = [0; DIGEST];
    flash.read(place, &mut digest)?;
    Ok(hash.is(&digest))
}
