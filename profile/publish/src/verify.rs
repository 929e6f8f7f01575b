//! `verify`: whether a manifest and an image are what the owner of a key published.

use crate::cli::Verify;
use crate::failure::Failure;
use crate::files::{self, MAX_IMAGE};
use hmac_sha256::Hash;
use sixfold_manifest::{Manifest, suit};

pub(crate) fn run(arguments: &Verify) -> Result<String, Failure> {
    let keys =
        arguments.key.iter().map(|path| files::read_verifying_key(path)).collect::<Result<Vec<_>, _>>()?;
    let envelope = files::read(&arguments.manifest, suit::MAX_ENVELOPE as u64)?;
    let manifest = suit::verify(&envelope, &keys)
        .map_err(|error| Failure::Manifest(arguments.manifest.clone(), error))?;
    let image = files::read(&arguments.image, MAX_IMAGE)?;
    check_image(&manifest, &image).map_err(|what| Failure::Image(arguments.image.clone(), what))?;
    Ok(format!(
        "verified: sequence number {}, vendor {}, class {}, {} bytes\n",
        manifest.sequence_number, manifest.vendor, manifest.class, manifest.image_size
    ))
}

fn check_image(manifest: &Manifest, image: &[u8]) -> Result<(), &'static str> {
    if image.len() != manifest.image_size as usize {
        return Err("its size is another");
    }
    if Hash::hash(image) != manifest.image_digest {
        return Err("its digest is another");
    }
    let index = sixfold_manifest::chunk_index(image, manifest.chunk_size);
    manifest.check_index(&index).map_err(|_| "the signed chunk index is not that of its chunks")
}
