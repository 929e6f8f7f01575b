//! Virtual machines with Debian's kernel, for what no namespace can show: the kernel's own 6LoWPAN, and systemd as process 1.
//!
//! A machine is an initramfs, has no disk and no network, and says on its console what came of what happens in it; its last line is
//! DONE. `scripts/vm-kernel` gets the kernel; what goes into the initramfs is the business of the modules below.

pub mod debian;
pub mod sixlowpan;

use crate::peer::{self, Peer};
use crate::process::Terminated;
use crate::workspace;
use anyhow::{Context, Result, bail, ensure};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How long a machine may take for everything. It takes less than two minutes where nothing else runs.
const LIMIT: Duration = Duration::from_secs(900);
/// The scripts name what is missing, and say so with this.
const MISSING: i32 = 3;

/// Why there is no machine here, or what it said.
#[derive(Debug)]
pub enum Boot {
    /// Something is missing on this machine: what, and how to get it.
    Missing(String),
    /// The console's text.
    Console(String),
}

/// The kernel's folder, and those of the machines in it. They may be used again.
fn folder() -> PathBuf {
    workspace::target_dir().join("vm")
}

/// Gets the kernel, has `initramfs` write one into `folder`, and boots both.
fn boot(folder: &Path, initramfs: Command, kernel_arguments: &str) -> Result<Boot> {
    let mut kernel = workspace::script("vm-kernel");
    kernel.arg(self::folder());
    for script in [kernel, initramfs] {
        if let Some(what) = missing_of(script)? {
            return Ok(Boot::Missing(what));
        }
    }
    if Peer::Qemu.program().is_none() {
        return Ok(Boot::Missing(Peer::Qemu.remedy()));
    }
    let console = folder.join("console");
    let machine = qemu(folder, &console, kernel_arguments).spawn().context("timeout(1) did not start")?;
    wait(Terminated(machine), &console).map(Boot::Console)
}

/// Runs a script: what is missing here, if something is.
fn missing_of(mut script: Command) -> Result<Option<String>> {
    let output = script.output().with_context(|| format!("{script:?}"))?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    match output.status.code() {
        Some(0) => Ok(None),
        Some(MISSING) => Ok(Some(said.trim().to_owned())),
        _ => bail!("{script:?}: {said}{}", String::from_utf8_lossy(&output.stderr)),
    }
}

fn qemu(folder: &Path, console: &Path, kernel_arguments: &str) -> Command {
    // Whatever happens to this program, the machine ends.
    let mut command = Command::new("timeout");
    command
        .arg(LIMIT.as_secs().to_string())
        .arg("qemu-system-x86_64")
        .env("PATH", peer::search_path())
        .args(["-accel", "tcg", "-cpu", "max", "-m", "768", "-nographic", "-nodefaults", "-no-reboot"])
        // The clock counts instructions, two nanoseconds each, and jumps to the next timer when there are none: time-outs mean the same
        // however busy this machine is, and cost nothing.
        .args(["-icount", "shift=1,sleep=off"])
        .arg("-serial")
        .arg(format!("file:{}", console.display()))
        .arg("-kernel")
        .arg(self::folder().join("kernel"))
        .arg("-initrd")
        .arg(folder.join("initramfs"))
        .arg("-append")
        .arg(format!("console=ttyS0 quiet panic=-1 random.trust_cpu=on {kernel_arguments}"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::inherit());
    command
}

/// Waits until the machine has powered itself off; gives what it said.
fn wait(mut machine: Terminated, console: &Path) -> Result<String> {
    let deadline = Instant::now() + LIMIT;
    let said =
        || fs::read(console).map(|text| String::from_utf8_lossy(&text).into_owned()).unwrap_or_default();
    while machine.0.try_wait()?.is_none() {
        ensure!(Instant::now() < deadline, "the machine is not done within {LIMIT:?}:\n{}", said());
        thread::sleep(Duration::from_millis(50));
    }
    let said = said();
    ensure!(said.lines().any(|line| line.trim() == "DONE"), "the machine failed:\n{said}");
    Ok(said)
}
