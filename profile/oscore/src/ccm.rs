//! AES-CCM-16-64-128 (RFC 9053 §4.2): RFC 3610 with M = 8 and L = 2, over whichever AES there is.

use crate::aead::{KEY, NONCE, TAG, xor};

#[cfg(not(feature = "fast"))]
use crate::aes::run;
#[cfg(feature = "fast")]
use crate::library::run;

/// Bytes of a block.
pub(crate) const BLOCK: usize = 16;

/// Flags of the first block: additional data is there, M' is 3, L' is 1 (RFC 3610 §2.2).
pub(crate) const FIRST: u8 = 0x40 | 3 << 3 | COUNTER;
/// Flags of the blocks that make the key stream: L' is 1 (RFC 3610 §2.3).
pub(crate) const COUNTER: u8 = 1;

/// Encrypts in place and gives the tag. The text is shorter than 2^16 bytes; the additional data has its length in front, in
/// two bytes (RFC 3610 §2.2).
pub(crate) fn seal(key: &[u8; KEY], nonce: &[u8; NONCE], aad: &[u8], text: &mut [u8]) -> [u8; TAG] {
    run(key, nonce, aad, text, true)
}

/// Decrypts in place; false when the tag is another.
pub(crate) fn open(
    key: &[u8; KEY],
    nonce: &[u8; NONCE],
    aad: &[u8],
    text: &mut [u8],
    tag: &[u8; TAG],
) -> bool {
    let expected = run(key, nonce, aad, text, false);
    // Every byte is looked at, whatever the ones before it are.
    expected.iter().zip(tag).fold(0, |differ, (a, b)| differ | (a ^ b)) == 0
}

/// AES with a key.
pub(crate) trait Encrypt {
    /// Encrypts one block in place.
    fn encrypt(&self, block: &mut [u8; BLOCK]);
}

/// CCM over an AES. With the feature `fast` all of it is compiled into where the processor's instructions may be used, or each of
/// its blocks would have to ask for them.
pub(crate) struct Ccm<'a, C> {
    pub(crate) cipher: C,
    pub(crate) nonce: &'a [u8; NONCE],
}

impl<C: Encrypt> Ccm<'_, C> {
    /// What is authenticated is the plaintext, which is there before encryption or after decryption. The last block of the
    /// additional data, and of the text, is as if zeros followed.
    #[cfg_attr(feature = "fast", inline(always))]
    pub(crate) fn run(&self, aad: &[u8], text: &mut [u8], is_sealing: bool) -> [u8; TAG] {
        let mut mac = self.encrypted(FIRST, text.len());
        for chunk in aad.chunks(BLOCK) {
            self.absorb(&mut mac, chunk);
        }
        let mut number = 0;
        for chunk in text.chunks_mut(BLOCK) {
            number += 1;
            if is_sealing {
                self.absorb(&mut mac, chunk);
            }
            xor(chunk, &self.encrypted(COUNTER, number));
            if !is_sealing {
                self.absorb(&mut mac, chunk);
            }
        }
        xor(&mut mac, &self.encrypted(COUNTER, 0));
        mac.first_chunk().copied().unwrap_or_default()
    }

    /// One block of what is authenticated.
    #[cfg_attr(feature = "fast", inline(always))]
    fn absorb(&self, mac: &mut [u8; BLOCK], chunk: &[u8]) {
        xor(mac, chunk);
        self.cipher.encrypt(mac);
    }

    /// Flags, nonce, and a number of 16 bits, encrypted.
    #[cfg_attr(feature = "fast", inline(always))]
    fn encrypted(&self, flags: u8, number: usize) -> [u8; BLOCK] {
        let mut block = block(self.nonce, flags, number);
        self.cipher.encrypt(&mut block);
        block
    }
}

/// Flags, nonce, and a number of 16 bits.
#[inline(always)]
pub(crate) fn block(nonce: &[u8; NONCE], flags: u8, number: usize) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    let [first, rest @ .., high, low] = &mut block;
    *first = flags;
    xor(rest, nonce);
    [*high, *low] = (number as u16).to_be_bytes();
    block
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::aes::Aes128;
    use ::ccm::aead::inout::InOutBuf;
    use ::ccm::aead::{AeadInOut, KeyInit};
    use ::ccm::consts::{U8, U13};
    use proptest::prelude::*;
    use std::vec::Vec;

    type Library = ::ccm::Ccm<Aes128, U8, U13>;

    proptest! {
        #[test]
        fn as_the_library(
            key: [u8; KEY],
            nonce: [u8; NONCE],
            aad in prop::collection::vec(any::<u8>(), 1..80),
            text in prop::collection::vec(any::<u8>(), 0..600),
        ) {
            let (mut ours, mut theirs): (_, Vec<u8>) = (text.clone(), text.clone());
            let with_length = [&(aad.len() as u16).to_be_bytes()[..], &aad].concat();
            let tag = seal(&key, &nonce, &with_length, &mut ours);
            let library = Library::new(&key.into());
            let expected =
                library.encrypt_inout_detached(&nonce.into(), &aad, InOutBuf::from(&mut theirs[..])).unwrap();
            prop_assert_eq!(&tag[..], &expected[..]);
            prop_assert_eq!(&ours, &theirs);
            prop_assert!(open(&key, &nonce, &with_length, &mut ours, &tag));
            prop_assert_eq!(&ours, &text);
        }
    }
}
