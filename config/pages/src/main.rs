//! Writes man pages and shell completions of all three programs: `cargo run -p sixfold-pages -- DIRECTORY`.
#![forbid(unsafe_code)]

use anyhow::{Context, Result};
use std::path::Path;

fn main() -> Result<()> {
    let directory = std::env::args_os().nth(1).context("operator: name a directory")?;
    sixfold_pages::write(Path::new(&directory))
}
