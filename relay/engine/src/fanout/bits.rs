//! A set of block numbers.

use std::ops::Range;

/// A set of numbers below a limit, taken out in order, round and round.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Bits {
    words: Vec<u64>,
    limit: u32,
    count: u32,
    /// Where the next search begins.
    cursor: u32,
}

impl Bits {
    pub(crate) fn new(limit: u32) -> Self {
        Self { words: vec![0; limit.div_ceil(64) as usize], limit, count: 0, cursor: 0 }
    }

    /// How many are in it.
    pub(crate) const fn count(&self) -> u32 {
        self.count
    }

    /// Adds one, unless it is beyond the limit.
    pub(crate) fn add(&mut self, number: u32) {
        if number < self.limit
            && let Some(word) = self.words.get_mut((number / 64) as usize)
        {
            let bit = 1 << (number % 64);
            self.count += u32::from(*word & bit == 0);
            *word |= bit;
        }
    }

    pub(crate) fn add_range(&mut self, range: Range<u32>) {
        (range.start..range.end.min(self.limit)).for_each(|number| self.add(number));
    }

    pub(crate) fn remove(&mut self, number: u32) {
        if let Some(word) = self.words.get_mut((number / 64) as usize) {
            let bit = 1 << (number % 64);
            self.count -= u32::from(*word & bit != 0);
            *word &= !bit;
        }
    }

    pub(crate) fn remove_range(&mut self, range: Range<u32>) {
        (range.start..range.end.min(self.limit)).for_each(|number| self.remove(number));
    }

    pub(crate) fn contains(&self, number: u32) -> bool {
        self.words.get((number / 64) as usize).is_some_and(|word| word >> (number % 64) & 1 == 1)
    }

    /// How many of a range are in it.
    pub(crate) fn count_in(&self, range: Range<u32>) -> u32 {
        range.filter(|&number| self.contains(number)).count() as u32
    }

    /// The next one below `end`, from where the last one was taken, round and round.
    pub(crate) fn next(&self, end: u32) -> Option<u32> {
        if self.count == 0 {
            return None;
        }
        let end = end.min(self.limit);
        self.first(self.cursor..end).or_else(|| self.first(0..self.cursor.min(end)))
    }

    /// Takes it out, and goes on behind it.
    pub(crate) fn take(&mut self, number: u32) {
        self.remove(number);
        self.cursor = if number + 1 < self.limit { number + 1 } else { 0 };
    }

    fn first(&self, range: Range<u32>) -> Option<u32> {
        let mut number = range.start;
        while number < range.end {
            let word = self.words.get((number / 64) as usize)? >> (number % 64);
            if word != 0 {
                return Some(number + word.trailing_zeros()).filter(|found| *found < range.end);
            }
            number = (number / 64 + 1) * 64;
        }
        None
    }

    /// All in it, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = u32> {
        let mut from = 0;
        std::iter::from_fn(move || {
            let found = self.first(from..self.limit)?;
            from = found + 1;
            Some(found)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[test]
    fn numbers_are_taken_in_order_round_and_round() {
        let mut bits = Bits::new(200);
        [5, 70, 199].into_iter().for_each(|number| bits.add(number));
        bits.take(70);
        bits.add(69);
        let order: Vec<_> = std::iter::from_fn(|| {
            let next = bits.next(200)?;
            bits.take(next);
            Some(next)
        })
        .collect();
        assert_eq!(order, [199, 5, 69]);
    }

    proptest! {
        #[test]
        fn it_is_a_set(limit in 1_u32..300, steps in proptest::collection::vec((0_u8..4, 0_u32..320, 0_u32..100), 1..60)) {
            let (mut bits, mut set) = (Bits::new(limit), BTreeSet::new());
            for (step, number, length) in steps {
                match step {
                    0 => { bits.add(number); set.extend((number < limit).then_some(number)); }
                    1 => { bits.remove(number); set.remove(&number); }
                    2 => { bits.add_range(number..number + length); set.extend(number..(number + length).min(limit).max(number)); }
                    _ => if let Some(next) = bits.next(limit) { prop_assert!(set.remove(&next)); bits.take(next); },
                }
                prop_assert_eq!(bits.iter().collect::<Vec<_>>(), set.iter().copied().collect::<Vec<_>>());
                prop_assert_eq!(bits.count() as usize, set.len());
                prop_assert_eq!(bits.next(limit).is_some(), !set.is_empty());
            }
        }
    }
}
