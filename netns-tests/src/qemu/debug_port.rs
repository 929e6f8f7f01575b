//! GDB's remote serial protocol, as far as writing memory goes. QEMU lets it write flash.

use anyhow::{Result, ensure};
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

/// How much is written with one packet; QEMU takes 4 KiB of hexadecimal digits.
const PIECE: usize = 1024;

/// A connection to the debug port of a machine that does not run.
#[derive(Debug)]
pub struct DebugPort {
    stream: UnixStream,
}

impl DebugPort {
    pub(super) fn new(stream: UnixStream) -> Result<Self> {
        let mut port = Self { stream };
        port.ask("qSupported")?;
        Ok(port)
    }

    /// Writes memory.
    pub(super) fn write(&mut self, address: u32, bytes: &[u8]) -> Result<()> {
        for (number, piece) in bytes.chunks(PIECE).enumerate() {
            let mut command = format!("M{:x},{:x}:", address as usize + number * PIECE, piece.len());
            piece.iter().try_for_each(|byte| write!(command, "{byte:02x}"))?;
            let answer = self.ask(&command)?;
            ensure!(answer == "OK", "writing at {address:#x}: {answer}");
        }
        Ok(())
    }

    /// Sends `$command#checksum`, and gives what is in the answer.
    fn ask(&mut self, command: &str) -> Result<String> {
        let checksum = command.bytes().fold(0, u8::wrapping_add);
        write!(self.stream, "${command}#{checksum:02x}")?;
        let mut answer = Vec::new();
        while !answer.iter().rev().skip(2).any(|byte| *byte == b'#') {
            let mut byte = [0];
            self.stream.read_exact(&mut byte)?;
            answer.extend(byte);
        }
        self.stream.write_all(b"+")?;
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let (_, content) = answer.split_once('$').unwrap_or_default();
        Ok(content.split('#').next().unwrap_or_default().to_owned())
    }
}

impl Drop for DebugPort {
    fn drop(&mut self) {
        // Detaches; the answer does not matter any more.
        let _ = self.ask("D");
    }
}
