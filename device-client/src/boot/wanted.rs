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
        ((self.image_size - 1) >> self.szx.bits()) + 1
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
        let counts = (0..=(all - 1) >> group).map(|place| {
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

#[cfg(test)]
mod tests {
    use super::*;
    use sixfold_profile::coap::{Code, Message, Type};
    use sixfold_profile::missing::Missing;
    use std::vec::Vec;

    /// Of an image of `size` bytes, these pieces of 64 bytes are missing.
    fn with<R>(size: u32, units: &[u32], szx: Szx, act: impl FnOnce(Wanted<'_, '_>) -> R) -> R {
        let mut bits = std::vec![0; Map::size(size)];
        let mut map = Map::new(&mut bits);
        units.iter().for_each(|unit| map.set(*unit, true));
        act(Wanted { map: &map, image_size: size, szx })
    }

    fn q_blocks(wanted: Wanted<'_, '_>, is_stream_heard: bool) -> Vec<(u32, bool)> {
        let mut buffer = [0; 100];
        let mut writer = Writer::new(&mut buffer, Type::Confirmable, Code::GET, 1, &[]).unwrap();
        wanted.write(&mut writer, is_stream_heard).unwrap();
        let length = writer.finish();
        let message = Message::parse(&buffer[..length]).unwrap();
        let blocks = message.options().map(|option| {
            assert_eq!(option.number, option::Q_BLOCK2);
            let block = Block::decode(option.value).unwrap();
            assert_eq!(block.szx, wanted.szx);
            (block.num(), block.more)
        });
        blocks.collect()
    }

    #[test]
    fn one_is_asked_for_then_a_list_then_everything() {
        let units = [3, 4, 5, 7, 9, 11, 13, 15];
        with(1000, &units, Szx::B64, |wanted| {
            assert_eq!(q_blocks(wanted, false), [(3, false)], "nothing was heard of a stream");
            assert_eq!(q_blocks(wanted, true), units.map(|unit| (unit, false)));
            assert!(!wanted.are_many());
        });
        with(1000, &[3, 4, 5, 7, 9, 11, 12, 13, 15], Szx::B64, |wanted| {
            assert_eq!(q_blocks(wanted, true), [(3, true)]);
            assert_eq!(q_blocks(wanted, false), [(3, false)]);
            assert!(wanted.are_many());
        });
    }

    #[test]
    fn a_block_is_missing_when_a_piece_of_it_is() {
        let szx = Szx::from_size(256).unwrap();
        with(1000, &[3, 4, 5, 15], szx, |wanted| {
            assert_eq!(wanted.blocks().collect::<Vec<_>>(), [0, 1, 3]);
            assert_eq!(wanted.among(1..3).collect::<Vec<_>>(), [1]);
        });
    }

    #[test]
    fn missing_counts_the_blocks_of_each_group() {
        // 100 blocks are counted by fours.
        let units = [0, 1, 2, 3, 4, 40, 98, 99];
        with(6390, &units, Szx::B64, |wanted| {
            let mut buffer = [0; 100];
            let mut writer = Writer::new(&mut buffer, Type::Confirmable, Code::GET, 1, &[]).unwrap();
            wanted.write_missing(&mut writer, 0x0102).unwrap();
            let length = writer.finish();
            let message = Message::parse(&buffer[..length]).unwrap();
            let missing = Missing::read(message.option(option::MISSING).unwrap()).unwrap();
            assert_eq!(missing.deficit, 0x0102);
            let groups: Vec<_> = missing.groups().filter(|(.., count)| *count > 0).collect();
            assert_eq!(groups, [(0, 4, 4), (4, 4, 1), (40, 4, 1), (96, 4, 2)]);
            assert_eq!(missing.groups().count(), 25);
        });
    }
}
