//! `sign --encrypt`: the image as it is published.

use crate::cli::Sign;
use crate::failure::Failure;
use crate::files::{self, MAX_SIGNED};
use sixfold_manifest::encryption::{
    ContentEncryptionKey, DecryptionKey, Encryption, KeyEncryptionKey, RecipientKey,
};
use sixfold_manifest::{Manifest, suit};

/// What devices fetch instead of the image, and notes in the manifest how it is decrypted; `None` when nobody asked for it.
pub(crate) fn encrypt(
    arguments: &Sign,
    name: &str,
    manifest: &mut Manifest,
    image: &[u8],
) -> Result<Option<Vec<u8>>, Failure> {
    let shared = arguments.encrypt.iter().flatten().map(|path| files::read_key_encryption_key(path));
    let shared: Vec<_> = shared.collect::<Result<_, _>>()?;
    let pairs = arguments.recipient.iter().map(|path| files::read_recipient(path));
    let pairs: Vec<_> = pairs.collect::<Result<_, _>>()?;
    if shared.is_empty() && pairs.is_empty() {
        return if arguments.encrypt.is_some() { Err(Failure::NoRecipient) } else { Ok(None) };
    }
    let key = match published(arguments, name, manifest, &shared)? {
        Some(key) => key,
        None => ContentEncryptionKey::generate().map_err(Failure::NewKey)?,
    };
    let mut encryption = Encryption::new(&key, &shared);
    for recipient in &pairs {
        encryption.add(&key, recipient, &RecipientKey::generate().map_err(Failure::NewKey)?);
    }
    let mut encrypted = image.to_vec();
    encryption.apply(&key, &mut encrypted);
    manifest.encryption = Some(encryption);
    Ok(Some(encrypted))
}

/// The key with which this image was published under this name before: it is encrypted as it was then, so that a device
/// that is fetching it is not disturbed when only the recipients become more. No other image must get that key, so that only
/// what this publisher signed is believed; and only with the IV that [`Encryption::new`] sets again, since with another one the key
/// stream is another part of the same. Whoever encrypts for key pairs alone cannot read it again, and takes another key.
fn published(
    arguments: &Sign,
    name: &str,
    manifest: &Manifest,
    keys: &[KeyEncryptionKey],
) -> Result<Option<ContentEncryptionKey>, Failure> {
    let Some(path) = &arguments.key else { return Ok(None) };
    let signer = files::read_signing_key(path)?.verifying_key();
    let envelope =
        files::read(&arguments.output.join(format!("{name}.suit")), MAX_SIGNED).unwrap_or_default();
    let old = suit::verify(&envelope, &[signer]).ok();
    let old =
        old.filter(|old| (old.image_digest, old.image_size) == (manifest.image_digest, manifest.image_size));
    let old = old.and_then(|old| old.encryption).filter(|old| old.iv.iter().all(|byte| *byte == 0));
    let keys: Vec<_> = keys.iter().cloned().map(DecryptionKey::from).collect();
    Ok(old.and_then(|old| old.content_key(&keys).ok()))
}
