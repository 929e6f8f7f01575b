//! What is remembered of each device: its transfers, and enough of its Message IDs to notice repetitions.
//!
//! A transfer pins the version that it began with, so that a device finishes the image it started although
//! the origin has a newer one by now. The pin is a name, not the bytes: those are the store's to keep or drop.

use crate::exchanges::ExchangeId;
use crate::image::ETag;
use crate::session::Refusals;
use crate::timers::TimerId;
use foldhash::quality::FixedState;
use lru::LruCache;
use sixfold_profile::Instant;
use sixfold_profile::coap::{Code, Szx, params};
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

/// A device that was silent for this long is forgotten: its Message IDs may be in use again by then, and a
/// client that follows RFC 7252 has given up.
pub(crate) const SILENCE: Duration = params::EXCHANGE_LIFETIME;

/// Images that one device may fetch at the same time before the oldest transfer is forgotten.
const TRANSFERS_PER_PEER: usize = 4;

/// One device fetching one image.
#[derive(Clone, Debug)]
pub(crate) struct Transfer {
    pub(crate) url: Arc<str>,
    /// By requests in a session, which forged ones do not lead elsewhere.
    pub(crate) is_protected: bool,
    pub(crate) etag: ETag,
    pub(crate) started: Instant,
    pub(crate) last: Instant,
    /// Where in the body its first block was, in bytes: a device may go on in the middle.
    pub(crate) from: usize,
    /// How far into the body blocks have been sent, in bytes.
    pub(crate) sent: usize,
    /// The largest block that was offered last.
    pub(crate) offered: Szx,
    /// The last block has left.
    pub(crate) finished: bool,
    /// It got more than its first block, or takes part in a group: who asks for one block only looks, as main programs do that
    /// prepare an update. What did not begin is not shown, and did not end either.
    pub(crate) begun: bool,
    /// When to look whether it has fallen silent; none once it is finished.
    pub(crate) silence: Option<TimerId>,
}

impl Transfer {
    fn is(&self, url: &str, is_protected: bool) -> bool {
        &*self.url == url && self.is_protected == is_protected
    }
}

/// The most characters that are remembered of what a device was refused.
const MAX_REFUSED: usize = 128;

/// The latest request of a device that was refused.
#[derive(Debug)]
pub(crate) struct Refused {
    /// What it asked for: a URL, or a path that means none; empty if that could not be read.
    pub(crate) what: Arc<str>,
    pub(crate) code: Code,
    pub(crate) at: Instant,
}

impl Refused {
    fn is_of(&self, what: &str) -> bool {
        what.chars().take(MAX_REFUSED).eq(self.what.chars())
    }
}

#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) last_seen: Instant,
    /// For messages that we start (RFC 7252 §4.4).
    next_message_id: u16,
    /// Message IDs of the latest requests: NSTART is 1, so a few are enough.
    recent: [Option<u16>; 4],
    pub(crate) transfers: Vec<Transfer>,
    /// Until when the address counts as live (RFC 9175).
    pub(crate) live_until: Option<Instant>,
    /// How often it was told that what it sent could not be opened.
    pub(crate) refusals: Refusals,
    /// What it was refused last, until it gets that.
    pub(crate) refused: Option<Refused>,
    /// Requests of this device that wait, for the origin or for the link: unprotected and protected ones.
    waiting: [usize; 2],
    /// The separate response that it has not acknowledged yet.
    pub(crate) separate: Option<Separate>,
}

/// A separate response on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Separate {
    pub(crate) message_id: u16,
    /// The version whose block it carries.
    pub(crate) etag: Option<ETag>,
    pub(crate) is_protected: bool,
}

impl Peer {
    pub(crate) fn message_id(&mut self) -> u16 {
        self.next_message_id = self.next_message_id.wrapping_add(1);
        self.next_message_id
    }

    /// Remembers the Message ID of a request; `true` if it is one of the latest already.
    fn is_repeated(&mut self, message_id: u16) -> bool {
        if self.recent.contains(&Some(message_id)) {
            return true;
        }
        self.recent.rotate_right(1);
        self.recent[0] = Some(message_id);
        false
    }

    /// How many requests wait beside this one. Unprotected ones, which may be forged, take no place of protected ones.
    pub(crate) fn waiting(&mut self, exchange: ExchangeId) -> &mut usize {
        let [plain, protected] = &mut self.waiting;
        if exchange.is_protected { protected } else { plain }
    }

    pub(crate) fn is_waiting(&self) -> bool {
        self.waiting != [0; 2]
    }

    /// It asks for `what`, and is told no.
    pub(crate) fn refuse(&mut self, now: Instant, what: &str, code: Code) {
        let before = self.refused.take().filter(|refused| refused.is_of(what)).map(|refused| refused.what);
        let what = before.unwrap_or_else(|| what.chars().take(MAX_REFUSED).collect::<String>().into());
        self.refused = Some(Refused { what, code, at: now });
    }

    /// It gets `what`. If it could not be read before what it asked for, it can now.
    pub(crate) fn serve(&mut self, what: &str) {
        if self.refused.as_ref().is_some_and(|refused| refused.what.is_empty() || refused.is_of(what)) {
            self.refused = None;
        }
    }

    pub(crate) fn transfer(&self, url: &str, is_protected: bool) -> Option<&Transfer> {
        self.transfers.iter().find(|transfer| transfer.is(url, is_protected))
    }

    pub(crate) fn transfer_mut(&mut self, url: &str, is_protected: bool) -> Option<&mut Transfer> {
        self.transfers.iter_mut().find(|transfer| transfer.is(url, is_protected))
    }

    pub(crate) fn take_transfer(&mut self, url: &str, is_protected: bool) -> Option<Transfer> {
        let index = self.transfers.iter().position(|transfer| transfer.is(url, is_protected))?;
        Some(self.transfers.remove(index))
    }

    /// Adds a transfer; returns the one that had to make room.
    pub(crate) fn add_transfer(&mut self, transfer: Transfer) -> Option<Transfer> {
        let is_protected = transfer.is_protected;
        self.transfers.push(transfer);
        let alike = |transfer: &Transfer| transfer.is_protected == is_protected;
        let is_full = self.transfers.iter().filter(|transfer| alike(transfer)).count() > TRANSFERS_PER_PEER;
        let oldest = self.transfers.iter().position(alike).filter(|_| is_full)?;
        Some(self.transfers.remove(oldest))
    }
}

/// All devices seen lately, bounded in number.
pub(crate) struct Peers(LruCache<SocketAddr, Peer, FixedState>);

impl Peers {
    pub(crate) fn new(limit: usize, hasher: FixedState) -> Self {
        Self(LruCache::with_hasher(non_zero(limit), hasher))
    }

    /// Notes a request; says whether it is a repetition, and which device had to make room for this one.
    pub(crate) fn heard(
        &mut self,
        now: Instant,
        address: SocketAddr,
        message_id: u16,
        first_id: impl FnOnce() -> u16,
    ) -> (bool, Option<(SocketAddr, Peer)>) {
        if let Some(peer) = self.0.get_mut(&address) {
            peer.last_seen = now;
            return (peer.is_repeated(message_id), None);
        }
        let recent = [Some(message_id), None, None, None];
        let peer = Peer {
            last_seen: now,
            next_message_id: first_id(),
            recent,
            transfers: Vec::new(),
            live_until: None,
            refusals: Refusals::default(),
            refused: None,
            waiting: [0; 2],
            separate: None,
        };
        (false, self.0.push(address, peer))
    }

    pub(crate) fn peek(&self, address: &SocketAddr) -> Option<&Peer> {
        self.0.peek(address)
    }

    pub(crate) fn peek_mut(&mut self, address: &SocketAddr) -> Option<&mut Peer> {
        self.0.peek_mut(address)
    }

    /// When the device that has been silent longest is to be forgotten.
    pub(crate) fn next_silence(&self) -> Option<Instant> {
        self.0.peek_lru().map(|(_, peer)| peer.last_seen + SILENCE)
    }

    pub(crate) fn pop_silent(&mut self, now: Instant) -> Option<(SocketAddr, Peer)> {
        self.next_silence().filter(|&at| at <= now)?;
        self.0.pop_lru()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&SocketAddr, &Peer)> {
        self.0.iter()
    }

    /// Changes the limit; returns a device beyond it for as long as there is one.
    pub(crate) fn shrink_to(&mut self, limit: usize) -> Option<(SocketAddr, Peer)> {
        if self.0.len() > limit.max(1) {
            return self.0.pop_lru();
        }
        self.0.resize(non_zero(limit));
        None
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

pub(crate) fn non_zero(limit: usize) -> NonZeroUsize {
    NonZeroUsize::new(limit).unwrap_or(NonZeroUsize::MIN)
}
