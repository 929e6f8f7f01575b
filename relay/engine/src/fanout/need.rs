//! What one member's request says it lacks, in blocks of the stream.

use crate::coap::Lacks;
use sixfold_profile::coap::Szx;
use sixfold_profile::missing::{Deficit, Missing};
use sixfold_profile::parity::SYMBOLS;
use std::ops::Range;

/// A member with room for parity symbols that lacks more than half of the body gets blocks where it lacks more than three in four:
/// parity symbols would be about as many, and a lot to solve.
const MOST: (u32, u32) = (1, 2);
const DENSE: (u32, u32) = (3, 4);
/// All that a member lacks, in the shares by which blocks are sent to one that cannot use parity symbols.
pub(crate) const ALL: u32 = 8;

/// What a member lacks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Need {
    /// Blocks that it names.
    pub(crate) named: Vec<u32>,
    /// Where it lacks so much, or nobody knows what, that all blocks are to be sent.
    pub(crate) dense: Vec<Range<u32>>,
    /// For a member that cannot use parity symbols: where it lacks blocks and how many, most first. `enough` is how many of these,
    /// which may be of no use to others, are to be sent for it now.
    pub(crate) parts: Vec<(Range<u32>, u32)>,
    pub(crate) enough: u32,
    /// It has room for parity symbols once it has those.
    pub(crate) has_room_then: bool,
    /// By segment: how many parity symbols would make up for what is missing here and there.
    pub(crate) scattered: Vec<u32>,
    /// All that it lacks, in blocks.
    pub(crate) lacking: u32,
    /// How many more symbols, blocks or parity, it takes with luck; `None` when it cannot use parity symbols.
    pub(crate) deficit: Option<u32>,
}

/// How many bytes of a body a member has, by what it says it lacks: a device that names one block has those before it.
pub(crate) fn here(lacks: &Lacks, total: usize) -> usize {
    let size = lacks.szx.size();
    let lacking = match (lacks.from, Missing::read(&lacks.missing), lacks.named.as_slice()) {
        (Some(from), None, _) => return (from as usize * size).min(total),
        (None, _, [num]) => return (*num as usize * size).min(total),
        (None, _, named) => named.len(),
        (Some(_), Some(missing), _) => missing.groups().map(|(_, _, lacking)| lacking as usize).sum(),
    };
    total.saturating_sub(lacking.saturating_mul(size))
}

impl Need {
    /// Everything from a block on.
    pub(crate) fn rest(from: u32, blocks: u32) -> Self {
        let mut need = Self { lacking: blocks.saturating_sub(from), ..Self::default() };
        need.dense.push(from.min(blocks)..blocks);
        need
    }

    /// Reads a request, for a stream of `blocks` blocks of `szx`, which is not above that of the request. A member that has no room
    /// for parity symbols gets as many blocks as leave it with room when `loss` of them is lost. Without `parity`, or when the
    /// member cannot use any, `share` eighths of what it lacks are to be sent as blocks.
    pub(crate) fn read(lacks: &Lacks, szx: Szx, blocks: u32, parity: bool, share: u32, loss: f64) -> Self {
        let shift = lacks.szx.exponent().saturating_sub(szx.exponent());
        let scale = |number: u32| number.saturating_mul(1 << shift);
        let Some(from) = lacks.from else {
            let named = lacks.named.iter().flat_map(|&num| scale(num)..scale(num).saturating_add(1 << shift));
            let named: Vec<u32> = named.filter(|&num| num < blocks).collect();
            let lacking = named.len() as u32;
            return Self { named, lacking, deficit: parity.then_some(lacking), ..Self::default() };
        };
        let from = scale(from);
        let Some(missing) = Missing::read(&lacks.missing) else { return Self::rest(from, blocks) };
        let parts = missing.groups().filter_map(|(first, size, lacking)| {
            let range = scale(first).max(from)..scale(first).saturating_add(scale(size)).min(blocks);
            let lacking = scale(lacking).min(range.end.saturating_sub(range.start));
            (lacking > 0).then_some((range, lacking))
        });
        let parts: Vec<_> = parts.collect();
        let lacking = parts.iter().map(|(_, lacking)| lacking).sum();
        let mut need = Self { lacking, ..Self::default() };
        match Deficit::read(missing.deficit) {
            Deficit::Symbols(deficit) if parity => {
                need.deficit = Some(scale(deficit.into()).min(lacking));
                need.divide(parts, blocks);
            }
            Deficit::NoRoom(excess) if parity => {
                need.send(parts, room(scale(excess.into()), loss));
                need.has_room_then = true;
            }
            _ => need.send(parts, (lacking * share).div_ceil(ALL)),
        }
        need
    }

    /// Blocks, where most is missing.
    fn send(&mut self, mut parts: Vec<(Range<u32>, u32)>, enough: u32) {
        parts.sort_by_key(|(_, lacking)| std::cmp::Reverse(*lacking));
        (self.parts, self.enough) = (parts, enough.min(self.lacking));
    }

    /// Divides what is missing into blocks and parity.
    fn divide(&mut self, parts: Vec<(Range<u32>, u32)>, blocks: u32) {
        self.scattered = vec![0; blocks.div_ceil(SYMBOLS) as usize];
        // A device that keeps parity symbols already can use more of them wherever it lacks something.
        let keeps = self.deficit.is_some_and(|deficit| deficit < self.lacking);
        let is_most = self.lacking * MOST.1 > blocks * MOST.0;
        let (dense, few): (Vec<_>, Vec<_>) = parts.into_iter().partition(|(range, lacking)| {
            is_most && !keeps && lacking * DENSE.1 > (range.end - range.start) * DENSE.0
        });
        let sum = dense.iter().map(|(_, lacking)| lacking).sum();
        self.dense.extend(dense.into_iter().map(|(range, _)| range));
        few.into_iter().for_each(|(range, lacking)| self.scatter(range, lacking));
        let scattered: u32 = self.scattered.iter().sum();
        let left = self.deficit.unwrap_or(0).saturating_sub(sum);
        if left < scattered {
            for part in &mut self.scattered {
                *part = (u64::from(*part) * u64::from(left)).div_ceil(u64::from(scattered)) as u32;
            }
        }
    }

    /// A part of a large body may be several segments long.
    fn scatter(&mut self, range: Range<u32>, lacking: u32) {
        let segments = range.start / SYMBOLS..range.end.div_ceil(SYMBOLS);
        let each = lacking.div_ceil((segments.end - segments.start).max(1));
        for segment in segments {
            if let Some(part) = self.scattered.get_mut(segment as usize) {
                *part += each;
            }
        }
    }
}

/// How many blocks are sent so that `excess` of them arrive at all members but one in a thousand. There is no margin for
/// needier members: a member without room says so itself, and blocks for one member are no use to the others.
fn room(excess: u32, loss: f64) -> u32 {
    let excess = f64::from(excess);
    ((excess + 3.0 * (excess * loss).sqrt()) / (1.0 - loss) + 2.0).ceil() as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn szx(exponent: u8) -> Szx {
        Szx::new(exponent).unwrap()
    }

    fn lacks(exponent: u8, named: &[u32], from: Option<u32>, missing: &[u8]) -> Lacks {
        Lacks { szx: szx(exponent), named: named.to_vec(), from, missing: missing.to_vec() }
    }

    #[test]
    fn names_are_names() {
        let need = Need::read(&lacks(2, &[3, 9, 70], None, &[]), szx(2), 64, true, ALL, 0.1);
        assert_eq!((need.named, need.lacking, need.deficit), (vec![3, 9], 2, Some(2)));
        let larger = Need::read(&lacks(4, &[3], None, &[]), szx(2), 64, true, ALL, 0.1);
        assert_eq!(larger.named, [12, 13, 14, 15], "a block of 256 bytes is four of 64");
    }

    #[test]
    fn without_counts_it_is_all_that_follows() {
        assert_eq!(
            Need::read(&lacks(2, &[], Some(10), &[]), szx(2), 64, true, ALL, 0.1).dense,
            [Range { start: 10, end: 64 }]
        );
    }

    #[test]
    fn counts_are_divided_into_blocks_and_parity() {
        let read = |missing: &[u8], share| {
            Need::read(&lacks(2, &[], Some(0), missing), szx(2), 14, true, share, 0.1)
        };
        // Four blocks each: one, all, one, two of the last two.
        let need = read(&[0, 8, 2, 1, 4, 1, 2], ALL);
        assert_eq!((need.dense, need.scattered), (vec![4..8, 12..14], vec![2]));
        assert_eq!((need.lacking, need.deficit), (8, Some(8)));
        let half = read(&[0, 7, 2, 1, 4, 0, 2], ALL);
        assert_eq!(
            (half.dense, half.scattered),
            (vec![], vec![7]),
            "there is room, and it is not most of the body"
        );
        let all = read(&[0xff, 0xff, 2, 1, 4, 0, 2], ALL);
        let parts = [(4..8, 4), (12..14, 2), (0..4, 1)];
        assert_eq!(
            (&all.parts[..3], all.enough, all.deficit),
            (&parts[..], 7, None),
            "where most is missing"
        );
        assert_eq!(read(&[0xff, 0xff, 2, 1, 4, 0, 2], 1).enough, 1);
        let no_room = read(&[0x80, 1, 2, 1, 4, 0, 2], 1);
        assert_eq!((&no_room.parts[..3], no_room.deficit), (&parts[..], None));
        assert_eq!(no_room.enough, 5, "one, what is lost of it, and what may be lost more");
        assert!(no_room.has_room_then && !all.has_room_then);
        let most = read(&[0x87, 0xff, 2, 1, 4, 0, 2], 1);
        assert_eq!(most.enough, 7, "no more than all");
    }

    #[test]
    fn a_device_that_keeps_parity_symbols_needs_few_more() {
        let need = Need::read(&lacks(2, &[], Some(0), &[0, 2, 5, 20, 9]), szx(2), 64, true, ALL, 0.1);
        assert_eq!((need.dense, need.scattered), (vec![], vec![2]));
    }

    #[test]
    fn absurd_counts_stay_within_the_body() {
        let most = [0x12, 0x34, 20, 255, 255, 255];
        let need = Need::read(&lacks(6, &[], Some(0xf_ffff), &most), szx(2), 5000, true, ALL, 0.1);
        assert_eq!((need.lacking, need.dense.len()), (0, 0));
        let need = Need::read(&lacks(6, &[], Some(0), &most), szx(2), 5000, true, ALL, 0.1);
        assert_eq!((need.lacking, need.deficit), (5000, Some(5000)));
        assert_eq!(need.dense, [Range { start: 0, end: 5000 }]);
    }
}
