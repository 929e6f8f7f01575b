//! A file that is not complete yet, and what must be known to go on with it after a kill or a power cut.
//!
//! `FILE.part` holds the first bytes of one version of the body. `FILE.part.state` says which version, and how
//! many of them are safely on the disk; it is replaced by rename, and only after those bytes were synced. So at
//! any moment the pair is either absent, or true. `FILE` itself appears by rename, complete and synced.

use crate::failure::Failure;
use hmac_sha256::Hash;
use serde_json::{Value, json};
use sixfold_device::ETag;
use sixfold_device::fetch::Received;
use sixfold_profile::coap::{Block, Szx};
use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How much time a power cut may cost.
const SAVE_INTERVAL: Duration = Duration::from_secs(1);

/// The file being fetched. Locked for as long as it lives: one process a file.
#[derive(Debug)]
pub(crate) struct Partial {
    file: File,
    output: PathBuf,
    part: PathBuf,
    state: PathBuf,
    uri: String,
    /// What is in the file now.
    held: Option<Held>,
    saved: Option<Instant>,
}

/// Some first bytes of a version of the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    etag: ETag,
    szx: Szx,
    length: u32,
}

impl Held {
    /// Where to go on, in blocks of at most `szx`, and with which version. The last block is asked for again: that
    /// there is one proves that the server still has the body, also when it was complete already.
    pub(crate) fn resume(self, szx: Szx) -> Option<(Block, ETag)> {
        let szx = szx.min(self.szx);
        let num = self.length.checked_sub(1)? / szx.size() as u32;
        Block::new(num, false, szx).map(|block| (block, self.etag))
    }

    fn to_json(self, uri: &str) -> Value {
        let Self { etag, szx, length } = self;
        json!({ "uri": uri, "etag": etag.to_string(), "szx": szx.exponent(), "length": length })
    }

    /// `None` unless it is a complete state of this URI.
    fn from_json(text: &[u8], uri: &str) -> Option<Self> {
        let state: Value = serde_json::from_slice(text).ok()?;
        if state.get("uri")?.as_str()? != uri {
            return None;
        }
        let etag = from_hex(state.get("etag")?.as_str()?).and_then(|bytes| ETag::new(&bytes))?;
        let szx = u8::try_from(state.get("szx")?.as_u64()?).ok().and_then(Szx::new)?;
        let length = u32::try_from(state.get("length")?.as_u64()?).ok()?;
        Some(Self { etag, szx, length })
    }
}

impl Partial {
    /// Opens or creates the partial file of `output`. What it holds of `uri` is kept if `resume`, or else thrown
    /// away.
    pub(crate) fn open(output: &Path, uri: &str, resume: bool) -> Result<Self, Failure> {
        let suffixed = |suffix| {
            let mut path = output.as_os_str().to_owned();
            path.push(suffix);
            PathBuf::from(path)
        };
        let (part, state) = (suffixed(".part"), suffixed(".part.state"));
        // A rename would put a file in the place of a device such as /dev/null.
        let is_special = fs::metadata(output).is_ok_and(|there| !there.is_file());
        if is_special || output.file_name().is_none() {
            let error = io::Error::new(io::ErrorKind::InvalidInput, "it is not an ordinary file");
            return Err(Failure::File(output.into(), "write", error));
        }
        let file = lock(&part)?;
        let held = if resume { read_state(&file, &state, uri) } else { None };
        let (output, uri) = (output.to_owned(), uri.to_owned());
        let mut partial = Self { file, output, part, state, uri, held, saved: None };
        if held.is_none() {
            partial.start_over()?;
        }
        Ok(partial)
    }

    /// What is there to go on with.
    pub(crate) const fn held(&self) -> Option<Held> {
        self.held
    }

    /// Writes a block.
    pub(crate) fn write(&mut self, block: &Received<'_>) -> Result<(), Failure> {
        let written = self.file.write_all_at(block.payload, u64::from(block.offset));
        written.map_err(Failure::file(&self.part, "write"))?;
        let length = block.offset.saturating_add(block.payload.len() as u32);
        self.held = block.etag.map(|etag| Held { etag, szx: block.szx, length });
        if self.saved.is_none_or(|saved| saved.elapsed() >= SAVE_INTERVAL) {
            self.save()?;
        }
        Ok(())
    }

    /// Makes what is held safe from a power cut. A body without ETag cannot be resumed, so it is not worth it.
    pub(crate) fn save(&mut self) -> Result<(), Failure> {
        if let Some(held) = self.held {
            self.file.sync_data().map_err(Failure::file(&self.part, "sync"))?;
            let text = held.to_json(&self.uri).to_string();
            replace(&self.state, text.as_bytes()).map_err(Failure::file(&self.state, "write"))?;
            self.saved = Some(Instant::now());
        }
        Ok(())
    }

    /// Throws away what is held: first the state, for good, then the bytes.
    pub(crate) fn start_over(&mut self) -> Result<(), Failure> {
        self.held = None;
        self.saved = None;
        remove(&self.state).map_err(Failure::file(&self.state, "remove"))?;
        sync_directory(&self.state).map_err(Failure::file(&self.state, "sync the directory of"))?;
        self.file.set_len(0).map_err(Failure::file(&self.part, "truncate"))
    }

    /// Ends without a complete file: keeps what can be resumed, for the next time, and nothing else.
    pub(crate) fn leave(mut self) -> Result<(), Failure> {
        self.save()?;
        if self.held.is_none() {
            remove(&self.part).map_err(Failure::file(&self.part, "remove"))?;
        }
        Ok(())
    }

    /// All `length` bytes are written: gives the file its name. Returns its SHA-256, of what the disk gives back.
    pub(crate) fn finish(self, length: u64) -> Result<[u8; 32], Failure> {
        let at = |what| Failure::file(&self.part, what);
        self.file.set_len(length).map_err(at("truncate"))?;
        self.file.sync_all().map_err(at("sync"))?;
        let digest = sha256(&self.file).map_err(at("read"))?;
        let named = fs::rename(&self.part, &self.output).and_then(|()| sync_directory(&self.output));
        named.map_err(Failure::file(&self.output, "write"))?;
        remove(&self.state).map_err(Failure::file(&self.state, "remove"))?;
        Ok(digest)
    }
}

/// Opens a partial file for this process alone.
fn lock(part: &Path) -> Result<File, Failure> {
    let opened = File::options().read(true).write(true).create(true).truncate(false).open(part);
    let file = opened.map_err(Failure::file(part, "open"))?;
    let busy = || io::Error::new(io::ErrorKind::ResourceBusy, "another process is fetching it");
    let locked = file.try_lock().map_err(|error| match error {
        TryLockError::WouldBlock => busy(),
        TryLockError::Error(error) => error,
    });
    // Another process may have finished in between: then this file has its final name already.
    let is_same = |there: fs::Metadata| file.metadata().is_ok_and(|here| here.ino() == there.ino());
    let named =
        locked.and_then(|()| if fs::metadata(part).is_ok_and(is_same) { Ok(()) } else { Err(busy()) });
    named.map_err(Failure::file(part, "lock"))?;
    Ok(file)
}

fn read_state(file: &File, state: &Path, uri: &str) -> Option<Held> {
    let held = fs::read(state).ok().and_then(|text| Held::from_json(&text, uri))?;
    let length = file.metadata().ok()?.len();
    (u64::from(held.length) <= length).then_some(held)
}

/// Replaces a file at once: a power cut leaves the old one or the new one, and a full disk the old one alone.
fn replace(path: &Path, text: &[u8]) -> io::Result<()> {
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    let written = File::create(&new).and_then(|file| {
        file.write_all_at(text, 0)?;
        file.sync_data()?;
        fs::rename(&new, path)
    });
    written.inspect_err(|_| drop(fs::remove_file(&new)))
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

fn sync_directory(of: &Path) -> io::Result<()> {
    let parent = of.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
}

fn sha256(file: &File) -> io::Result<[u8; 32]> {
    let (mut hash, mut buffer, mut offset) = (Hash::new(), vec![0; 64 << 10], 0);
    loop {
        match file.read_at(&mut buffer, offset)? {
            0 => return Ok(hash.finalize()),
            length => {
                hash.update(&buffer[..length]);
                offset += length as u64;
            }
        }
    }
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u32>> = text.chars().map(|digit| digit.to_digit(16)).collect();
    let (pairs, odd) = digits.as_ref()?.as_chunks::<2>();
    odd.is_empty().then(|| pairs.iter().map(|[high, low]| (high << 4 | low) as u8).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::TempDir;

    const URI: &str = "coap://[::1]/fw";
    const SZX: Szx = Szx::B64;

    fn block(offset: u32, payload: &[u8]) -> Received<'_> {
        let etag = ETag::new(&[1, 0xab]);
        Received { offset, payload, more: true, etag, szx: SZX, size: None }
    }

    fn reopen(output: &Path, uri: &str) -> Option<Held> {
        Partial::open(output, uri, true).unwrap().held()
    }

    #[test]
    fn goes_on_with_what_was_saved() {
        let directory = TempDir::new().unwrap();
        let output = directory.path().join("image");
        let mut partial = Partial::open(&output, URI, true).unwrap();
        assert_eq!(partial.held(), None);
        partial.write(&block(0, &[7; 64])).unwrap();
        partial.write(&block(64, &[8; 64])).unwrap();
        assert!(matches!(Partial::open(&output, URI, true), Err(Failure::File(..))), "locked");
        drop(partial);

        let held = reopen(&output, URI).expect("the first block was saved at once");
        assert_eq!(held, Held { etag: ETag::new(&[1, 0xab]).unwrap(), szx: SZX, length: 64 });
        assert_eq!(held.resume(Szx::MAX), Some((Block::first(SZX), held.etag)));
        assert_eq!(held.resume(Szx::MIN), Some((Block::new(3, false, Szx::MIN).unwrap(), held.etag)));
        let mut partial = Partial::open(&output, URI, true).unwrap();
        partial.write(&block(64, &[8; 3])).unwrap();
        let digest = partial.finish(67).unwrap();
        let expected = [vec![7; 64], vec![8; 3]].concat();
        assert_eq!(digest, Hash::hash(&expected));
        assert_eq!(fs::read(&output).unwrap(), expected);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "nothing else is left");
    }

    #[test]
    fn what_does_not_fit_is_thrown_away() {
        type Spoil = fn(&Path);
        let state = |output: &Path| output.with_extension("part.state");
        let spoil: [(&str, Spoil, &str); 5] = [
            ("another URI", |_| {}, "coap://[::1]/other"),
            ("no state", |output| fs::remove_file(output.with_extension("part.state")).unwrap(), URI),
            (
                "half a state",
                |output| fs::write(output.with_extension("part.state"), "{\"uri\":").unwrap(),
                URI,
            ),
            ("no bytes", |output| fs::remove_file(output.with_extension("part")).unwrap(), URI),
            ("too few bytes", |output| fs::write(output.with_extension("part"), [7; 63]).unwrap(), URI),
        ];
        for (what, spoil, uri) in spoil {
            let directory = TempDir::new().unwrap();
            let output = directory.path().join("image");
            Partial::open(&output, URI, true).unwrap().write(&block(0, &[7; 64])).unwrap();
            assert!(reopen(&output, URI).is_some());
            spoil(&output);
            assert_eq!(reopen(&output, uri), None, "{what}");
            assert_eq!(fs::metadata(output.with_extension("part")).unwrap().len(), 0, "{what}");
            assert!(!state(&output).exists(), "{what}");
        }
        let directory = TempDir::new().unwrap();
        let output = directory.path().join("image");
        Partial::open(&output, URI, true).unwrap().write(&block(0, &[7; 64])).unwrap();
        assert_eq!(Partial::open(&output, URI, false).unwrap().held(), None, "as told");
    }

    #[test]
    fn states_are_read_strictly() {
        let held = Held { etag: ETag::new(b"v").unwrap(), szx: SZX, length: 640 };
        let text = held.to_json(URI).to_string();
        assert_eq!(Held::from_json(text.as_bytes(), URI), Some(held));
        for (from, to) in [
            ("\"76\"", "\"7\""),
            ("\"76\"", "\"zz\""),
            ("\"76\"", "\"\""),
            ("\"76\"", "\"010203040506070809\""),
            (":2", ":7"),
            (":2", ":258"),
            ("640", "-1"),
            ("640", "4294967296"),
            ("length", "size"),
        ] {
            let spoiled = text.replace(from, to);
            assert_ne!(spoiled, text);
            assert_eq!(Held::from_json(spoiled.as_bytes(), URI), None, "{spoiled}");
        }
        for end in 0..text.len() {
            assert_eq!(Held::from_json(&text.as_bytes()[..end], URI), None, "cut at {end}");
        }
    }

    #[test]
    fn a_body_without_etag_is_not_resumed() {
        let directory = TempDir::new().unwrap();
        let output = directory.path().join("image");
        let mut partial = Partial::open(&output, URI, true).unwrap();
        partial.write(&Received { etag: None, ..block(0, &[7; 64]) }).unwrap();
        partial.leave().unwrap();
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0, "nothing of use is left");
        assert_eq!(reopen(&output, URI), None);
    }

    #[test]
    fn only_files_are_replaced() {
        let directory = TempDir::new().unwrap();
        assert!(matches!(Partial::open(directory.path(), URI, true), Err(Failure::File(..))));
        let special = directory.path().join("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&special).unwrap();
        assert!(matches!(Partial::open(&special, URI, true), Err(Failure::File(..))));
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "nothing is put beside it");
        let nowhere = directory.path().join("no/such/file");
        assert!(matches!(Partial::open(&nowhere, URI, true), Err(Failure::File(..))));
    }
}
