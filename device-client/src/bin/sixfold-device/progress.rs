//! What people see while a fetch runs: a bar on a terminal, a line now and then elsewhere, or nothing.

use indicatif::{BinaryBytes, ProgressBar, ProgressStyle};
use std::io::{IsTerminal, Write, stderr};
use std::time::{Duration, Instant};

/// Between two lines.
const INTERVAL: Duration = Duration::from_secs(10);

/// Reports on stderr.
pub(crate) enum Progress {
    Quiet,
    Bar(ProgressBar),
    Lines { next: Instant, heard: u64 },
}

impl Progress {
    /// A bar if stderr is a terminal.
    pub(crate) fn new(quiet: bool) -> Self {
        if quiet {
            return Self::Quiet;
        }
        if !stderr().is_terminal() {
            return Self::Lines { next: Instant::now() + INTERVAL, heard: 0 };
        }
        let bar = ProgressBar::no_length();
        let template =
            "{wide_bar} {binary_bytes} of {binary_total_bytes}, {binary_bytes_per_sec}, {eta} left{msg}";
        // A wrong template is found by the test below; a plain bar would do as well.
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        Self::Bar(bar)
    }

    /// `bytes` of `size` are here.
    pub(crate) fn at(&mut self, bytes: u64, size: Option<u32>) {
        match self {
            Self::Quiet => {}
            Self::Bar(bar) => {
                if let Some(size) = size {
                    bar.set_length(size.into());
                }
                bar.set_position(bytes);
            }
            Self::Lines { next, heard } => {
                if Instant::now() >= *next {
                    *next = Instant::now() + INTERVAL;
                    print_line(&(line(bytes, size) + &in_group(*heard)));
                }
            }
        }
    }

    /// How many datagrams of a group were heard.
    pub(crate) fn heard(&mut self, datagrams: u64) {
        match self {
            Self::Quiet => {}
            Self::Bar(bar) => bar.set_message(in_group(datagrams)),
            Self::Lines { heard, .. } => *heard = datagrams,
        }
    }

    /// Something worth a line of its own.
    pub(crate) fn say(&self, what: &str) {
        match self {
            Self::Quiet => {}
            Self::Bar(bar) => bar.suspend(|| print_line(what)),
            Self::Lines { .. } => print_line(what),
        }
    }

    /// No more progress: the bar goes away.
    pub(crate) fn end(&self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}

/// A line on stderr. Where nobody reads it any more, the fetch goes on.
pub(crate) fn print_line(text: &str) {
    let _ = writeln!(stderr(), "{text}");
}

fn in_group(datagrams: u64) -> String {
    if datagrams > 0 { format!(", {datagrams} heard") } else { String::new() }
}

fn line(bytes: u64, size: Option<u32>) -> String {
    match size {
        Some(size @ 1..) => {
            let percent = bytes.saturating_mul(100) / u64::from(size);
            format!("{} of {} ({percent} %)", BinaryBytes(bytes), BinaryBytes(size.into()))
        }
        _ => BinaryBytes(bytes).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        assert_eq!(line(512, Some(1024)), "512 B of 1.00 KiB (50 %)");
        assert_eq!(line(512, None), "512 B");
        assert_eq!(line(0, Some(0)), "0 B");
        assert_eq!(line(0, None) + &in_group(0), "0 B");
        assert_eq!(line(0, None) + &in_group(7), "0 B, 7 heard");
    }
}
