//! AES-128 in one direction (FIPS 197 §5.1), which is all that CCM needs: in little code, with keys made as they are used.
//!
//! The crate `aes` would be the better place: it computes many blocks at once without a table, in four times the flash. This
//! one looks bytes up, so that its time tells of the key where there is a data cache. It is for cores that have none; with
//! the feature `fast` it is left out. Tests hold it against the crate.

use crate::aead::{KEY, xor};
use crate::ccm::{BLOCK, Encrypt};
#[cfg(not(feature = "fast"))]
use crate::{
    aead::{NONCE, TAG},
    ccm::Ccm,
};

/// Rounds with a 128-bit key (§5, figure 4).
const ROUNDS: u8 = 10;

/// §5.1.1, from its definition.
static S_BOX: [u8; 256] = s_box();

/// A key.
pub(crate) struct Cipher<'k>(&'k [u8; KEY]);

impl<'k> Cipher<'k> {
    pub(crate) const fn new(key: &'k [u8; KEY]) -> Self {
        Self(key)
    }
}

/// [`Ccm::run`] with this AES.
#[cfg(not(feature = "fast"))]
pub(crate) fn run(
    key: &[u8; KEY],
    nonce: &[u8; NONCE],
    aad: &[u8],
    text: &mut [u8],
    is_sealing: bool,
) -> [u8; TAG] {
    Ccm { cipher: Cipher::new(key), nonce }.run(aad, text, is_sealing)
}

impl Encrypt for Cipher<'_> {
    fn encrypt(&self, block: &mut [u8; BLOCK]) {
        let (mut round_key, mut constant) = (*self.0, 1);
        // AddRoundKey (§5.1.4).
        xor(block, &round_key);
        for round in 1..=ROUNDS {
            substitute_and_shift(block);
            if round < ROUNDS {
                mix_columns(block);
            }
            expand(&mut round_key, constant);
            constant = double(constant);
            xor(block, &round_key);
        }
    }
}

/// SubBytes (§5.1.1) and ShiftRows (§5.1.2): bytes stand column by column, and row `r` moves `r` columns.
fn substitute_and_shift(block: &mut [u8; BLOCK]) {
    let old = *block;
    for (at, byte) in block.iter_mut().enumerate() {
        *byte = substitute(old[(at + 4 * (at & 3)) & 15]);
    }
}

/// MixColumns (§5.1.3).
fn mix_columns(block: &mut [u8; BLOCK]) {
    for column in block.as_chunks_mut::<4>().0 {
        let [a, b, c, d] = *column;
        let all = a ^ b ^ c ^ d;
        column.iter_mut().zip([b, c, d, a]).for_each(|(byte, next)| *byte ^= all ^ double(*byte ^ next));
    }
}

/// The next round's key from this one's (§5.2).
fn expand(key: &mut [u8; BLOCK], constant: u8) {
    let [.., a, b, c, d] = *key;
    let mut last = [substitute(b) ^ constant, substitute(c), substitute(d), substitute(a)];
    for word in key.as_chunks_mut::<4>().0 {
        xor(word, &last);
        last = *word;
    }
}

fn substitute(byte: u8) -> u8 {
    S_BOX[usize::from(byte)]
}

/// Times x in GF(2^8) (§4.2.1).
const fn double(byte: u8) -> u8 {
    (byte << 1) ^ ((byte >> 7) * 0x1b)
}

/// The inverse in GF(2^8), then an affine map: goes through all powers of 3, and of its inverse on the other side.
const fn s_box() -> [u8; 256] {
    let mut table = [0x63; 256];
    let (mut power, mut inverse) = (1_u8, 1_u8);
    loop {
        power ^= double(power);
        inverse ^= inverse << 1;
        inverse ^= inverse << 2;
        inverse ^= inverse << 4;
        inverse ^= (inverse >> 7) * 0x09;
        let i = inverse;
        let mapped = i ^ i.rotate_left(1) ^ i.rotate_left(2) ^ i.rotate_left(3) ^ i.rotate_left(4);
        table[power as usize] = mapped ^ 0x63;
        if power == 1 {
            return table;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::aes::Aes128;
    use ::aes::cipher::{BlockCipherEncrypt, KeyInit};
    use proptest::prelude::*;

    #[test]
    fn the_example_of_fips_197_appendix_b() {
        let key = 0x2b7e_1516_28ae_d2a6_abf7_1588_09cf_4f3c_u128.to_be_bytes();
        let mut block = 0x3243_f6a8_885a_308d_3131_98a2_e037_0734_u128.to_be_bytes();
        Cipher::new(&key).encrypt(&mut block);
        assert_eq!(block, 0x3925_841d_02dc_09fb_dc11_8597_196a_0b32_u128.to_be_bytes());
    }

    proptest! {
        #[test]
        fn as_the_library(key: [u8; BLOCK], block: [u8; BLOCK]) {
            let (mut ours, mut theirs) = (block, block.into());
            Cipher::new(&key).encrypt(&mut ours);
            Aes128::new(&key.into()).encrypt_block(&mut theirs);
            prop_assert_eq!(&ours[..], &theirs[..]);
        }
    }
}
