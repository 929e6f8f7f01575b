//! `inspect`: what is in a file.

use crate::cli::Inspect;
use crate::failure::Failure;
use crate::files;
use sixfold_publish::describe::{Unit, describe};
use std::ffi::OsStr;

/// More than any file of ours: the index of the largest image in the smallest chunks.
const MAX_FILE: u64 = 1 << 27;

pub(crate) fn run(arguments: &Inspect) -> Result<String, Failure> {
    let path = &arguments.file;
    let bytes = files::read(path, MAX_FILE)?;
    let unit = Unit { page: arguments.page, write: arguments.write_unit };
    let is_index = path.extension() == Some(OsStr::new("idx"));
    let text = describe(&bytes, is_index, unit).ok_or_else(|| Failure::Unknown(path.clone()))?;
    text.map_err(|what| Failure::Malformed(path.clone(), what))
}
