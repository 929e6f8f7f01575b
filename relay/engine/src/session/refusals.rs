//! How often requests in sessions are refused, or asked to prove something: answers that cost numbers of a session, or tell nobody
//! anything, when what came is junk or a replay.
//!
//! It decides how many there are, and not what is in them. None of it is against amplification: they are small.

use crate::coap::Token;
use crate::exchanges::Reply;
use sixfold_profile::Instant;
use std::net::SocketAddr;
use std::time::Duration;

/// Answers a second: a device retransmits after two seconds at the earliest (ACK_TIMEOUT, RFC 7252 §4.8).
const A_SECOND: u32 = 4;

/// How many answers may still leave within this second.
#[derive(Debug, Default)]
pub(crate) struct Refusals {
    since: Option<Instant>,
    sent: u32,
}

impl Refusals {
    pub(crate) fn may_leave(&mut self, now: Instant) -> bool {
        if self.since.is_none_or(|since| now.since(since) >= Duration::from_secs(1)) {
            (self.since, self.sent) = (Some(now), 0);
        }
        self.sent = self.sent.saturating_add(1);
        self.sent <= A_SECOND
    }
}

/// Questions whether a session's request is fresh, and its address live.
///
/// Only the device makes higher numbers, so the highest one has a budget of its own: no replays, however many there are and wherever
/// they seem to come from, use up what its latest request has. A copy of that request uses it up with the answer that the device waits
/// for.
#[derive(Debug, Default)]
pub(crate) struct Questions {
    /// The message with the highest number.
    latest: Option<Asked>,
    of_latest: Refusals,
    of_others: Refusals,
}

/// A message that was answered with a question: copies of it are answered with the same, to the same address.
#[derive(Debug, PartialEq, Eq)]
struct Asked {
    number: u64,
    peer: SocketAddr,
    message_id: u16,
    token: Token,
}

impl Questions {
    /// Whether a request that the session's key opened is answered with a question.
    pub(crate) fn may_leave(&mut self, now: Instant, number: u64, reply: &Reply) -> bool {
        let asked = Asked { number, peer: reply.path.peer, message_id: reply.message_id, token: reply.token };
        if self.latest.as_ref().is_none_or(|latest| latest.number < number) {
            (self.latest, self.of_latest) = (Some(asked), Refusals::default());
            return self.of_latest.may_leave(now);
        }
        let is_latest = self.latest.as_ref() == Some(&asked);
        if is_latest { self.of_latest.may_leave(now) } else { self.of_others.may_leave(now) }
    }
}
