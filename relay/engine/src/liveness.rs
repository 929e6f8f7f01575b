//! No amplifier: what an address gets before it was shown to be live (RFC 9175 §2.3, §2.4; RFC 7252 §11.3).
//!
//! Source addresses can be forged, and blocks are much longer than their requests. So an address from elsewhere gets no more than
//! [`FACTOR`] times what came from it, until it has brought back an Echo value: blocks that are small
//! enough, with an Echo value in them that a client may bring back; and where no block is, 4.01 with one. Clients that do not know
//! Echo are served with small blocks for as long as they like. A request in a session proves a key and not an address, and is served when
//! its address is live; before that it is answered 4.01 with an Echo value of the session, which both sides know how to use.
//!
//! Addresses of paced links, and those that are on the link of an interface of ours, are trusted: whoever forges them is behind the
//! same router as they are. An acknowledgement of a Confirmable message of ours proves nothing here, because a Message ID has no more
//! than 16 bits to be guessed.

use crate::coap::{Refusal, Response, Wants};
use crate::engine::Engine;
use crate::exchanges::Reply;
use crate::path::Path;
use crate::store::Store;
use sixfold_profile::Instant;
use sixfold_profile::coap::{Code, Message, Szx, option};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// How many times the bytes of its requests an address gets before it was shown to be live.
const FACTOR: usize = 3;

/// For how long an address counts as live: longer than most transfers from elsewhere take.
const LIVE: Duration = Duration::from_secs(600);

/// An empty ACK that may have to leave before the response.
const EMPTY: usize = 4;

/// All around a block but its Token: header, ETag, Content-Format, Max-Age, Block2 or Q-Block2, payload marker.
const AROUND: usize = 4 + 9 + 3 + 5 + 5 + 1;

/// Size2, if it was asked for.
const SIZE2: usize = 6;

/// An address and its port, in bytes.
pub(crate) const ADDRESS: usize = 16 + 2;

/// Which addresses have to be shown to be live.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EchoPolicy {
    /// None.
    Off,
    /// Those that are neither on a paced link nor on the link of an interface.
    #[default]
    Routed,
    /// All.
    Always,
}

impl EchoPolicy {
    /// Every variant.
    pub const ALL: [Self; 3] = [Self::Off, Self::Routed, Self::Always];

    /// What it is called in the configuration.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Routed => "routed",
            Self::Always => "always",
        }
    }
}

/// Addresses that are on the link of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prefix {
    /// The index of the interface.
    pub interface: u32,
    /// One of the addresses.
    pub address: IpAddr,
    /// How many of its first bits they share.
    pub length: u8,
}

impl Prefix {
    /// Whether an address is on the link, as far as the address says.
    pub fn contains(&self, address: IpAddr) -> bool {
        let bits = |address: IpAddr| match address.to_canonical() {
            IpAddr::V4(address) => (u128::from(address.to_bits()) << 96, 32),
            IpAddr::V6(address) => (address.to_bits(), 128),
        };
        let ((ours, width), (theirs, their_width)) = (bits(self.address), bits(address));
        let differ = (ours ^ theirs).checked_shr(128 - u32::from(self.length.min(128))).unwrap_or(0);
        width == their_width && differ == 0
    }

    fn covers(&self, path: Path) -> bool {
        self.contains(path.peer.ip()) && (path.interface == 0 || path.interface == self.interface)
    }
}

impl<S: Store> Engine<S> {
    /// Says which addresses are on the links of interfaces, from now on.
    pub fn set_prefixes(&mut self, prefixes: Vec<Prefix>) {
        self.prefixes = prefixes;
    }

    /// The reply to a request that came in so many bytes.
    pub(crate) fn reply_to(&self, now: Instant, path: Path, message: &Message<'_>, length: usize) -> Reply {
        let reply = Reply::to(path, message);
        let acknowledgement = if reply.confirmable { EMPTY } else { 0 };
        let is_bounded = !self.is_trusted(path) && !self.is_live(now, path.peer);
        Reply { room: is_bounded.then_some(FACTOR * length - acknowledgement), ..reply }
    }

    /// Takes a request's Echo option; the reply is free of bounds if it proves something.
    pub(crate) fn hear_echo(&mut self, now: Instant, reply: Reply, message: &Message<'_>) -> Reply {
        let Some(value) = message.option(option::ECHO).filter(|_| reply.room.is_some()) else { return reply };
        if self.echo.is_ours(now, &subject(reply.path.peer), value) { self.prove(now, reply) } else { reply }
    }

    /// The address was shown to be live.
    pub(crate) fn prove(&mut self, now: Instant, reply: Reply) -> Reply {
        if let Some(peer) = self.peers.peek_mut(&reply.path.peer) {
            peer.live_until = Some(now + LIVE);
        }
        Reply { room: None, ..reply }
    }

    /// The largest block, of those that are offered, that has room; `None` when none has.
    pub(crate) fn fitting(&self, reply: &Reply, wants: &Wants, offered: Szx) -> Option<Szx> {
        let Some(room) = reply.room else { return Some(offered) };
        let size = if wants.size { SIZE2 } else { 0 };
        let payload = room.checked_sub(AROUND + size + reply.token.as_slice().len())?;
        (0..=offered.exponent()).rev().filter_map(Szx::new).find(|szx| szx.size() <= payload)
    }

    /// Asks the client to show that it is where it says it is.
    pub(crate) fn challenge(&mut self, now: Instant, reply: Reply, wants: &Wants) {
        let response = Response::refusal(Refusal::new(Code::UNAUTHORIZED, ""), None);
        self.respond(now, reply, wants, self.with_echo(now, &reply, response));
    }

    /// Gives an Echo value to a client that may have a use for it.
    pub(crate) fn with_echo(&self, now: Instant, reply: &Reply, response: Response) -> Response {
        let echo = reply.room.map(|_| self.echo.value(now, &subject(reply.path.peer)));
        Response { echo: response.echo.or(echo), ..response }
    }

    /// A response that is no longer than it may be: a block goes without an Echo value that has no room, an error says less, and any
    /// other success has to wait until the address was shown to be live.
    pub(crate) fn bounded(&self, now: Instant, reply: &Reply, response: Response) -> Response {
        let Some(room) = reply.room else { return response };
        let too_long = |response: &Response| response.length(reply.token) > room;
        if !too_long(&response) {
            return response;
        }
        if response.code() == Code::CONTENT && response.echo.is_some() {
            return self.bounded(now, reply, Response { echo: None, ..response });
        }
        let code = if response.code().class() == 2 { Code::UNAUTHORIZED } else { response.code() };
        let bare = Response { code: Some(code), max_age: response.max_age, ..Response::default() };
        let asking = if code == Code::UNAUTHORIZED { self.with_echo(now, reply, bare) } else { bare };
        if too_long(&asking) { Response { code: Some(code), ..Response::default() } } else { asking }
    }

    fn is_live(&self, now: Instant, peer: SocketAddr) -> bool {
        self.peers.peek(&peer).and_then(|peer| peer.live_until).is_some_and(|until| now < until)
    }

    fn is_trusted(&self, path: Path) -> bool {
        match self.config.echo {
            EchoPolicy::Off => true,
            EchoPolicy::Always => false,
            EchoPolicy::Routed => {
                is_local(path.peer.ip())
                    || self.links.link(path.interface).is_some()
                    || self.prefixes.iter().any(|prefix| prefix.covers(path))
            }
        }
    }
}

/// An address that no router forwards.
const fn is_local(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => address.is_loopback() || address.is_link_local(),
        IpAddr::V6(address) => address.is_loopback() || address.is_unicast_link_local(),
    }
}

/// What an address's Echo values are made for: the same address at another port is another client.
pub(crate) fn subject(peer: SocketAddr) -> [u8; ADDRESS] {
    let mut subject = [0; ADDRESS];
    let address = match peer.ip() {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    };
    let bytes = address.octets().into_iter().chain(peer.port().to_be_bytes());
    subject.iter_mut().zip(bytes).for_each(|(to, from)| *to = from);
    subject
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes() {
        let path = |peer: &str, interface| Path {
            peer: SocketAddr::new(peer.parse().unwrap(), 5683),
            local: None,
            socket: 0,
            interface,
            multicast: false,
        };
        let prefix =
            |address: &str, length| Prefix { interface: 3, address: address.parse().unwrap(), length };
        assert!(prefix("fd00::1", 64).covers(path("fd00::abcd", 3)));
        assert!(!prefix("fd00::1", 64).covers(path("fd00::abcd", 4)), "by another interface: forged");
        assert!(prefix("fd00::1", 64).covers(path("fd00::abcd", 0)), "not known by which");
        assert!(!prefix("fd00::1", 64).covers(path("fd00:0:0:1::1", 3)));
        assert!(
            !prefix("fd00::1", 128).covers(path("fd00::2", 3))
                && prefix("fd00::1", 128).covers(path("fd00::1", 3))
        );
        assert!(prefix("192.0.2.1", 24).covers(path("192.0.2.77", 3)));
        assert!(prefix("192.0.2.1", 24).covers(path("::ffff:192.0.2.77", 3)));
        assert!(
            !prefix("192.0.2.1", 24).covers(path("192.0.3.1", 3))
                && !prefix("192.0.2.1", 0).covers(path("fd00::1", 3))
        );
        assert!(prefix("fd00::1", 0).covers(path("2001:db8::1", 3)));
    }
}
