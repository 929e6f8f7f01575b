//! A virtual machine that is a border router and two devices on the kernel's own 6LoWPAN.
//!
//! `scripts/vm-6lowpan` makes what it boots, `netns-tests/vm/6lowpan/init` is what happens in it.

use super::{Boot, folder};
use crate::workspace;
use anyhow::{Context, Result, ensure};
use std::fmt::Write;
use std::fs;

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

/// Boots the machine for these measurements. [`results`] reads its console.
pub fn boot(measurements: &[Measurement]) -> Result<Boot> {
    let (kernel, folder) = (folder(), folder().join("6lowpan"));
    fs::create_dir_all(&folder)?;
    let plan = folder.join("plan");
    fs::write(&plan, plan_text(measurements))?;
    let mut initramfs = workspace::script("vm-6lowpan");
    initramfs.arg(kernel).arg(workspace::program_dir()).arg(&folder).arg(plan);
    super::boot(&folder, initramfs, "")
}

fn plan_text(measurements: &[Measurement]) -> String {
    measurements.iter().fold(String::new(), |mut plan, measurement| {
        let Measurement { loss_percent, block_bytes, image_bytes } = measurement;
        let _ = writeln!(plan, "{loss_percent} {block_bytes} {image_bytes}");
        plan
    })
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
