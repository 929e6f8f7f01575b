//! IEEE 802.15.4 frames over a Unix datagram socket: the radio laboratory's (`sixfold-air run --frames`).

use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

/// An MPDU without its frame check sequence (IEEE Std 802.15.4-2015 §7.2).
const FRAME: usize = 125;

/// A radio whose air is behind a socket.
#[derive(Debug)]
pub(crate) struct Radio {
    socket: UnixDatagram,
    /// Where the air answers to; it goes with the radio.
    own: PathBuf,
}

impl Radio {
    /// Joins the air behind `path`.
    pub(crate) fn join(path: &Path) -> io::Result<Self> {
        let mut own = OsString::from(path);
        own.push(format!(".{}", std::process::id()));
        let own = PathBuf::from(own);
        // What a killed process of the same number left.
        match fs::remove_file(&own) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let radio = Self { socket: UnixDatagram::bind(&own)?, own };
        radio.socket.connect(path)?;
        radio.socket.set_nonblocking(true)?;
        Ok(radio)
    }
}

impl Drop for Radio {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.own);
    }
}

impl AsRawFd for Radio {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

#[derive(Debug)]
pub(crate) struct Received(Vec<u8>);

#[derive(Debug)]
pub(crate) struct Sender<'r>(&'r UnixDatagram);

impl Device for Radio {
    type RxToken<'a> = Received;
    type TxToken<'a> = Sender<'a>;

    fn receive(&mut self, _now: smoltcp::time::Instant) -> Option<(Received, Sender<'_>)> {
        let mut frame = vec![0; FRAME];
        let length = self.socket.recv(&mut frame).ok()?;
        frame.truncate(length);
        Some((Received(frame), Sender(&self.socket)))
    }

    fn transmit(&mut self, _now: smoltcp::time::Instant) -> Option<Sender<'_>> {
        Some(Sender(&self.socket))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ieee802154;
        capabilities.max_transmission_unit = FRAME;
        capabilities
    }
}

impl RxToken for Received {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, work: F) -> R {
        work(&self.0)
    }
}

impl TxToken for Sender<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, work: F) -> R {
        let mut frame = vec![0; length];
        let result = work(&mut frame);
        // A frame that the air does not take is lost, as on any link.
        let _ = self.0.send(&frame);
        result
    }
}
