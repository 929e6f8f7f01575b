//! The chunk index: the SHA-256 of every chunk of an image, one after the other, and nothing else.
//!
//! A chunk is as large as the device's erase page, so that a wrong one is erased alone. The index is authentic when its
//! own digest is the one in the ticket, which the main program took from a signed manifest.

use core::ops::Range;

/// The length of a SHA-256 digest in bytes.
pub const DIGEST: usize = 32;

/// The size of a chunk: a power of two from 256 bytes to 64 KiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChunkSize(u8);

impl ChunkSize {
    /// The smallest.
    pub const MIN: Self = Self(8);
    /// The largest.
    pub const MAX: Self = Self(16);

    /// 2^`exponent` bytes; `None` when that is not from 256 to 65 536.
    pub const fn new(exponent: u8) -> Option<Self> {
        if exponent >= Self::MIN.0 && exponent <= Self::MAX.0 { Some(Self(exponent)) } else { None }
    }

    /// What [`ChunkSize::new`] accepted before.
    pub(crate) const fn accepted(exponent: u8) -> Self {
        Self(exponent)
    }

    /// Exactly `bytes`, if that is a chunk size.
    pub const fn from_bytes(bytes: u32) -> Option<Self> {
        if bytes.is_power_of_two() { Self::new(bytes.trailing_zeros() as u8) } else { None }
    }

    /// The exponent itself.
    pub const fn exponent(self) -> u8 {
        self.0
    }

    /// In bytes.
    pub const fn bytes(self) -> u32 {
        1 << self.0
    }

    /// How many chunks an image has; the last one may be shorter.
    pub const fn count(self, image_size: u32) -> u32 {
        let rest = image_size & (self.bytes() - 1);
        (image_size >> self.0) + (rest > 0) as u32
    }

    /// Which bytes of an image of `image_size` are chunk `number`; `None` behind its end.
    pub fn range(self, image_size: u32, number: u32) -> Option<Range<u32>> {
        if number >= self.count(image_size) {
            return None;
        }
        let start = number << self.0;
        Some(start..image_size.min(start.saturating_add(self.bytes())))
    }

    /// The length of the index of an image, in bytes: 2²⁹ at most.
    pub const fn index_length(self, image_size: u32) -> u32 {
        self.count(image_size) * DIGEST as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_cover_an_image_without_gap_or_overlap() {
        for exponent in 8..=16 {
            let size = ChunkSize::new(exponent).unwrap();
            for image_size in [1, 255, 256, 257, 65_535, 65_536, 65_537, 1_000_000] {
                let mut end = 0;
                for number in 0..size.count(image_size) {
                    let range = size.range(image_size, number).unwrap();
                    assert_eq!(range.start, end);
                    assert!(range.end > range.start && range.end - range.start <= size.bytes());
                    end = range.end;
                }
                assert_eq!(end, image_size);
                assert_eq!(size.range(image_size, size.count(image_size)), None);
            }
        }
    }

    #[test]
    fn sizes_out_of_range_are_refused() {
        assert_eq!((ChunkSize::new(7), ChunkSize::new(17)), (None, None));
        for bytes in [0, 1, 128, 257, 131_072, u32::MAX] {
            assert_eq!(ChunkSize::from_bytes(bytes), None, "{bytes}");
        }
        assert_eq!(ChunkSize::from_bytes(4096).map(ChunkSize::bytes), Some(4096));
    }

    #[test]
    fn the_largest_image_is_no_overflow() {
        let smallest = ChunkSize::MIN;
        assert_eq!(smallest.count(u32::MAX), 1 << 24);
        assert_eq!(smallest.range(u32::MAX, (1 << 24) - 1), Some(0xffff_ff00..u32::MAX));
        assert_eq!(smallest.range(u32::MAX, u32::MAX), None);
        assert_eq!(smallest.index_length(u32::MAX), 1 << 29);
    }
}
