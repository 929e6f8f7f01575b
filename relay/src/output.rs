//! What the program writes to standard output and standard error. Readers may leave at any time.

use anyhow::Context;
use std::env;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;

/// Writes a result to standard output; `false` if its reader has seen enough, as `head` does, which is no failure.
///
/// # Errors
/// When it cannot be written, say because the disk is full.
pub fn write(text: &str) -> anyhow::Result<bool> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(error).context("operator: the result cannot be written to standard output"),
    }
}

/// Tells the operator, on standard error. If nobody listens, the exit code still speaks.
pub fn tell(text: &str) {
    let text = format!("{text}\n");
    let text = if goes_to_journal() { with_severity("<3>", text.as_bytes()) } else { text.into_bytes() };
    let _ = io::stderr().write_all(&text);
}

/// Whether the journal of systemd reads standard error (`JOURNAL_STREAM`, systemd.exec(5)).
pub(crate) fn goes_to_journal() -> bool {
    is_journal(env::var_os("JOURNAL_STREAM").as_deref(), io::stderr())
}

/// The variable names the journal's stream by device and inode, and is inherited by programs whose output goes elsewhere.
fn is_journal(variable: Option<&OsStr>, stream: impl AsFd) -> bool {
    let metadata = || File::from(stream.as_fd().try_clone_to_owned().ok()?).metadata().ok();
    variable.is_some_and(|variable| {
        metadata().is_some_and(|is| variable == &*format!("{}:{}", is.dev(), is.ino()))
    })
}

/// `text` with a prefix before each line, which the journal takes for its severity: `<3>` is an error (sd-daemon(3)).
pub(crate) fn with_severity(prefix: &str, text: &[u8]) -> Vec<u8> {
    let lines = text.split_inclusive(|byte| *byte == b'\n');
    lines.flat_map(|line| [prefix.as_bytes(), line].concat()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_stream_that_systemd_names_is_the_journals() {
        let (ours, other) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
        let metadata = ours.metadata().unwrap();
        let variable = format!("{}:{}", metadata.dev(), metadata.ino());
        let variable = Some(OsStr::new(&variable));
        assert!(is_journal(variable, &ours));
        assert!(!is_journal(variable, &other) && !is_journal(None, &ours));
    }

    #[test]
    fn every_line_has_its_severity() {
        assert_eq!(with_severity("<4>", b"one\ntwo\n"), b"<4>one\n<4>two\n");
    }
}
