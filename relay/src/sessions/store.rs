//! Sessions on disk, sealed, so that a restart of the relay strands no device (`sessions.store`).
//!
//! ```text
//! +----------------+----------+----------------------------------------------+
//! | magic, 8 bytes | nonce 12 | JSON, sealed with ChaCha20-Poly1305 (RFC 8439) |
//! +----------------+----------+----------------------------------------------+
//! ```
//!
//! The key is in a file beside it, made at the first start and readable by nobody else. A file is written under a temporary name,
//! synced, and renamed into place. Nothing is trusted on the way back but what the key opens. It does not decide when to write, and
//! what of a session may be used after a restart: the driver and the engine do.

use crate::lock::{self, Lock};
use crate::secret;
use anyhow::{Context, anyhow, bail, ensure};
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use sixfold_engine::{Id, IdContext, KeptSession, Keys, ShortBytes};
use std::fs;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tempfile::NamedTempFile;

/// The last byte is the version of what follows.
const MAGIC: [u8; 8] = *b"SFSESSN\x01";

const KEY: usize = 32;

/// 4096 sessions take two megabytes; a file that is much longer is not ours.
const MOST_BYTES: u64 = 256 << 20;

/// Where sessions are kept.
#[derive(Clone)]
pub struct SessionStore {
    file: PathBuf,
    key: [u8; KEY],
}

/// What is in the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// The sessions, with the time that has passed since taken from what was left of them.
    pub sessions: Vec<KeptSession>,
    /// Pre-shared contexts that must not be used again, because numbers of theirs were used and are not known any more.
    pub spent: Vec<(Id, Option<IdContext>)>,
    /// What their keys are recognised by under other identifiers.
    pub spent_keys: Vec<Fingerprint>,
}

/// The SHA-256 of what one side sealed with in a session.
pub type Fingerprint = [u8; 32];

/// The fingerprints of a session's keys, the relay's own and the device's: a secret that comes back with its identifiers exchanged
/// makes the relay seal with what the device sealed with.
pub fn fingerprints(keys: &Keys) -> [Fingerprint; 2] {
    [keys.sender_key, keys.recipient_key]
        .map(|key| Sha256::new().chain_update(key).chain_update(keys.common_iv).finalize().into())
}

#[derive(Serialize, Deserialize)]
struct Record {
    /// Seconds since 1970.
    written: u64,
    sessions: Vec<SessionRecord>,
    spent: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    #[serde(default)]
    spent_keys: Vec<Fingerprint>,
}

#[derive(Serialize, Deserialize)]
struct SessionRecord {
    name: String,
    left_s: Option<u64>,
    first_number: u64,
    sender_id: Vec<u8>,
    recipient_id: Vec<u8>,
    id_context: Option<Vec<u8>>,
    sender_key: [u8; 16],
    recipient_key: [u8; 16],
    common_iv: [u8; 13],
}

impl SessionStore {
    /// The store in `file`, with what is in it; its key is in a file of the same name with `.key` behind it, and is made if neither is
    /// there.
    ///
    /// # Errors
    /// When the key cannot be read or made, when others may read it, or when the file cannot be opened with it: what to do.
    pub fn open(file: &Path) -> anyhow::Result<(Self, Contents)> {
        let key_file = key_file(file);
        if let Some(opened) = Self::find(file, &key_file)? {
            return Ok(opened);
        }
        // An earlier version left an empty key behind when the power went while it was made.
        let is_empty = fs::metadata(&key_file).is_ok_and(|metadata| metadata.len() == 0);
        if is_empty {
            fs::remove_file(&key_file)?;
        }
        let key = read_key(&key_file)?;
        let key = key.map_or_else(|| make_key(&key_file), Ok)?;
        Ok((Self { file: file.to_owned(), key }, Contents::default()))
    }

    /// The same, for one process at a time: with the lock that keeps others out.
    ///
    /// # Errors
    /// As those of [`SessionStore::open`], and [`Refused`](crate::refused::Refused) if another process has it open.
    pub(crate) fn open_alone(file: &Path) -> anyhow::Result<(Self, Contents, Lock)> {
        // The key is what never changes, and it is there afterwards.
        Self::open(file)?;
        let lock = lock::hold(&key_file(file), "sessions.store", file)?;
        // What was read before may not be so any more: whoever held the lock until now wrote last.
        let (store, contents) = Self::open(file)?;
        Ok((store, contents, lock))
    }

    /// What is in `file`, if it is there; nothing is made.
    ///
    /// # Errors
    /// As those of [`SessionStore::open`].
    pub fn look(file: &Path) -> anyhow::Result<Option<Contents>> {
        Ok(Self::find(file, &key_file(file))?.map(|(_, contents)| contents))
    }

    fn find(file: &Path, key_file: &Path) -> anyhow::Result<Option<(Self, Contents)>> {
        let shown = file.display();
        let sealed = match fs::metadata(file) {
            Ok(metadata) if metadata.len() > MOST_BYTES => {
                bail!("operator: {shown} is no session store: too long")
            }
            Ok(_) => fs::read(file).with_context(|| format!("operator: {shown} cannot be read"))?,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(|| format!("operator: {shown} cannot be read")),
        };
        let Some(key) = read_key(key_file)? else {
            bail!(
                "operator: {} is missing, and {shown} cannot be opened without it; bring it back, or remove {shown}",
                key_file.display()
            )
        };
        let store = Self { file: file.to_owned(), key };
        let contents = store.unseal(sealed, now()).with_context(|| {
            format!("operator: {shown} was changed, or sealed with another key than {}", key_file.display())
        })?;
        Ok(Some((store, contents)))
    }

    /// Replaces the file.
    ///
    /// # Errors
    /// What is in the way.
    pub fn write(&self, contents: &Contents) -> anyhow::Result<()> {
        let directory = directory(&self.file);
        let sealed = self.seal(contents, now())?;
        let mut temporary = NamedTempFile::new_in(directory)?;
        temporary.write_all(&sealed)?;
        temporary.as_file().sync_all()?;
        temporary.persist(&self.file)?;
        Ok(fs::File::open(directory)?.sync_all()?)
    }

    fn seal(&self, contents: &Contents, written: u64) -> anyhow::Result<Vec<u8>> {
        let record = Record {
            written,
            sessions: contents.sessions.iter().map(SessionRecord::of).collect(),
            spent: contents
                .spent
                .iter()
                .map(|(id, context)| (bytes(id), context.as_ref().map(bytes)))
                .collect(),
            spent_keys: contents.spent_keys.clone(),
        };
        let mut text = serde_json::to_vec(&record)?;
        let mut nonce = [0; NONCE_LEN];
        getrandom::fill(&mut nonce)
            .map_err(|error| anyhow!("relay: no randomness from the system: {error}"))?;
        self.sealing_key()?
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(MAGIC), &mut text)
            .map_err(|_| anyhow!("relay: the sessions are too many to be sealed"))?;
        Ok([&MAGIC[..], &nonce, &text].concat())
    }

    fn unseal(&self, mut sealed: Vec<u8>, now: u64) -> anyhow::Result<Contents> {
        let head = MAGIC.len() + NONCE_LEN;
        ensure!(sealed.len() > head && sealed.starts_with(&MAGIC), "it is no session store of this version");
        let mut nonce = [0; NONCE_LEN];
        nonce.copy_from_slice(sealed.get(MAGIC.len()..head).unwrap_or(&[0; NONCE_LEN]));
        let text = sealed.get_mut(head..).unwrap_or_default();
        let text = self
            .sealing_key()?
            .open_in_place(Nonce::assume_unique_for_key(nonce), Aad::from(MAGIC), text)
            .map_err(|_| anyhow!("its seal is broken"))?;
        let record: Record = serde_json::from_slice(text)?;
        // A clock that is behind, as after the boot of many a router, lets nobody's session last longer than it was to last.
        let passed = Duration::from_secs(now.saturating_sub(record.written));
        let sessions = record.sessions.into_iter().filter_map(|session| session.kept(passed)).collect();
        let spent =
            |(id, context): (Vec<u8>, Option<Vec<u8>>)| Some((ShortBytes::new(&id)?, id_context(context)?));
        let (spent, spent_keys) = (record.spent.into_iter().filter_map(spent).collect(), record.spent_keys);
        Ok(Contents { sessions, spent, spent_keys })
    }

    fn sealing_key(&self) -> anyhow::Result<LessSafeKey> {
        let key = UnboundKey::new(&CHACHA20_POLY1305, &self.key).map_err(|_| anyhow!("relay: not a key"))?;
        Ok(LessSafeKey::new(key))
    }
}

/// Where a store is.
pub(crate) fn directory(file: &Path) -> &Path {
    file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

impl std::fmt::Debug for SessionStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SessionStore").field("file", &self.file).finish_non_exhaustive()
    }
}

impl SessionRecord {
    fn of(session: &KeptSession) -> Self {
        let KeptSession { name, left, first_number, keys } = session;
        Self {
            name: name.to_string(),
            left_s: left.map(|left| left.as_secs()),
            first_number: *first_number,
            sender_id: bytes(&keys.sender_id),
            recipient_id: bytes(&keys.recipient_id),
            id_context: keys.id_context.as_ref().map(bytes),
            sender_key: keys.sender_key,
            recipient_key: keys.recipient_key,
            common_iv: keys.common_iv,
        }
    }

    /// `None` for a session that has expired, and one that this program never wrote.
    fn kept(self, passed: Duration) -> Option<KeptSession> {
        let left = match self.left_s {
            Some(left) => Some(Duration::from_secs(left).checked_sub(passed).filter(|left| !left.is_zero())?),
            None => None,
        };
        let keys = Keys {
            sender_id: ShortBytes::new(&self.sender_id)?,
            recipient_id: ShortBytes::new(&self.recipient_id)?,
            id_context: id_context(self.id_context)?,
            sender_key: self.sender_key,
            recipient_key: self.recipient_key,
            common_iv: self.common_iv,
        };
        Some(KeptSession { name: self.name.into(), left, first_number: self.first_number, keys })
    }
}

/// An ID Context, or that there is none; `None` for what can be no ID Context.
fn id_context(bytes: Option<Vec<u8>>) -> Option<Option<IdContext>> {
    bytes.map_or(Some(None), |bytes| ShortBytes::new(&bytes).map(Some))
}

fn bytes<const N: usize>(short: &ShortBytes<N>) -> Vec<u8> {
    short.as_slice().to_vec()
}

/// Whether the key of this store is a secret.
///
/// # Errors
/// What is wrong with it, and what to do.
pub(crate) fn guarded(file: &Path) -> Result<(), String> {
    secret::guarded(&key_file(file))
}

/// Where the key of this store is.
pub(crate) fn key_file(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".key");
    name.into()
}

fn read_key(file: &Path) -> anyhow::Result<Option<[u8; KEY]>> {
    let shown = file.display();
    secret::guarded(file).map_err(|message| anyhow!("operator: {message}"))?;
    let key = match fs::read(file) {
        Ok(key) => key,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("operator: {shown} cannot be read")),
    };
    let key =
        key.try_into().map_err(|_| anyhow!("operator: {shown} is no key of a session store: {KEY} bytes"))?;
    Ok(Some(key))
}

/// Whole or not at all, whenever the power goes.
fn make_key(file: &Path) -> anyhow::Result<[u8; KEY]> {
    let mut key = [0; KEY];
    getrandom::fill(&mut key).map_err(|error| anyhow!("relay: no randomness from the system: {error}"))?;
    let remedy = || format!("operator: {} cannot be made; see sessions.store", file.display());
    // Nobody else reads a temporary file (mode 0600).
    let mut made = NamedTempFile::new_in(directory(file)).with_context(remedy)?;
    made.write_all(&key).and_then(|()| made.as_file().sync_all()).with_context(remedy)?;
    // Not over one that another relay has made meanwhile.
    made.persist_noclobber(file).with_context(remedy)?;
    fs::File::open(directory(file)).and_then(|directory| directory.sync_all()).with_context(remedy)?;
    Ok(key)
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn contents(left: Option<Duration>) -> Contents {
        let keys = Keys {
            sender_id: ShortBytes::new(&[]).unwrap(),
            recipient_id: ShortBytes::new(b"kid").unwrap(),
            id_context: ShortBytes::new(b"context"),
            sender_key: [1; 16],
            recipient_key: [2; 16],
            common_iv: [3; 13],
        };
        let session = KeptSession { name: "a\n\u{1b}b".into(), left, first_number: 65_536, keys };
        let spent = vec![(ShortBytes::new(b"old").unwrap(), None)];
        Contents { sessions: vec![session], spent, spent_keys: vec![[4; 32]] }
    }

    #[test]
    fn what_was_written_comes_back_and_nobody_else_reads_it() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("sessions");
        let (store, nothing) = SessionStore::open(&file).unwrap();
        assert_eq!(nothing, Contents::default());
        store.write(&contents(None)).unwrap();
        assert_eq!(SessionStore::open(&file).unwrap().1, contents(None));
        for file in [&file, &key_file(&file)] {
            assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600, "{file:?}");
        }
        let sealed = fs::read(&file).unwrap();
        assert!(!sealed.windows(4).any(|window| window == [1; 4]), "no keys in it");
        store.write(&contents(None)).unwrap();
        assert_ne!(fs::read(&file).unwrap(), sealed, "each time with another nonce");
    }

    #[test]
    fn a_power_cut_while_the_key_is_made_leaves_no_store_that_cannot_be_opened() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("sessions");
        fs::write(key_file(&file), "").unwrap();
        SessionStore::open(&file).unwrap().0.write(&contents(None)).unwrap();
        assert_eq!(SessionStore::open(&file).unwrap().1, contents(None));
        let metadata = fs::metadata(key_file(&file)).unwrap();
        assert_eq!((metadata.len(), metadata.permissions().mode() & 0o777), (KEY as u64, 0o600));
    }

    #[test]
    fn sessions_expire_while_the_relay_is_away() {
        let store = SessionStore { file: PathBuf::new(), key: [9; KEY] };
        let written = contents(Some(Duration::from_secs(100)));
        let sealed = store.seal(&written, 1000).unwrap();
        let left =
            |now| store.unseal(sealed.clone(), now).unwrap().sessions.first().map(|session| session.left);
        assert_eq!(left(1040), Some(Some(Duration::from_secs(60))));
        assert_eq!(left(1100), None);
        assert_eq!(left(0), Some(Some(Duration::from_secs(100))), "a clock that is behind");
    }

    #[test]
    fn whatever_is_changed_is_refused_with_a_remedy() {
        let store = SessionStore { file: PathBuf::new(), key: [9; KEY] };
        let sealed = store.seal(&contents(None), 1000).unwrap();
        for place in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[place] ^= 1;
            assert!(store.unseal(changed, 1000).is_err(), "byte {place}");
            assert!(store.unseal(sealed[..place].to_vec(), 1000).is_err(), "cut at {place}");
        }
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("sessions");
        fs::write(&file, &sealed).unwrap();
        let complaint = |file: &Path| format!("{:#}", SessionStore::open(file).unwrap_err());
        assert!(complaint(&file).contains("is missing"), "{}", complaint(&file));
        fs::write(key_file(&file), [8; KEY]).unwrap();
        assert!(complaint(&file).contains("chmod 600"), "{}", complaint(&file));
        fs::set_permissions(key_file(&file), fs::Permissions::from_mode(0o600)).unwrap();
        assert!(complaint(&file).contains("sealed with another key"), "{}", complaint(&file));
        fs::write(key_file(&file), [8; 5]).unwrap();
        assert!(complaint(&file).contains("is no key"), "{}", complaint(&file));
    }
}
