//! Every run as a line of CSV (RFC 4180). The columns are the keys of `sixfold-air sim --json`.

use crate::fleet::runner::Run;
use anyhow::Result;
use csv::{Terminator, WriterBuilder};

/// The text, with a header.
pub fn text(runs: &[Run]) -> Result<String> {
    let mut writer = WriterBuilder::new().terminator(Terminator::CRLF).from_writer(Vec::new());
    for run in runs {
        writer.serialize(&run.outcome)?;
    }
    Ok(String::from_utf8(writer.into_inner()?)?)
}
