//! Parity symbols: what a stream for many devices says again, so that whoever missed any blocks can make up for them.
//!
//! The blocks of a body, of one size, are *symbols*; the last one is filled up with zeros. Every [`SYMBOLS`] symbols are a
//! *segment*. A *parity symbol* is the XOR of about half of a segment's symbols: those whose bit is set in [`word`]s made
//! from a seed. The code is systematic and linear over GF(2), as that of LoRaWAN's fragmented transport (LoRa Alliance TS004)
//! is: a block that was heard is a block, and a device that misses *u* of a segment needs *u* parity symbols and about two
//! more, whichever blocks it misses.
//!
//! Bytes of a parity symbol's message, behind the payload marker:
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |    Segment    |              Seed             | Symbol (64 to 1024) ...
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! ```
//!
//! This module says which symbols are in a parity symbol. It deliberately neither adds nor solves.

use crate::coap::Szx;

/// Symbols in a segment; the last segment of a body may have fewer.
pub const SYMBOLS: u32 = 2048;
/// The smallest symbol: blocks of a stream are no smaller, whatever a link carries.
pub const SMALLEST: Szx = Szx::B64;
/// The bytes before the symbol.
pub const HEADER: usize = 3;

/// A parity symbol, as a view of the payload that carries it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parity<'d> {
    /// Which segment: symbols from `segment` · [`SYMBOLS`] on.
    pub segment: u8,
    /// What [`word`] makes of it.
    pub seed: u16,
    /// The XOR.
    pub symbol: &'d [u8],
    /// Its size, which is that of the blocks.
    pub szx: Szx,
}

impl<'d> Parity<'d> {
    /// Reads a payload; `None` when its length is that of no symbol.
    pub fn read(payload: &'d [u8]) -> Option<Self> {
        let (&[segment, high, low], symbol) = payload.split_first_chunk()?;
        let szx = Szx::from_size(symbol.len()).filter(|szx| *szx >= SMALLEST)?;
        Some(Self { segment, seed: u16::from_be_bytes([high, low]), symbol, szx })
    }

    /// The bytes before the symbol.
    pub const fn header(segment: u8, seed: u16) -> [u8; HEADER] {
        let [high, low] = seed.to_be_bytes();
        [segment, high, low]
    }
}

/// Which of the symbols 32 · `index` to 32 · `index` + 31 of a segment are in the parity symbol of this seed: bit 0 is the
/// first. Bits behind the last symbol of the body mean nothing. `index` is below [`SYMBOLS`] / 32.
pub const fn word(seed: u16, index: u8) -> u32 {
    // Distinct inputs to a mixing function of 32 bits: halves depend on every bit of both.
    let x = ((seed as u32) << 16 | index as u32).wrapping_add(0x9e37_79b9);
    let x = (x ^ x >> 16).wrapping_mul(0x7feb_352d);
    let x = (x ^ x >> 15).wrapping_mul(0x846c_a68b);
    x ^ x >> 16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payloads_are_read_and_others_refused() {
        let mut payload = std::vec![7; HEADER + 64];
        payload[..HEADER].copy_from_slice(&Parity::header(2, 0x0304));
        let parity = Parity::read(&payload).unwrap();
        assert_eq!((parity.segment, parity.seed, parity.szx), (2, 0x0304, Szx::B64));
        assert_eq!(parity.symbol, [7; 64]);
        for length in [0, 2, 3, HEADER + 32, HEADER + 63, HEADER + 65, HEADER + 2048] {
            assert_eq!(Parity::read(&std::vec![0; length]), None, "{length}");
        }
    }

    #[test]
    fn about_half_of_the_symbols_are_in_each_and_no_two_are_alike() {
        let rows: std::vec::Vec<[u32; 64]> =
            (0..1000_u16).map(|seed| core::array::from_fn(|index| word(seed, index as u8))).collect();
        for row in &rows {
            let ones: u32 = row.iter().map(|word| word.count_ones()).sum();
            assert!((880..1170).contains(&ones), "{ones} of 2048");
        }
        let distinct: std::collections::HashSet<_> = rows.iter().collect();
        assert_eq!(distinct.len(), rows.len());
    }

    /// `missing` symbols, wherever they are, are found with that many parity symbols and 1.6 more on average.
    #[test]
    fn few_more_parity_symbols_are_needed_than_symbols_are_missing() {
        let mut more = 0;
        for (start, missing) in (0..100).map(|run| (run * 13, 60)) {
            let mut pivots = [0_u64; 60];
            let mut seed = run_seed(start);
            let (mut rank, mut used) = (0, 0);
            while rank < missing {
                seed = seed.wrapping_add(1);
                used += 1;
                let bit = |symbol: u32| word(seed, (symbol / 32) as u8) >> (symbol % 32) & 1;
                let mut row =
                    (0..missing).fold(0, |row, place| row | u64::from(bit(start + place * 11)) << place);
                while row != 0 {
                    let pivot = row.trailing_zeros() as usize;
                    if pivots[pivot] == 0 {
                        pivots[pivot] = row;
                        rank += 1;
                        break;
                    }
                    row ^= pivots[pivot];
                }
            }
            more += used - missing;
        }
        assert!((100..250).contains(&more), "{more} in 100 runs");
    }

    fn run_seed(start: u32) -> u16 {
        (start * 251) as u16
    }

    #[test]
    fn golden_words() {
        assert_eq!([word(0, 0), word(1, 0), word(0, 1), word(0xffff, 63)], GOLDEN);
    }

    /// If this fails the format changed, not the test.
    const GOLDEN: [u32; 4] = [33_350_994, 3_671_288_326, 2_672_842_292, 280_192_669];
}
