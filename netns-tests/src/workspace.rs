//! Where this workspace and its programs are.

use anyhow::{Context, Result, ensure};
use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The workspace's top folder.
pub fn root() -> PathBuf {
    let crate_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    crate_folder.parent().unwrap_or(crate_folder).to_path_buf()
}

/// The folder of this profile's programs: `target/debug`, say. Test programs are in its `deps`.
pub fn program_dir() -> PathBuf {
    let program = env::current_exe().unwrap_or_default();
    let mut folders = program.ancestors().skip(1);
    folders.find(|folder| !folder.ends_with("deps")).map(Path::to_path_buf).unwrap_or_default()
}

/// A command that runs one of this profile's programs.
pub fn program(name: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(program_dir().join(name));
    command.args(arguments);
    command
}

/// Cargo's target folder.
pub fn target_dir() -> PathBuf {
    program_dir().parent().map(Path::to_path_buf).unwrap_or_default()
}

/// A command that runs cargo in this workspace, without the network.
///
/// What the outer cargo tells this test about its package must not reach it: build scripts that look at these
/// variables (ring's) would take them for a change and build everything anew.
pub fn cargo() -> Command {
    let mut command = outside_of_cargo(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(["--offline", "--locked"]);
    command
}

/// A command that runs a script of this workspace's `scripts/`, likewise.
pub fn script(name: &str) -> Command {
    let mut command = outside_of_cargo(root().join("scripts").join(name));
    command.env("CARGO_NET_OFFLINE", "true");
    command
}

fn outside_of_cargo(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    for (name, _) in env::vars_os() {
        if ["CARGO_PKG_", "CARGO_MANIFEST_"].iter().any(|about| name.to_string_lossy().starts_with(about)) {
            command.env_remove(name);
        }
    }
    command.current_dir(root());
    command
}

/// Brings the relay's and the device's programs up to date, once in a test program, so that no test runs old ones.
pub fn build_programs() -> Result<()> {
    static BUILT: OnceLock<Result<(), String>> = OnceLock::new();
    let built = BUILT.get_or_init(|| build().map_err(|error| format!("{error:#}")));
    built.clone().map_err(anyhow::Error::msg)
}

fn build() -> Result<()> {
    let folder = program_dir();
    let profile = match folder.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev",
        Some(name) => name,
    };
    let output = cargo()
        .args(["build", "--quiet", "--workspace", "--bins", "--profile", profile, "--target-dir"])
        .arg(target_dir())
        .output()
        .context("cargo did not start")?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "the programs under test do not build:\n{complaint}");
    Ok(())
}
