//! One immutable version of a resource, and the names by which versions are told apart.

use bytes::Bytes;
use sha2::{Digest, Sha256};
use sixfold_profile::Hex;
use std::fmt;

/// What the origin calls a version (RFC 9110 §8.8).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Validator {
    /// A strong entity-tag with its quotes, as received: equal tags mean equal bytes.
    Strong(String),
    /// A weak entity-tag, without its `W/`: equal tags mean equivalent content, maybe not equal bytes.
    Weak(String),
    /// A Last-Modified date, as received.
    LastModified(String),
}

/// The ETag of a version towards devices (RFC 7252 §5.10.6): 8 bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ETag(pub [u8; 8]);

impl ETag {
    /// Derives the ETag from the origin URI, the validator and the length, if announced. `salt` keeps apart
    /// versions of a resource that has no validator: pass something new for each fetch of such a resource. (The
    /// engine passes strong validators only.)
    ///
    /// Every field is hashed with its length or a tag, so that no two different inputs run together.
    pub fn derive(url: &str, validator: Option<&Validator>, length: Option<u64>, salt: u64) -> Self {
        let mut hash = Sha256::new();
        let mut field = |tag: u8, bytes: &[u8]| {
            hash.update([tag]);
            hash.update((bytes.len() as u64).to_be_bytes());
            hash.update(bytes);
        };
        field(0, url.as_bytes());
        match validator {
            Some(Validator::Strong(tag)) => field(1, tag.as_bytes()),
            Some(Validator::Weak(tag)) => field(2, tag.as_bytes()),
            Some(Validator::LastModified(date)) => field(3, date.as_bytes()),
            None => field(4, &salt.to_be_bytes()),
        }
        if let Some(length) = length {
            field(5, &length.to_be_bytes());
        }
        Self::first_8(&hash.finalize())
    }

    /// The ETag of a body that the relay makes itself, such as `/.well-known/core`.
    pub fn of_bytes(body: &[u8]) -> Self {
        Self::first_8(&Sha256::digest(body))
    }

    fn first_8(digest: &[u8]) -> Self {
        let mut tag = [0; 8];
        tag.iter_mut().zip(digest).for_each(|(to, from)| *to = *from);
        Self(tag)
    }
}

impl fmt::Display for ETag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Hex(&self.0).fmt(f)
    }
}

impl fmt::Debug for ETag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ETag({self})")
    }
}

/// A complete version of a resource: never changed once made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// Its name towards devices.
    pub etag: ETag,
    /// What the origin calls it.
    pub validator: Option<Validator>,
    /// The Content-Format, if the media type has a number.
    pub content_format: Option<u16>,
    /// The body.
    pub body: Bytes,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_input_counts() {
        let strong = |tag: &str| Some(Validator::Strong(tag.into()));
        let base = ETag::derive("https://h/a", strong("\"1\"").as_ref(), Some(5), 0);
        assert_eq!(base, ETag::derive("https://h/a", strong("\"1\"").as_ref(), Some(5), 9), "salt is unused");
        for other in [
            ETag::derive("https://h/b", strong("\"1\"").as_ref(), Some(5), 0),
            ETag::derive("https://h/a", strong("\"2\"").as_ref(), Some(5), 0),
            ETag::derive("https://h/a", Some(&Validator::Weak("\"1\"".into())), Some(5), 0),
            ETag::derive("https://h/a", strong("\"1\"").as_ref(), Some(6), 0),
            ETag::derive("https://h/a", strong("\"1\"").as_ref(), None, 0),
            ETag::derive("https://h/a", None, Some(5), 0),
        ] {
            assert_ne!(base, other);
        }
        assert_ne!(ETag::derive("u", None, None, 1), ETag::derive("u", None, None, 2));
    }
}
