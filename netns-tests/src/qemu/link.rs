//! The other end of a machine's serial line: a TUN device of the relay's, as `slattach` would make one, or a node of the
//! radio laboratory.

use super::serial::{Frame, SerialLine};
use crate::lab::tun::Tun;
use crate::netns::Netns;
use anyhow::{Result, bail};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::io::{self, ErrorKind};
use std::net::Ipv6Addr;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixDatagram;
use std::path::Path;

/// The interface that the relay serves.
pub const INTERFACE: &str = "sl0";
/// Its only address.
pub const RELAY: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
/// How long there may be nothing on the line, in milliseconds: a device sleeps for less in these tests.
const SILENCE: u16 = 30_000;
const MTU: usize = 1280;

/// What was carried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Carried {
    /// A packet from the device to the relay.
    Up,
    /// A packet from the relay to the device.
    Down,
    /// A line of the device's console.
    Line(String),
}

/// An interface whose packets are the device's.
#[derive(Debug)]
pub struct PacketLink {
    end: End,
}

#[derive(Debug)]
enum End {
    Relay(Tun),
    Air(UnixDatagram),
}

impl End {
    fn send(&self, packet: &[u8]) -> bool {
        match self {
            Self::Relay(tun) => tun.send(packet),
            Self::Air(socket) => socket.send(packet).is_ok(),
        }
    }

    fn receive(&self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        match self {
            Self::Relay(tun) => tun.receive(buffer),
            Self::Air(socket) => match socket.recv(buffer) {
                Ok(length) => Ok(Some(length)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
                Err(error) => Err(error),
            },
        }
    }
}

impl AsFd for End {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Relay(tun) => tun.as_fd(),
            Self::Air(socket) => socket.as_fd(),
        }
    }
}

impl PacketLink {
    /// Makes the interface in the relay's namespace.
    pub fn create(relay: &Netns) -> Result<Self> {
        let tun = Tun::create(relay, INTERFACE)?;
        relay.ip(&format!(
            "link set {INTERFACE} mtu {MTU} up\naddress replace {RELAY}/64 dev {INTERFACE} nodad\n"
        ))?;
        Ok(Self { end: End::Relay(tun) })
    }

    /// Joins the laboratory's node that is behind the socket `air`; `own` is for its answers.
    pub fn join(air: &Path, own: &Path) -> Result<Self> {
        let socket = UnixDatagram::bind(own)?;
        socket.connect(air)?;
        socket.set_nonblocking(true)?;
        Ok(Self { end: End::Air(socket) })
    }

    /// Carries the next packet, or gives the next line; waits for it.
    pub fn carry(&self, serial: &mut SerialLine) -> Result<Carried> {
        loop {
            match serial.receive()? {
                Some(Frame::Line(line)) => return Ok(Carried::Line(line)),
                Some(Frame::Packet(packet)) if self.end.send(&packet) => return Ok(Carried::Up),
                // What the kernel does not take is no packet: the rest of one from before a reset.
                Some(Frame::Packet(_)) => continue,
                None => {}
            }
            let mut packet = [0; MTU];
            if let Some(length) = self.end.receive(&mut packet)? {
                serial.send(&packet[..length])?;
                return Ok(Carried::Down);
            }
            self.wait(serial)?;
        }
    }

    fn wait(&self, serial: &SerialLine) -> Result<()> {
        let mut ends = [self.end.as_fd(), serial.as_fd()].map(|end| PollFd::new(end, PollFlags::POLLIN));
        match poll(&mut ends, PollTimeout::from(SILENCE))? {
            0 => bail!("nothing on the serial line for {SILENCE} ms"),
            _ => Ok(()),
        }
    }
}
