//! The record: what a boot program needs in flash beside the image.
//!
//! ```text
//! +--------+-------------------------------------------+------------------------------+----------------------+
//! | ticket | journal: two entries a chunk, one for all | chunk index: 32 bytes a chunk | with a session: count |
//! +--------+-------------------------------------------+------------------------------+----------------------+
//! each part begins with an erase page; the ticket has the pages that 512 bytes need
//! ```
//!
//! A journal entry is the smallest piece that the flash writes, at least 4 bytes. While the other record replaces the
//! only image that there is, a [`TOMBSTONE`] stands in place of the ticket. This module says where things are and what
//! they mean; it deliberately writes nothing, and decides nothing.
//!
//! The count has entries as the journal has: the first says that the session was lost; each of the others stands for 2⁸ Sender
//! Sequence Numbers ([`RESERVED`]) that a boot program reserved before it used the first of them.

use crate::index::ChunkSize;
use crate::ticket::{MAX_TICKET, Ticket};
use core::ops::Range;

/// The first bytes of a record whose slot does not hold any more what it, or the factory, put there.
pub const TOMBSTONE: [u8; 4] = *b"S6RT";
/// The shortest journal entry in bytes.
pub const SMALLEST_ENTRY: u32 = 4;
/// The longest journal entry, and write unit, in bytes.
pub const LARGEST_ENTRY: u32 = 16;
/// The entry of a count that says that the session is lost: the relay does not know it, or has other keys; or all numbers are used.
pub const LOST: u32 = 0;
/// How many Sender Sequence Numbers any other entry stands for, as a power of two.
pub const RESERVED: u32 = 8;
/// A count has entries for so many restarts at least,
const RESTARTS: u32 = 128;
/// and one more for each 2¹¹ bytes of the image: even in blocks of 16 bytes it takes half of their numbers.
const PER_ENTRY: u32 = 11;

/// Where the parts of a record are in flash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordLayout {
    /// The journal: whole pages.
    pub journal: Range<u32>,
    /// The chunk index: whole pages.
    pub index: Range<u32>,
    /// The count of a session: whole pages; empty, where there is none.
    pub count: Range<u32>,
    /// How many chunks there are.
    pub chunks: u32,
    /// The size of a journal entry in bytes.
    pub entry: u32,
}

/// What a journal entry says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// All ones: the chunk is not there yet.
    Unmarked,
    /// All zeros: the chunk is in flash, whole.
    Marked,
    /// Anything else: the power went while it was written. It says nothing.
    Torn,
}

impl RecordLayout {
    /// The record at `start` of this ticket, in flash with erase pages of `page` bytes that writes `write_unit` bytes at once.
    /// `None` for sizes that no flash has, or when `start` is not that of a page.
    pub fn of(ticket: &Ticket<'_>, start: u32, page: u32, write_unit: u32) -> Option<Self> {
        let (image_size, chunk_size) = (ticket.image_size(), ticket.chunk_size());
        Self::new(start, image_size, chunk_size, page, write_unit, ticket.has_session())
    }

    /// The same, for an image of `image_size` bytes, with a session or without.
    pub fn new(
        start: u32,
        image_size: u32,
        chunk_size: ChunkSize,
        page: u32,
        write_unit: u32,
        has_session: bool,
    ) -> Option<Self> {
        let is_flash = page.is_power_of_two() && write_unit.is_power_of_two() && write_unit <= LARGEST_ENTRY;
        if !is_flash || start & (page - 1) != 0 {
            return None;
        }
        // No overflow: there are no more than 2²⁴ chunks, an entry has 16 bytes at most, and a page 2³¹.
        let behind = |start: u32, bytes: u32| start.checked_add((bytes + (page - 1)) & !(page - 1));
        let chunks = chunk_size.count(image_size);
        let entry = SMALLEST_ENTRY.max(write_unit);
        let journal = behind(start, MAX_TICKET as u32)?;
        let index = behind(journal, (2 * chunks + 1) * entry)?;
        let count = behind(index, chunk_size.index_length(image_size))?;
        let entries = if has_session { 1 + RESTARTS + (image_size >> PER_ENTRY) } else { 0 };
        let end = behind(count, entries * entry)?;
        Some(Self { journal: journal..index, index: index..count, count: count..end, chunks, entry })
    }

    /// Where an entry of the count is; `None` behind the last.
    pub fn count_range(&self, number: u32) -> Option<Range<u32>> {
        let start = self.count.start.checked_add(number.checked_mul(self.entry)?)?;
        let end = start.checked_add(self.entry).filter(|end| *end <= self.count.end)?;
        Some(start..end)
    }

    /// Where an entry is: that of a chunk, behind them that of the whole image, behind that whether a chunk is open
    /// ([`RecordLayout::opening`]); `None` behind those.
    pub fn entry_range(&self, number: u32) -> Option<Range<u32>> {
        let number = Some(number).filter(|number| *number <= 2 * self.chunks)?;
        let start = self.journal.start.checked_add(number.checked_mul(self.entry)?)?;
        Some(start..start.checked_add(self.entry)?)
    }

    /// The entry that says that a chunk was erased for this image, so that whatever is in it by now belongs to the image: what
    /// reads as ones is missing.
    pub const fn opening(&self, chunk: u32) -> u32 {
        self.chunks + 1 + chunk
    }
}

/// How many of a count's `entries` stand for 2^`exponent` numbers: all but that of [`LOST`], and no more than there are numbers for.
pub const fn reservations(entries: u32, exponent: u8) -> u32 {
    let room = entries.saturating_sub(1);
    // No record has room for 2²⁴.
    let numbers = if exponent < 32 { (1 << exponent) >> RESERVED } else { u32::MAX };
    if numbers < room { numbers } else { room }
}

impl Entry {
    /// What the bytes of an entry say.
    pub fn read(bytes: &[u8]) -> Self {
        if bytes.iter().all(|byte| *byte == 0xff) {
            Self::Unmarked
        } else if bytes.iter().all(|byte| *byte == 0) {
            Self::Marked
        } else {
            Self::Torn
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_begin_with_pages_and_hold_what_they_must() {
        let chunk = ChunkSize::from_bytes(4096).unwrap();
        let layout = RecordLayout::new(0, 5 * 4096 + 1, chunk, 4096, 8, false).unwrap();
        let parts = RecordLayout {
            journal: 4096..8192,
            index: 8192..12_288,
            count: 12_288..12_288,
            chunks: 6,
            entry: 8,
        };
        assert_eq!(layout, parts);
        assert_eq!(RecordLayout::new(8192, 1, chunk, 4096, 8, false).unwrap().index, 16_384..20_480);
        assert_eq!(RecordLayout::new(8193, 1, chunk, 4096, 8, false), None);
        assert_eq!(layout.entry_range(0), Some(4096..4104));
        assert_eq!(layout.entry_range(6), Some(4144..4152));
        assert_eq!((layout.opening(0), layout.opening(5)), (7, 12));
        assert_eq!(layout.entry_range(12), Some(4192..4200));
        assert_eq!(layout.entry_range(13), None);
        let small = RecordLayout::new(0, 1000, ChunkSize::MIN, 256, 1, false).unwrap();
        assert_eq!((small.journal, small.index, small.entry), (512..768, 768..1024, 4));
    }

    #[test]
    fn a_count_is_whole_pages_behind_the_index() {
        let chunk = ChunkSize::from_bytes(1024).unwrap();
        let layout = |bytes, page, unit| RecordLayout::new(0, bytes, chunk, page, unit, true);
        let small = layout(96 << 10, 1024, 4).unwrap();
        assert_eq!((small.index.end, small.count.clone()), (5120, 5120..6144), "177 entries");
        assert_eq!(
            [8, 15, 16, 31, 32, 40].map(|exponent| reservations(256, exponent)),
            [1, 128, 255, 255, 255, 255]
        );
        assert_eq!(small.count_range(LOST), Some(5120..5124));
        assert_eq!(small.count_range(255), Some(6140..6144));
        assert_eq!(small.count_range(256), None);
        assert_eq!(small.count_range(u32::MAX), None);
        let large = layout(1 << 20, 256, 16).unwrap();
        assert_eq!(large.count.len(), 641 * 16 + 240);
        let without = RecordLayout::new(0, 1, chunk, 1024, 4, false).unwrap();
        assert_eq!(without.count_range(0), None);
        assert_eq!(layout(u32::MAX, 1 << 31, 4), None);
    }

    #[test]
    fn sizes_that_no_flash_has_are_refused() {
        for (page, write_unit) in
            [(0, 4), (4096, 0), (4096, 17), (4096, 32), (4096, 3), (4095, 4), (u32::MAX, 4)]
        {
            assert_eq!(
                RecordLayout::new(0, 1000, ChunkSize::MIN, page, write_unit, true),
                None,
                "{page} {write_unit}"
            );
        }
        assert_eq!(RecordLayout::new(0, u32::MAX, ChunkSize::MAX, 1 << 31, 4, false), None);
    }

    #[test]
    fn an_entry_is_all_ones_or_all_zeros_or_torn() {
        assert_eq!(Entry::read(&[0xff; 4]), Entry::Unmarked);
        assert_eq!(Entry::read(&[0; 16]), Entry::Marked);
        assert_eq!(Entry::read(&[0, 0, 0, 1]), Entry::Torn);
    }
}
