//! `verify`: whether a manifest, an image and its chunk index are what somebody who is trusted published.

use crate::cli::Verify;
use crate::failure::Failure;
use crate::files::{self, MAX_IMAGE, MAX_SIGNED};
use hmac_sha256::Hash;
use sixfold_manifest::cms::{self, TrustAnchors};
use sixfold_manifest::{Manifest, suit};
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

/// The index of the largest image in the smallest chunks.
const MAX_INDEX: u64 = MAX_IMAGE / 256 * 32;

pub(crate) fn run(arguments: &Verify) -> Result<String, Failure> {
    let signed = files::read(&arguments.manifest, MAX_SIGNED)?;
    // What is neither is refused by the reader of the kind that was expected.
    let is_cms = cms::is_signed_data(&signed) || !suit::is_envelope(&signed) && arguments.key.is_empty();
    let manifest = if is_cms { verify_cms(arguments, &signed)? } else { verify_suit(arguments, &signed)? };
    let mut image = files::read(&arguments.image, MAX_IMAGE)?;
    decrypt(arguments, &manifest, &mut image)?;
    check_image(&manifest, &image).map_err(|what| Failure::Image(arguments.image.clone(), what))?;
    if let Some(path) = &arguments.index {
        let index = files::read(path, MAX_INDEX)?;
        manifest.check_index(&index).map_err(|error| Failure::Malformed(path.clone(), error.to_string()))?;
    }
    Ok(format!(
        "verified: sequence number {}, vendor {}, class {}, {} bytes\n",
        manifest.sequence_number, manifest.vendor, manifest.class, manifest.image_size
    ))
}

/// Makes of a published image what will be in flash, if there is a key; without one, the image is what will be there.
fn decrypt(arguments: &Verify, manifest: &Manifest, image: &mut [u8]) -> Result<(), Failure> {
    let keys = all(&arguments.decrypt_with, |path| files::read_decryption_key(path).map(|key| vec![key]))?;
    let Some(encryption) = manifest.encryption.as_ref().filter(|_| !keys.is_empty()) else { return Ok(()) };
    let refused = |error| Failure::NotDecrypted(arguments.image.clone(), error);
    encryption.apply(&encryption.content_key(&keys).map_err(refused)?, image);
    Ok(())
}

fn verify_suit(arguments: &Verify, envelope: &[u8]) -> Result<Manifest, Failure> {
    if arguments.key.is_empty() {
        return Err(Failure::NoTrust(arguments.manifest.clone(), "--key"));
    }
    let keys = all(&arguments.key, |path| files::read_verifying_key(path).map(|key| vec![key]))?;
    suit::verify(envelope, &keys).map_err(|error| Failure::Manifest(arguments.manifest.clone(), error))
}

fn verify_cms(arguments: &Verify, p7s: &[u8]) -> Result<Manifest, Failure> {
    if arguments.anchor.is_empty() {
        return Err(Failure::NoTrust(arguments.manifest.clone(), "--anchor"));
    }
    let anchors = TrustAnchors {
        certificates: all(&arguments.anchor, |path| files::read_certificates(path))?,
        crls: all(&arguments.crl, |path| files::read_revocation_lists(path))?,
    };
    let at = arguments.at.unwrap_or_else(SystemTime::now);
    // A clock before 1970 finds every certificate not valid yet, and says so.
    let at = at.duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
    cms::verify(p7s, &anchors, at).map_err(|error| Failure::Cms(arguments.manifest.clone(), error))
}

/// What is in all these files.
fn all<T>(paths: &[PathBuf], read: impl Fn(&PathBuf) -> Result<Vec<T>, Failure>) -> Result<Vec<T>, Failure> {
    let mut found = Vec::new();
    for path in paths {
        found.extend(read(path)?);
    }
    Ok(found)
}

fn check_image(manifest: &Manifest, image: &[u8]) -> Result<(), &'static str> {
    if image.len() != manifest.image_size as usize {
        return Err("its size is another");
    }
    if Hash::hash(image) != manifest.image_digest {
        let may_be_encrypted = manifest.encryption.is_some();
        return Err(if may_be_encrypted {
            "its digest is another (of an image that is encrypted, give the key with --decrypt-with)"
        } else {
            "its digest is another"
        });
    }
    let index = sixfold_manifest::chunk_index(image, manifest.chunk_size);
    manifest.check_index(&index).map_err(|_| "the signed chunk index is not that of its chunks")
}
