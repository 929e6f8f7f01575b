//! A connected UDP socket and a clock: the only place that touches the network.

use crate::failure::Failure;
use crate::uri::Host;
use sixfold_profile::Instant;
use std::io::{self, ErrorKind};
use std::net::{Ipv6Addr, SocketAddr, SocketAddrV6, ToSocketAddrs, UdpSocket};
use std::time::Duration;

/// The way to one server.
#[derive(Debug)]
pub(crate) struct Wire {
    socket: UdpSocket,
    peer: SocketAddr,
    epoch: std::time::Instant,
    /// What the system said last of the way there; it may pass.
    trouble: Option<io::Error>,
}

impl Wire {
    /// Finds the server and opens a socket to it. Nothing is sent yet.
    pub(crate) fn open(host: &Host, port: u16) -> Result<Self, Failure> {
        let mut failed = io::Error::from(ErrorKind::NotFound);
        for peer in addresses(host, port)? {
            match connect(peer) {
                Ok(socket) => {
                    return Ok(Self { socket, peer, epoch: std::time::Instant::now(), trouble: None });
                }
                Err(error) => failed = error,
            }
        }
        Err(Failure::System("open a socket to the server", failed))
    }

    /// The server's address.
    pub(crate) const fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// Time since the socket was opened.
    pub(crate) fn now(&self) -> Instant {
        Instant::ZERO + self.epoch.elapsed()
    }

    /// What the system said last of the way to the server, if that was bad.
    pub(crate) const fn trouble(&self) -> Option<&io::Error> {
        self.trouble.as_ref()
    }

    /// Goes on from another port.
    pub(crate) fn change_port(&mut self) -> Result<(), Failure> {
        self.socket = connect(self.peer).map_err(|error| Failure::System("open another socket", error))?;
        Ok(())
    }

    /// Sends a datagram. That it gets lost here is nothing special: it will be sent again.
    pub(crate) fn send(&mut self, datagram: &[u8]) -> Result<(), Failure> {
        // The first attempt may only hear of what became of an earlier datagram (ICMP port unreachable).
        let sent = self.socket.send(datagram).or_else(|_| self.socket.send(datagram));
        sent.map(drop).or_else(|error| self.bear(error))
    }

    /// Waits for a datagram until this time at the latest.
    pub(crate) fn receive<'b>(
        &mut self,
        until: Instant,
        buffer: &'b mut [u8],
    ) -> Result<Option<&'b [u8]>, Failure> {
        // Zero would mean to wait for ever.
        let wait = until.since(self.now()).max(Duration::from_micros(1));
        let received = self.socket.set_read_timeout(Some(wait)).and_then(|()| self.socket.recv(buffer));
        match received {
            Ok(length) => {
                self.trouble = None;
                Ok(buffer.get(..length))
            }
            Err(error) => self.bear(error).map(|()| None),
        }
    }

    /// Remembers an error that may pass; any other is a failure.
    fn bear(&mut self, error: io::Error) -> Result<(), Failure> {
        match error.kind() {
            ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted => {}
            ErrorKind::ConnectionRefused
            | ErrorKind::HostUnreachable
            | ErrorKind::NetworkUnreachable
            | ErrorKind::NetworkDown
            | ErrorKind::AddrNotAvailable
            | ErrorKind::OutOfMemory => self.trouble = Some(error),
            _ => return Err(Failure::System("use the socket", error)),
        }
        Ok(())
    }
}

fn connect(peer: SocketAddr) -> io::Result<UdpSocket> {
    let any: SocketAddr = if peer.is_ipv6() { (Ipv6Addr::UNSPECIFIED, 0).into() } else { ([0; 4], 0).into() };
    let socket = UdpSocket::bind(any)?;
    socket.connect(peer)?;
    Ok(socket)
}

fn addresses(host: &Host, port: u16) -> Result<Vec<SocketAddr>, Failure> {
    let found = match host {
        Host::V4(address) => vec![SocketAddr::from((*address, port))],
        Host::V6(address, zone) => {
            let scope = scope_id(address, zone.as_deref())?;
            vec![SocketAddrV6::new(*address, port, 0, scope).into()]
        }
        Host::Name(name) => (name.as_str(), port)
            .to_socket_addrs()
            .map_err(|error| Failure::TimedOut(format!("cannot find the address of {name}: {error}")))?
            .collect(),
    };
    if found.iter().any(|address| address.ip().is_multicast()) {
        return Err(Failure::Usage("block-wise transfer needs one server, not a multicast group".into()));
    }
    Ok(found)
}

/// The interface of a link-local address.
fn scope_id(address: &Ipv6Addr, zone: Option<&str>) -> Result<u32, Failure> {
    match zone {
        None if address.is_unicast_link_local() => Err(Failure::Usage(format!(
            "{address} is link-local: name the interface, as in [{address}%eth0]"
        ))),
        None => Ok(0),
        Some(zone) => match (zone.parse(), nix::net::if_::if_nametoindex(zone)) {
            (_, Ok(index)) | (Ok(index), _) => Ok(index),
            (Err(_), Err(_)) => Err(Failure::Usage(format!("there is no interface {zone}"))),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interfaces() {
        let link_local: Ipv6Addr = "fe80::1".parse().unwrap();
        assert!(matches!(scope_id(&link_local, None), Err(Failure::Usage(_))));
        assert!(matches!(scope_id(&link_local, Some("no such one")), Err(Failure::Usage(_))));
        assert_eq!(scope_id(&link_local, Some("7")).unwrap(), 7);
        assert_eq!(scope_id(&link_local, Some("lo")).unwrap(), nix::net::if_::if_nametoindex("lo").unwrap());
        assert_eq!(scope_id(&Ipv6Addr::LOCALHOST, None).unwrap(), 0);
    }

    #[test]
    fn no_groups() {
        let group = Host::V6("ff02::fd".parse().unwrap(), Some("lo".into()));
        assert!(matches!(Wire::open(&group, 5683), Err(Failure::Usage(_))));
    }
}
