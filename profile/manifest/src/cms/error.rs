//! Why a signed object was refused, or could not be made.

use std::fmt;

/// One cause each; the text says whose fault it is and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// Longer than [`MAX_LENGTH`](super::MAX_LENGTH): this many bytes.
    TooLong(usize),
    /// PEM or BER instead of DER.
    NotDer(&'static str),
    /// Not the DER of CMS SignedData: where and why.
    Malformed(String),
    /// The image is inside the signed object (RFC 5652 §5.2).
    NotDetached,
    /// There is no SignerInfo.
    NoSigner,
    /// There are this many SignerInfos; RFC 4108 §2.1.2 has one.
    SeveralSigners(usize),
    /// A digest, signature or key algorithm that this module does not verify.
    UnsupportedAlgorithm(String),
    /// RSASSA-PSS with other parameters than SHA-256, MGF1 with SHA-256 and 32 bytes of salt.
    PssParameters,
    /// The signature covers the image directly.
    NoSignedAttributes,
    /// This signed attribute is absent.
    MissingAttribute(&'static str),
    /// This signed attribute occurs twice, or has not exactly one value.
    DuplicateAttribute(&'static str),
    /// This signed attribute does not say what this module understands.
    Attribute(&'static str, &'static str),
    /// More than one target hardware identifier: this many.
    SeveralTargets(usize),
    /// The content is not plain data (RFC 5652 §4).
    ContentType,
    /// The signer's certificate is not in the signed object.
    NoSignerCertificate,
    /// The signature does not match the signed attributes.
    BadSignature,
    /// A certificate of the chain was valid until this time, in Unix seconds.
    Expired(u64),
    /// A certificate of the chain is valid from this time, in Unix seconds.
    NotYetValid(u64),
    /// No trust anchor issued the chain.
    UnknownIssuer,
    /// A certificate of the chain or a revocation list is not signed with its issuer's key.
    BadChainSignature,
    /// A certificate of the chain is revoked.
    Revoked,
    /// There are revocation lists, but none for a certificate of the chain.
    UnknownRevocationStatus,
    /// A revocation list should have been renewed at this time, in Unix seconds.
    CrlExpired(u64),
    /// The signer's certificate is for other purposes than code signing (RFC 5280 §4.2.1.12).
    ExtendedKeyUsage,
    /// The signer's key is not for digital signatures (RFC 5280 §4.2.1.3).
    KeyUsage,
    /// The signer's certificate is a certification authority's.
    CaAsSigner,
    /// The chain breaks another rule of RFC 5280 §6.
    Path(String),
    /// There is nothing to trust.
    NoTrustAnchors,
    /// The trust anchor or revocation list of this name cannot be read, and why.
    Unreadable(&'static str, String),
    /// The image is not the one that was signed: its digest differs.
    ImageDigest,
    /// The image has not the signed size, in bytes.
    ImageSize {
        /// What was signed.
        signed: u32,
        /// What there is.
        found: usize,
    },
    /// The chunk index of the image is not the one that was signed.
    IndexDigest,
    /// The signing key cannot be read, and why.
    Key(String),
    /// The signing key is not that of the first certificate.
    KeyMismatch,
    /// The manifest says something that has no place in CMS.
    NotExpressible(&'static str),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong(bytes) => {
                write!(
                    f,
                    "the signature has {bytes} bytes, more than {}: is it the image itself?",
                    super::MAX_LENGTH
                )
            }
            Self::NotDer(what) => write!(f, "the signature is {what}: the publisher signs with -outform DER"),
            Self::Malformed(why) => {
                write!(
                    f,
                    "the signature is damaged or no CMS SignedData ({why}): fetch it again or ask its publisher"
                )
            }
            Self::NotDetached => {
                f.write_str("the signature contains the image: the publisher signs without -nodetach")
            }
            Self::NoSigner => f.write_str("nobody signed: the publisher must sign the image"),
            Self::SeveralSigners(count) => {
                write!(f, "{count} signers, but one is needed: the publisher signs once")
            }
            Self::NoSignedAttributes => {
                f.write_str("the signature has no signed attributes: the publisher signs without -noattr")
            }
            Self::NoSignerCertificate => {
 f.write_str("the signer's certificate is missing: the publisher signs without -nocerts")
},
            Self::MissingAttribute(name) => {
                write!(f, "the publisher did not sign the attribute {name}: sign with sixfold-publish")
            }
            Self::DuplicateAttribute(name) => {
                write!(f, "the publisher signed more than one value of the attribute {name}: one is allowed")
            }
            Self::Attribute(name, why) => {
                write!(f, "the publisher's attribute {name} {why}: sign with sixfold-publish")
            }
            Self::SeveralTargets(count) => {
                write!(f, "the image is for {count} kinds of hardware: the publisher signs it for each alone")
            }
            Self::ContentType => f.write_str(
                "the content is not plain data (id-data): the publisher signs without -econtent_type",
            ),
            Self::Expired(end) => write!(
                f,
                "a certificate of the signer expired at Unix time {end}: the publisher must renew it and sign again, \
                 unless this clock is wrong"
            ),
            Self::NotYetValid(start) => write!(
                f,
                "a certificate of the signer is valid from Unix time {start} only: this clock is wrong, or the \
                 publisher was too early"
            ),
            Self::CrlExpired(next) => write!(
                f,
                "a revocation list should have been renewed at Unix time {next}: fetch its issuer's current one"
            ),
            Self::UnsupportedAlgorithm(what) => {
                write!(f, "{what} is not supported: the publisher signs with SHA-256 and ECDSA P-256 or RSA")
            }
            Self::PssParameters => f.write_str(
                "RSASSA-PSS needs SHA-256 and 32 bytes of salt: the publisher signs with \
                 -keyopt rsa_pss_saltlen:digest",
            ),
            Self::BadSignature => {
                f.write_str("the signature is wrong: what was signed was changed, do not install the image")
            }
            Self::UnknownIssuer => f.write_str(
                "no trust anchor issued the signer's certificate: trust its root, or refuse this publisher; \
                 an intermediate certificate that is missing belongs into the signature (-certfile)",
            ),
            Self::BadChainSignature => {
                f.write_str("a certificate or revocation list was not made by the issuer it names: do not trust it")
            }
            Self::Revoked => f.write_str("a certificate of the signer is revoked: do not install the image"),
            Self::UnknownRevocationStatus => f.write_str(
                "no revocation list is about a certificate of the signer: configure its issuer's list as well",
            ),
            Self::ExtendedKeyUsage => {
                f.write_str("the signer's certificate is not for code signing: the publisher needs another one")
            }
            Self::KeyUsage => {
                f.write_str("the signer's certificate is not for signatures: the publisher needs another one")
            }
            Self::CaAsSigner => f.write_str(
                "the signer's certificate is a certification authority's: the publisher needs an end entity's",
            ),
            Self::Path(why) => write!(f, "the signer's certificates are not acceptable: {why}"),
            Self::NoTrustAnchors => f.write_str("there is no trust anchor: configure one"),
            Self::Unreadable(what, why) => write!(f, "the configured {what} cannot be read: {why}"),
            Self::ImageSize { signed, found } => {
                write!(f, "the image has {found} bytes, but {signed} were signed: fetch it again")
            }
            Self::IndexDigest => {
                f.write_str("the signed chunk index is not that of the image: the publisher's fault")
            }
            Self::ImageDigest => {
 f.write_str("the image is not the one that was signed: fetch it again or ask its publisher")
},
            Self::Key(why) => write!(f, "the signing key cannot be read as a PKCS #8 P-256 key: {why}"),
            Self::NotExpressible(what) => {
                write!(f, "a CMS signature has no place for {what}: leave it out or sign a SUIT manifest")
            }
            Self::KeyMismatch => f.write_str(
                "the signing key does not belong to the first certificate: give the signer's first",
            ),
        }
    }
}

impl std::error::Error for Error {}

impl From<der::Error> for Error {
    fn from(error: der::Error) -> Self {
        Self::Malformed(error.to_string())
    }
}
