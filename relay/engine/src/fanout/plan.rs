//! What a stream sends next: blocks that somebody lacks, and parity symbols for whoever lacks a few here and there.

use super::bits::Bits;
use super::need::Need;
use crate::event::PlanKind;
use sixfold_profile::coap::Szx;
use sixfold_profile::parity::SYMBOLS;

/// With more blocks to go than this, parity waits: what they leave to be made up for is asked for again then.
const FEW: u32 = 64;

/// One datagram of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Item {
    /// A block.
    Block(u32),
    /// A parity symbol of a segment.
    Parity { segment: u8, seed: u16 },
}

/// What is still to be sent of one body.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    szx: Szx,
    total: usize,
    dense: Bits,
    /// Blocks that members named, and for each segment how many the neediest of them named.
    named: Bits,
    longest: Vec<u32>,
    /// Parity symbols to go, by segment.
    parity: Vec<u32>,
    /// Of the next parity symbol: none is sent twice.
    seed: u16,
}

impl Plan {
    /// Nothing to be sent of a body of `total` bytes, above 0, in blocks of `szx`.
    pub(crate) fn new(total: usize, szx: Szx, seed: u16) -> Self {
        let blocks = blocks(total, szx);
        let segments = blocks.div_ceil(SYMBOLS) as usize;
        let (longest, parity) = (vec![0; segments], vec![0; segments]);
        Self { szx, total, dense: Bits::new(blocks), named: Bits::new(blocks), longest, parity, seed }
    }

    pub(crate) const fn szx(&self) -> Szx {
        self.szx
    }

    /// How many blocks the body has.
    pub(crate) fn blocks(&self) -> u32 {
        blocks(self.total, self.szx)
    }

    /// How many datagrams are to go.
    pub(crate) fn left(&self) -> u32 {
        self.dense.count() + self.named.count() + self.parity_left()
    }

    fn parity_left(&self) -> u32 {
        self.parity.iter().sum()
    }

    /// What it is made of.
    pub(crate) fn kind(&self) -> PlanKind {
        match (self.dense.count() + self.named.count(), self.parity_left()) {
            (_, 0) => PlanKind::Blocks,
            (0, _) => PlanKind::Parity,
            _ => PlanKind::Both,
        }
    }

    /// Goes on with blocks of another size; what is to be sent stays so if they are smaller.
    pub(crate) fn resize(&mut self, szx: Szx) {
        let mut resized = Self::new(self.total, szx, self.seed);
        let shift = self.szx.exponent().saturating_sub(szx.exponent());
        for (from, to) in [(&self.dense, &mut resized.dense), (&self.named, &mut resized.named)] {
            from.iter().for_each(|num| to.add_range(num << shift..(num + 1) << shift));
        }
        for (segment, to) in resized.parity.iter_mut().enumerate() {
            *to = self.parity.get(segment >> shift).copied().unwrap_or(0);
        }
        *self = resized;
    }

    /// Adds what one member needs, where `loss` of what is sent is lost.
    pub(crate) fn merge(&mut self, need: &Need, loss: f64) {
        need.dense.iter().for_each(|range| self.dense.add_range(range.clone()));
        if self.dense.count() <= FEW {
            for (due, scattered) in
                self.parity.iter_mut().zip(&need.scattered).filter(|(_, lacks)| **lacks > 0)
            {
                *due = (*due).max(symbols(*scattered, loss));
            }
        }
        let parts = need.named.chunk_by(|a, b| a / SYMBOLS == b / SYMBOLS);
        for part in parts {
            self.merge_named(part, need.deficit.is_some(), loss);
        }
    }

    /// The union of what members named, or parity for the neediest, whichever is less.
    fn merge_named(&mut self, named: &[u32], parity: bool, loss: f64) {
        let segment = named.first().map_or(0, |num| num / SYMBOLS);
        let (Some(longest), Some(due)) =
            (self.longest.get_mut(segment as usize), self.parity.get_mut(segment as usize))
        else {
            return;
        };
        let length = named.len() as u32;
        if parity && *due >= symbols(length, loss) {
            return;
        }
        named.iter().filter(|&&num| !self.dense.contains(num)).for_each(|&num| self.named.add(num));
        if !parity {
            return;
        }
        *longest = (*longest).max(length);
        let range = segment * SYMBOLS..(segment + 1) * SYMBOLS;
        let instead = symbols(*longest, loss).max(*due);
        if self.named.count_in(range.clone()) > instead - *due {
            *due = instead;
            self.named.remove_range(range);
        }
    }

    /// The next datagram, made of the first `available` bytes of the body.
    pub(crate) fn next(&self, available: usize) -> Option<Item> {
        let here = if available >= self.total {
            self.blocks()
        } else {
            u32::try_from(available >> self.szx.bits()).unwrap_or(u32::MAX)
        };
        let parity = || {
            let due = (0_u8..).zip(&self.parity).filter(|(_, due)| **due > 0);
            let whole = |segment: u8| ((u32::from(segment) + 1) * SYMBOLS).min(self.blocks()) <= here;
            let segment = due.map(|(segment, _)| segment).find(|&segment| whole(segment))?;
            Some(Item::Parity { segment, seed: self.seed })
        };
        let block = || self.named.next(here).or_else(|| self.dense.next(here)).map(Item::Block);
        if self.dense.count() > FEW { parity().or_else(block) } else { block().or_else(parity) }
    }

    /// It was sent.
    pub(crate) fn sent(&mut self, item: Item) {
        match item {
            Item::Block(num) => {
                self.named.take(num);
                self.dense.take(num);
            }
            Item::Parity { segment, .. } => {
                self.seed = self.seed.wrapping_add(1);
                if let Some(due) = self.parity.get_mut(usize::from(segment)) {
                    *due = due.saturating_sub(1);
                }
            }
        }
        if self.named.count() == 0 {
            self.longest.fill(0);
        }
    }
}

/// How many parity symbols are sent for a member that lacks so many blocks: what is lost comes on top, two that happen to say
/// nothing new, and a margin, because the neediest member is not the one that asks first.
fn symbols(lacking: u32, loss: f64) -> u32 {
    let lacking = f64::from(lacking);
    (lacking / (1.0 - loss) + 4.0 * lacking.sqrt() + 8.0).ceil() as u32
}

/// In how many blocks of `szx` a body goes.
fn blocks(total: usize, szx: Szx) -> u32 {
    u32::try_from(total.div_ceil(szx.size())).unwrap_or(u32::MAX)
}
