//! Files: read whole but never without bound, written whole or not at all.

use crate::failure::Failure;
use sixfold_manifest::encryption::{DecryptionKey, KeyEncryptionKey, RecipientPublicKey};
use sixfold_manifest::keys::{SigningKey, VerifyingKey};
use sixfold_manifest::{cms, suit};
use std::ffi::OsString;
use std::fs::{File, Permissions};
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// The largest image: what Block2 can number, 2^20 blocks of 1024 bytes (RFC 7959 §2.2).
pub(crate) const MAX_IMAGE: u64 = 1 << 30;
/// The largest SUIT envelope or CMS signature.
pub(crate) const MAX_SIGNED: u64 = 1 << 20;
/// More than any PEM file of a key or of certificates.
const MAX_KEY: u64 = 1 << 16;
/// More than any revocation list that a device would be given.
const MAX_CRL: u64 = 1 << 24;

const _: () = assert!(MAX_SIGNED >= suit::MAX_ENVELOPE as u64 && MAX_SIGNED >= cms::MAX_LENGTH as u64);

/// Mode of what everybody may read.
pub(crate) const PUBLIC: u32 = 0o644;
/// Mode of what only its owner may read.
pub(crate) const SECRET: u32 = 0o600;

/// The content of a file of at most `limit` bytes.
pub(crate) fn read(path: &Path, limit: u64) -> Result<Vec<u8>, Failure> {
    let file = File::open(path).map_err(Failure::file(path, "open"))?;
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes).map_err(Failure::file(path, "read"))?;
    if bytes.len() as u64 > limit { Err(Failure::TooLarge(path.to_owned(), limit)) } else { Ok(bytes) }
}

pub(crate) fn read_signing_key(path: &Path) -> Result<SigningKey, Failure> {
    let pem = read(path, MAX_KEY)?;
    SigningKey::from_pem(&String::from_utf8_lossy(&pem)).map_err(|error| Failure::Key(path.to_owned(), error))
}

pub(crate) fn read_key_encryption_key(path: &Path) -> Result<KeyEncryptionKey, Failure> {
    let text = read(path, MAX_KEY)?;
    KeyEncryptionKey::from_text(&String::from_utf8_lossy(&text))
        .map_err(|error| Failure::Key(path.to_owned(), error))
}

pub(crate) fn read_recipient(path: &Path) -> Result<RecipientPublicKey, Failure> {
    let pem = read(path, MAX_KEY)?;
    RecipientPublicKey::from_pem(&String::from_utf8_lossy(&pem))
        .map_err(|error| Failure::Key(path.to_owned(), error))
}

pub(crate) fn read_decryption_key(path: &Path) -> Result<DecryptionKey, Failure> {
    let text = read(path, MAX_KEY)?;
    DecryptionKey::from_text(&String::from_utf8_lossy(&text))
        .map_err(|error| Failure::Key(path.to_owned(), error))
}

pub(crate) fn read_verifying_key(path: &Path) -> Result<VerifyingKey, Failure> {
    let pem = read(path, MAX_KEY)?;
    VerifyingKey::from_pem(&String::from_utf8_lossy(&pem))
        .map_err(|error| Failure::Key(path.to_owned(), error))
}

pub(crate) fn read_cms_key(path: &Path) -> Result<cms::SigningKey, Failure> {
    cms::SigningKey::read(&read(path, MAX_KEY)?).map_err(|error| Failure::Cms(path.to_owned(), error))
}

pub(crate) fn read_certificates(path: &Path) -> Result<Vec<Vec<u8>>, Failure> {
    cms::certificates(&read(path, MAX_KEY)?).map_err(|error| Failure::Cms(path.to_owned(), error))
}

pub(crate) fn read_revocation_lists(path: &Path) -> Result<Vec<Vec<u8>>, Failure> {
    cms::revocation_lists(&read(path, MAX_CRL)?).map_err(|error| Failure::Cms(path.to_owned(), error))
}

/// Writes a file in place of what has its name; a reader sees the old content or the new.
pub(crate) fn replace(path: &Path, bytes: &[u8], mode: u32) -> Result<(), Failure> {
    let file = temporary(path, bytes, mode)?;
    file.persist(path).map_err(|error| Failure::file(path, "write")(error.error))?;
    Ok(())
}

/// Writes a file that must not exist.
pub(crate) fn create(path: &Path, bytes: &[u8], mode: u32) -> Result<(), Failure> {
    let file = temporary(path, bytes, mode)?;
    match file.persist_noclobber(path) {
        Ok(_) => Ok(()),
        Err(error) if error.error.kind() == std::io::ErrorKind::AlreadyExists => {
            Err(Failure::Exists(path.to_owned()))
        }
        Err(error) => Err(Failure::file(path, "write")(error.error)),
    }
}

/// A file beside `path`, on disk. It disappears unless it is given its name.
fn temporary(path: &Path, bytes: &[u8], mode: u32) -> Result<NamedTempFile, Failure> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let file = tempfile::Builder::new()
        .prefix(".sixfold-")
        .permissions(Permissions::from_mode(mode))
        .tempfile_in(directory);
    let written = file.and_then(|mut file| {
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        Ok(file)
    });
    written.map_err(Failure::file(path, "write"))
}

/// `path` with `suffix` behind its name.
pub(crate) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name: OsString = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}
