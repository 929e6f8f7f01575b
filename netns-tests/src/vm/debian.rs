//! A virtual machine that is a small Debian with systemd, in which the packages are installed, used, upgraded and purged.
//!
//! `scripts/vm-debian` makes it of this machine's own packages, `netns-tests/vm/debian/test` is what happens in it.

use super::{Boot, boot, folder};
use crate::{debian, workspace};
use anyhow::{Context, Result};
use std::fs;

/// Boots the machine with the packages that [`debian::build_packages`] has written, for these checks. Its console has a line PASSED for each.
pub fn run(checks: &[&str]) -> Result<Boot> {
    let folder = folder().join("debian");
    let parts = tempfile::tempdir()?;
    let list = parts.path().join("checks");
    fs::write(&list, checks.join("\n") + "\n")?;
    let upgrade = debian::another_version_in(parts.path(), "0.1.0-2", "")?;
    let mut initramfs = workspace::script("vm-debian");
    initramfs.arg(&folder).arg(list);
    for (from, name) in [
        (debian::package("sixfold-relay")?, "sixfold-relay.deb"),
        (debian::package("sixfold-tools")?, "sixfold-tools.deb"),
        (upgrade, "upgrade.deb"),
    ] {
        let file = parts.path().join(name);
        fs::copy(&from, &file).with_context(|| from.display().to_string())?;
        initramfs.arg(file);
    }
    let scripts = workspace::root().join("netns-tests/vm/debian");
    initramfs.args(["test", "test.service"].map(|name| scripts.join(name)));
    initramfs.arg(workspace::root().join("README.md"));
    // Not systemd.show_status: every line of the console is an emulated port's work.
    boot(
        &folder,
        initramfs,
        "rdinit=/lib/systemd/systemd systemd.unit=multi-user.target systemd.show_status=no",
    )
}
