//! A measuring stick, for no device: what a boot program's TFTP client takes when it is written as the boot core is, with
//! time, datagrams and flash from outside.
//!
//! TFTP (RFC 1350) with the block size option (RFC 2347, RFC 2348), binary, one file from one server. It deliberately does
//! not know whether a byte is right, or whose it is: there is neither a digest nor a signature. After a cut of power, and
//! after any error, it erases the slot and begins at the first byte again.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

mod packet;

use core::ops::Range;
use embedded_storage::nor_flash::NorFlash;
use packet::Received;
use sixfold_profile::Instant;

/// Where a server takes requests (RFC 1350 §4).
pub const SERVER_PORT: u16 = 69;
/// Bytes of a block unless the server acknowledges another size (RFC 1350 §2).
const DEFAULT_BLOCK: u16 = 512;
/// Bytes of a block that are asked for: so that a datagram fits into IPv6's smallest MTU.
pub const BLOCK: u16 = 1024;
/// The first timeout; each further one is twice as long (RFC 1123 §4.2.3.2).
const TIMEOUT_US: u64 = 1_000_000;
/// After so many timeouts in a row everything begins anew.
const MOST_TIMEOUTS: u8 = 6;
/// How long nothing is sent after an error: such as the last timeout.
const PAUSE_US: u64 = TIMEOUT_US << MOST_TIMEOUTS;

/// One transfer, begun again until it is done.
///
/// After each input, and at the start, call [`Tftp::poll_transmit`]; then sleep until a datagram comes or
/// [`Tftp::poll_timeout`], which is `None` when the file is in the slot.
#[derive(Debug)]
pub struct Tftp<'n, F> {
    flash: F,
    slot: Range<u32>,
    name: &'n [u8],
    state: State,
    /// The server's transfer identifier: the port that its first answer came from.
    peer: Option<u16>,
    block_bytes: u16,
    /// The last block that was written; zero before the first.
    block: u16,
    written: u32,
    timeouts: u8,
    transfers: u16,
    is_due: bool,
    timeout: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Fetching,
    Pausing,
    Done,
}

impl<'n, F: NorFlash> Tftp<'n, F> {
    /// Erases the slot, which must be whole pages; the transfer begins at once.
    ///
    /// # Errors
    /// The flash's.
    pub fn new(flash: F, slot: Range<u32>, name: &'n [u8], now: Instant) -> Result<Self, F::Error> {
        let mut tftp = Self {
            flash,
            slot,
            name,
            state: State::Fetching,
            peer: None,
            block_bytes: DEFAULT_BLOCK,
            block: 0,
            written: 0,
            timeouts: 0,
            transfers: 0,
            is_due: true,
            timeout: now,
        };
        tftp.begin(now)?;
        Ok(tftp)
    }

    /// The port that this transfer sends from: another one than the last, so that late packets are not taken for its own.
    pub const fn local_port(&self) -> u16 {
        0xc000 | self.transfers & 0x3fff
    }

    /// How many bytes the file has so far.
    pub const fn written(&self) -> u32 {
        self.written
    }

    fn begin(&mut self, now: Instant) -> Result<(), F::Error> {
        self.flash.erase(self.slot.start, self.slot.end)?;
        self.state = State::Fetching;
        self.peer = None;
        self.block_bytes = DEFAULT_BLOCK;
        self.block = 0;
        self.written = 0;
        self.transfers = self.transfers.wrapping_add(1);
        self.moved(now);
        Ok(())
    }

    /// Something is to be sent, and waited for.
    fn moved(&mut self, now: Instant) {
        self.timeouts = 0;
        self.send(now);
    }

    fn send(&mut self, now: Instant) {
        self.is_due = true;
        self.timeout = now.after_micros(TIMEOUT_US << self.timeouts);
    }

    fn pause(&mut self, now: Instant) {
        self.state = State::Pausing;
        self.is_due = false;
        self.timeout = now.after_micros(PAUSE_US);
    }

    /// Sends again, or begins anew.
    ///
    /// # Errors
    /// The flash's.
    pub fn handle_timeout(&mut self, now: Instant) -> Result<(), F::Error> {
        if self.state == State::Done || now < self.timeout {
            return Ok(());
        }
        if self.state == State::Pausing || self.timeouts == MOST_TIMEOUTS {
            return self.begin(now);
        }
        self.timeouts += 1;
        self.send(now);
        Ok(())
    }

    /// When something is due; nothing ever is once the file is there.
    pub fn poll_timeout(&self) -> Option<Instant> {
        (self.state != State::Done).then_some(self.timeout)
    }

    /// The next packet: its length, and the server's port that it goes to.
    pub fn poll_transmit(&mut self, buffer: &mut [u8]) -> Option<(usize, u16)> {
        if !core::mem::take(&mut self.is_due) {
            return None;
        }
        let length = match self.peer {
            None => packet::request(buffer, self.name),
            Some(_) => packet::acknowledgement(buffer, self.block),
        };
        Some((length?, self.peer.unwrap_or(SERVER_PORT)))
    }

    /// Takes a datagram of the server's.
    ///
    /// # Errors
    /// The flash's.
    pub fn handle_datagram(&mut self, now: Instant, port: u16, datagram: &[u8]) -> Result<(), F::Error> {
        if self.state == State::Pausing || self.peer.is_some_and(|peer| peer != port) {
            return Ok(());
        }
        match packet::read(datagram) {
            Some(Received::Options(block_bytes)) if self.peer.is_none() && is_usable(block_bytes) => {
                self.peer = Some(port);
                self.block_bytes = block_bytes;
                self.moved(now);
            }
            Some(Received::Data(block, bytes)) => self.data(now, port, block, bytes)?,
            Some(Received::Error | Received::Options(_)) if self.state == State::Fetching => self.pause(now),
            _ => {}
        }
        Ok(())
    }

    fn data(&mut self, now: Instant, port: u16, block: u16, bytes: &[u8]) -> Result<(), F::Error> {
        if self.peer.is_some() && block == self.block {
            // The acknowledgement was lost. It is sent once more, and the timeout stays as it is.
            self.is_due = true;
            return Ok(());
        }
        let is_next = self.state == State::Fetching && block == self.block.wrapping_add(1);
        if !is_next || bytes.len() > usize::from(self.block_bytes) {
            return Ok(());
        }
        self.peer = Some(port);
        let length = bytes.len() as u32;
        if self.slot.end - self.slot.start - self.written < length {
            self.pause(now);
            return Ok(());
        }
        self.write(bytes)?;
        self.written += length;
        self.block = block;
        self.moved(now);
        if bytes.len() < usize::from(self.block_bytes) {
            self.state = State::Done;
        }
        Ok(())
    }

    /// Whole words as they are, what is left with erased bytes behind it.
    fn write(&mut self, bytes: &[u8]) -> Result<(), F::Error> {
        let at = self.slot.start + self.written;
        let whole = bytes.len() & !3;
        let (words, rest) = bytes.split_at_checked(whole).unwrap_or((bytes, &[]));
        self.flash.write(at, words)?;
        if rest.is_empty() {
            return Ok(());
        }
        let mut last = [0xff; 4];
        last.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
        self.flash.write(at + whole as u32, &last)
    }
}

/// Whether all blocks but the last are whole words.
const fn is_usable(block_bytes: u16) -> bool {
    block_bytes >= 8 && block_bytes <= BLOCK && block_bytes.is_multiple_of(4)
}

#[cfg(test)]
mod tests;
