//! AES-128 of the crate `aes`, which uses the processor's instructions where there are any.

use crate::aead::KEY;
use crate::ccm::BLOCK;
use aes::Aes128;
use aes::cipher::{BlockCipherEncrypt, KeyInit};
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

    /// Encrypts one block in place.
    pub(crate) fn encrypt(&self, block: &mut [u8; BLOCK]) {
        self.aes.encrypt_block(block.into());
    }
}
