//! The output directory: what was signed into it before, and what is added.

use crate::failure::Failure;
use crate::files::{self, MAX_SIGNED};
use sixfold_manifest::{Manifest, cms, suit};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// An output directory that no other process signs into meanwhile.
pub(crate) struct Directory {
    path: PathBuf,
    /// Unlocked when it is dropped.
    _lock: File,
}

impl Directory {
    /// Makes the directory if it is missing, and waits for other processes that sign into it.
    pub(crate) fn open(path: &Path) -> Result<Self, Failure> {
        fs::create_dir_all(path).map_err(Failure::file(path, "make the directory"))?;
        let lock = File::open(path).map_err(Failure::file(path, "open"))?;
        lock.lock().map_err(Failure::file(path, "lock"))?;
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    /// Whether devices that accepted what is here would take `manifest` for what it is.
    pub(crate) fn check(&self, manifest: &Manifest) -> Result<(), Failure> {
        for path in self.signed()? {
            let other = claims(&path)?;
            if contradicts(&other, manifest) {
                let (offered, used) = (manifest.sequence_number, other.sequence_number);
                return Err(Failure::Sequence { offered, used, by: path });
            }
        }
        Ok(())
    }

    /// Whether a signature that is not written anew will still be that of the image.
    pub(crate) fn check_left(&self, name: &str, manifest: &Manifest) -> Result<(), Failure> {
        let path = self.path.join(name);
        let is_left = path.symlink_metadata().is_ok();
        if is_left && claims(&path)?.image_digest != manifest.image_digest {
            return Err(Failure::LeftBehind(path));
        }
        Ok(())
    }

    /// In order of their names, so that the same directory always gets the same answer.
    fn signed(&self) -> Result<Vec<PathBuf>, Failure> {
        let list = || {
            let mut paths = Vec::new();
            for entry in fs::read_dir(&self.path)? {
                let path = entry?.path();
                if [Some(OsStr::new("suit")), Some(OsStr::new("p7s"))].contains(&path.extension()) {
                    paths.push(path);
                }
            }
            paths.sort();
            Ok(paths)
        };
        list().map_err(Failure::file(&self.path, "list"))
    }

    /// Writes files that everybody may read, in this order, and says where: all, or none if there is no room for all.
    pub(crate) fn write(&self, files: &[(String, &[u8])]) -> Result<Vec<PathBuf>, Failure> {
        let files: Vec<(PathBuf, &[u8])> =
            files.iter().map(|(name, bytes)| (self.path.join(name), *bytes)).collect();
        files::replace(&files)?;
        Ok(files.into_iter().map(|(path, _)| path).collect())
    }
}

/// Whether `earlier` is for the same devices, not older, and for other bytes.
fn contradicts(earlier: &Manifest, manifest: &Manifest) -> bool {
    (earlier.vendor, earlier.class) == (manifest.vendor, manifest.class)
        && earlier.sequence_number >= manifest.sequence_number
        && earlier.image_digest != manifest.image_digest
}

/// What a signed file says, whoever signed it.
fn claims(path: &Path) -> Result<Manifest, Failure> {
    let bytes = files::read(path, MAX_SIGNED)?;
    let incomparable = |why: String| Failure::Incomparable(path.to_owned(), why);
    if cms::is_signed_data(&bytes) {
        return cms::claims(&bytes).map_err(|error| incomparable(error.to_string()));
    }
    suit::claims(&bytes).map_err(|error| incomparable(error.to_string()))
}
