//! What one member's request says it lacks, in blocks of the stream.

use crate::coap::Lacks;
use sixfold_profile::coap::Szx;
use sixfold_profile::missing::{Missing, NO_PARITY};
use sixfold_profile::parity::SYMBOLS;
use std::ops::Range;

/// Where more than three in four blocks are missing, blocks are sent: parity symbols would be about as many.
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

    /// Reads a request, for a stream of `blocks` blocks of `szx`, which is not above that of the request. Without `parity`, or when
    /// the member cannot use any, `share` eighths of it are to be sent as blocks, where it lacks most: it may have room for parity
    /// symbols then.
    pub(crate) fn read(lacks: &Lacks, szx: Szx, blocks: u32, parity: bool, share: u32) -> Self {
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
        let deficit = Some(missing.deficit).filter(|&deficit| parity && deficit != NO_PARITY);
        let mut need = Self { lacking, ..Self::default() };
        need.deficit = deficit.map(|deficit| scale(deficit.into()).min(lacking));
        need.divide(parts, blocks, share);
        need
    }

    /// Divides what is missing into blocks and parity.
    fn divide(&mut self, parts: Vec<(Range<u32>, u32)>, blocks: u32, share: u32) {
        self.scattered = vec![0; blocks.div_ceil(SYMBOLS) as usize];
        // A device that keeps parity symbols already can use more of them wherever it lacks something.
        let keeps = self.deficit.is_some_and(|deficit| deficit < self.lacking);
        let (dense, mut few): (Vec<_>, Vec<_>) = parts
            .into_iter()
            .partition(|(range, lacking)| lacking * DENSE.1 > (range.end - range.start) * DENSE.0 && !keeps);
        let sum = dense.iter().map(|(_, lacking)| lacking).sum();
        let is_blind = self.deficit.is_none();
        self.dense.extend(dense.into_iter().map(|(range, _)| range));
        if is_blind {
            few.sort_by_key(|(_, lacking)| std::cmp::Reverse(*lacking));
        }
        let mut sent = sum;
        for (range, lacking) in few {
            if !is_blind {
                self.scatter(range, lacking);
            } else if sent * ALL < self.lacking * share {
                sent += lacking;
                self.dense.push(range);
            }
        }
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
        let need = Need::read(&lacks(2, &[3, 9, 70], None, &[]), szx(2), 64, true, ALL);
        assert_eq!((need.named, need.lacking, need.deficit), (vec![3, 9], 2, Some(2)));
        let larger = Need::read(&lacks(4, &[3], None, &[]), szx(2), 64, true, ALL);
        assert_eq!(larger.named, [12, 13, 14, 15], "a block of 256 bytes is four of 64");
    }

    #[test]
    fn without_counts_it_is_all_that_follows() {
        assert_eq!(
            Need::read(&lacks(2, &[], Some(10), &[]), szx(2), 64, true, ALL).dense,
            [Range { start: 10, end: 64 }]
        );
    }

    #[test]
    fn counts_are_divided_into_blocks_and_parity() {
        // Four blocks each: one, all, none, two of the last two.
        let need = Need::read(&lacks(2, &[], Some(1), &[0, 7, 2, 1, 4, 0, 2]), szx(2), 14, true, ALL);
        assert_eq!((need.dense, need.scattered), (vec![4..8, 12..14], vec![1]));
        assert_eq!((need.lacking, need.deficit), (7, Some(7)));
        let blind = Need::read(&lacks(2, &[], Some(1), &[0xff, 0xff, 2, 1, 4, 0, 2]), szx(2), 14, true, ALL);
        assert_eq!((blind.dense, blind.deficit), (vec![4..8, 12..14, 1..4], None));
        let few = [0xff, 0xff, 2, 1, 2, 1, 0];
        let part = |share| Need::read(&lacks(2, &[], Some(0), &few), szx(2), 14, true, share).dense;
        for share in [1, 4] {
            assert_eq!(part(share), [Range { start: 4, end: 8 }], "where most is missing");
        }
        assert_eq!(part(ALL).len(), 3);
    }

    #[test]
    fn a_device_that_keeps_parity_symbols_needs_few_more() {
        let need = Need::read(&lacks(2, &[], Some(0), &[0, 2, 5, 20, 9]), szx(2), 64, true, ALL);
        assert_eq!((need.dense, need.scattered), (vec![], vec![2]));
    }

    #[test]
    fn absurd_counts_stay_within_the_body() {
        let most = [0x12, 0x34, 20, 255, 255, 255];
        let need = Need::read(&lacks(6, &[], Some(0xf_ffff), &most), szx(2), 5000, true, ALL);
        assert_eq!((need.lacking, need.dense.len()), (0, 0));
        let need = Need::read(&lacks(6, &[], Some(0), &most), szx(2), 5000, true, ALL);
        assert_eq!((need.lacking, need.deficit), (5000, Some(5000)));
        assert_eq!(need.dense, [Range { start: 0, end: 5000 }]);
    }
}
