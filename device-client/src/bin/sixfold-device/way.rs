//! How a boot program's datagrams travel: through a socket of the host, or through a stack of its own.

use crate::wire::Wire;
use sixfold_profile::Instant;

/// A way to the relay, and a clock.
pub(crate) trait Way {
    /// Time since the way was opened.
    fn now(&self) -> Instant;

    /// Sends a datagram. It may get lost.
    fn send(&mut self, datagram: &[u8]);

    /// Waits for a datagram until this time at the latest.
    fn receive<'b>(&mut self, until: Instant, buffer: &'b mut [u8]) -> Option<&'b [u8]>;

    /// So many requests were made up to now: see [`Wire::keep_message_ids_apart`].
    fn keep_message_ids_apart(&mut self, requests: u32);
}

impl Way for Wire {
    fn now(&self) -> Instant {
        Self::now(self)
    }

    fn send(&mut self, datagram: &[u8]) {
        Self::send(self, datagram);
    }

    fn receive<'b>(&mut self, until: Instant, buffer: &'b mut [u8]) -> Option<&'b [u8]> {
        Self::receive(self, until, buffer)
    }

    fn keep_message_ids_apart(&mut self, requests: u32) {
        Self::keep_message_ids_apart(self, requests);
    }
}
