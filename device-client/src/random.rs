//! Numbers that differ from device to device: Message IDs, Tokens and the jitter of retransmission.

/// A counter behind a mixing function: every seed is good, also 0. Not for keys; as hard to guess as its seed.
#[derive(Clone, Debug)]
pub(crate) struct Random(u32);

impl Random {
    pub(crate) const fn new(seed: u32) -> Self {
        Self(seed)
    }

    pub(crate) const fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9);
        let x = (self.0 ^ self.0 >> 16).wrapping_mul(0x7feb_352d);
        let x = (x ^ x >> 15).wrapping_mul(0x846c_a68b);
        x ^ x >> 16
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn neighbouring_seeds_do_not_meet() {
        let first: HashSet<u32> = (0..10_000).map(|seed| Random::new(seed).next()).collect();
        assert_eq!(first.len(), 10_000);
        let ones: u32 = first.iter().map(|number| number >> 31).sum();
        assert!((4_700..5_300).contains(&ones), "{ones} of 10000 have the top bit set");
    }
}
