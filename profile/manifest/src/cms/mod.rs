//! Detached CMS SignedData (RFC 5652) over an image, with the attributes of RFC 4108.
//!
//! For houses that have an X.509 PKI, and for images that the `openssl` command line signed: the object is a file
//! beside the image, `NAME.p7s`, and the chunk index is another, `NAME.idx`. The content type is id-data, and not
//! id-ct-firmwarePackage: the latter's content is the DER of an OCTET STRING, so that the message digest would not
//! be the SHA-256 of the image. `attributes.rs` has the table of what each attribute says.
//!
//! One signer, SHA-256, and ECDSA with P-256 or RSA. This module deliberately has no Ed25519 (RFC 8419 §3.1 prescribes
//! SHA-512 for it), no encryption, no counter-signatures and no timestamps: the signing time proves nothing, and the
//! validity of certificates is judged at the time that the caller gives.

mod attributes;
mod describe;
mod error;
mod identifier;
mod path;
mod pem;
mod sign;
mod signed_data;

pub use attributes::IMAGE_CHUNKS;
pub use describe::describe;
pub use error::Error;
pub use pem::{certificates, revocation_lists};
pub use sign::{SigningKey, sign};

use crate::{Manifest, chunk_index};
use attributes::Attributes;
use const_oid::db::rfc5911::ID_SIGNED_DATA;
use hmac_sha256::Hash;
use signed_data::SignedData;
use sixfold_profile::Hex;

/// The longest signed object that is read, in bytes.
pub const MAX_LENGTH: usize = 1 << 20;
/// A tag, the longest length in DER of so many bytes, and id-signedData with its own tag and length.
const HEAD: usize = 16;

/// What a device or an operator trusts, each as DER.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustAnchors {
    /// Roots, whose own validity is not judged. Never a signer's own certificate.
    pub certificates: Vec<Vec<u8>>,
    /// Revocation lists (RFC 5280 §5). With none, nothing is known to be revoked; with any, every certificate of a
    /// chain needs a current one.
    pub crls: Vec<Vec<u8>>,
}

/// Who signed an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signer {
    /// The subject of the certificate (RFC 4514).
    pub subject: String,
    /// The serial number of the certificate, in hexadecimal.
    pub serial_number: String,
    /// When the signer says that this was, in Unix seconds; nothing proves it.
    pub signing_time: Option<u64>,
}

/// What the publisher says about an image, which is not needed for this; `now_unix_s` in seconds.
///
/// # Errors
/// All but those about the image and about signing.
pub fn verify(p7s: &[u8], anchors: &TrustAnchors, now_unix_s: u64) -> Result<Manifest, Error> {
    let signed = SignedData::read(p7s)?;
    path::verify(&signed, anchors, now_unix_s)?;
    attributes(&signed)?.manifest()
}

/// What `p7s` claims, whoever signed it: for tools that show or compare manifests, never to act upon.
///
/// # Errors
/// As [`verify`], without those about the signature and its certificates.
pub fn claims(p7s: &[u8]) -> Result<Manifest, Error> {
    attributes(&SignedData::read(p7s)?)?.manifest()
}

/// Whether bytes begin as DER of CMS SignedData does: a SEQUENCE, and in it id-signedData.
pub fn is_signed_data(bytes: &[u8]) -> bool {
    let head = bytes.get(..HEAD).unwrap_or(bytes);
    let names_it = |window: &[u8]| window == ID_SIGNED_DATA.as_bytes();
    head.first() == Some(&0x30) && head.windows(ID_SIGNED_DATA.as_bytes().len()).any(names_it)
}

/// The same as [`verify`], and that `image` is the one the manifest is about.
///
/// # Errors
/// Those of [`verify`], [`Error::ImageSize`], [`Error::ImageDigest`] and [`Error::IndexDigest`].
pub fn verify_image(
    p7s: &[u8],
    image: &[u8],
    anchors: &TrustAnchors,
    now_unix_s: u64,
) -> Result<Manifest, Error> {
    let manifest = verify(p7s, anchors, now_unix_s)?;
    if image.len() != manifest.image_size as usize {
        return Err(Error::ImageSize { signed: manifest.image_size, found: image.len() });
    }
    if Hash::hash(image) != manifest.image_digest {
        return Err(Error::ImageDigest);
    }
    let index = chunk_index(image, manifest.chunk_size);
    manifest.check_index(&index).map_err(|_| Error::IndexDigest)?;
    Ok(manifest)
}

/// Who signed `image`, with any signed attributes: for objects that another tool made, such as
/// `openssl cms -sign -binary -outform DER`.
///
/// # Errors
/// Those of [`verify`], except about the attributes of RFC 4108, and [`Error::ImageDigest`].
pub fn verify_detached(
    p7s: &[u8],
    image: &[u8],
    anchors: &TrustAnchors,
    now_unix_s: u64,
) -> Result<Signer, Error> {
    let signed = SignedData::read(p7s)?;
    let certificate = path::verify(&signed, anchors, now_unix_s)?;
    let attributes = attributes(&signed)?;
    if attributes.message_digest()? != Hash::hash(image) {
        return Err(Error::ImageDigest);
    }
    Ok(Signer {
        subject: printable(&certificate.tbs_certificate.subject),
        serial_number: Hex(certificate.tbs_certificate.serial_number.as_bytes()).to_string(),
        signing_time: attributes.signing_time()?,
    })
}

/// The signed attributes, whose content type is that of the content (RFC 5652 §11.1).
fn attributes<'a>(signed: &SignedData<'a>) -> Result<Attributes<'a>, Error> {
    let attributes = Attributes::read(signed.signer.signed_attributes)?;
    if attributes.content_type()? == signed.content_type { Ok(attributes) } else { Err(Error::ContentType) }
}

/// A name whose author may want to deceive who reads it on a terminal: `x509-cert` escapes ASCII only.
fn printable(name: &x509_cert::name::Name) -> String {
    name.to_string().chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}
