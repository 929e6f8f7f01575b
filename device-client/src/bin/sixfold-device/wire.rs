//! A connected UDP socket and a clock: the only place that touches the network.

use crate::failure::Failure;
use sixfold_device::fetch::{Event, Fetch};
use sixfold_device::uri::Host;
use sixfold_profile::Instant;
use sixfold_profile::coap::params::EXCHANGE_LIFETIME;
use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::net::{Ipv6Addr, SocketAddr, SocketAddrV6, ToSocketAddrs, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

/// The longest message (RFC 7252 §4.6).
pub(crate) const MAX_REQUEST: usize = 1152;

/// The way to one server. It may be closed for a while, as when an interface goes and comes back: then datagrams
/// get lost, which is nothing special, and what the system said of it is remembered.
#[derive(Debug)]
pub(crate) struct Wire {
    /// Opened when something is to be sent, and again after trouble.
    socket: Option<UdpSocket>,
    peer: SocketAddr,
    /// Other addresses of the server, to be tried after trouble until it has answered from one.
    others: VecDeque<SocketAddr>,
    epoch: std::time::Instant,
    trouble: Option<io::Error>,
    /// Number and time of the request that the port was first used for.
    port_since: (u32, Instant),
}

/// After this many requests within EXCHANGE_LIFETIME the port changes: half of the Message IDs, so that the server
/// never takes a new request for one that it remembers (RFC 7252 §4.4).
const REQUESTS_PER_PORT: u32 = 1 << 15;

impl Wire {
    /// Finds the server. Nothing is sent yet.
    pub(crate) fn open(host: &Host, port: u16) -> Result<Self, Failure> {
        let mut others = VecDeque::from(addresses(host, port)?);
        let peer = others.pop_front().ok_or_else(|| Failure::TimedOut("the server has no address".into()))?;
        let epoch = std::time::Instant::now();
        Ok(Self { socket: None, peer, others, epoch, trouble: None, port_since: (0, Instant::ZERO) })
    }

    /// The server's address.
    pub(crate) const fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// Time since the way was opened.
    pub(crate) fn now(&self) -> Instant {
        Instant::ZERO + self.epoch.elapsed()
    }

    /// What the system said last of the way to the server, if nothing came since.
    pub(crate) const fn trouble(&self) -> Option<&io::Error> {
        self.trouble.as_ref()
    }

    /// What can be waited for, if the way is open.
    pub(crate) fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.socket.as_ref().map(UdpSocket::as_fd)
    }

    /// Goes on from another port, if the server could otherwise take a new request for an old one. So many requests were
    /// made up to now.
    pub(crate) fn keep_message_ids_apart(&mut self, requests: u32) {
        let (first, time) = self.port_since;
        let now = self.now();
        if requests.saturating_sub(first) >= REQUESTS_PER_PORT {
            if now.since(time) < EXCHANGE_LIFETIME {
                self.socket = None;
            }
            self.port_since = (requests, now);
        }
    }

    /// What happens next to a fetch: it sends what is due, and waits for a datagram or a time-out until `deadline` at the
    /// latest.
    ///
    /// # Errors
    /// When the request does not fit a message.
    pub(crate) fn step<'b>(
        &mut self,
        fetch: &mut Fetch<'_>,
        deadline: Option<Instant>,
        buffer: &'b mut [u8],
    ) -> Result<Option<Event<'b>>, Failure> {
        self.keep_message_ids_apart(fetch.exchange().requests());
        self.send_due(fetch)?;
        let now = self.now();
        // A fetch that goes on has a time-out.
        let until = fetch.poll_timeout().unwrap_or(now);
        let datagram = self.receive(deadline.map_or(until, |deadline| deadline.min(until)), buffer);
        let now = self.now();
        let event = datagram.and_then(|datagram| fetch.handle_datagram(now, datagram));
        Ok(event.or_else(|| fetch.handle_timeout(now)))
    }

    /// Sends what is due: also after the end of a fetch, there may be an acknowledgement.
    ///
    /// # Errors
    /// As [`Wire::step`].
    pub(crate) fn send_due(&mut self, fetch: &mut Fetch<'_>) -> Result<(), Failure> {
        let mut request = [0; MAX_REQUEST];
        let too_long = |_| Failure::Usage("the URI is too long for one CoAP message (1152 bytes)".into());
        while let Some(length) = fetch.poll_transmit(self.now(), &mut request).map_err(too_long)? {
            self.send(&request[..length]);
        }
        Ok(())
    }

    /// Sends a datagram, if there is a way.
    pub(crate) fn send(&mut self, datagram: &[u8]) {
        // The first attempt may only hear of what became of an earlier datagram (ICMP port unreachable).
        for _ in 0..2 {
            let socket = match self.socket.take() {
                Some(socket) => Ok(socket),
                None => connect(self.peer),
            };
            match socket.and_then(|socket| socket.send(datagram).map(|_| socket)) {
                Ok(socket) => {
                    self.socket = Some(socket);
                    return;
                }
                Err(error) => self.bear(error),
            }
        }
    }

    /// Waits for a datagram until this time at the latest.
    pub(crate) fn receive<'b>(&mut self, until: Instant, buffer: &'b mut [u8]) -> Option<&'b [u8]> {
        // Zero would mean to wait for ever.
        let wait = until.since(self.now()).max(Duration::from_micros(1));
        let Some(socket) = &self.socket else {
            std::thread::sleep(wait);
            return None;
        };
        match socket.set_read_timeout(Some(wait)).and_then(|()| socket.recv(buffer)) {
            Ok(length) => {
                self.trouble = None;
                self.others.clear();
                buffer.get(..length)
            }
            Err(error) => {
                if !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) {
                    self.bear(error);
                }
                None
            }
        }
    }

    fn bear(&mut self, trouble: io::Error) {
        self.trouble = Some(trouble);
        self.socket = None;
        if let Some(other) = self.others.pop_front() {
            self.others.push_back(std::mem::replace(&mut self.peer, other));
        }
    }
}

fn connect(peer: SocketAddr) -> io::Result<UdpSocket> {
    let any: SocketAddr = if peer.is_ipv6() { (Ipv6Addr::UNSPECIFIED, 0).into() } else { ([0; 4], 0).into() };
    let socket = UdpSocket::bind(any)?;
    socket.connect(peer)?;
    Ok(socket)
}

/// Where a server is; there is at least one place, unless a name has none.
pub(crate) fn addresses(host: &Host, port: u16) -> Result<Vec<SocketAddr>, Failure> {
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

    #[test]
    fn another_address_is_tried_until_one_answers() {
        let server = UdpSocket::bind("[::1]:0").unwrap();
        let closed = UdpSocket::bind("[::1]:0").unwrap().local_addr().unwrap();
        let open = server.local_addr().unwrap();
        let mut wire = Wire::open(&Host::V6(Ipv6Addr::LOCALHOST, None), closed.port()).unwrap();
        wire.others.push_back(open);
        let mut buffer = [0; 8];
        let start = std::time::Instant::now();
        while wire.peer() == closed {
            assert!(start.elapsed() < Duration::from_secs(60), "no ICMP error came");
            wire.send(b"ask");
            assert_eq!(wire.receive(wire.now() + Duration::from_millis(10), &mut buffer), None);
        }
        assert_eq!(wire.trouble().map(io::Error::kind), Some(ErrorKind::ConnectionRefused));
        wire.send(b"ask");
        let (length, client) = server.recv_from(&mut buffer).unwrap();
        server.send_to(&buffer[..length], client).unwrap();
        let until = wire.now() + Duration::from_secs(60);
        assert_eq!(wire.receive(until, &mut buffer), Some(&b"ask"[..]));
        assert!(wire.trouble().is_none() && wire.others.is_empty(), "it stays with the one that answered");
    }
}
