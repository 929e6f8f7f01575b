//! AES-128 of the crate `aes`, which uses the processor's instructions where there are any.

use crate::aead::{KEY, NONCE, TAG};
use crate::ccm::{BLOCK, Ccm, Encrypt};
use aes::Aes128;
use aes::cipher::consts::U16;
use aes::cipher::{BlockCipherEncBackend, BlockCipherEncClosure, BlockCipherEncrypt, BlockSizeUser, KeyInit};
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
        *tag = Ccm { cipher: Backend(backend), nonce }.run(aad, text, is_sealing);
    }
}

struct Backend<'b, B>(&'b B);

impl<B: BlockCipherEncBackend<BlockSize = U16>> Encrypt for Backend<'_, B> {
    #[inline(always)]
    fn encrypt(&self, block: &mut [u8; BLOCK]) {
        self.0.encrypt_block_inplace(block.into());
    }
}
