//! SUIT manifests (RFC 9019, RFC 9124; the format is that of draft-ietf-suit-manifest-34, which IANA's registry cites).
//!
//! An envelope says about one image what [`Manifest`] says, signed with COSE_Sign1 (RFC 9052), and carries the chunk
//! index as integrated payload `#index`. It has two components: the image, `[h'00']`, and its index,
//! `[h'00', 'index']`. [`sign`] always writes the same bytes for the same manifest and key.
//!
//! ```text
//! 107({
//!   2: << [ << [-16, h'…'] >>,                               SUIT_Digest of the manifest, its bstr head included
//!           << 18([ << {1: alg} >>, {4: kid}, nil, h'…' ]) >> ] >>,         detached: over the SUIT_Digest
//!   3: << { 1: 1,                                                               manifest version
//!           2: sequence number,
//!           3: << { 2: [[h'00'], [h'00', 'index']],
//!                   4: << [ 12, 0, 20, {1: vendor, 2: class, 3: << digest >>, 14: size}, 1, 15, 2, 15,
//!                           12, 1, 20, {3: << digest >>, 14: size} ] >> } >>,
//!           7: << [ 12, 0, 3, 15 ] >>,                                          validate: the image matches
//!           9: << [ 12, 0, 23, 2 ] >>,                                          invoke: the image
//!          16: << [ 12, 1, 20, {21: "#index", -256: chunk size}, 21, 2, 3, 15,
//!                   12, 0, 20, {21: URI}, 21, 2 ] >> } >>,      the last line only with a URI
//!   "#index": h'…' })
//! ```
//!
//! The manifest of an encrypted image has a third component, `[h'00', 'encrypted']`. That one is what is fetched, and the image is made of
//! it (draft-ietf-suit-firmware-encryption):
//!
//! ```text
//!          16: << [ …, 12, 2, 20, {21: URI}, 21, 2 ] >>,
//!          20: << [ 12, 0, 20, {19: << encryption info >>, 22: 2}, 22, 2 ] >>
//! ```
//!
//! [`verify`] runs the sequences as a manifest processor would, so the order of commands is free where the
//! specification leaves it free; but it deliberately knows no other commands, parameters, severed members or
//! dependencies than these, and refuses what it does not know.

mod authentication;
mod cbor;
mod commands;
mod describe;
mod encryption_info;
mod envelope;
mod error;
mod labels;
mod statements;

pub use describe::describe;
pub use error::{Error, Fault, Part};

use crate::Manifest;
use crate::keys::{SigningKey, VerifyingKey};
use envelope::Envelope;

/// The largest envelope in bytes. With chunks of 4096 bytes, its index is that of an image of 127 MiB.
pub const MAX_ENVELOPE: usize = 1 << 20;

/// The signed envelope of a manifest that has its chunk index.
///
/// # Errors
/// [`Error::NoIndex`] without one, [`Error::Index`] when it is not that of the manifest, [`Error::Value`] when the
/// image is empty or the URI means the index, [`Error::TooLarge`].
pub fn sign(manifest: &Manifest, key: &SigningKey) -> Result<Vec<u8>, Error> {
    let index = manifest.index.as_ref().ok_or(Error::NoIndex)?;
    statements::check(manifest, index)?;
    let statements = cbor::encode(&statements::write(manifest, index));
    let envelope = Envelope {
        authentication: authentication::sign(&statements, key),
        manifest: statements,
        index: index.clone(),
    };
    let bytes = envelope.write();
    if bytes.len() > MAX_ENVELOPE { Err(Error::TooLarge(bytes.len())) } else { Ok(bytes) }
}

/// What the owner of one of `keys` says in `envelope`, with its chunk index.
///
/// # Errors
/// All but [`Error::NoIndex`]. Nothing in the manifest is looked at before its signature was verified.
pub fn verify(envelope: &[u8], keys: &[VerifyingKey]) -> Result<Manifest, Error> {
    let envelope = Envelope::read(envelope)?;
    authentication::verify(&envelope.authentication, &envelope.manifest, keys)?;
    statements::read(&envelope.manifest, envelope.index)
}

/// What `envelope` claims, whoever signed it: for tools that show or compare manifests, never to act upon.
///
/// # Errors
/// As [`verify`], without those of keys and signatures.
pub fn claims(envelope: &[u8]) -> Result<Manifest, Error> {
    let envelope = Envelope::read(envelope)?;
    statements::read(&envelope.manifest, envelope.index)
}

/// Whether bytes begin as an envelope does, with tag 107.
pub fn is_envelope(bytes: &[u8]) -> bool {
    envelope::is_tagged(bytes)
}
