//! What opkg does with a package, as far as it concerns this one: files, the operator's among them left alone, and scripts.

use super::{INFO, Router, said};
use crate::packed::{files, untar};
use anyhow::{Context, Result, ensure};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

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
