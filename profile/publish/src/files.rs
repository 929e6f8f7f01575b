//! Files: read whole but never without bound, written whole or not at all.

use crate::failure::Failure;
use sixfold_manifest::encryption::{DecryptionKey, KeyEncryptionKey, RecipientPublicKey};
use sixfold_manifest::keys::{SigningKey, VerifyingKey};
use sixfold_manifest::{cms, suit};
use std::ffi::OsString;
use std::fs::{self, File, Permissions};
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
const PUBLIC: u32 = 0o644;
/// Mode of what only its owner may read.
const SECRET: u32 = 0o600;

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

/// Writes files that everybody may read, each in place of what has its name: a reader sees its old content or the new. None of
/// them is touched unless there is room for all.
pub(crate) fn replace(files: &[(PathBuf, &[u8])]) -> Result<(), Failure> {
    let written = files.iter().map(|(path, bytes)| temporary(path, bytes, PUBLIC).map(|file| (path, file)));
    for (path, file) in written.collect::<Result<Vec<_>, _>>()? {
        file.persist(path).map_err(|error| Failure::file(path, "write")(error.error))?;
    }
    Ok(())
}

/// Writes a file that only its owner may read, and that must not exist.
pub(crate) fn create_secret(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    name(temporary(path, bytes, SECRET)?, path)
}

/// Writes a secret file, and one for everybody; neither may exist, and there is never one of them alone.
pub(crate) fn create_pair(secret: (&Path, &[u8]), public: (&Path, &[u8])) -> Result<(), Failure> {
    if public.0.symlink_metadata().is_ok() {
        return Err(Failure::Exists(public.0.to_owned()));
    }
    let halves = (temporary(secret.0, secret.1, SECRET)?, temporary(public.0, public.1, PUBLIC)?);
    name(halves.0, secret.0)?;
    // Whoever has not the public half makes another pair: the secret one would only be in the way.
    name(halves.1, public.0).inspect_err(|_| drop(fs::remove_file(secret.0)))
}

/// Gives a file its name, which nothing may have.
fn name(file: NamedTempFile, path: &Path) -> Result<(), Failure> {
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
