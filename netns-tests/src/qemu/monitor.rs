//! QEMU's machine protocol (QMP): commands and events, a JSON object a line.

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;

/// A connection to a machine's monitor.
#[derive(Debug)]
pub struct Monitor {
    stream: BufReader<UnixStream>,
}

impl Monitor {
    /// Shakes hands.
    pub(super) fn new(stream: UnixStream) -> Result<Self> {
        let mut monitor = Self { stream: BufReader::new(stream) };
        monitor.until(|message| message.get("QMP").is_some())?;
        monitor.execute("qmp_capabilities")?;
        Ok(monitor)
    }

    /// Carries out a command without arguments.
    pub fn execute(&mut self, command: &str) -> Result<()> {
        self.send(command)?;
        self.until(|message| message.get("return").is_some()).with_context(|| command.to_owned())
    }

    /// Resets the machine, wherever it is; it begins anew before this returns.
    pub fn reset(&mut self) -> Result<()> {
        self.send("system_reset")?;
        self.until(|message| message["event"] == "RESET").context("system_reset")
    }

    fn send(&mut self, command: &str) -> Result<()> {
        Ok(writeln!(self.stream.get_mut(), "{}", json!({ "execute": command }))?)
    }

    /// Reads messages up to the one that is meant.
    fn until(&mut self, meant: impl Fn(&Value) -> bool) -> Result<()> {
        loop {
            let mut line = String::new();
            if self.stream.read_line(&mut line)? == 0 {
                bail!("the machine has ended");
            }
            let message: Value = serde_json::from_str(&line)?;
            if let Some(error) = message.get("error") {
                bail!("{error}");
            }
            if meant(&message) {
                return Ok(());
            }
        }
    }
}
