//! One relay at a time for what two would spoil: the spool's directory, and the file that sessions are kept in.
//!
//! An advisory lock (flock(2)) on something that is there anyway and is never replaced. It ends with the process, however that
//! ends. A program that does not ask for it is not kept out.

use crate::refused::Refused;
use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process;
use std::thread;
use std::time::Duration;

/// Half a second in all: the event loop waits meanwhile.
const ATTEMPTS: u32 = 25;
const PAUSE: Duration = Duration::from_millis(20);

/// Held until it is dropped.
#[derive(Debug)]
pub(crate) struct Lock {
    _held: File,
}

/// Locks `place`, which the operator knows as `key` and its value.
///
/// # Errors
/// [`Refused`] if another process has it; otherwise what the system says.
pub(crate) fn hold(place: &Path, key: &str, value: &Path) -> anyhow::Result<Lock> {
    let file = File::open(place)?;
    match try_for_a_while(&file) {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(taken(&file, key, value).into()),
        // Some file systems have no locks: what worked without goes on working.
        Err(TryLockError::Error(error)) => {
            tracing::warn!(
                "{key} {} cannot be locked ({error}): see to it yourself that no other relay uses it",
                value.display()
            );
        }
    }
    Ok(Lock { _held: file })
}

/// A process that was killed a moment ago may have it still.
fn try_for_a_while(file: &File) -> Result<(), TryLockError> {
    for _ in 1..ATTEMPTS {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => thread::sleep(PAUSE),
            outcome => return outcome,
        }
    }
    file.try_lock()
}

fn taken(file: &File, key: &str, value: &Path) -> Refused {
    let shown = format!("{key} {}", value.display());
    let holder = holder(file).unwrap_or_default();
    Refused(match holder {
        Some(own) if own == process::id() => format!(
            "operator: {shown} is in use by this relay still, under another name or for a fetch that goes on; reload again later"
        ),
        Some(other) => format!(
            "operator: {shown} is used by another relay (process {other}); stop that one, or give each its own"
        ),
        None => format!("operator: {shown} is used by another relay; stop that one, or give each its own"),
    })
}

/// The process that holds a lock on this file, by proc(5): `1: FLOCK  ADVISORY  WRITE 1234 08:01:4711 0 EOF`. Device numbers are
/// not compared: some file systems show others there than stat(2) does.
fn holder(file: &File) -> io::Result<Option<u32>> {
    let inode = file.metadata()?.ino().to_string();
    let list = fs::read_to_string("/proc/locks")?;
    Ok(list.lines().find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let &[_, "FLOCK", _, "WRITE", process, place, ..] = &fields[..] else { return None };
        if place.rsplit(':').next() != Some(&*inode) {
            return None;
        }
        process.parse().ok().filter(|&process| process > 0)
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_for_one_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let hold = |place: &Path| hold(place, "cache.disk", place);
        let lock = hold(folder.path()).unwrap();
        let error = hold(folder.path()).unwrap_err();
        assert!(Refused::is_behind(&error), "{error:#}");
        assert!(
            error.to_string().starts_with("operator: cache.disk ")
                && error.to_string().contains("in use by this")
        );
        assert_eq!(holder(&File::open(folder.path()).unwrap()).unwrap(), Some(process::id()));
        drop(lock);
        hold(folder.path()).unwrap();
        assert!(!Refused::is_behind(&hold(Path::new("/nonexistent")).unwrap_err()));
    }
}
