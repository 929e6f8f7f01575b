//! Hearing a group through a socket of the host.

use nix::net::if_::if_nametoindex;
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrIn6, bind, setsockopt, socket, sockopt::ReuseAddr,
};
use sixfold_profile::ticket::Endpoint;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::time::{Duration, Instant};

/// Between two looks at the interface, which may have come, gone, or been made anew.
const LOOK: Duration = Duration::from_secs(2);

/// A member of a group. Where there is no way to hear it, it hears nothing: blocks can be asked for.
#[derive(Debug)]
pub(crate) struct Listener {
    group: Endpoint,
    /// Where everything for the group comes from.
    relay: Endpoint,
    /// The interface, if it was named; else the one towards the relay.
    interface: Option<String>,
    /// With the index of the interface that the group was joined on.
    socket: Option<(UdpSocket, u32)>,
    looked: Instant,
}

impl Listener {
    /// Hears nothing yet.
    pub(crate) fn new(group: Endpoint, relay: Endpoint, interface: Option<String>) -> Self {
        Self { group, relay, interface, socket: None, looked: Instant::now() }
    }

    /// Joins the group, unless that was done on this interface.
    ///
    /// # Errors
    /// When there is no interface, or the system refuses; to be tried again.
    pub(crate) fn join(&mut self) -> io::Result<()> {
        self.looked = Instant::now();
        let index = self.index()?;
        if self.socket.as_ref().is_none_or(|(_, joined)| *joined != index) {
            self.socket = None;
            self.socket = Some((open(self.group, index)?, index));
        }
        Ok(())
    }

    /// Looks after the membership, if it is time to, and gives what can be waited for.
    pub(crate) fn fd(&mut self) -> Option<BorrowedFd<'_>> {
        if self.looked.elapsed() >= LOOK && self.join().is_err() {
            self.socket = None;
        }
        self.socket.as_ref().map(|(socket, _)| socket.as_fd())
    }

    /// The next datagram that is there, from the relay.
    pub(crate) fn receive<'b>(&mut self, buffer: &'b mut [u8]) -> Option<&'b [u8]> {
        let (socket, _) = self.socket.as_ref()?;
        match socket.recv_from(buffer) {
            Ok((length, SocketAddr::V6(from)))
                if *from.ip() == self.relay.address && from.port() == self.relay.port =>
            {
                buffer.get(..length)
            }
            Ok(_) => None,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => None,
            Err(_) => {
                self.socket = None;
                None
            }
        }
    }

    fn index(&self) -> io::Result<u32> {
        match &self.interface {
            Some(name) => Ok(if_nametoindex(name.as_str())?),
            None => towards(self.relay),
        }
    }
}

/// The interface that has the address from which the system sends to the relay.
fn towards(relay: Endpoint) -> io::Result<u32> {
    let probe = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0))?;
    probe.connect((relay.address, relay.port))?;
    let IpAddr::V6(own) = probe.local_addr()?.ip() else { return Err(ErrorKind::NotFound.into()) };
    let is_own = |address: &nix::ifaddrs::InterfaceAddress| {
        address
            .address
            .as_ref()
            .and_then(|address| address.as_sockaddr_in6())
            .is_some_and(|found| found.ip() == own)
    };
    let found = nix::ifaddrs::getifaddrs()?.find(is_own).ok_or(ErrorKind::NotFound)?;
    Ok(if_nametoindex(found.interface_name.as_str())?)
}

/// Bound to the group's address, so that nothing else is heard, and so that others on this host can hear it too.
fn open(group: Endpoint, index: u32) -> io::Result<UdpSocket> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let fd = socket(AddressFamily::Inet6, SockType::Datagram, flags, None)?;
    setsockopt(&fd, ReuseAddr, &true)?;
    let address = SocketAddrV6::new(group.address, group.port, 0, index);
    bind(fd.as_raw_fd(), &SockaddrIn6::from(address))?;
    let socket = UdpSocket::from(fd);
    socket.join_multicast_v6(&group.address, index)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GROUP: Ipv6Addr = Ipv6Addr::new(0xff12, 0, 0, 0, 0, 0, 0, 0x6f);

    /// A port that is free now.
    fn free_port() -> u16 {
        UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
    }

    #[test]
    fn the_interface_is_the_one_towards_the_relay() {
        let lo = if_nametoindex("lo").unwrap();
        assert_eq!(towards(Endpoint { address: Ipv6Addr::LOCALHOST, port: 5683 }).unwrap(), lo);
    }

    #[test]
    fn several_members_share_a_host() {
        let group = Endpoint { address: GROUP, port: free_port() };
        let relay = Endpoint { address: Ipv6Addr::LOCALHOST, port: 5683 };
        let mut members = [(); 2].map(|()| Listener::new(group, relay, Some("lo".into())));
        for member in &mut members {
            member.join().unwrap();
            let fd = member.fd().unwrap().as_raw_fd();
            member.join().unwrap();
            assert_eq!(member.fd().unwrap().as_raw_fd(), fd, "nothing changed");
            assert_eq!(member.receive(&mut [0; 8]), None);
        }
    }

    #[test]
    fn without_an_interface_nothing_is_heard() {
        let endpoint = Endpoint { address: GROUP, port: 5683 };
        let mut member = Listener::new(endpoint, endpoint, Some("no such one".into()));
        assert!(member.join().is_err());
        assert!(member.fd().is_none());
        assert_eq!(member.receive(&mut [0; 8]), None);
    }
}
