//! AES-128 in counter mode (NIST SP 800-38A §6.5), as COSE has it for images (A128CTR, RFC 9459 §4): no part of OSCORE, but this is
//! where a small AES is.
//!
//! Encryption and decryption are the same. Nothing here is authenticated: what comes out is to be compared with a digest.

use crate::aead::{KEY, xor};
use crate::ccm::{BLOCK, Encrypt};
use core::fmt;

#[cfg(not(feature = "fast"))]
use crate::aes::Cipher;
#[cfg(feature = "fast")]
use crate::library::Cipher;

/// The bytes that an image was added to, in GF(2), from any offset on.
pub struct Keystream<'k> {
    cipher: Cipher<'k>,
    first: u128,
}

impl fmt::Debug for Keystream<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

impl<'k> Keystream<'k> {
    /// The key stream of a key that encrypts one image, and the counter block of its first 16 bytes; with each further 16
    /// bytes the counter, which is the whole block, is one more.
    pub fn new(key: &'k [u8; KEY], iv: &[u8; BLOCK]) -> Self {
        Self { cipher: Cipher::new(key), first: u128::from_be_bytes(*iv) }
    }

    /// Encrypts or decrypts what stands at `offset` in the image, a multiple of 16.
    pub fn apply(&self, offset: u32, bytes: &mut [u8]) {
        let mut counter = self.first.wrapping_add((offset / BLOCK as u32).into());
        for piece in bytes.chunks_mut(BLOCK) {
            let mut block = counter.to_be_bytes();
            self.cipher.encrypt(&mut block);
            xor(piece, &block);
            counter = counter.wrapping_add(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    /// NIST SP 800-38A, F.5.1 (CTR-AES128.Encrypt).
    #[test]
    fn the_example_of_sp_800_38a() {
        let key = 0x2b7e_1516_28ae_d2a6_abf7_1588_09cf_4f3c_u128.to_be_bytes();
        let iv = 0xf0f1_f2f3_f4f5_f6f7_f8f9_fafb_fcfd_feff_u128.to_be_bytes();
        let plaintext = [
            0x6bc1_bee2_2e40_9f96_e93d_7e11_7393_172a_u128,
            0xae2d_8a57_1e03_ac9c_9eb7_6fac_45af_8e51,
            0x30c8_1c46_a35c_e411_e5fb_c119_1a0a_52ef,
            0xf69f_2445_df4f_9b17_ad2b_417b_e66c_3710,
        ];
        let ciphertext = [
            0x874d_6191_b620_e326_1bef_6864_990d_b6ce_u128,
            0x9806_f66b_7970_fdff_8617_187b_b9ff_fdff,
            0x5ae4_df3e_dbd5_d35e_5b4f_0902_0db0_3eab,
            0x1e03_1dda_2fbe_03d1_7921_70a0_f300_9cee,
        ];
        let mut text = plaintext.map(u128::to_be_bytes).concat();
        Keystream::new(&key, &iv).apply(0, &mut text);
        assert_eq!(text, ciphertext.map(u128::to_be_bytes).concat());
    }

    proptest! {
        /// From any block on, and where the counter begins again.
        #[test]
        fn a_part_is_a_part_of_the_whole(
            key: [u8; KEY],
            iv in prop_oneof![any::<u128>(), Just(u128::MAX - 3)],
            text in prop::collection::vec(any::<u8>(), 0..300),
            from in 0_usize..19,
        ) {
            let iv = iv.to_be_bytes();
            let keystream = Keystream::new(&key, &iv);
            let (mut whole, mut parts): (Vec<u8>, _) = (text.clone(), text.clone());
            keystream.apply(0, &mut whole);
            let at = (from * BLOCK).min(text.len() / BLOCK * BLOCK);
            keystream.apply(0, &mut parts[..at]);
            keystream.apply(at as u32, &mut parts[at..]);
            prop_assert_eq!(&whole, &parts);
            keystream.apply(0, &mut whole);
            prop_assert_eq!(whole, text);
        }
    }
}
