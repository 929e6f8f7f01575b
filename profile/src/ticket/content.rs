//! The part of a ticket that says how an encrypted image is decrypted.
//!
//! It is there for encrypted images alone, so that other tickets have its room for options.

use super::A128CTR;
use core::fmt;

/// What an image is decrypted with: AES-128 in counter mode (A128CTR, RFC 9459 §4), whose counter is the IV for the first 16 bytes
/// of the image, and one more for each further 16.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ContentKey<'a> {
    /// The content-encryption key (RFC 9052 §5), which is new for each encryption.
    pub key: &'a [u8; 16],
    /// The first counter block.
    pub iv: &'a [u8; 16],
}

impl fmt::Debug for ContentKey<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

impl<'a> ContentKey<'a> {
    /// Bytes in a ticket.
    pub const LENGTH: usize = 32;

    /// Takes it from the front, if it is there.
    pub(super) fn split(bytes: &'a [u8]) -> (Option<Self>, &'a [u8]) {
        let parts = bytes.split_first_chunk().and_then(|(key, rest)| {
            let (iv, rest) = rest.split_first_chunk()?;
            Some((Some(Self { key, iv }), rest))
        });
        parts.unwrap_or((None, bytes))
    }
}

/// Byte 215.
pub(super) const fn algorithm(content_key: Option<ContentKey<'_>>) -> u8 {
    if content_key.is_some() { A128CTR } else { 0 }
}
