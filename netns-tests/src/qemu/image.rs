//! The firmware images, as `scripts/firmware` builds them.

use crate::{isolation, workspace};
use anyhow::{Context, Error, Result, bail};
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

/// `scripts/firmware` names what is missing, and says so with this.
const MISSING: i32 = 3;

/// Whether the images are there.
#[derive(Clone, Debug)]
pub enum Images {
    /// They are, see [`path`].
    Built,
    /// Something is missing on this machine: what, and how to get it.
    Missing(String),
}

/// Brings the images up to date, once in a test program. To be called before the sandbox as well as in it: there it
/// does nothing, for there is no network.
pub fn build() -> Result<Images> {
    static BUILT: OnceLock<Result<Images, String>> = OnceLock::new();
    if isolation::is_inside() {
        return Ok(Images::Built);
    }
    let built = BUILT.get_or_init(|| run_script().map_err(|error| format!("{error:#}")));
    built.clone().map_err(Error::msg)
}

fn run_script() -> Result<Images> {
    let built =
        Command::new(workspace::root().join("scripts/firmware")).output().context("scripts/firmware")?;
    let said = String::from_utf8_lossy(&built.stdout).trim().to_owned();
    match built.status.code() {
        Some(0) => Ok(Images::Built),
        Some(MISSING) => Ok(Images::Missing(said)),
        _ => bail!("scripts/firmware: {said}\n{}", String::from_utf8_lossy(&built.stderr)),
    }
}

/// Where all images are.
pub fn folder() -> PathBuf {
    workspace::root().join("target/firmware")
}

/// Where an image is: `sixfold-microbit.elf`, say.
pub fn path(name: &str) -> PathBuf {
    folder().join(name)
}
