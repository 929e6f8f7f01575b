//! The disk spool: complete representations that outlive the process, one file each, under a byte limit.
//!
//! A file is written under a temporary name, synced, and renamed into place, so that whatever a crash or a
//! power cut leaves behind is either a whole file or a temporary one, which the next start removes. Nothing
//! is trusted on the way back: [`Spool::load`] checks the digest of all bytes before it hands out the first.
//!
//! ```text
//! +------+----------+-------------------------------+--------------------+-------------+
//! | body | metadata | SHA-256 over body and metadata | metadata length u32 | magic 8 bytes |
//! +------+----------+-------------------------------+--------------------+-------------+
//! ```
//!
//! The metadata (JSON) comes last because it is complete only when the body is. The modification time of the
//! file is the time at which the origin last vouched for it.
//!
//! The spool never decides whether a representation may be used: the origin client does. All functions block
//! on the disk; call them from blocking threads.

use crate::lock::{self, Lock};
use anyhow::Context;
use bytes::Bytes;
use nix::unistd::{AccessFlags, access};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use sixfold_engine::{Freshness, Head, Validator};
use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};
use tempfile::NamedTempFile;
use tracing::warn;

/// The last bytes of every file; the final one of them is the version of the layout.
const MAGIC: [u8; 8] = *b"SIXFOLD\x01";
const DIGEST_LENGTH: usize = 32;
/// Digest, metadata length and magic.
const TAIL_LENGTH: usize = DIGEST_LENGTH + 4 + MAGIC.len();
/// URL, validator and media type come from HTTP headers, which are far smaller than this.
const MAX_METADATA: usize = 256 << 10;
/// Bytes that are read at once.
const CHUNK: usize = 64 << 10;
/// The modification time is not renewed more often than this: flash wears out.
const CONFIRM_INTERVAL: Duration = Duration::from_secs(300);
const FINAL_SUFFIX: &str = ".image";
const TEMPORARY_SUFFIX: &str = ".part";

/// What there is where a spool is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place<'p> {
    /// Something: whether it is of use shows when it is opened.
    There,
    /// Nothing, and whoever asks can make it in this directory, with what is between.
    ToBeMade(&'p Path),
    /// Nothing, and it cannot be made in this one.
    OutOfReach(&'p Path),
}

/// Looks without changing anything.
pub(crate) fn place(directory: &Path) -> Place<'_> {
    let is_absent = |error: io::Error| matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory);
    if !fs::metadata(directory).is_err_and(is_absent) {
        return Place::There;
    }
    let above = directory.ancestors().skip(1);
    let parent = above
        .map(|path| if path.as_os_str().is_empty() { Path::new(".") } else { path })
        .find(|path| path.exists());
    let parent = parent.unwrap_or(Path::new("/"));
    match access(parent, AccessFlags::W_OK | AccessFlags::X_OK) {
        Ok(()) if parent.is_dir() => Place::ToBeMade(parent),
        _ => Place::OutOfReach(parent),
    }
}

/// A directory of complete representations.
#[derive(Debug)]
pub struct Spool {
    directory: PathBuf,
    limit: AtomicU64,
    /// Two in one directory would remove each other's files.
    _lock: Lock,
    index: Mutex<Index>,
    complained: AtomicBool,
}

impl Spool {
    /// Whether the spool gives files such names.
    pub fn is_name(file: &Path) -> bool {
        let name = file.file_name().unwrap_or_default().as_encoded_bytes();
        [FINAL_SUFFIX, TEMPORARY_SUFFIX].iter().any(|suffix| name.ends_with(suffix.as_bytes()))
    }

    /// Opens or creates the directory, removes what an earlier process left unfinished, and brings what is
    /// there under `limit` bytes.
    ///
    /// # Errors
    /// If the directory cannot be made or read; [`Refused`](crate::refused::Refused) if another process has it open.
    pub fn open(directory: &Path, limit: u64) -> anyhow::Result<Self> {
        fs::create_dir_all(directory).context("it cannot be made")?;
        let spool = Self {
            directory: directory.to_owned(),
            limit: AtomicU64::new(limit),
            _lock: lock::hold(directory, "cache.disk", directory)?,
            index: Mutex::new(Index::default()),
            complained: AtomicBool::new(false),
        };
        spool.scan()?;
        spool.reserve(0);
        Ok(spool)
    }

    /// Whether it is this directory, however it is called.
    pub fn is_at(&self, directory: &Path) -> bool {
        let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
        real(&self.directory) == real(directory)
    }

    /// Allows it other bytes from now on.
    pub fn resize(&self, limit: u64) {
        self.limit.store(limit, Ordering::Relaxed);
        self.reserve(0);
    }

    fn limit(&self) -> u64 {
        self.limit.load(Ordering::Relaxed)
    }

    /// Bytes on disk now, with those that are being written.
    pub fn bytes(&self) -> u64 {
        self.index().used
    }

    /// The representation kept for this URL, after all of its bytes were verified. One that is damaged is
    /// deleted with a warning.
    pub fn load(&self, url: &str) -> Option<Stored> {
        let name = file_name(url);
        if !self.index().touch(&name) {
            return None;
        }
        match Stored::open(&self.directory.join(&name), url) {
            Ok(stored) => Some(stored),
            Err(error) => {
                warn!(
                    url,
                    file = name,
                    "the copy on disk is damaged ({error}); deleted, it will be fetched anew"
                );
                self.delete(&name);
                None
            }
        }
    }

    /// Starts to write the representation of this URL. `None` if it has no validator (it could never be
    /// validated again), cannot fit, or the disk refuses.
    pub fn begin(self: &Arc<Self>, url: &str, head: &Head) -> Option<Draft> {
        let metadata = Metadata::new(url, head)?;
        if head.length.is_some_and(|length| length > self.limit()) {
            return None;
        }
        let file = tempfile::Builder::new().suffix(TEMPORARY_SUFFIX).tempfile_in(&self.directory);
        let file = file.map_err(|error| self.complain(&error)).ok()?;
        Some(Draft {
            spool: Arc::clone(self),
            number: self.index().begin(file_name(url)),
            metadata,
            file: Some(file),
            digest: Sha256::new(),
            reserved: 0,
        })
    }

    /// The origin vouched for this URL's representation just now.
    pub fn confirm(&self, url: &str) {
        let name = file_name(url);
        if !self.index().touch(&name) {
            return;
        }
        let renew = || -> io::Result<()> {
            let file = File::options().write(true).open(self.directory.join(&name))?;
            let now = SystemTime::now();
            match now.duration_since(file.metadata()?.modified()?) {
                Ok(age) if age > CONFIRM_INTERVAL => file.set_modified(now),
                _ => Ok(()),
            }
        };
        if let Err(error) = renew() {
            self.complain(&error);
        }
    }

    /// Forgets what is kept for this URL.
    pub fn remove(&self, url: &str) {
        self.delete(&file_name(url));
    }

    /// Forgets what is kept for this URL, or everything. What is being written meanwhile will not be kept: it may
    /// be the same bytes, of which only the last step to the disk is missing. Gives how many files there were.
    pub fn purge(&self, url: Option<&str>) -> usize {
        let mut index = self.index();
        if let Some(url) = url {
            let name = file_name(url);
            index.drafts.retain(|_, draft| *draft != name);
            let count = index.files.contains_key(&name).into();
            self.delete_locked(&mut index, &name);
            return count;
        }
        let count = index.files.len();
        index.drafts.clear();
        while let Some(name) = index.least_recently_used() {
            self.delete_locked(&mut index, &name);
        }
        count
    }

    fn index(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn scan(&self) -> io::Result<()> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.directory)? {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            if name.ends_with(TEMPORARY_SUFFIX) {
                fs::remove_file(entry.path())?;
            } else if name.ends_with(FINAL_SUFFIX) {
                let metadata = entry.metadata()?;
                found.push((metadata.modified()?, name, metadata.len()));
            }
        }
        found.sort();
        let mut index = self.index();
        found.into_iter().for_each(|(_, name, size)| index.insert(name, size));
        Ok(())
    }

    /// Makes room for `bytes` more, at the cost of what was used least recently.
    fn reserve(&self, bytes: u64) -> bool {
        let mut index = self.index();
        while index.used.saturating_add(bytes) > self.limit() {
            let Some(name) = index.least_recently_used() else { return false };
            self.delete_locked(&mut index, &name);
        }
        index.used += bytes;
        true
    }

    fn delete(&self, name: &str) {
        self.delete_locked(&mut self.index(), name);
    }

    fn delete_locked(&self, index: &mut Index, name: &str) {
        index.remove(name);
        match fs::remove_file(self.directory.join(name)) {
            Err(error) if error.kind() != ErrorKind::NotFound => self.complain(&error),
            _ => {}
        }
    }

    /// Warns once, until something is stored again.
    fn complain(&self, error: &io::Error) {
        if !self.complained.swap(true, Ordering::Relaxed) {
            warn!(
                directory = %self.directory.display(),
                "the disk cache cannot be written ({error}); the relay goes on without it. \
                 Check free space and permissions, or remove cache.disk from the configuration"
            );
        }
    }
}

/// A representation that is being written. Dropped before [`Draft::commit`], it leaves nothing behind.
#[derive(Debug)]
pub struct Draft {
    spool: Arc<Spool>,
    number: u64,
    metadata: Metadata,
    /// Empty once committed.
    file: Option<NamedTempFile>,
    digest: Sha256,
    reserved: u64,
}

impl Draft {
    /// Writes the next bytes of the body. `None` if they do not fit or the disk refuses: the draft is gone then.
    pub fn append(mut self, bytes: &[u8]) -> Option<Self> {
        self.digest.update(bytes);
        (self.claim(bytes.len()) && self.settle(self.write(bytes)).is_some()).then_some(self)
    }

    /// The body is complete: makes the file permanent, in the place of an older one. Returns whether it is; it is not
    /// after a [`Spool::purge`].
    pub fn commit(mut self) -> bool {
        let Ok(ending) = self.ending() else { return false };
        if !self.claim(ending.len()) {
            return false;
        }
        let published = self.write(&ending).and_then(|()| self.publish());
        let published = self.settle(published).unwrap_or(false);
        if published {
            self.spool.complained.store(false, Ordering::Relaxed);
        }
        published
    }

    fn claim(&mut self, bytes: usize) -> bool {
        let granted = self.spool.reserve(bytes as u64);
        self.reserved += if granted { bytes as u64 } else { 0 };
        granted
    }

    fn write(&self, bytes: &[u8]) -> io::Result<()> {
        self.file.as_ref().map_or(Ok(()), |file| file.as_file().write_all(bytes))
    }

    /// Everything that follows the body.
    fn ending(&self) -> io::Result<Vec<u8>> {
        let mut ending = serde_json::to_vec(&self.metadata)?;
        let length = ending.len() as u32;
        ending.extend(self.digest.clone().chain_update(&ending).finalize());
        ending.extend(length.to_be_bytes());
        ending.extend(MAGIC);
        Ok(ending)
    }

    /// False if it was purged meanwhile.
    fn publish(&mut self) -> io::Result<bool> {
        let Some(file) = self.file.take() else { return Ok(false) };
        file.as_file().sync_all()?;
        let mut index = self.spool.index();
        let Some(name) = index.drafts.remove(&self.number) else { return Ok(false) };
        file.persist(self.spool.directory.join(&name)).map_err(|refused| refused.error)?;
        index.used -= self.reserved;
        index.insert(name, self.reserved);
        self.reserved = 0;
        drop(index);
        File::open(&self.spool.directory)?.sync_all()?;
        Ok(true)
    }

    fn settle<T>(&self, result: io::Result<T>) -> Option<T> {
        result.map_err(|error| self.spool.complain(&error)).ok()
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        let mut index = self.spool.index();
        index.used -= self.reserved;
        index.drafts.remove(&self.number);
    }
}

/// A representation on disk whose bytes were verified. It stays readable if the spool replaces or deletes
/// the file meanwhile.
#[derive(Debug)]
pub struct Stored {
    file: File,
    left: u64,
    head: Head,
    confirmed: SystemTime,
}

impl Stored {
    /// Its header, with the freshness that it had when the origin last vouched for it.
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// How long ago the origin vouched for it, by the clock on the wall. Zero if the clock says that this is
    /// still to come: a clock that is behind must not make a copy useless.
    pub fn age(&self) -> Duration {
        SystemTime::now().duration_since(self.confirmed).unwrap_or_default()
    }

    /// The next bytes of the body, at most 64 KiB; empty at the end.
    pub fn read(&mut self) -> io::Result<Bytes> {
        let mut bytes = vec![0; CHUNK.min(usize::try_from(self.left).unwrap_or(CHUNK))];
        self.file.read_exact(&mut bytes)?;
        self.left -= bytes.len() as u64;
        Ok(bytes.into())
    }

    fn open(path: &Path, url: &str) -> io::Result<Self> {
        let mut file = File::open(path)?;
        let status = file.metadata()?;
        let (covered, metadata_length, digest) = read_tail(&mut file, status.len())?;
        let (found, metadata) = digest_of(&mut file, covered, metadata_length)?;
        if found != digest {
            return Err(damaged("its digest does not match"));
        }
        let metadata: Metadata = serde_json::from_slice(&metadata)?;
        if metadata.url != url {
            return Err(damaged("it belongs to another URL"));
        }
        let left = covered - metadata_length as u64;
        file.seek(SeekFrom::Start(0))?;
        Ok(Self { file, left, head: metadata.head(left), confirmed: status.modified()? })
    }
}

/// The number of bytes that the digest covers, how many of them are metadata, and the digest.
fn read_tail(file: &mut File, length: u64) -> io::Result<(u64, usize, [u8; DIGEST_LENGTH])> {
    let covered = length.checked_sub(TAIL_LENGTH as u64).ok_or_else(|| damaged("it is too short"))?;
    file.seek(SeekFrom::Start(covered))?;
    let (mut digest, mut count, mut magic) = ([0; DIGEST_LENGTH], [0; 4], MAGIC);
    file.read_exact(&mut digest)?;
    file.read_exact(&mut count)?;
    file.read_exact(&mut magic)?;
    let metadata_length = u32::from_be_bytes(count) as usize;
    if magic != MAGIC || metadata_length > MAX_METADATA || metadata_length as u64 > covered {
        return Err(damaged("it does not end like a file of this version"));
    }
    Ok((covered, metadata_length, digest))
}

/// The digest of the first `covered` bytes, and the last `metadata_length` of them.
fn digest_of(
    file: &mut File,
    covered: u64,
    metadata_length: usize,
) -> io::Result<([u8; DIGEST_LENGTH], Vec<u8>)> {
    file.seek(SeekFrom::Start(0))?;
    let mut digest = Sha256::new();
    let mut buffer = vec![0; CHUNK];
    let mut left = covered - metadata_length as u64;
    while left > 0 {
        let count = CHUNK.min(usize::try_from(left).unwrap_or(CHUNK));
        let Some(chunk) = buffer.get_mut(..count) else { break };
        file.read_exact(chunk)?;
        digest.update(&*chunk);
        left -= count as u64;
    }
    let mut metadata = vec![0; metadata_length];
    file.read_exact(&mut metadata)?;
    digest.update(&metadata);
    Ok((digest.finalize().into(), metadata))
}

fn damaged(why: &'static str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, why)
}

/// Derived from the URL by digest, so that no URL can name a file outside of the directory.
fn file_name(url: &str) -> String {
    let mut name: String = Sha256::digest(url.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
    name.push_str(FINAL_SUFFIX);
    name
}

/// What is known of a representation besides its bytes.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Metadata {
    url: String,
    validator: StoredValidator,
    media_type: Option<String>,
    max_age_seconds: u64,
    stale_if_error_seconds: u64,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StoredValidator {
    Strong(String),
    Weak(String),
    LastModified(String),
}

impl Metadata {
    fn new(url: &str, head: &Head) -> Option<Self> {
        let validator = match head.validator.clone()? {
            Validator::Strong(tag) => StoredValidator::Strong(tag),
            Validator::Weak(tag) => StoredValidator::Weak(tag),
            Validator::LastModified(date) => StoredValidator::LastModified(date),
        };
        Some(Self {
            url: url.to_owned(),
            validator,
            media_type: head.media_type.clone(),
            max_age_seconds: head.freshness.max_age.as_secs(),
            stale_if_error_seconds: head.freshness.stale_if_error.as_secs(),
        })
    }

    fn head(self, length: u64) -> Head {
        let validator = match self.validator {
            StoredValidator::Strong(tag) => Validator::Strong(tag),
            StoredValidator::Weak(tag) => Validator::Weak(tag),
            StoredValidator::LastModified(date) => Validator::LastModified(date),
        };
        Head {
            validator: Some(validator),
            length: Some(length),
            media_type: self.media_type,
            freshness: Freshness {
                max_age: Duration::from_secs(self.max_age_seconds),
                stale_if_error: Duration::from_secs(self.stale_if_error_seconds),
            },
        }
    }
}

/// Sizes and order of use of the files, oldest use first by number.
#[derive(Debug, Default)]
struct Index {
    files: HashMap<String, Entry>,
    /// The names of what is being written and was not purged, by the number of the draft.
    drafts: HashMap<u64, String>,
    begun: u64,
    used: u64,
    uses: u64,
}

#[derive(Debug)]
struct Entry {
    size: u64,
    last_use: u64,
}

impl Index {
    /// The number of a new draft.
    fn begin(&mut self, name: String) -> u64 {
        self.begun += 1;
        self.drafts.insert(self.begun, name);
        self.begun
    }

    fn insert(&mut self, name: String, size: u64) {
        self.remove(&name);
        self.uses += 1;
        self.used += size;
        self.files.insert(name, Entry { size, last_use: self.uses });
    }

    fn remove(&mut self, name: &str) {
        if let Some(entry) = self.files.remove(name) {
            self.used -= entry.size;
        }
    }

    /// Marks a file as used now; false if there is none of this name.
    fn touch(&mut self, name: &str) -> bool {
        self.uses += 1;
        let entry = self.files.get_mut(name);
        entry.map(|entry| entry.last_use = self.uses).is_some()
    }

    fn least_recently_used(&self) -> Option<String> {
        self.files.iter().min_by_key(|(_, entry)| entry.last_use).map(|(name, _)| name.clone())
    }
}

#[cfg(test)]
mod tests;
