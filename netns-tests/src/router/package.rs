//! What opkg and apk do with a package, as far as it concerns this one: files, the operator's among them left alone, and scripts.
//!
//! A package is taken to be the same but for its program when it is installed again: then it is an upgrade.

use super::{INFO, Router, said};
use crate::packed::{files, folders, read_apk, untar};
use anyhow::{Context, Result, ensure};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Where apk's scripts are kept here; apk has them in an archive.
const SCRIPTS: &str = "lib/apk/scripts";
/// What apk's packages bring with them about themselves.
const APK_INFO: &str = "lib/apk/packages";

impl Router {
    /// Installs an .ipk or .apk, or upgrades to it: what its scripts did is in [`Router::record`].
    ///
    /// # Errors
    ///
    /// When it cannot be read, or a script fails or prints something.
    pub fn install(&self, package: &Path) -> Result<()> {
        fs::write(self.path("record"), "")?;
        if package.extension().is_some_and(|kind| kind == "apk") {
            self.install_apk(package)
        } else {
            self.install_ipk(package)
        }
    }

    /// As `opkg_install.c` has it: of an upgrade both know by PKG_UPGRADE, what goes and what comes.
    fn install_ipk(&self, package: &Path) -> Result<()> {
        let parts = tempfile::tempdir()?;
        let (data, control) = (parts.path().join("data"), parts.path().join("control"));
        untar(package, parts.path())?;
        untar(&parts.path().join("data.tar.gz"), &data)?;
        untar(&parts.path().join("control.tar.gz"), &control)?;
        let info = self.path(INFO);
        let upgrade = if info.join("sixfold.list").exists() { "1" } else { "0" };
        if upgrade == "1" {
            self.run_script(&format!("{INFO}/sixfold.prerm"), "upgrade", upgrade)?;
        }
        let listed = self.put(&data, &fs::read_to_string(control.join("conffiles"))?, "-opkg")?;
        for name in ["control", "postinst", "prerm", "conffiles"] {
            fs::copy(control.join(name), info.join(format!("sixfold.{name}")))?;
        }
        fs::write(info.join("sixfold.list"), listed)?;
        self.run_script(&format!("{INFO}/sixfold.postinst"), "configure", upgrade)
    }

    /// Its scripts say themselves whether they are for an upgrade.
    fn install_apk(&self, package: &Path) -> Result<()> {
        let parts = tempfile::tempdir()?;
        let read = read_apk(package, parts.path())?;
        let is_upgrade = self.path(APK_INFO).join("sixfold.list").exists();
        let operators = fs::read_to_string(parts.path().join(APK_INFO).join("sixfold.conffiles"))?;
        self.put(parts.path(), &operators, ".apk-new")?;
        fs::create_dir_all(self.path(SCRIPTS))?;
        for (name, text) in read["scripts"].as_object().context("scripts")? {
            let script = self.path(SCRIPTS).join(name);
            fs::write(&script, text.as_str().context("a script")?)?;
            fs::set_permissions(script, fs::Permissions::from_mode(0o755))?;
        }
        let script = if is_upgrade { "post-upgrade" } else { "post-install" };
        self.run_script(&format!("{SCRIPTS}/{script}"), "", "")
    }

    /// Removes what is installed, but for the operator's file if it is another one than `shipped`.
    ///
    /// # Errors
    ///
    /// When its script fails or prints something.
    pub fn remove(&self, shipped: &str) -> Result<()> {
        fs::write(self.path("record"), "")?;
        let info = if self.path(INFO).join("sixfold.list").exists() { INFO } else { APK_INFO };
        let listed = fs::read_to_string(self.path(info).join("sixfold.list"))?;
        let operators = fs::read_to_string(self.path(info).join("sixfold.conffiles"))?;
        if info == INFO {
            self.run_script(&format!("{INFO}/sixfold.prerm"), "remove", "0")?;
        } else {
            self.run_script(&format!("{SCRIPTS}/pre-deinstall"), "", "")?;
        }
        // What runs once has removed itself.
        let remains = |path: &&str| self.path(path).exists();
        for path in listed.lines().filter(remains) {
            let is_operators = operators.lines().any(|line| line == path);
            if !is_operators || fs::read_to_string(self.path(path))? == shipped {
                fs::remove_file(self.path(path))?;
            }
        }
        Ok(fs::remove_file(self.path(info).join("sixfold.list"))?)
    }

    /// Puts files and folders in their places, and what is to be the operator's beside his own with another ending: all paths.
    fn put(&self, data: &Path, operators: &str, ending: &str) -> Result<String> {
        for folder in folders(data)? {
            fs::create_dir_all(self.path(&folder))?;
        }
        let mut listed = String::new();
        for (path, mode) in files(data)? {
            listed += &format!("/{path}\n");
            let is_operators = operators.lines().any(|line| line == format!("/{path}"));
            let mut place = self.path(&path).into_os_string();
            if is_operators && Path::new(&place).exists() {
                place.push(ending);
            }
            let place = PathBuf::from(place);
            // In the place of a program that runs comes another file.
            let new = place.with_extension("new");
            fs::copy(data.join(&path), &new)?;
            fs::set_permissions(&new, fs::Permissions::from_mode(mode))?;
            fs::rename(new, place)?;
        }
        Ok(listed)
    }

    fn run_script(&self, script: &str, argument: &str, upgrade: &str) -> Result<()> {
        let mut command = self.command(&format!("/{script}"));
        if !argument.is_empty() {
            command.arg(argument).env("PKG_UPGRADE", upgrade);
        }
        let output = command.output()?;
        ensure!(output.status.success() && said(&output).is_empty(), "{script}: {}", said(&output));
        Ok(())
    }
}
