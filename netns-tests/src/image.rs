//! Firmware images for tests: bytes that differ in every block and between seeds, so that no mix goes unseen.

use sixfold_profile::Hex;

/// `len` bytes of SplitMix64's sequence from `seed`.
pub fn image(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)).to_le_bytes()
    };
    (0..len.div_ceil(8)).flat_map(|_| next()).take(len).collect()
}

/// The SHA-256 digest of an image as the relay writes it, in hexadecimal.
pub fn sha256(image: &[u8]) -> String {
    Hex(&hmac_sha256::Hash::hash(image)).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn blocks_differ_within_and_between_images() {
        let (one, two) = (image(1, 65_536), image(2, 65_536));
        let blocks: HashSet<_> = one.chunks(16).chain(two.chunks(16)).collect();
        assert_eq!(blocks.len(), 2 * 65_536 / 16);
        assert_eq!(image(1, 13), one[..13]);
    }
}
