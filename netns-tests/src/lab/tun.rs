//! TUN and TAP devices: interfaces whose packets or Ethernet frames a program reads and writes.

use crate::netns::Netns;
use crate::peer::TUN;
use anyhow::{Context, Result, ensure};
use nix::libc::{IFF_NO_PI, IFF_TAP, IFF_TUN, IFNAMSIZ, O_NONBLOCK, c_char, c_int, c_short, ifreq};
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;

nix::ioctl_write_ptr_bad!(
    /// TUNSETIFF of linux/if_tun.h: makes the interface, or joins it.
    tun_set_iff,
    nix::request_code_write!(b'T', 202, size_of::<c_int>()),
    ifreq
);

/// A TUN or TAP device. The interface goes when this is dropped.
#[derive(Debug)]
pub struct Tun {
    file: File,
}

impl Tun {
    /// Makes the interface `name`, of packets, in a namespace; it is down.
    pub fn create(netns: &Netns, name: &str) -> Result<Self> {
        Self::create_as(IFF_TUN, netns, name)
    }

    /// Makes the interface `name`, of Ethernet frames, in a namespace; it is down.
    pub fn create_tap(netns: &Netns, name: &str) -> Result<Self> {
        Self::create_as(IFF_TAP, netns, name)
    }

    fn create_as(kind: c_int, netns: &Netns, name: &str) -> Result<Self> {
        let what = || format!("making device {name} in {}", netns.name());
        netns.enter(|| open(kind, name))?.with_context(what)
    }

    /// The next packet that was sent on the interface, if one waits.
    pub fn receive(&self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        match (&self.file).read(buffer) {
            Ok(length) => Ok(Some(length)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Puts a packet onto the interface. False when the system did not take it: the interface is down, or its
    /// queue is full.
    pub fn send(&self, packet: &[u8]) -> bool {
        (&self.file).write(packet).is_ok()
    }
}

impl AsFd for Tun {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

#[expect(unsafe_code, reason = "the one ioctl that names the interface")]
fn open(kind: c_int, name: &str) -> Result<Tun> {
    ensure!(name.len() < IFNAMSIZ, "the name is too long");
    let file = OpenOptions::new().read(true).write(true).custom_flags(O_NONBLOCK).open(TUN).context(TUN)?;
    let mut ifr_name = [0; IFNAMSIZ];
    ifr_name.iter_mut().zip(name.bytes()).for_each(|(to, from)| *to = from as c_char);
    let mut request = ifreq {
        ifr_name,
        ifr_ifru: nix::libc::__c_anonymous_ifr_ifru { ifru_flags: (kind | IFF_NO_PI) as c_short },
    };
    // SAFETY: TUNSETIFF reads and writes an ifreq, which lives on this stack until the call returns.
    unsafe { tun_set_iff(file.as_raw_fd(), &raw mut request) }.context("TUNSETIFF")?;
    Ok(Tun { file })
}
