//! Test vectors: for every format what it says, in words, and its bytes; and bytes that must be refused, each with its error.
//!
//! [`files`] makes them all from the crates that are published, deterministically. `README.md` beside the vectors explains
//! them field by field. The tests of each crate read the files, never this crate: so a change on one side that this crate
//! follows still fails on the other side.
#![forbid(unsafe_code)]

mod agreements;
mod edhoc;
mod encryptions;
mod exchanges;
mod flash;
mod groups;
mod indexes;
mod informative;
mod keys;
mod manifests;
mod records;
mod release;
mod signatures;
mod tickets;

use serde_json::Value;
use sixfold_profile::Hex;
use std::error::Error;

/// A file below `profile/vectors`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Its path there.
    pub name: String,
    /// What it holds.
    pub text: String,
}

/// All files that are generated.
///
/// # Errors
/// What the crates say when they cannot make something: a mistake in this crate, or a certificate that is missing.
pub fn files() -> Result<Vec<File>, Box<dyn Error>> {
    let mut files = keys::files()?;
    files.push(file("agreements", &agreements::vectors()?));
    files.push(file("encryptions", &encryptions::vectors()?));
    files.push(file("edhoc", &edhoc::vectors()?));
    files.push(file("groups", &groups::vectors()));
    files.push(file("indexes", &indexes::vectors()));
    files.push(file("manifests", &manifests::vectors()?));
    files.push(file("records", &records::vectors()?));
    files.push(file("exchanges", &exchanges::vectors()?));
    files.push(file("signatures", &signatures::vectors()?));
    files.push(file("tickets", &tickets::vectors()?));
    Ok(files)
}

fn file(name: &str, value: &Value) -> File {
    File { name: format!("{name}.json"), text: format!("{value:#}\n") }
}

fn hex(bytes: &[u8]) -> String {
    Hex(bytes).to_string()
}
