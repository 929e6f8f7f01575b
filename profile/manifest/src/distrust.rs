//! Why signed bytes are not believed, in the kinds that call for different remedies.

use crate::{cms, suit};
use std::fmt;

/// A kind of [`suit::Error`] or [`cms::Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Distrust {
    /// The bytes are no manifest, or say what this device does not understand: the wrong file, or the publisher's fault.
    Malformed,
    /// The signer is nobody whom this device trusts to sign firmware.
    UntrustedSigner,
    /// A signature, of the manifest or in the chain of certificates, is wrong: damaged or forged.
    BadSignature,
    /// A certificate is expired or not valid yet, or this device's clock is wrong.
    OutOfTime,
    /// A certificate is revoked.
    Revoked,
    /// Nobody can tell whether a certificate is revoked: the device needs its issuer's current list.
    UnknownRevocation,
    /// The chunk index is not the one that was signed.
    Index,
}

impl Distrust {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Malformed,
        Self::UntrustedSigner,
        Self::BadSignature,
        Self::OutOfTime,
        Self::Revoked,
        Self::UnknownRevocation,
        Self::Index,
    ];
}

impl fmt::Display for Distrust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "the manifest is none, or not understood",
            Self::UntrustedSigner => "nobody signed the manifest whom this device trusts",
            Self::BadSignature => "a signature is wrong",
            Self::OutOfTime => "a certificate is expired, or not valid yet",
            Self::Revoked => "a certificate is revoked",
            Self::UnknownRevocation => "nobody can tell whether a certificate is revoked",
            Self::Index => "the chunk index is not the one that was signed",
        })
    }
}

impl suit::Error {
    /// What kind of distrust this is.
    pub const fn distrust(&self) -> Distrust {
        match self {
            Self::TooLarge(_)
            | Self::NotAnEnvelope
            | Self::Cbor(..)
            | Self::Missing(..)
            | Self::Value(..)
            | Self::Unknown(..)
            | Self::Version(_)
            | Self::Algorithm(_)
            | Self::Command(..)
            | Self::Sequence(..)
            | Self::NoIndex => Distrust::Malformed,
            Self::UntrustedKey(_) => Distrust::UntrustedSigner,
            Self::ManifestDigest | Self::Signature(_) => Distrust::BadSignature,
            Self::Index => Distrust::Index,
        }
    }
}

impl cms::Error {
    /// What kind of distrust this is.
    pub const fn distrust(&self) -> Distrust {
        match self {
            Self::TooLong(_)
            | Self::NotDer(_)
            | Self::Malformed(_)
            | Self::NotDetached
            | Self::NoSigner
            | Self::SeveralSigners(_)
            | Self::UnsupportedAlgorithm(_)
            | Self::PssParameters
            | Self::NoSignedAttributes
            | Self::MissingAttribute(_)
            | Self::DuplicateAttribute(_)
            | Self::Attribute(..)
            | Self::SeveralTargets(_)
            | Self::ContentType
            | Self::NoSignerCertificate
            | Self::Key(_)
            | Self::KeyMismatch
            | Self::NotExpressible(_) => Distrust::Malformed,
            Self::UnknownIssuer
            | Self::ExtendedKeyUsage
            | Self::KeyUsage
            | Self::CaAsSigner
            | Self::Path(_)
            | Self::NoTrustAnchors
            | Self::Unreadable(..) => Distrust::UntrustedSigner,
            Self::BadSignature | Self::BadChainSignature | Self::ImageDigest | Self::ImageSize { .. } => {
                Distrust::BadSignature
            }
            Self::Expired(_) | Self::NotYetValid(_) => Distrust::OutOfTime,
            Self::Revoked => Distrust::Revoked,
            Self::UnknownRevocationStatus | Self::CrlExpired(_) => Distrust::UnknownRevocation,
            Self::IndexDigest => Distrust::Index,
        }
    }
}
