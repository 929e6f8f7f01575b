//! A machine's serial line: SLIP frames (RFC 1055), each a packet, a line of its console, or a command.

use crate::wait;
use anyhow::{Result, bail};
use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv};
use std::collections::VecDeque;
use std::io::Write;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::net::UnixStream;

const END: u8 = 0xc0;
const ESC: u8 = 0xdb;
const ESC_END: u8 = 0xdc;
const ESC_ESC: u8 = 0xdd;
/// How a line of the console begins, which no packet does.
const LINE: u8 = b'#';

/// What came from the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// A packet.
    Packet(Vec<u8>),
    /// A line of its console.
    Line(String),
}

/// Our end of the line.
#[derive(Debug)]
pub struct SerialLine {
    stream: UnixStream,
    frame: Vec<u8>,
    escaped: bool,
    complete: VecDeque<Frame>,
}

impl SerialLine {
    pub(super) fn new(stream: UnixStream) -> Result<Self> {
        Ok(Self { stream, frame: Vec::new(), escaped: false, complete: VecDeque::new() })
    }

    /// Sends a frame.
    pub fn send(&mut self, content: &[u8]) -> Result<()> {
        let mut frame = vec![END];
        for byte in content {
            match *byte {
                END => frame.extend([ESC, ESC_END]),
                ESC => frame.extend([ESC, ESC_ESC]),
                other => frame.push(other),
            }
        }
        frame.push(END);
        Ok(self.stream.write_all(&frame)?)
    }

    /// The next frame, if one is there.
    pub fn receive(&mut self) -> Result<Option<Frame>> {
        let mut bytes = [0; 2048];
        while self.complete.is_empty() {
            match recv(self.stream.as_raw_fd(), &mut bytes, MsgFlags::MSG_DONTWAIT) {
                Ok(0) => bail!("the machine has ended"),
                Ok(length) => bytes.iter().take(length).for_each(|byte| self.take(*byte)),
                Err(Errno::EAGAIN) => break,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(self.complete.pop_front())
    }

    /// Waits for the next line of the console; packets before it are lost.
    pub fn line(&mut self) -> Result<String> {
        wait::until("a line from the machine", wait::SOON, || match self.receive() {
            Ok(Some(Frame::Line(line))) => Some(Ok(line)),
            Ok(_) => None,
            Err(error) => Some(Err(error)),
        })?
    }

    fn take(&mut self, byte: u8) {
        match (byte, std::mem::take(&mut self.escaped)) {
            (END, _) => self.end(),
            (ESC, _) => self.escaped = true,
            (ESC_END, true) => self.frame.push(END),
            (ESC_ESC, true) => self.frame.push(ESC),
            (other, _) => self.frame.push(other),
        }
    }

    fn end(&mut self) {
        match std::mem::take(&mut self.frame) {
            frame if frame.is_empty() => {}
            frame if frame.starts_with(&[LINE]) => {
                self.complete.push_back(Frame::Line(String::from_utf8_lossy(&frame[1..]).into_owned()));
            }
            frame => self.complete.push_back(Frame::Packet(frame)),
        }
    }
}

impl AsFd for SerialLine {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}
