//! A virtual machine with Debian's kernel: a border router and two devices on the kernel's own 6LoWPAN.
//!
//! `scripts/vm-image` makes what it boots, `netns-tests/vm/init` is what happens in it. Its clock runs ahead whenever
//! it has nothing to do, so that time-outs of seconds cost nothing.

use crate::peer::Peer;
use crate::process::Terminated;
use crate::workspace;
use anyhow::{Context, Result, bail, ensure};
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How long the machine may take for everything.
const LIMIT: Duration = Duration::from_secs(400);
/// `scripts/vm-image` names what is missing, and says so with this.
const MISSING: i32 = 3;

/// One fetch of one image by both devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measurement {
    /// Frames that netem loses, in percent.
    pub loss_percent: u32,
    /// The size of a block in bytes.
    pub block_bytes: u16,
    /// The size of the image in bytes.
    pub image_bytes: u32,
}

/// What it took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measured {
    /// How many of the two devices have the right image.
    pub right: u32,
    /// Frames that were on the air, those that were lost included.
    pub frames: u64,
    /// How often a device had no answer and was started again.
    pub restarts: u64,
}

/// Why there is no machine here, or what it measured.
#[derive(Debug)]
pub enum Boot {
    /// Something is missing on this machine: what, and how to get it.
    Missing(String),
    /// The console's text. See [`results`].
    Console(String),
}

/// Boots the machine for these measurements. Files go to `folder`, which may be used again.
pub fn boot(folder: &Path, measurements: &[Measurement]) -> Result<Boot> {
    fs::create_dir_all(folder)?;
    let plan = folder.join("plan");
    fs::write(&plan, plan_text(measurements))?;
    let image = Command::new(workspace::root().join("scripts/vm-image"))
        .arg(workspace::program_dir())
        .arg(folder)
        .arg(&plan)
        .output()
        .context("scripts/vm-image")?;
    let said = String::from_utf8_lossy(&image.stdout).into_owned();
    match image.status.code() {
        Some(0) => {}
        Some(MISSING) => return Ok(Boot::Missing(said.trim().to_owned())),
        _ => bail!("scripts/vm-image: {said}{}", String::from_utf8_lossy(&image.stderr)),
    }
    let console = folder.join("console");
    if Peer::Qemu.program().is_none() {
        return Ok(Boot::Missing(Peer::Qemu.remedy().to_owned()));
    }
    let machine = qemu(folder, &console).spawn().context("timeout(1) did not start")?;
    wait(Terminated(machine), &console).map(Boot::Console)
}

fn plan_text(measurements: &[Measurement]) -> String {
    measurements.iter().fold(String::new(), |mut plan, measurement| {
        let Measurement { loss_percent, block_bytes, image_bytes } = measurement;
        let _ = writeln!(plan, "{loss_percent} {block_bytes} {image_bytes}");
        plan
    })
}

fn qemu(folder: &Path, console: &Path) -> Command {
    // Whatever happens to this program, the machine ends.
    let mut command = Command::new("timeout");
    command
        .arg(LIMIT.as_secs().to_string())
        .arg("qemu-system-x86_64")
        .env("PATH", crate::peer::search_path())
        .args(["-accel", "tcg", "-cpu", "max", "-m", "512", "-nographic", "-nodefaults", "-no-reboot"])
        // The clock counts instructions, and jumps to the next timer when there are none.
        .args(["-icount", "shift=auto,sleep=off"])
        .arg("-serial")
        .arg(format!("file:{}", console.display()))
        .arg("-kernel")
        .arg(folder.join("kernel"))
        .arg("-initrd")
        .arg(folder.join("initramfs"))
        .args(["-append", "console=ttyS0 quiet panic=-1 random.trust_cpu=on"])
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

/// Reads the machine's RESULT lines, in the order of the measurements.
pub fn results(console: &str, measurements: &[Measurement]) -> Result<Vec<Measured>> {
    let lines: Vec<&str> = console.lines().filter_map(|line| line.trim().strip_prefix("RESULT ")).collect();
    ensure!(
        lines.len() == measurements.len(),
        "{} of {} results:\n{console}",
        lines.len(),
        measurements.len()
    );
    lines
        .iter()
        .zip(measurements)
        .map(|(line, measurement)| {
            let field = |name: &str| field(line, name).with_context(|| format!("no {name} in: {line}"));
            let same = field("loss")? == u64::from(measurement.loss_percent)
                && field("block")? == u64::from(measurement.block_bytes)
                && field("image")? == u64::from(measurement.image_bytes);
            ensure!(same, "{line} is no answer to {measurement:?}");
            Ok(Measured {
                right: field("right")? as u32,
                frames: field("sent")? + field("lost")?,
                restarts: field("restarts")?,
            })
        })
        .collect()
}

fn field(line: &str, name: &str) -> Option<u64> {
    line.split_whitespace().find_map(|field| field.strip_prefix(name)?.strip_prefix('=')?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: [Measurement; 1] = [Measurement { loss_percent: 5, block_bytes: 64, image_bytes: 4096 }];

    #[test]
    fn results_are_read_from_among_the_kernels_messages() {
        let console = "[ 1.2] wpan_hwsim radio2 registered.\r\n\
                       RESULT loss=5 block=64 image=4096 right=2 sent=288 lost=70 restarts=1\r\nDONE\r\n";
        let measured = results(console, &ONE).unwrap();
        assert_eq!(measured, [Measured { right: 2, frames: 358, restarts: 1 }]);
    }

    #[test]
    fn results_that_are_missing_or_others_are_noticed() {
        for console in [
            "",
            "RESULT loss=5 block=64 image=4096 right=2",
            "RESULT loss=0 block=64 image=4096 right=2 sent=1 lost=0 restarts=0",
        ] {
            assert!(results(console, &ONE).is_err(), "{console}");
        }
    }
}
