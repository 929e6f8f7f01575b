//! AES-128 of the crate `aes`, which uses the processor's instructions where there are any, and takes a few blocks in the time of one
//! where there are none.

use crate::aead::{KEY, NONCE, TAG, xor};
use crate::ccm::{BLOCK, COUNTER, Ccm, Encrypt, FIRST, block};
use aes::Aes128;
use aes::cipher::consts::U16;
use aes::cipher::typenum::Unsigned;
use aes::cipher::{
    BlockCipherEncBackend, BlockCipherEncClosure, BlockCipherEncrypt, BlockSizeUser, KeyInit, ParBlocks,
};
use core::marker::PhantomData;

/// A key, ready to encrypt.
pub(crate) struct Cipher<'k> {
    aes: Aes128,
    /// The other AES borrows its key.
    key: PhantomData<&'k ()>,
}

impl<'k> Cipher<'k> {
    pub(crate) fn new(key: &'k [u8; KEY]) -> Self {
        Self { aes: Aes128::new(key.into()), key: PhantomData }
    }
}

impl Encrypt for Cipher<'_> {
    fn encrypt(&self, block: &mut [u8; BLOCK]) {
        self.aes.encrypt_block(block.into());
    }
}

/// [`Ccm::run`], which asks what the processor can do once, and not for each block.
pub(crate) fn run(
    key: &[u8; KEY],
    nonce: &[u8; NONCE],
    aad: &[u8],
    text: &mut [u8],
    is_sealing: bool,
) -> [u8; TAG] {
    let mut tag = [0; TAG];
    Aes128::new(key.into()).encrypt_with_backend(Run { nonce, aad, text, is_sealing, tag: &mut tag });
    tag
}

struct Run<'r> {
    nonce: &'r [u8; NONCE],
    aad: &'r [u8],
    text: &'r mut [u8],
    is_sealing: bool,
    tag: &'r mut [u8; TAG],
}

impl BlockSizeUser for Run<'_> {
    type BlockSize = U16;
}

impl BlockCipherEncClosure for Run<'_> {
    #[inline(always)]
    fn call<B: BlockCipherEncBackend<BlockSize = U16>>(self, backend: &B) {
        let Self { nonce, aad, text, is_sealing, tag } = self;
        // That of the processor's instructions takes eight blocks at least, and has several under way at the same time anyhow.
        *tag = if (2..=4).contains(&B::ParBlocksSize::USIZE) {
            run_in_pairs(nonce, aad, text, is_sealing, |one, other| pair(backend, one, other))
        } else {
            Ccm { cipher: Backend(backend), nonce }.run(aad, text, is_sealing)
        };
    }
}

/// [`Ccm::run`] with half of the calls: each block of what is authenticated is encrypted beside the next one of the key stream. The first
/// of these, which is the tag's, comes last.
fn run_in_pairs(
    nonce: &[u8; NONCE],
    aad: &[u8],
    text: &mut [u8],
    is_sealing: bool,
    encrypt: impl Fn(&mut [u8; BLOCK], &mut [u8; BLOCK]),
) -> [u8; TAG] {
    let count = text.len().div_ceil(BLOCK);
    let next = |number| block(nonce, COUNTER, if number < count { number + 1 } else { 0 });
    let (mut mac, mut stream) = (block(nonce, FIRST, text.len()), next(0));
    encrypt(&mut mac, &mut stream);
    for chunk in aad.chunks(BLOCK) {
        xor(&mut mac, chunk);
        encrypt(&mut mac, &mut [0; BLOCK]);
    }
    for (number, chunk) in (1..).zip(text.chunks_mut(BLOCK)) {
        if is_sealing {
            xor(&mut mac, chunk);
        }
        xor(chunk, &stream);
        if !is_sealing {
            xor(&mut mac, chunk);
        }
        stream = next(number);
        encrypt(&mut mac, &mut stream);
    }
    xor(&mut mac, &stream);
    mac.first_chunk().copied().unwrap_or_default()
}

/// Encrypts two blocks at once.
fn pair<B>(backend: &B, one: &mut [u8; BLOCK], other: &mut [u8; BLOCK])
where
    B: BlockCipherEncBackend<BlockSize = U16>,
{
    let mut blocks = ParBlocks::<B>::default();
    let both = [one, other];
    blocks.iter_mut().zip(&both).for_each(|(to, from)| to.copy_from_slice(&from[..]));
    backend.encrypt_par_blocks_inplace(&mut blocks);
    blocks.iter().zip(both).for_each(|(from, to)| to.copy_from_slice(from));
}

struct Backend<'b, B>(&'b B);

impl<B: BlockCipherEncBackend<BlockSize = U16>> Encrypt for Backend<'_, B> {
    #[inline(always)]
    fn encrypt(&self, block: &mut [u8; BLOCK]) {
        self.0.encrypt_block_inplace(block.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    proptest! {
        /// Also where this machine has instructions for AES, and so takes the other way.
        #[test]
        fn in_pairs_as_one_by_one(
            key: [u8; KEY],
            nonce: [u8; NONCE],
            aad in prop::collection::vec(any::<u8>(), 2..80),
            text in prop::collection::vec(any::<u8>(), 0..600),
        ) {
            let cipher = Cipher::new(&key);
            let both = |one: &mut [u8; BLOCK], other: &mut [u8; BLOCK]| {
                cipher.encrypt(one);
                cipher.encrypt(other);
            };
            let (mut paired, mut single): (_, Vec<u8>) = (text.clone(), text.clone());
            let tag = run_in_pairs(&nonce, &aad, &mut paired, true, both);
            prop_assert_eq!(tag, Ccm { cipher: Cipher::new(&key), nonce: &nonce }.run(&aad, &mut single, true));
            prop_assert_eq!(&paired, &single);
            prop_assert_eq!(tag, run_in_pairs(&nonce, &aad, &mut paired, false, both));
            prop_assert_eq!(&paired, &text);
        }
    }
}
