//! SHA-256 (FIPS 180-4 §6.2), for flash: whole blocks as they come, in little code.
//!
//! A library would be the better place. Those that there are either unroll their rounds, which takes more flash than the
//! rest of the core, or index slices, which leaves panics in a boot program. Tests hold this one against a library.

use sixfold_profile::index::DIGEST;

/// Bytes of a block.
pub(super) const BLOCK: usize = 64;
/// Where the length is in the last block (§5.1.1).
const LENGTH: usize = 56;

/// §4.2.2: of the cube roots of the first 64 primes, the first 32 bits behind the point.
static K: [u32; 64] = [
    0x428a_2f98,
    0x7137_4491,
    0xb5c0_fbcf,
    0xe9b5_dba5,
    0x3956_c25b,
    0x59f1_11f1,
    0x923f_82a4,
    0xab1c_5ed5,
    0xd807_aa98,
    0x1283_5b01,
    0x2431_85be,
    0x550c_7dc3,
    0x72be_5d74,
    0x80de_b1fe,
    0x9bdc_06a7,
    0xc19b_f174,
    0xe49b_69c1,
    0xefbe_4786,
    0x0fc1_9dc6,
    0x240c_a1cc,
    0x2de9_2c6f,
    0x4a74_84aa,
    0x5cb0_a9dc,
    0x76f9_88da,
    0x983e_5152,
    0xa831_c66d,
    0xb003_27c8,
    0xbf59_7fc7,
    0xc6e0_0bf3,
    0xd5a7_9147,
    0x06ca_6351,
    0x1429_2967,
    0x27b7_0a85,
    0x2e1b_2138,
    0x4d2c_6dfc,
    0x5338_0d13,
    0x650a_7354,
    0x766a_0abb,
    0x81c2_c92e,
    0x9272_2c85,
    0xa2bf_e8a1,
    0xa81a_664b,
    0xc24b_8b70,
    0xc76c_51a3,
    0xd192_e819,
    0xd699_0624,
    0xf40e_3585,
    0x106a_a070,
    0x19a4_c116,
    0x1e37_6c08,
    0x2748_774c,
    0x34b0_bcb5,
    0x391c_0cb3,
    0x4ed8_aa4a,
    0x5b9c_ca4f,
    0x682e_6ff3,
    0x748f_82ee,
    0x78a5_636f,
    0x84c8_7814,
    0x8cc7_0208,
    0x90be_fffa,
    0xa450_6ceb,
    0xbef9_a3f7,
    0xc671_78f2,
];

/// A digest in the making, and the block that it takes next.
pub(super) struct Sha256 {
    state: [u32; 8],
    block: Block,
}

/// Its bytes become the words of the message schedule, which they are aligned for.
#[repr(align(4))]
struct Block([u8; BLOCK]);

impl Sha256 {
    /// §5.3.3.
    pub(super) const fn new() -> Self {
        let state = [
            0x6a09_e667,
            0xbb67_ae85,
            0x3c6e_f372,
            0xa54f_f53a,
            0x510e_527f,
            0x9b05_688c,
            0x1f83_d9ab,
            0x5be0_cd19,
        ];
        Self { state, block: Block([0; BLOCK]) }
    }

    /// Where the next block is to be put.
    pub(super) const fn block_mut(&mut self) -> &mut [u8; BLOCK] {
        &mut self.block.0
    }

    /// Takes the block, which is the last one and not whole; the digest is that of `length` bytes in all.
    pub(super) fn finish(&mut self, length: u32) {
        let rest = length as usize % BLOCK;
        if let Some([end, padding @ ..]) = self.block.0.get_mut(rest..) {
            *end = 0x80;
            padding.fill(0);
        }
        if rest >= LENGTH {
            self.absorb();
            self.block.0.fill(0);
        }
        if let Some(bits) = self.block.0.last_chunk_mut() {
            *bits = (u64::from(length) << 3).to_be_bytes();
        }
        self.absorb();
    }

    /// Whether the digest is this one.
    pub(super) fn is(&self, digest: &[u8; DIGEST]) -> bool {
        let (words, _) = digest.as_chunks::<4>();
        words.iter().zip(self.state).all(|(found, word)| u32::from_be_bytes(*found) == word)
    }

    /// Takes the block (§6.2.2). The message schedule takes its place.
    #[inline(never)] // has a large frame, which nothing else is to be below
    pub(super) fn absorb(&mut self) {
        let (words, _) = self.block.0.as_chunks_mut::<4>();
        let Some(w) = words.first_chunk_mut::<16>() else { return };
        let mut v = self.state;
        for (t, k) in K.iter().enumerate() {
            let at = |back: usize| t.wrapping_sub(back) & 15;
            let of = |w: &[[u8; 4]; 16], back| u32::from_be_bytes(w[at(back)]);
            let mut word = of(w, 0);
            if t >= 16 {
                let (x, y) = (of(w, 15), of(w, 2));
                let s0 = x.rotate_right(7) ^ x.rotate_right(18) ^ x >> 3;
                let s1 = y.rotate_right(17) ^ y.rotate_right(19) ^ y >> 10;
                word = word.wrapping_add(s0).wrapping_add(of(w, 7)).wrapping_add(s1);
                w[at(0)] = word.to_be_bytes();
            }
            round(&mut v, k.wrapping_add(word));
        }
        self.state.iter_mut().zip(v).for_each(|(to, v)| *to = to.wrapping_add(v));
    }
}

/// Whether bytes in memory have this digest.
pub(super) fn has_digest(bytes: &[u8], digest: &[u8; DIGEST]) -> bool {
    let mut hash = Sha256::new();
    let (blocks, rest) = bytes.as_chunks::<BLOCK>();
    for block in blocks {
        *hash.block_mut() = *block;
        hash.absorb();
    }
    hash.block_mut().iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
    // What is in flash has 32 bits of length.
    hash.finish(bytes.len() as u32);
    hash.is(digest)
}

fn round(v: &mut [u32; 8], kw: u32) {
    let [a, b, c, d, e, f, g, h] = *v;
    let sum1 = e.rotate_right(6) ^ e.rotate_right(11) ^ e.rotate_right(25);
    let choice = (e & f) ^ (!e & g);
    let t1 = h.wrapping_add(sum1).wrapping_add(choice).wrapping_add(kw);
    let sum0 = a.rotate_right(2) ^ a.rotate_right(13) ^ a.rotate_right(22);
    let majority = (a & b) ^ (a & c) ^ (b & c);
    *v = [t1.wrapping_add(sum0).wrapping_add(majority), a, b, c, d.wrapping_add(t1), e, f, g];
}

#[cfg(test)]
mod tests {
    use super::*;
    use hmac_sha256::Hash;
    use std::prelude::v1::*;

    /// The one-block example of FIPS 180-4.
    #[test]
    fn the_standards_example() {
        let expected = [
            0xba78_16bf_u32,
            0x8f01_cfea,
            0x4141_40de,
            0x5dae_2223,
            0xb003_61a3,
            0x9617_7a9c,
            0xb410_ff61,
            0xf200_15ad,
        ];
        let digest: Vec<u8> = expected.iter().flat_map(|word| word.to_be_bytes()).collect();
        assert!(has_digest(b"abc", digest.first_chunk().unwrap()));
        assert!(!has_digest(b"abd", digest.first_chunk().unwrap()));
    }

    #[test]
    fn a_library_finds_the_same() {
        let bytes: Vec<u8> = (0..1000u32).map(|n| (n.wrapping_mul(0x9e37_79b9) >> 24) as u8).collect();
        for length in 0..bytes.len() {
            assert!(has_digest(&bytes[..length], &Hash::hash(&bytes[..length])), "{length}");
        }
    }
}
