//! The part of a ticket that says how an encrypted image is decrypted.
//!
//! It is there for encrypted images alone, so that other tickets have its room for options.

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

impl ContentKey<'_> {
    /// Bytes in a ticket.
    pub const LENGTH: usize = 32;
}
