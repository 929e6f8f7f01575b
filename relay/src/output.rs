//! What the program writes to standard output and standard error. Readers may leave at any time.

use anyhow::Context;
use std::io::{self, ErrorKind, Write};

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
    let _ = writeln!(io::stderr(), "{text}");
}
