//! AES-CCM-16-64-128 by the crates `ccm` and `aes`, which use the processor's instructions where there are any.

use crate::aead::{KEY, NONCE, TAG};
use aes::Aes128;
use ccm::Ccm;
use ccm::aead::inout::InOutBuf;
use ccm::aead::{AeadInOut, KeyInit};
use ccm::consts::{U8, U13};

type Cipher = Ccm<Aes128, U8, U13>;

/// Encrypts in place and gives the tag. Both texts are shorter than 2^16 bytes.
pub(crate) fn seal(key: &[u8; KEY], nonce: &[u8; NONCE], aad: &[u8], text: &mut [u8]) -> [u8; TAG] {
    let tag = Cipher::new(key.into()).encrypt_inout_detached(nonce.into(), aad, InOutBuf::from(text));
    // Cannot fail: only texts of 2^16 bytes are refused. Were it to, the receiver would refuse the message.
    tag.map(Into::into).unwrap_or_default()
}

/// Decrypts in place; false when the tag is another.
pub(crate) fn open(
    key: &[u8; KEY],
    nonce: &[u8; NONCE],
    aad: &[u8],
    text: &mut [u8],
    tag: &[u8; TAG],
) -> bool {
    let cipher = Cipher::new(key.into());
    cipher.decrypt_inout_detached(nonce.into(), aad, InOutBuf::from(text), tag.into()).is_ok()
}
