//! The name of one version of a body.

use core::fmt;
use sixfold_profile::Hex;
use sixfold_profile::coap::params::MAX_ETAG;

/// The value of an ETag option: 1–8 bytes (RFC 7252 §5.10.6). Equal ETags of one URI mean equal bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ETag {
    // Bytes behind `length` are zero, so that the derived comparison is right.
    bytes: [u8; MAX_ETAG],
    length: u8,
}

impl ETag {
    /// The ETag of this option value; `None` unless it has 1–8 bytes.
    pub fn new(value: &[u8]) -> Option<Self> {
        if value.is_empty() || value.len() > MAX_ETAG {
            return None;
        }
        let mut bytes = [0; MAX_ETAG];
        bytes.iter_mut().zip(value).for_each(|(to, from)| *to = *from);
        Some(Self { bytes, length: value.len() as u8 })
    }

    /// The option value.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.length)).unwrap_or_default()
    }
}

impl fmt::Display for ETag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Hex(self.as_bytes()).fmt(f)
    }
}

impl fmt::Debug for ETag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ETag({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn one_to_eight_bytes() {
        assert_eq!(ETag::new(&[]), None);
        assert_eq!(ETag::new(&[0; 9]), None);
        assert_ne!(ETag::new(&[0]), ETag::new(&[0, 0]), "the length counts");
        let etag = ETag::new(&[0x00, 0xab, 7]).unwrap();
        assert_eq!(etag.as_bytes(), [0x00, 0xab, 7]);
        assert_eq!(etag.to_string(), "00ab07");
    }
}
