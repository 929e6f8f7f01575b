//! Which pieces of an image are missing: a bit for every 64 bytes.

use core::ops::Range;

/// 2⁶ bytes have a bit: the smallest block of a stream, and what a digest takes at once.
pub(super) const UNIT_BITS: u32 = 6;
/// In bytes.
pub(super) const UNIT: usize = 1 << UNIT_BITS;

/// The map, in memory of the caller. A piece that it has no room for is not missing.
#[derive(Debug)]
pub(super) struct Map<'t> {
    bits: &'t mut [u8],
}

impl<'t> Map<'t> {
    pub(super) const fn new(bits: &'t mut [u8]) -> Self {
        Self { bits }
    }

    /// The bytes that the map of an image takes.
    pub(super) const fn size(image_size: u32) -> usize {
        (units(image_size) as usize).div_ceil(8)
    }

    pub(super) fn is_missing(&self, unit: u32) -> bool {
        self.bits.get(unit as usize >> 3).is_some_and(|byte| byte >> (unit & 7) & 1 != 0)
    }

    pub(super) fn set(&mut self, unit: u32, is_missing: bool) {
        if let Some(byte) = self.bits.get_mut(unit as usize >> 3) {
            let bit = 1 << (unit & 7);
            *byte = if is_missing { *byte | bit } else { *byte & !bit };
        }
    }

    /// Says of all of these bytes of the image whether they are missing.
    pub(super) fn fill(&mut self, range: &Range<u32>, is_missing: bool) {
        (range.start >> UNIT_BITS..units(range.end)).for_each(|unit| self.set(unit, is_missing));
    }

    /// Whether anything of these bytes of the image is missing.
    pub(super) fn misses(&self, range: &Range<u32>) -> bool {
        (range.start >> UNIT_BITS..units(range.end)).any(|unit| self.is_missing(unit))
    }

    /// Whether all of these bytes of the image are missing.
    pub(super) fn misses_all(&self, range: &Range<u32>) -> bool {
        (range.start >> UNIT_BITS..units(range.end)).all(|unit| self.is_missing(unit))
    }

    /// How many pieces are missing.
    pub(super) fn count(&self) -> u32 {
        self.bits.iter().map(|byte| byte.count_ones()).sum()
    }

    /// The first piece that is missing.
    pub(super) fn first(&self) -> Option<u32> {
        (0..self.bits.len() as u32 * 8).find(|unit| self.is_missing(*unit))
    }
}

/// How many pieces so many bytes have; the last one may be shorter.
pub(super) const fn units(bytes: u32) -> u32 {
    (bytes >> UNIT_BITS) + (bytes & (UNIT as u32 - 1) != 0) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_set_and_cleared_one_by_one_and_the_rest_stays() {
        let mut bits = std::vec![0; Map::size(64 * 17 + 1)];
        assert_eq!(bits.len(), 3, "18 pieces");
        let mut map = Map::new(&mut bits);
        assert_eq!(map.first(), None);
        map.fill(&(64 * 3..64 * 17 + 1), true);
        map.set(4, false);
        map.set(17, false);
        let missing: std::vec::Vec<u32> = (0..30).filter(|unit| map.is_missing(*unit)).collect();
        assert!(
            missing.iter().eq([3].iter().chain((5..17).collect::<std::vec::Vec<_>>().iter())),
            "{missing:?}"
        );
        assert_eq!(map.first(), Some(3));
        assert!(map.misses(&(0..64 * 3 + 1)) && !map.misses(&(0..64 * 3)));
        assert!(!map.misses(&(64 * 4..64 * 5)) && map.misses(&(64 * 4..64 * 5 + 1)));
        assert!(map.misses_all(&(64 * 5..64 * 17)) && !map.misses_all(&(64 * 5..64 * 17 + 1)));
        map.set(1000, true);
        assert!(!map.is_missing(1000), "there is no room for it");
    }
}
