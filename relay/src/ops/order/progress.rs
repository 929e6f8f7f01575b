//! How far a fetch is: one line of a terminal that is written again and again, and gone in the end. Nothing where there is no
//! terminal.

use bytesize::ByteSize;
use std::io::{self, Write};
use std::time::{Duration, Instant};
use terminal_size::{Width, terminal_size_of};

/// Characters of the bar.
const BAR: u64 = 30;

/// A line on standard error.
pub(super) struct Progress {
    name: String,
    start: Instant,
    /// What was there at the start.
    before: Option<u64>,
}

impl Progress {
    /// `name` is printable.
    pub(super) fn new(name: String) -> Self {
        Self { name, start: Instant::now(), before: None }
    }

    pub(super) fn show(&mut self, bytes: u64, total: Option<u64>) {
        let fetched = bytes.saturating_sub(*self.before.get_or_insert(bytes));
        if let Some((Width(width), _)) = terminal_size_of(io::stderr()) {
            let text = line(&self.name, bytes, total, per_second(fetched, self.start.elapsed()));
            // In the last column some terminals would go on to the next line.
            let cut: String = text.chars().take(usize::from(width).saturating_sub(1)).collect();
            let _ = write!(io::stderr(), "\r{cut}\x1b[K");
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if terminal_size_of(io::stderr()).is_some() {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}

fn per_second(bytes: u64, time: Duration) -> ByteSize {
    ByteSize((bytes as f64 / time.as_secs_f64().max(0.001)) as u64)
}

fn line(name: &str, bytes: u64, total: Option<u64>, speed: ByteSize) -> String {
    let Some(total) = total else { return format!("{name} {} {speed}/s", ByteSize(bytes)) };
    let done = bytes.saturating_mul(BAR).checked_div(total).unwrap_or(BAR).min(BAR) as usize;
    let bar = "#".repeat(done);
    format!("{name} [{bar:<30}] {}/{} {speed}/s", ByteSize(bytes), ByteSize(total))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_how_much_of_what_and_how_fast() {
        let at = |bytes, total| line("/fw/a.bin", bytes, total, per_second(bytes, Duration::from_secs(2)));
        assert_eq!(
            at(1 << 20, Some(2 << 20)),
            "/fw/a.bin [###############               ] 1.0 MiB/2.0 MiB 512.0 KiB/s"
        );
        assert_eq!(at(1 << 20, None), "/fw/a.bin 1.0 MiB 512.0 KiB/s");
        for (bytes, total) in [(0, 0), (u64::MAX, 1)] {
            assert!(at(bytes, Some(total)).contains(&"#".repeat(30)), "{bytes} of {total}");
        }
        assert_eq!(per_second(0, Duration::ZERO), ByteSize(0));
    }
}
