//! sixfold-device as a process: one fetch into one file.

use crate::netns::Netns;
use crate::process::Process;
use crate::topology::RELAY;
use crate::workspace;
use anyhow::{Result, ensure};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Duration;

/// A running `sixfold-device fetch`.
#[derive(Debug)]
pub struct Fetch {
    process: Process,
    file: PathBuf,
}

/// Starts a fetch of `path` from the relay, into a file named after `name`.
pub fn fetch(netns: &Netns, name: &str, path: &str, arguments: &[&str]) -> Result<Fetch> {
    fetch_from(RELAY, netns, name, path, arguments)
}

/// The same, from the server `host`.
pub fn fetch_from(host: &str, netns: &Netns, name: &str, path: &str, arguments: &[&str]) -> Result<Fetch> {
    let file = file(name, true);
    let mut command = Command::new(workspace::program_dir().join("sixfold-device"));
    command.arg("fetch").arg(format!("coap://{host}{path}")).arg("-o").arg(&file).args(arguments);
    Ok(Fetch { process: Process::start(netns, name, command)?, file })
}

/// Where the bytes of a fetch named `name` are: under another name until it is complete.
pub fn file(name: &str, complete: bool) -> PathBuf {
    Path::new("/run").join(format!("{name}.bin{}", if complete { "" } else { ".part" }))
}

impl Fetch {
    /// Waits for success and gives the image.
    pub fn image(mut self, limit: Duration) -> Result<Vec<u8>> {
        let status = self.wait(limit)?;
        ensure!(status.success(), "sixfold-device: {status}\n{}", self.printed());
        Ok(fs::read(&self.file)?)
    }

    /// Whether it is still fetching.
    pub fn is_running(&mut self) -> bool {
        self.process.is_running()
    }

    /// How it ended, once it has.
    pub fn status(&mut self) -> Result<Option<ExitStatus>> {
        self.process.status()
    }

    /// Waits for the end, whatever it is.
    pub fn wait(&mut self, limit: Duration) -> Result<ExitStatus> {
        self.process.wait(limit)
    }

    /// What it has written to standard output.
    pub fn output(&self) -> String {
        self.process.output()
    }

    /// What it has printed.
    pub fn printed(&self) -> String {
        self.process.output() + &self.process.log()
    }
}
