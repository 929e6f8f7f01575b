//! The numbers of the IANA registry "Software Update for the Internet of Things (SUIT)", by its names, and ours.

/// The CBOR tag of a SUIT_Envelope.
pub(super) const ENVELOPE_TAG: u64 = 107;
/// SHA-256 as COSE names it (RFC 9054 §2.1).
pub(super) const SHA_256: i64 = -16;

/// SUIT Envelope Elements.
pub(super) mod envelope {
    pub(in crate::suit) const AUTHENTICATION_WRAPPER: i64 = 2;
    pub(in crate::suit) const MANIFEST: i64 = 3;
    /// Ours: the key of the integrated payload that is the chunk index, and the URI that names it.
    pub(in crate::suit) const INDEX: &str = "#index";
}

/// SUIT Manifest Elements.
pub(super) mod manifest {
    pub(in crate::suit) const VERSION: i64 = 1;
    pub(in crate::suit) const SEQUENCE_NUMBER: i64 = 2;
    pub(in crate::suit) const COMMON: i64 = 3;
    pub(in crate::suit) const VALIDATE: i64 = 7;
    pub(in crate::suit) const INVOKE: i64 = 9;
    pub(in crate::suit) const PAYLOAD_FETCH: i64 = 16;
    pub(in crate::suit) const INSTALL: i64 = 20;
}

/// SUIT Common Elements.
pub(super) mod common {
    pub(in crate::suit) const COMPONENTS: i64 = 2;
    pub(in crate::suit) const SHARED_SEQUENCE: i64 = 4;
}

/// SUIT Commands.
pub(super) mod command {
    pub(in crate::suit) const VENDOR_IDENTIFIER: i64 = 1;
    pub(in crate::suit) const CLASS_IDENTIFIER: i64 = 2;
    pub(in crate::suit) const IMAGE_MATCH: i64 = 3;
    pub(in crate::suit) const SET_COMPONENT_INDEX: i64 = 12;
    pub(in crate::suit) const OVERRIDE_PARAMETERS: i64 = 20;
    pub(in crate::suit) const FETCH: i64 = 21;
    pub(in crate::suit) const COPY: i64 = 22;
    pub(in crate::suit) const INVOKE: i64 = 23;
}

/// SUIT Parameters.
pub(super) mod parameter {
    pub(in crate::suit) const VENDOR_IDENTIFIER: i64 = 1;
    pub(in crate::suit) const CLASS_IDENTIFIER: i64 = 2;
    pub(in crate::suit) const IMAGE_DIGEST: i64 = 3;
    pub(in crate::suit) const IMAGE_SIZE: i64 = 14;
    pub(in crate::suit) const ENCRYPTION_INFO: i64 = 19;
    pub(in crate::suit) const URI: i64 = 21;
    pub(in crate::suit) const SOURCE_COMPONENT: i64 = 22;
    /// Ours, from the range for private use (below -255): the size of a chunk in bytes, a power of two from 256 to
    /// 65 536. It is a custom parameter, so it must not stand in the shared sequence.
    pub(in crate::suit) const CHUNK_SIZE: i64 = -256;
}

/// Which component is which, and how each is called.
pub(super) mod component {
    pub(in crate::suit) const IMAGE: u64 = 0;
    pub(in crate::suit) const INDEX: u64 = 1;
    /// The image as it is fetched, where it is encrypted.
    pub(in crate::suit) const ENCRYPTED: u64 = 2;
    pub(in crate::suit) const IMAGE_IDENTIFIER: &[&[u8]] = &[&[0]];
    pub(in crate::suit) const INDEX_IDENTIFIER: &[&[u8]] = &[&[0], b"index"];
    pub(in crate::suit) const ENCRYPTED_IDENTIFIER: &[&[u8]] = &[&[0], b"encrypted"];
}
