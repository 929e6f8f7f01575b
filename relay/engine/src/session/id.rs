//! Identifiers of security contexts: a few bytes each (RFC 8613 §3.1).

use sixfold_oscore::{MAX_ID, MAX_ID_CONTEXT};
use sixfold_profile::Hex;
use std::fmt;

/// A Sender ID or Recipient ID: up to 7 bytes, maybe none.
pub type Id = ShortBytes<MAX_ID>;

/// An ID Context: up to 16 bytes.
pub type IdContext = ShortBytes<MAX_ID_CONTEXT>;

/// Up to `N` bytes. Written as hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ShortBytes<const N: usize> {
    bytes: [u8; N],
    length: u8,
}

impl<const N: usize> ShortBytes<N> {
    /// These bytes; `None` when they are too many.
    pub fn new(from: &[u8]) -> Option<Self> {
        let mut bytes = [0; N];
        bytes.get_mut(..from.len())?.copy_from_slice(from);
        Some(Self { bytes, length: u8::try_from(from.len()).ok()? })
    }

    /// The bytes.
    pub fn as_slice(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.length)).unwrap_or_default()
    }
}

impl<const N: usize> fmt::Display for ShortBytes<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Hex(self.as_slice()).fmt(f)
    }
}

impl<const N: usize> fmt::Debug for ShortBytes<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
