//! What a stream sends next: blocks that somebody lacks, and parity symbols for whoever lacks a few here and there.

use super::bits::Bits;
use super::need::Need;
use crate::event::PlanKind;
use sixfold_profile::coap::Szx;
use sixfold_profile::parity::SYMBOLS;
use std::ops::Range;

/// A pass of fewer blocks is over so soon that members may as well ask.
const SHORT: u32 = 256;
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
    /// The seed of the next parity symbol: none is sent twice.
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
        self.merge_parts(need, loss);
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

    /// Adds blocks for a member that cannot use parity symbols; those that are to be sent anyway count.
    fn merge_parts(&mut self, need: &Need, loss: f64) {
        let planned = |plan: &Self, range: &Range<u32>, lacking: u32| {
            let size = (range.end - range.start).max(1);
            (u64::from(plan.dense.count_in(range.clone())) * u64::from(lacking) / u64::from(size)) as u32
        };
        let mut sent: u32 = need.parts.iter().map(|(range, lacking)| planned(self, range, *lacking)).sum();
        for (range, lacking) in &need.parts {
            if sent >= need.enough {
                break;
            }
            sent += lacking - planned(self, range, *lacking);
            self.dense.add_range(range.clone());
        }
        if need.has_room_then {
            // What it lacks then is made up for at once: it would have to ask in silence.
            let mut lacks = vec![0.0; self.parity.len()];
            for (range, lacking) in &need.parts {
                let arrives = f64::from(planned(self, range, *lacking)) * (1.0 - loss);
                if let Some(lacks) = lacks.get_mut((range.start / SYMBOLS) as usize) {
                    *lacks += f64::from(*lacking) - arrives;
                }
            }
            for (due, lacks) in self.parity.iter_mut().zip(lacks).filter(|(_, lacks)| *lacks > 0.0) {
                *due = (*due).max(symbols((lacks.ceil() as u32).min(SYMBOLS), loss));
            }
        }
    }

    /// Adds the parity symbols that members will need, so that nobody has to ask for them first: a share of `loss` of the
    /// planned blocks is lost, and some members miss the first `late` blocks.
    pub(crate) fn add_expected_losses(&mut self, loss: f64, late: u32) {
        let mut late = if self.dense.count() < SHORT { return } else { late };
        for (segment, due) in (0..).zip(&mut self.parity) {
            let blocks = self.dense.count_in(segment * SYMBOLS..(segment + 1) * SYMBOLS);
            let missed = late.min(blocks);
            late -= missed;
            let lost = missed + (f64::from(blocks - missed) * loss).ceil() as u32;
            if lost > 0 {
                *due = (*due).max(symbols(lost, loss));
            }
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
        block().or_else(parity)
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
pub(crate) fn symbols(lacking: u32, loss: f64) -> u32 {
    let lacking = f64::from(lacking);
    (lacking / (1.0 - loss) + 4.0 * lacking.sqrt() + 8.0).ceil() as u32
}

/// In how many blocks of `szx` a body goes.
fn blocks(total: usize, szx: Szx) -> u32 {
    u32::try_from(total.div_ceil(szx.size())).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(plan: &mut Plan) -> (Vec<u32>, u32) {
        let (mut blocks, mut parity) = (Vec::new(), 0);
        while let Some(item) = plan.next(usize::MAX) {
            match item {
                Item::Block(num) if parity == 0 => blocks.push(num),
                Item::Block(num) => panic!("block {num} behind parity"),
                Item::Parity { .. } => parity += 1,
            }
            plan.sent(item);
        }
        (blocks, parity)
    }

    #[test]
    fn a_pass_ends_with_the_parity_that_is_to_be_expected() {
        let mut plan = Plan::new(1000 * 64, Szx::B64, 0);
        plan.merge(&Need::rest(0, 1000), 0.1);
        plan.add_expected_losses(0.1, 100);
        assert_eq!(sent(&mut plan), ((0..1000).collect(), symbols(100 + 90, 0.1)));
        plan.merge(&Need::rest(990, 1000), 0.0);
        plan.add_expected_losses(0.0, 0);
        assert_eq!(sent(&mut plan), ((990..1000).collect(), 0), "nothing is lost, nobody is late");
    }

    #[test]
    fn what_is_to_be_sent_anyway_counts_for_who_has_no_room() {
        let parts = vec![(0..64, 64), (64..128, 60), (128..192, 6)];
        let need = |enough| Need { parts: parts.clone(), enough, lacking: 130, ..Need::default() };
        let mut plan = Plan::new(192 * 64, Szx::B64, 0);
        plan.merge(&need(60), 0.1);
        assert_eq!(plan.left(), 64, "the first part is enough");
        plan.merge(&need(64), 0.1);
        assert_eq!(plan.left(), 64, "and is for the second member too");
        plan.merge(&need(65), 0.1);
        assert_eq!(sent(&mut plan), ((0..128).collect(), 0));
        plan.merge(&need(130), 0.1);
        assert_eq!(plan.left(), 192);
    }
}
