//! The package as `config/openwrt/package.py` writes it, and what opkg does with it, as far as it concerns this one: files,
//! the operator's among them left alone, and scripts.

use super::{INFO, Router, said};
use crate::process::run;
use crate::workspace;
use anyhow::{Context, Result, ensure};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The version of the packages.
pub const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), "-r1");
/// A stand-in for the bill of materials: `tests/supply_chain.rs` reads a real one.
pub const SBOM: &[u8] = b"{\"bomFormat\":\"CycloneDX\"}";

/// Writes the .ipk and the .apk around a program with these bytes, below a folder.
pub fn write(folder: &Path, architecture: &str, program: &[u8]) -> Result<(PathBuf, PathBuf)> {
    let file = folder.join("program");
    fs::write(&file, program)?;
    let sbom = folder.join("sbom");
    fs::write(&sbom, SBOM)?;
    let script = workspace::root().join("config/openwrt/package.py");
    run(Command::new("python3")
        .arg(script)
        .args([architecture.as_ref(), file.as_os_str(), sbom.as_os_str(), folder.as_os_str()])
        .env("SOURCE_DATE_EPOCH", "1700000000"))?;
    let ipk = folder.join(format!("sixfold_{VERSION}_{architecture}.ipk"));
    let apk = folder.join(format!("{architecture}/sixfold-{VERSION}.apk"));
    Ok((ipk, apk))
}

/// Unpacks a gzipped tar into a folder, which is made.
pub fn untar(archive: &Path, into: &Path) -> Result<()> {
    fs::create_dir_all(into)?;
    run(Command::new("tar").arg("-xpzf").arg(archive).arg("-C").arg(into)).map(|_| ())
}

/// Regular files below a folder, with their modes.
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

impl Router {
    /// Installs an .ipk, or upgrades to it: what its script did is in [`Router::record`].
    pub fn install(&self, ipk: &Path) -> Result<()> {
        let parts = tempfile::tempdir()?;
        let (data, control) = (parts.path().join("data"), parts.path().join("control"));
        untar(ipk, parts.path())?;
        untar(&parts.path().join("data.tar.gz"), &data)?;
        untar(&parts.path().join("control.tar.gz"), &control)?;
        let is_upgrade = self.path(INFO).join("sixfold.list").exists();
        let operators = fs::read_to_string(control.join("conffiles"))?;
        let mut listed = String::new();
        for (path, mode) in files(&data)? {
            listed += &format!("/{path}\n");
            let is_operators = operators.lines().any(|line| line == format!("/{path}"));
            let place = self.path(&path);
            let place = match is_operators && place.exists() {
                true => place.with_extension("opkg"),
                false => place,
            };
            fs::create_dir_all(place.parent().context("a file without a folder")?)?;
            // In the place of a program that runs comes another file, as opkg does it.
            let new = place.with_extension("new");
            fs::copy(data.join(&path), &new)?;
            fs::set_permissions(&new, fs::Permissions::from_mode(mode))?;
            fs::rename(new, place)?;
        }
        for name in ["control", "postinst"] {
            fs::copy(control.join(name), self.path(INFO).join(format!("sixfold.{name}")))?;
        }
        fs::write(self.path(INFO).join("sixfold.list"), listed)?;
        fs::write(self.path("record"), "")?;
        let mut postinst = self.command(&format!("/{INFO}/sixfold.postinst"));
        if is_upgrade {
            postinst.env("PKG_UPGRADE", "1");
        }
        let output = postinst.arg("configure").output()?;
        ensure!(output.status.success() && said(&output).is_empty(), "postinst: {}", said(&output));
        Ok(())
    }
}
