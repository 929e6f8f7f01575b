//! The relay's end of a machine's serial line: a TUN device, as `slattach` would make one.

use super::serial::{Frame, SerialLine};
use crate::lab::tun::Tun;
use crate::netns::Netns;
use anyhow::{Result, bail};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::net::Ipv6Addr;
use std::os::fd::AsFd;

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
    tun: Tun,
}

impl PacketLink {
    /// Makes the interface in the relay's namespace.
    pub fn create(relay: &Netns) -> Result<Self> {
        let tun = Tun::create(relay, INTERFACE)?;
        relay.ip(&format!(
            "link set {INTERFACE} mtu {MTU} up\naddress replace {RELAY}/64 dev {INTERFACE} nodad\n"
        ))?;
        Ok(Self { tun })
    }

    /// Carries the next packet, or gives the next line; waits for it.
    pub fn carry(&self, serial: &mut SerialLine) -> Result<Carried> {
        loop {
            match serial.receive()? {
                Some(Frame::Line(line)) => return Ok(Carried::Line(line)),
                Some(Frame::Packet(packet)) if self.tun.send(&packet) => return Ok(Carried::Up),
                // What the kernel does not take is no packet: the rest of one from before a reset.
                Some(Frame::Packet(_)) => continue,
                None => {}
            }
            let mut packet = [0; MTU];
            if let Some(length) = self.tun.receive(&mut packet)? {
                serial.send(&packet[..length])?;
                return Ok(Carried::Down);
            }
            self.wait(serial)?;
        }
    }

    fn wait(&self, serial: &SerialLine) -> Result<()> {
        let mut ends = [self.tun.as_fd(), serial.as_fd()].map(|end| PollFd::new(end, PollFlags::POLLIN));
        match poll(&mut ends, PollTimeout::from(SILENCE))? {
            0 => bail!("nothing on the serial line for {SILENCE} ms"),
            _ => Ok(()),
        }
    }
}
