//! How a boot program's datagrams travel: through sockets of the host, or through a stack of its own.

use crate::group::Listener;
use crate::wire::Wire;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use sixfold_profile::Instant;
use std::os::fd::BorrowedFd;
use std::time::Duration;

/// A datagram from the relay.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Heard<'b> {
    /// For this device alone.
    Own(&'b [u8]),
    /// For the group.
    Group(&'b [u8]),
}

/// A way to the relay, and a clock.
pub(crate) trait Way {
    /// Time since the way was opened.
    fn now(&self) -> Instant;

    /// Sends a datagram. It may get lost.
    fn send(&mut self, datagram: &[u8]);

    /// Waits for a datagram until this time at the latest.
    fn receive<'b>(&mut self, until: Instant, buffer: &'b mut [u8]) -> Option<Heard<'b>>;

    /// `requests` were made up to now: see [`Wire::keep_message_ids_apart`].
    fn keep_message_ids_apart(&mut self, requests: u32);
}

/// Sockets of the host: one for the relay, and one for the group, if there is one.
#[derive(Debug)]
pub(crate) struct HostWay {
    pub(crate) wire: Wire,
    pub(crate) listener: Option<Listener>,
}

impl Way for HostWay {
    fn now(&self) -> Instant {
        self.wire.now()
    }

    fn send(&mut self, datagram: &[u8]) {
        self.wire.send(datagram);
    }

    fn receive<'b>(&mut self, until: Instant, buffer: &'b mut [u8]) -> Option<Heard<'b>> {
        let Some(listener) = &mut self.listener else {
            return self.wire.receive(until, buffer).map(Heard::Own);
        };
        let now = self.wire.now();
        match wait(self.wire.fd(), listener.fd(), until.since(now)) {
            // What is for this device alone is rare.
            Ready::Own => self.wire.receive(now, buffer).map(Heard::Own),
            Ready::Group => listener.receive(buffer).map(Heard::Group),
            Ready::Neither => None,
        }
    }

    fn keep_message_ids_apart(&mut self, requests: u32) {
        self.wire.keep_message_ids_apart(requests);
    }
}

enum Ready {
    Own,
    Group,
    Neither,
}

/// Waits for one of them, until `limit` has passed at most.
fn wait(own: Option<BorrowedFd<'_>>, group: Option<BorrowedFd<'_>>, limit: Duration) -> Ready {
    let fds = own.into_iter().chain(group);
    let mut places: Vec<PollFd<'_>> = fds.map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
    // Rounded up: who wakes up too early finds nothing to do, and would spin.
    let limit = limit.as_micros().div_ceil(1000).min(i32::MAX as u128) as i32;
    // When waiting fails, the sockets say why.
    let _ = poll(&mut places, PollTimeout::try_from(limit).unwrap_or(PollTimeout::MAX));
    let is_ready = |place: &PollFd<'_>| place.any().unwrap_or_default();
    match (own.is_some(), places.iter().position(is_ready)) {
        (true, Some(0)) => Ready::Own,
        (_, Some(_)) => Ready::Group,
        (_, None) => Ready::Neither,
    }
}
