//! The OpenWrt packages as `config/openwrt/package.py` writes them, around a program of a few bytes, and readers for them that are not
//! ours: tar and, for apk's format, `netns-tests/openwrt/read_apk.py`. What has to be in them is the tests' business.

use crate::process::run;
use crate::workspace;
use anyhow::{Context, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What the packages are written for.
pub const ARCHITECTURE: &str = "aarch64_cortex-a53";

/// A stand-in for the bill of materials: `tests/supply_chain.rs` reads a real one.
pub const SBOM: &[u8] = b"{\"bomFormat\":\"CycloneDX\"}";

/// A stand-in for the copyright notices.
pub const NOTICES: &[u8] = b"\x1f\x8b of everybody";

/// The time that packages bear, in seconds since 1970.
pub const TIME: u64 = 1_700_000_000;

/// A folder with the packages and their indices.
pub struct Feed {
    folder: PathBuf,
    snapshot: String,
}

impl Feed {
    /// Writes all of it below `folder`, with the program made of these bytes, for [`ARCHITECTURE`].
    ///
    /// # Errors
    ///
    /// When `package.py` fails.
    pub fn write(folder: &Path, program: &[u8]) -> Result<Self> {
        Self::write_with(ARCHITECTURE, "", folder, program)
    }

    /// The same for another one.
    ///
    /// # Errors
    ///
    /// When `package.py` fails.
    pub fn write_for(architecture: &str, folder: &Path, program: &[u8]) -> Result<Self> {
        Self::write_with(architecture, "", folder, program)
    }

    /// The same of a commit that is no release: `snapshot` is what `scripts/snapshot` prints.
    ///
    /// # Errors
    ///
    /// When `package.py` fails.
    pub fn write_snapshot(snapshot: &str, folder: &Path, program: &[u8]) -> Result<Self> {
        Self::write_with(ARCHITECTURE, snapshot, folder, program)
    }

    fn write_with(architecture: &str, snapshot: &str, folder: &Path, program: &[u8]) -> Result<Self> {
        let inputs = [("program", program), ("sbom", SBOM), ("notices", NOTICES)];
        for (name, data) in inputs {
            fs::write(folder.join(name), data)?;
        }
        run(Command::new("python3")
            .arg(script("package.py"))
            .arg(architecture)
            .args(inputs.map(|(name, _)| folder.join(name)))
            .arg(folder)
            .env("SNAPSHOT", snapshot)
            .env("SOURCE_DATE_EPOCH", TIME.to_string()))?;
        Ok(Self { folder: folder.join(architecture), snapshot: snapshot.to_owned() })
    }

    /// The folder itself, as a web server would serve it.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The package of this name for opkg; `architecture` is `all` where any will do.
    pub fn ipk(&self, name: &str, architecture: &str) -> PathBuf {
        self.folder.join(format!(
            "{name}_{}{}-r1_{architecture}.ipk",
            env!("CARGO_PKG_VERSION"),
            self.snapshot
        ))
    }

    /// The package of this name for apk.
    pub fn apk(&self, name: &str) -> PathBuf {
        let snapshot = self.snapshot.replace(['~', '+'], "_");
        self.folder.join(format!("{name}-{}{snapshot}-r1.apk", env!("CARGO_PKG_VERSION")))
    }
}

/// A program of `config/openwrt`.
pub fn script(name: &str) -> PathBuf {
    workspace::root().join("config/openwrt").join(name)
}

/// Unpacks a gzipped tar.
///
/// # Errors
///
/// When it is none.
pub fn untar(archive: &Path, into: &Path) -> Result<()> {
    fs::create_dir_all(into)?;
    run(Command::new("tar").arg("-xpzf").arg(archive).arg("-C").arg(into)).map(|_| ())
}

/// Reads a package or an index of apk, and gives what it says. A package's files, or an index's signature, go below `into`.
///
/// # Errors
///
/// When it contradicts itself.
pub fn read_apk(file: &Path, into: &Path) -> Result<serde_json::Value> {
    let reader = workspace::root().join("netns-tests/openwrt/read_apk.py");
    Ok(serde_json::from_str(&run(Command::new("python3").arg(reader).arg(file).arg(into))?)?)
}

/// Folders below a folder.
///
/// # Errors
///
/// When there is no such folder.
pub fn folders(folder: &Path) -> Result<BTreeSet<String>> {
    let listed = run(Command::new("find")
        .args([".", "-mindepth", "1", "-type", "d", "-printf", "%P\\n"])
        .current_dir(folder))?;
    Ok(listed.lines().map(str::to_owned).collect())
}

/// Regular files below a folder, with their modes.
///
/// # Errors
///
/// When there is no such folder.
pub fn files(folder: &Path) -> Result<BTreeMap<String, u32>> {
    let listed =
        run(Command::new("find").args([".", "-type", "f", "-printf", "%P %m\\n"]).current_dir(folder))?;
    listed
        .lines()
        .map(|line| {
            let (path, mode) = line.rsplit_once(' ').context("find")?;
            Ok((path.to_owned(), u32::from_str_radix(mode, 8)?))
        })
        .collect()
}
