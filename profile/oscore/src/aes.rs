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
    use crate::aead::{Aad, NONCE, TAG, nonce};
    use crate::ccm::Ccm;
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

    /// RFC 8613, Appendix C.4 to C.8: what is sealed, and with what. The feature `fast` keeps this AES out of all other tests.
    #[test]
    fn the_messages_of_the_standard_in_little_code() {
        const KEY: u128 = 0xf091_0ed7_295e_6ad4_b54f_c793_1543_02ff;
        const PEERS_KEY: u128 = 0xffb1_4e09_3c94_c9ca_c947_1648_b4f9_8710;
        const IV: u128 = 0x46_22d4_dd6d_9441_68ee_fb54_987c;
        let get: &[u8] = b"\x01\xb3tv1";
        let content: &[u8] = b"\x45\xffHello World!";
        // The key, the Common IV, whose the Partial IV in the nonce is and that, `kid` of the request, the plaintext, the ciphertext.
        type Sealed<'a> = (u128, u128, &'a [u8], u8, &'a [u8], &'a [u8], &'a [u8]);
        let table: [Sealed<'_>; 5] = [
            (KEY, IV, &[], 20, &[], get, b"\x61\x2f\x10\x92\xf1\x77\x6f\x1c\x16\x68\xb3\x82\x5e"),
            (
                0x321b_2694_3253_c7ff_b600_3b0b_64d7_4041,
                0xbe_35ae_297d_2dac_e910_c52e_99f9,
                &[0],
                20,
                &[0],
                get,
                b"\x4e\xd3\x39\xa5\xa3\x79\xb0\xb8\xbc\x73\x1f\xff\xb0",
            ),
            (
                0xaf2a_1300_a5e9_5788_b356_336e_eecd_2b92,
                0x2c_a58f_b85f_f1b8_1c0b_7181_b85e,
                &[],
                20,
                &[],
                get,
                b"\x72\xcd\x72\x73\xfd\x33\x1a\xc4\x5c\xff\xbe\x55\xc3",
            ),
            (
                PEERS_KEY,
                IV,
                &[],
                20,
                &[],
                content,
                b"\xdb\xaa\xd1\xe9\xa7\xe7\xb2\xa8\x13\xd3\xc3\x15\x24\x37\x83\x03\xcd\xaf\xae\x11\x91\x06",
            ),
            (
                PEERS_KEY,
                IV,
                &[1],
                0,
                &[],
                content,
                b"\x4d\x4c\x13\x66\x93\x84\xb6\x73\x54\xb2\xb6\x17\x5f\xf4\xb8\x65\x8c\x66\x6a\x6c\xf8\x8e",
            ),
        ];
        for (n, (key, common_iv, id, piv, kid, plain, sealed)) in (4..).zip(table) {
            let key = key.to_be_bytes();
            let common_iv = *common_iv.to_be_bytes().last_chunk::<NONCE>().unwrap();
            let (nonce, aad) = (nonce(&common_iv, id, &[piv]), Aad::new(kid, &[20]));
            let ccm = Ccm { cipher: Cipher::new(&key), nonce: &nonce };
            let (ciphertext, tag) = sealed.split_last_chunk::<TAG>().unwrap();
            let mut text = plain.to_vec();
            assert_eq!((ccm.run(aad.as_slice(), &mut text, true), &text[..]), (*tag, ciphertext), "C.{n}");
            assert_eq!((ccm.run(aad.as_slice(), &mut text, false), &text[..]), (*tag, plain), "C.{n}");
        }
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
