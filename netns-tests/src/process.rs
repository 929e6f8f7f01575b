//! Processes that end with the value that owns them, and whose output is kept.

use crate::netns::Netns;
use crate::wait;
use anyhow::{Context, Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

/// How long a process gets between SIGTERM and SIGKILL.
const GRACE: Duration = Duration::from_secs(3);

/// A running process. Dropped, it is asked to end, and killed if it does not.
#[derive(Debug)]
pub struct Process {
    child: Child,
    name: String,
}

/// A child process that gets SIGTERM when this is dropped; for those that pass it on to children of their own.
#[derive(Debug)]
pub struct Terminated(pub Child);

impl Drop for Terminated {
    fn drop(&mut self) {
        if matches!(self.0.try_wait(), Ok(None)) {
            let _ = i32::try_from(self.0.id()).map(|pid| kill(Pid::from_raw(pid), Signal::SIGTERM));
            let _ = self.0.wait();
        }
    }
}

impl Process {
    /// Starts `command` in a namespace. `name` is for its output files and for errors.
    pub fn start(netns: &Netns, name: &str, command: Command) -> Result<Self> {
        Self::start_after(netns, name, command, || Ok(()))
    }

    /// The same by a thread that prepares itself before, and ends then: what it gives up the process never has.
    pub fn start_after(
        netns: &Netns,
        name: &str,
        mut command: Command,
        prepare: impl FnOnce() -> Result<()> + Send,
    ) -> Result<Self> {
        command
            .env_clear()
            .env("PATH", crate::peer::search_path())
            .stdin(Stdio::null())
            .stdout(File::create(output_file(name, "out"))?)
            .stderr(File::create(output_file(name, "log"))?);
        let child = netns
            .enter(move || {
                prepare()?;
                Ok::<_, anyhow::Error>(command.spawn()?)
            })?
            .with_context(|| format!("starting {name}"))?;
        Ok(Self { child, name: name.to_owned() })
    }

    /// What it has written to standard output so far.
    pub fn output(&self) -> String {
        read(&output_file(&self.name, "out"))
    }

    /// What it has written to standard error so far.
    pub fn log(&self) -> String {
        read(&output_file(&self.name, "log"))
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// How it ended, once it has.
    pub fn status(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// Waits for it to end by itself.
    pub fn wait(&mut self, limit: Duration) -> Result<ExitStatus> {
        let what = format!("the end of {}", self.name);
        wait::until(&what, limit, || self.child.try_wait().transpose())?.context(what)
    }

    /// Its number.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let pid = Pid::from_raw(i32::try_from(self.child.id())?);
        kill(pid, signal).with_context(|| format!("{signal} to {}", self.name))
    }

    /// `kill -9`: no chance to tidy up.
    pub fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.is_running() {
            let _ = self.signal(Signal::SIGTERM);
            if self.wait(GRACE).is_err() {
                let _ = self.child.kill();
                let _ = self.child.wait();
            }
        }
    }
}

/// Runs a command to its end, which must be a success: what it printed.
pub fn run(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("{command:?}"))?;
    ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

/// A line of `/proc/PID/status`.
pub fn status_field(pid: u32, name: &str) -> Result<String> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(":\t"));
    Ok(line.with_context(|| format!("{name} is not in\n{status}"))?.to_owned())
}

fn output_file(name: &str, kind: &str) -> PathBuf {
    Path::new("/run/log").join(format!("{name}.{kind}"))
}

fn read(path: &Path) -> String {
    String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned()
}
