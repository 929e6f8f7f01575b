//! What a member of a group asks for: the options that say which blocks are missing.

use super::map::Map;
use crate::blocks::copy;
use sixfold_profile::coap::{Block, Full, Options, Szx, Writer, option};
use sixfold_profile::missing::{self, LONGEST};

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

    /// The first that is missing of those from `num` to before `end`.
    #[inline(never)] // small, and called often
    pub(super) fn next(self, num: u32, end: u32) -> Option<u32> {
        let bits = self.szx.bits();
        (num..end.min(self.all()))
            .find(|num| self.map.misses(&(num << bits..self.image_size.min((num + 1) << bits))))
    }

    /// How many of these are missing.
    #[inline(never)]
    pub(super) fn count(self, mut num: u32, end: u32) -> u32 {
        let mut count = 0;
        while let Some(missing) = self.next(num, end) {
            num = missing + 1;
            count += 1;
        }
        count
    }

    /// Adds options of the ticket, and a Q-Block2 option for `first` and up to `most - 1` blocks behind it that are missing.
    #[inline(never)]
    pub(super) fn write_list(
        self,
        first: Block,
        most: u32,
        options: &mut Options<'_>,
        writer: &mut Writer<'_>,
    ) -> Result<(), Full> {
        copy(options, option::Q_BLOCK2, writer)?;
        let mut block = first;
        for _ in 0..most {
            writer.uint_option(option::Q_BLOCK2, block.encode())?;
            let next = self.next(block.num() + 1, u32::MAX);
            match next.and_then(|num| Block::new(num, false, self.szx)) {
                Some(next) => block = next,
                None => break,
            }
        }
        Ok(())
    }

    /// Adds options of the ticket, and the option MISSING.
    pub(super) fn write_missing(
        self,
        deficit: u16,
        options: &mut Options<'_>,
        writer: &mut Writer<'_>,
    ) -> Result<(), Full> {
        copy(options, option::MISSING, writer)?;
        let group = missing::group(self.all());
        let mut value = [0; LONGEST];
        let [high, low] = deficit.to_be_bytes();
        let [a, b, c, counts @ ..] = &mut value;
        (*a, *b, *c) = (high, low, group);
        let mut num = 0;
        for count in counts {
            *count = missing::count(group, self.count(num, num + (1 << group)));
            num += 1 << group;
        }
        let length = 4 + ((self.all() - 1) >> group) as usize;
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

    /// What a request says that has these options in the ticket: Size1 is before the option MISSING.
    fn options(write: impl FnOnce(&mut Options<'_>, &mut Writer<'_>)) -> Vec<(u16, Vec<u8>)> {
        let mut buffer = [0; 100];
        let mut writer = Writer::new(&mut buffer, Type::Confirmable, Code::GET, 1, &[]).unwrap();
        write(&mut Options::new(&[0xb1, b'a', 0xd0, 36]), &mut writer);
        let length = writer.finish();
        let message = Message::parse(&buffer[..length]).unwrap();
        message.options().map(|option| (option.number, option.value.into())).collect()
    }

    fn listed(wanted: Wanted<'_, '_>, first: Block, most: u32) -> Vec<u32> {
        let options = options(|options, writer| wanted.write_list(first, most, options, writer).unwrap());
        assert_eq!(options[0], (option::URI_PATH, b"a".to_vec()));
        let blocks = options[1..].iter().map(|(number, value)| {
            assert_eq!(*number, option::Q_BLOCK2);
            let block = Block::decode(value).unwrap();
            assert_eq!((block.szx, block.more), (wanted.szx, first.more));
            block.num()
        });
        blocks.collect()
    }

    #[test]
    fn so_many_are_listed_and_no_more() {
        let units = [3, 4, 5, 7, 9, 11, 13, 15];
        let first = Block::new(3, false, Szx::B64).unwrap();
        with(1000, &units, Szx::B64, |wanted| {
            assert_eq!(listed(wanted, first, 1), [3]);
            assert_eq!(listed(wanted, first, 7), units[..7]);
            assert_eq!(listed(wanted, first, 8), units);
            assert_eq!(listed(wanted, first, 9), units);
            assert_eq!(listed(wanted, first.with_more(true), 1), [3]);
        });
    }

    #[test]
    fn a_block_is_missing_when_a_piece_of_it_is() {
        let szx = Szx::from_size(256).unwrap();
        with(1000, &[3, 4, 5, 15], szx, |wanted| {
            assert_eq!(wanted.count(0, u32::MAX), 3);
            assert_eq!(
                [0, 1, 2, 3, 4].map(|num| wanted.next(num, 9)),
                [Some(0), Some(1), Some(3), Some(3), None]
            );
            assert_eq!((wanted.count(1, 3), wanted.next(2, 3)), (1, None));
        });
    }

    #[test]
    fn missing_counts_the_blocks_of_each_group() {
        // 100 blocks are counted by fours.
        let units = [0, 1, 2, 3, 4, 40, 98, 99];
        with(6390, &units, Szx::B64, |wanted| {
            let options = options(|options, writer| wanted.write_missing(0x0102, options, writer).unwrap());
            assert_eq!(
                options.iter().map(|(number, _)| *number).collect::<Vec<_>>(),
                [11, 60, option::MISSING]
            );
            let missing = Missing::read(&options[2].1).unwrap();
            assert_eq!(missing.deficit, 0x0102);
            let groups: Vec<_> = missing.groups().filter(|(.., count)| *count > 0).collect();
            assert_eq!(groups, [(0, 4, 4), (4, 4, 1), (40, 4, 1), (96, 4, 2)]);
            assert_eq!(missing.groups().count(), 25);
        });
    }
}
