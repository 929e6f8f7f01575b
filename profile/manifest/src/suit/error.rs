//! Why an envelope is refused, or cannot be made.

use crate::keys::KeyId;
use std::fmt;

/// The parts of an envelope, by their names in the specification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// SUIT_Envelope.
    Envelope,
    /// SUIT_Authentication.
    Authentication,
    /// SUIT_Digest.
    Digest,
    /// COSE_Sign1.
    Signature,
    /// SUIT_Manifest.
    Manifest,
    /// SUIT_Common.
    Common,
    /// suit-shared-sequence.
    SharedSequence,
    /// suit-payload-fetch.
    PayloadFetch,
    /// suit-install.
    Install,
    /// SUIT_Encryption_Info.
    EncryptionInfo,
    /// suit-validate.
    Validate,
    /// suit-invoke.
    Invoke,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Envelope => "envelope",
            Self::Authentication => "authentication wrapper",
            Self::Digest => "SUIT_Digest",
            Self::Signature => "COSE_Sign1",
            Self::Manifest => "manifest",
            Self::Common => "common",
            Self::SharedSequence => "shared sequence",
            Self::PayloadFetch => "payload fetch",
            Self::Install => "install",
            Self::EncryptionInfo => "encryption info",
            Self::Validate => "validate",
            Self::Invoke => "invoke",
        })
    }
}

/// What is wrong with CBOR.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It ends early, nests too deeply, or is none.
    Malformed,
    /// It has more items than any envelope that follows the profile.
    TooManyItems,
    /// Bytes follow it.
    Trailing,
    /// A map has a key twice.
    DuplicateKey,
    /// It is not in the one encoding that RFC 8949 §4.2.1 allows.
    NotDeterministic,
}

/// Why an envelope is refused, or cannot be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// It has more than [`super::MAX_ENVELOPE`] bytes.
    TooLarge(usize),
    /// It does not begin with the tag of envelopes, 107.
    NotAnEnvelope,
    /// A part is not CBOR as it must be.
    Cbor(Part, Fault),
    /// A part lacks something that it must have.
    Missing(Part, &'static str),
    /// A part has a value of the wrong type or out of range.
    Value(Part, &'static str),
    /// A part has a key, a header or an element that this program does not know. To ignore it would be guessing.
    Unknown(Part, String),
    /// A manifest version other than 1.
    Version(u64),
    /// A digest or signature algorithm that this program does not know.
    Algorithm(Part),
    /// The manifest is not the one whose digest was signed.
    ManifestDigest,
    /// It is signed with a key that is not among the trusted ones.
    UntrustedKey(Option<KeyId>),
    /// The signature is not that of the trusted key which it names.
    Signature(KeyId),
    /// A command that this program does not know, or that has no place in this sequence.
    Command(Part, i64),
    /// The commands do not amount to what they must: what is wrong with them.
    Sequence(Part, &'static str),
    /// The chunk index is not the one that was signed, or not of the right length.
    Index,
    /// The manifest to be signed has no chunk index.
    NoIndex,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const PUBLISHER: &str = "the publisher must sign again with a tool that follows the profile";
        match self {
            Self::TooLarge(length) => write!(
                f,
                "the envelope has {length} bytes, more than {}: the publisher must sign with larger chunks",
                super::MAX_ENVELOPE
            ),
            Self::NotAnEnvelope => {
                f.write_str("this is not a SUIT envelope (it lacks the CBOR tag 107): is it the right file?")
            }
            Self::Cbor(part, fault) => write!(f, "the {part} {fault}"),
            Self::Missing(part, what) => write!(f, "the {part} has no {what}: {PUBLISHER}"),
            Self::Value(part, what) => write!(f, "the {part} has a wrong {what}: {PUBLISHER}"),
            Self::Unknown(part, what) => {
                write!(f, "the {part} has {what}, which this program does not know: update this program, or {PUBLISHER}")
            }
            Self::Version(version) => {
                write!(f, "the manifest has version {version}, this program knows 1: update this program")
            }
            Self::Algorithm(part) => {
                write!(f, "the {part} names an algorithm that is not in the profile: {PUBLISHER}")
            }
            Self::ManifestDigest => f.write_str(
                "the manifest is not the one that was signed: it was damaged or changed on the way, fetch it again",
            ),
            Self::UntrustedKey(None) => f.write_str(
                "the envelope is not signed by any trusted key: add the publisher's public key, if you trust it",
            ),
            Self::UntrustedKey(Some(id)) => write!(
                f,
                "the envelope is signed with key {id}, which is not trusted: add the publisher's public key, if you trust it"
            ),
            Self::Signature(id) => {
                write!(f, "the signature is not by key {id}: it was damaged or forged on the way, fetch it again")
            }
            Self::Command(part, command) => {
                write!(f, "the sequence {part} has command {command}, which does not belong there: {PUBLISHER}")
            }
            Self::Sequence(part, what) => write!(f, "the sequence {part} {what}: {PUBLISHER}"),
            Self::Index => f.write_str(
                "the chunk index is not the one that was signed: it was damaged or changed on the way, fetch it again",
            ),
            Self::NoIndex => f.write_str("there is no chunk index to sign: make one from the image"),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "is not well-formed CBOR: it was damaged or cut on the way, fetch it again",
            Self::TooManyItems => "has more items than the profile has use for: is it the right file?",
            Self::Trailing => "is followed by bytes that do not belong to it: fetch it again",
            Self::DuplicateKey => "has a key twice: the publisher must sign again",
            Self::NotDeterministic => {
                "is not in deterministic encoding (RFC 8949 section 4.2.1): the publisher must sign again"
            }
        })
    }
}

impl std::error::Error for Error {}
