//! What the demo prints when all devices are done.

use sha2::{Digest, Sha256};
use sixfold_profile::Hex;
use std::fmt;
use std::time::Duration;

/// One device and what became of it.
#[derive(Debug)]
pub(crate) struct Device {
    pub(crate) number: usize,
    /// The exit code of its program.
    pub(crate) exit: Option<i32>,
    /// Its file has the digest of the image.
    pub(crate) right: bool,
    pub(crate) elapsed: Duration,
}

/// The whole scene in numbers.
pub(crate) struct Report<'a> {
    pub(crate) image: &'a [u8],
    pub(crate) origin_requests: u64,
    pub(crate) origin_bytes: u64,
    pub(crate) blocks: u64,
    pub(crate) elapsed: Duration,
    pub(crate) devices: Vec<Device>,
}

impl Report<'_> {
    /// Every device has the right bytes, and the origin gave them once.
    pub(crate) fn is_right(&self) -> bool {
        self.devices.iter().all(|device| device.right) && self.origin_bytes == self.image.len() as u64
    }
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let size = self.image.len().max(1);
        let digest = Sha256::digest(self.image);
        let right = self.devices.iter().filter(|device| device.right).count();
        let slowest = self.devices.iter().map(|device| device.elapsed).max().unwrap_or_default();
        let delivered = right as u64 * self.image.len() as u64;
        writeln!(f, "\ndevice  time      digest")?;
        for device in &self.devices {
            let verdict = match (device.right, device.exit) {
                (true, _) => "right".to_owned(),
                (false, Some(code)) => format!("WRONG (exit code {code})"),
                (false, None) => "WRONG (killed)".to_owned(),
            };
            writeln!(f, "{:>6}  {:>6.3} s  {verdict}", device.number, device.elapsed.as_secs_f64())?;
        }
        write!(f, "\nimage          {} bytes, sha256 {}", self.image.len(), Hex(&digest))?;
        let ratio = self.origin_bytes as f64 / size as f64;
        writeln!(
            f,
            "\norigin         {} bytes in {} request(s) ({ratio:.2} × the image)",
            self.origin_bytes, self.origin_requests
        )?;
        writeln!(f, "delivered      {delivered} bytes in {} blocks", self.blocks)?;
        writeln!(
            f,
            "time           {:.3} s, slowest device {:.3} s",
            self.elapsed.as_secs_f64(),
            slowest.as_secs_f64()
        )?;
        writeln!(f, "devices        {right} of {} have the right digest", self.devices.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(right: bool, origin_bytes: u64) -> Report<'static> {
        let elapsed = Duration::from_millis(5);
        let devices = vec![Device { number: 1, exit: Some(0), right, elapsed }];
        Report { image: b"image", origin_requests: 1, origin_bytes, blocks: 1, elapsed, devices }
    }

    #[test]
    fn right_means_all_devices_and_one_fetch() {
        assert!(report(true, 5).is_right());
        assert!(!report(false, 5).is_right());
        assert!(!report(true, 10).is_right());
    }

    #[test]
    fn says_which_device_is_wrong() {
        assert!(report(false, 5).to_string().contains("WRONG (exit code 0)"));
        assert!(report(true, 5).to_string().contains("1.00 × the image"));
    }
}
