//! Confirmable messages of ours that are not acknowledged yet (RFC 7252 §4.2): separate responses and
//! notifications.

use crate::coap::Token;
use crate::path::Path;
use crate::timers::TimerId;
use foldhash::quality::FixedState;
use sixfold_profile::coap::params;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

/// Why a message was sent, so that its fate can be acted upon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// A separate response.
    Response,
    /// A notification to the observer with this Token (RFC 7641 §4.5).
    Notification { token: Token },
}

#[derive(Debug)]
pub(crate) struct Confirmable {
    pub(crate) path: Path,
    pub(crate) bytes: Vec<u8>,
    pub(crate) purpose: Purpose,
    pub(crate) timeout: Duration,
    pub(crate) retransmissions: u8,
    pub(crate) timer: TimerId,
}

impl Confirmable {
    /// The time-out after the next transmission; `None` when it was the last (RFC 7252 §4.2).
    pub(crate) fn next_timeout(&mut self) -> Option<Duration> {
        if self.retransmissions >= params::MAX_RETRANSMIT {
            return None;
        }
        self.retransmissions += 1;
        self.timeout *= 2;
        Some(self.timeout)
    }
}

/// All unacknowledged messages, by receiver and Message ID.
pub(crate) struct Outgoing(HashMap<(SocketAddr, u16), Confirmable, FixedState>);

impl Outgoing {
    pub(crate) fn new(hasher: FixedState) -> Self {
        Self(HashMap::with_hasher(hasher))
    }

    pub(crate) fn add(&mut self, message_id: u16, message: Confirmable) {
        self.0.insert((message.path.peer, message_id), message);
    }

    pub(crate) fn get_mut(&mut self, peer: SocketAddr, message_id: u16) -> Option<&mut Confirmable> {
        self.0.get_mut(&(peer, message_id))
    }

    pub(crate) fn remove(&mut self, peer: SocketAddr, message_id: u16) -> Option<Confirmable> {
        self.0.remove(&(peer, message_id))
    }

    pub(crate) fn contains(&self, peer: SocketAddr, message_id: u16) -> bool {
        self.0.contains_key(&(peer, message_id))
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}
