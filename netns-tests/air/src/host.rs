//! What runs on a node above UDP: a server, or a client that fetches the image. Sans-IO.

use sixfold_profile::Instant;
use std::net::SocketAddrV6;
use std::time::Duration;

/// A UDP datagram.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Datagram {
    /// Who sends it.
    pub from: SocketAddrV6,
    /// Who is to receive it.
    pub to: SocketAddrV6,
    /// What UDP carries.
    pub payload: Vec<u8>,
}

/// One endpoint of a node.
///
/// After each input call [`Host::poll_transmit`] until it has nothing more; then wait for the next datagram or for
/// [`Host::poll_timeout`]. A host begins when it is first polled.
pub trait Host {
    /// Takes a datagram that was sent to this node.
    fn handle_datagram(&mut self, now: Instant, datagram: &Datagram);
    /// To be called at [`Host::poll_timeout`]; too early or too often does no harm.
    fn handle_timeout(&mut self, now: Instant);
    /// The next datagram that is to leave now.
    fn poll_transmit(&mut self, now: Instant) -> Option<Datagram>;
    /// When [`Host::handle_timeout`] is due.
    fn poll_timeout(&self) -> Option<Instant>;
    /// How often this host sent a message once more because no answer came.
    fn retransmissions(&self) -> u64;
    /// How many bytes this host fetched from an origin server.
    fn origin_bytes(&self) -> u64 {
        0
    }
    /// What this host sent to groups.
    fn stream(&self) -> Stream {
        Stream::default()
    }
}

/// What a server sent to groups.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stream {
    /// Messages with a block.
    pub blocks: u64,
    /// Messages with a parity symbol.
    pub parity: u64,
    /// How often a stream began.
    pub starts: u64,
    /// When the first message left.
    pub began: Option<Instant>,
    /// When the first stream had ended.
    pub first_ended: Option<Instant>,
    /// How long nothing was sent between the first message and the last.
    pub silence: Duration,
}

/// A host that fetches the image.
pub trait Client: Host {
    /// How far it is.
    fn progress(&self) -> Progress;
    /// The power fails: what it knew is gone, but for what is in flash or in a file. When it is asked next, it begins again.
    fn power_cut(&mut self);
}

/// How far a client is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Whether it goes on.
    pub state: State,
    /// How many bytes of the image it holds, right or wrong.
    pub received: u64,
    /// How many of them differ from the image; after the end, also every byte that is missing or too much.
    pub wrong: u64,
    /// How many bytes of the image it had and threw away, to fetch them again.
    pub discarded: u64,
}

/// The states of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It is fetching.
    Fetching,
    /// It has the whole image.
    Done,
    /// It ended without it.
    GaveUp,
}
