//! QEMU's machine protocol (QMP): commands and events, a JSON object a line.

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::ops::Range;
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
        self.execute_with(command, &json!({}))
    }

    fn execute_with(&mut self, command: &str, arguments: &Value) -> Result<()> {
        self.send(command, arguments)?;
        self.until(|message| message.get("return").is_some()).with_context(|| command.to_owned())
    }

    /// Stops the machine for good, and gives what its core sees in memory: not all boards have their memory where QEMU's bus is.
    pub fn memory(&mut self, memory: Range<u32>) -> Result<Vec<u8>> {
        self.execute("stop")?;
        let file = tempfile::NamedTempFile::new()?;
        let arguments = json!({ "val": memory.start, "size": memory.len(), "filename": file.path() });
        self.execute_with("memsave", &arguments)?;
        Ok(fs::read(file.path())?)
    }

    /// Resets the machine, wherever it is; it begins anew before this returns.
    pub fn reset(&mut self) -> Result<()> {
        self.send("system_reset", &json!({}))?;
        self.until(|message| message["event"] == "RESET").context("system_reset")
    }

    fn send(&mut self, command: &str, arguments: &Value) -> Result<()> {
        let message = json!({ "execute": command, "arguments": arguments });
        Ok(writeln!(self.stream.get_mut(), "{message}")?)
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
