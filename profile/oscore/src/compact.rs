//! AES-CCM-16-64-128 (RFC 9053 §4.2; RFC 3610 with M = 8 and L = 2) in little code.

use crate::aead::{KEY, NONCE, TAG, xor};
use crate::aes::{self, BLOCK};

/// Flags of the first block: additional data is there, M' is 3, L' is 1 (RFC 3610 §2.2).
const FIRST: u8 = 0x40 | 3 << 3 | COUNTER;
/// Flags of the blocks that make the key stream: L' is 1 (RFC 3610 §2.3).
const COUNTER: u8 = 1;

/// Encrypts in place and gives the tag. Both texts are shorter than 2^16 bytes.
pub(crate) fn seal(key: &[u8; KEY], nonce: &[u8; NONCE], aad: &[u8], text: &mut [u8]) -> [u8; TAG] {
    Ccm { key, nonce }.run(aad, text, true)
}

/// Decrypts in place; false when the tag is another.
pub(crate) fn open(
    key: &[u8; KEY],
    nonce: &[u8; NONCE],
    aad: &[u8],
    text: &mut [u8],
    tag: &[u8; TAG],
) -> bool {
    let expected = Ccm { key, nonce }.run(aad, text, false);
    // Every byte is looked at, whatever the ones before it are.
    expected.iter().zip(tag).fold(0, |differ, (a, b)| differ | (a ^ b)) == 0
}

struct Ccm<'a> {
    key: &'a [u8; KEY],
    nonce: &'a [u8; NONCE],
}

impl Ccm<'_> {
    /// Authentication is over the plaintext, which is there before encryption or after decryption.
    fn run(&self, aad: &[u8], text: &mut [u8], is_sealing: bool) -> [u8; TAG] {
        let mut mac = Mac { key: self.key, block: self.block(FIRST, text.len()), at: BLOCK };
        mac.pad();
        mac.absorb(&(aad.len() as u16).to_be_bytes());
        mac.absorb(aad);
        mac.pad();
        for (n, chunk) in text.chunks_mut(BLOCK).enumerate() {
            if is_sealing {
                mac.absorb(chunk);
            }
            xor(chunk, &self.key_stream(n + 1));
            if !is_sealing {
                mac.absorb(chunk);
            }
        }
        mac.pad();
        let mut tag = [0; TAG];
        xor(&mut tag, &mac.block);
        xor(&mut tag, &self.key_stream(0));
        tag
    }

    fn key_stream(&self, counter: usize) -> [u8; BLOCK] {
        let mut block = self.block(COUNTER, counter);
        aes::encrypt(self.key, &mut block);
        block
    }

    /// Flags, nonce, and a number of 16 bits.
    fn block(&self, flags: u8, number: usize) -> [u8; BLOCK] {
        let mut block = [0; BLOCK];
        let [first, rest @ .., high, low] = &mut block;
        *first = flags;
        xor(rest, self.nonce);
        [*high, *low] = (number as u16).to_be_bytes();
        block
    }
}

/// CBC-MAC (RFC 3610 §2.2).
struct Mac<'a> {
    key: &'a [u8; KEY],
    block: [u8; BLOCK],
    at: usize,
}

impl Mac<'_> {
    fn absorb(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.block[self.at & 15] ^= byte;
            self.at += 1;
            if self.at == BLOCK {
                self.pad();
            }
        }
    }

    /// The rest of the block is zeros.
    fn pad(&mut self) {
        if self.at > 0 {
            aes::encrypt(self.key, &mut self.block);
            self.at = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::aes::Aes128;
    use ccm::aead::inout::InOutBuf;
    use ccm::aead::{AeadInOut, KeyInit};
    use ccm::consts::{U8, U13};
    use proptest::prelude::*;
    use std::vec::Vec;

    type Library = ccm::Ccm<Aes128, U8, U13>;

    proptest! {
        #[test]
        fn as_the_library(
            key: [u8; KEY],
            nonce: [u8; NONCE],
            aad in prop::collection::vec(any::<u8>(), 1..80),
            text in prop::collection::vec(any::<u8>(), 0..600),
        ) {
            let (mut ours, mut theirs): (_, Vec<u8>) = (text.clone(), text.clone());
            let tag = seal(&key, &nonce, &aad, &mut ours);
            let library = Library::new(&key.into());
            let expected =
                library.encrypt_inout_detached(&nonce.into(), &aad, InOutBuf::from(&mut theirs[..])).unwrap();
            prop_assert_eq!(&tag[..], &expected[..]);
            prop_assert_eq!(&ours, &theirs);
            prop_assert!(open(&key, &nonce, &aad, &mut ours, &tag));
            prop_assert_eq!(&ours, &text);
        }
    }
}
