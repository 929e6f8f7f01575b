//! What a member of a group asks for: the options that say which blocks are missing.

use super::map::Map;
use core::ops::Range;
use sixfold_profile::coap::{Block, Full, Szx, Writer, option};
use sixfold_profile::missing::{self, LONGEST};

/// A list of Q-Block2 options has no more than this many.
const MOST_LISTED: usize = 8;

/// Blocks of one size, of an image of which some are missing.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted<'m, 't> {
    pub(super) map: &'m Map<'t>,
    pub(super) image_size: u32,
    pub(super) szx: Szx,
}

impl Wanted<'_, '_> {
    /// How many blocks there are.
    const fn all(self) -> u32 {
        (self.image_size - 1 >> self.szx.bits()) + 1
    }

    /// Those of a range that are missing.
    pub(super) fn among(self, range: Range<u32>) -> impl Iterator<Item = u32> + Clone {
        let (bits, all) = (self.szx.bits(), self.all());
        (range.start..range.end.min(all)).filter(move |num| {
            let end = self.image_size.min((num + 1) << bits);
            self.map.misses(&(num << bits..end))
        })
    }

    /// All that are missing.
    pub(super) fn blocks(self) -> impl Iterator<Item = u32> + Clone {
        self.among(0..self.all())
    }

    /// Whether they are too many for a list.
    pub(super) fn are_many(self) -> bool {
        self.blocks().nth(MOST_LISTED).is_some()
    }

    /// Adds the Q-Block2 options: the first missing block alone, until a stream was heard; then each, or, if they are too many,
    /// the first with M, which is for everything after it.
    pub(super) fn write(self, writer: &mut Writer<'_>, is_stream_heard: bool) -> Result<(), Full> {
        let is_many = self.are_many();
        let listed = if is_stream_heard && !is_many { MOST_LISTED } else { 1 };
        for num in self.blocks().take(listed) {
            let block = Block::new(num, is_stream_heard && is_many, self.szx).ok_or(Full)?;
            writer.uint_option(option::Q_BLOCK2, block.encode())?;
        }
        Ok(())
    }

    /// Adds the option MISSING.
    pub(super) fn write_missing(self, writer: &mut Writer<'_>, deficit: u16) -> Result<(), Full> {
        let (all, group) = (self.all(), missing::group(self.all()));
        let [high, low] = deficit.to_be_bytes();
        let mut value = [0; LONGEST];
        let mut length = 0;
        let counts = (0..=all - 1 >> group).map(|place| {
            let missing = self.among(place << group..(place + 1) << group).count() as u32;
            missing::count(group, missing)
        });
        for (place, byte) in value.iter_mut().zip([high, low, group].into_iter().chain(counts)) {
            *place = byte;
            length += 1;
        }
        writer.option(option::MISSING, value.get(..length).unwrap_or_default())
    }
}
