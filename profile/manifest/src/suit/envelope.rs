//! SUIT_Envelope: what is signed, the signature, and the payload that travels with them.

use super::MAX_ENVELOPE;
use super::cbor::{Fields, decode, encode, map};
use super::error::{Error, Part};
use super::labels::{ENVELOPE_TAG, envelope};
use ciborium::Value;

/// The contents of the byte strings of an envelope.
pub(super) struct Envelope {
    /// SUIT_Authentication.
    pub(super) authentication: Vec<u8>,
    /// SUIT_Manifest.
    pub(super) manifest: Vec<u8>,
    /// The chunk index.
    pub(super) index: Vec<u8>,
}

impl Envelope {
    pub(super) fn write(self) -> Vec<u8> {
        let elements = map(vec![
            (envelope::AUTHENTICATION_WRAPPER.into(), Value::Bytes(self.authentication)),
            (envelope::MANIFEST.into(), Value::Bytes(self.manifest)),
            (envelope::INDEX.into(), Value::Bytes(self.index)),
        ]);
        encode(&Value::Tag(ENVELOPE_TAG, Box::new(elements)))
    }

    pub(super) fn read(bytes: &[u8]) -> Result<Self, Error> {
        if bytes.len() > MAX_ENVELOPE {
            return Err(Error::TooLarge(bytes.len()));
        }
        if !is_tagged(bytes) {
            return Err(Error::NotAnEnvelope);
        }
        let Value::Tag(ENVELOPE_TAG, elements) = decode(Part::Envelope, bytes)? else {
            return Err(Error::NotAnEnvelope);
        };
        let mut elements = Fields::new(Part::Envelope, *elements)?;
        let envelope = Self {
            authentication: elements.bytes(envelope::AUTHENTICATION_WRAPPER, "authentication wrapper")?,
            manifest: elements.bytes(envelope::MANIFEST, "manifest")?,
            index: elements.bytes(envelope::INDEX, "chunk index (\"#index\")")?,
        };
        elements.end()?;
        Ok(envelope)
    }
}

/// Whether bytes begin as an envelope does: with tag 107.
pub(super) fn is_tagged(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0xd8, ENVELOPE_TAG as u8])
}
