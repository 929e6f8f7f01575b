//! The engine itself: what goes in, what comes out, and what time does to it.

use crate::bans::Bans;
use crate::coap::{self, Refusal, Token, Wants};
use crate::config::Config;
use crate::edhoc::EdhocRequest;
use crate::event::{DropReason, Event, SessionEvent};
use crate::exchanges::{ExchangeId, Exchanges};
use crate::fetches::Fetches;
use crate::links::Links;
use crate::liveness::Prefix;
use crate::observers::Observers;
use crate::origin::{FetchCommand, FetchId};
use crate::outgoing::{Outgoing, Purpose};
use crate::path::{Path, Transmit};
use crate::peers::{Peer, Peers};
use crate::resources::Resources;
use crate::session::{Echo, Serial, Sessions};
use crate::store::Store;
use crate::streams::Streams;
use crate::timers::Timers;
use foldhash::quality::FixedState;
use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use sixfold_profile::Instant;
use sixfold_profile::coap::{Code, Malformed, Message, Type};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;

/// A deadline and what is to be done then.
#[derive(Debug)]
pub(crate) enum Timer {
    /// Tell a waiting client that its request is here, so that it stops repeating it.
    Acknowledge(ExchangeId),
    /// Answer 5.04: the bytes did not come in time.
    GiveUp(ExchangeId),
    /// Repeat a Confirmable message of ours.
    Retransmit(SocketAddr, u16),
    /// Ask the origin whether an observed resource has changed.
    Revalidate(Arc<str>),
    /// Cancel a fetch that nobody wants any more.
    Idle(FetchId),
    /// Send the answer to a multicast request (RFC 7252 §8.2).
    Leisure(Transmit),
    /// See whether a transfer, by its device, URL and protection, has fallen silent.
    Silence(SocketAddr, Arc<str>, bool),
    /// A session has expired.
    EndSession(Serial),
}

/// The caching CoAP proxy.
///
/// Call one of the `handle_` functions when something happens, then take what the `poll_` functions have
/// until they have nothing more, and call [`Engine::handle_timeout`] at [`Engine::poll_timeout`] at the latest.
pub struct Engine<S> {
    pub(crate) config: Config,
    pub(crate) store: S,
    pub(crate) rng: ChaCha12Rng,
    pub(crate) timers: Timers<Timer>,
    pub(crate) peers: Peers,
    pub(crate) resources: Resources,
    pub(crate) fetches: Fetches,
    pub(crate) exchanges: Exchanges,
    pub(crate) outgoing: Outgoing,
    pub(crate) observers: Observers,
    pub(crate) links: Links,
    pub(crate) streams: Streams,
    /// The URLs that are refused.
    pub(crate) bans: Bans,
    pub(crate) sessions: Sessions,
    pub(crate) echo: Echo,
    /// Where requests are unprotected.
    pub(crate) plain: Vec<u8>,
    pub(crate) prefixes: Vec<Prefix>,
    pub(crate) hasher: FixedState,
    pub(crate) leisurely: usize,
    /// Where the URL of a request is put together.
    pub(crate) url: String,
    pub(crate) transmits: VecDeque<Transmit>,
    pub(crate) commands: VecDeque<FetchCommand>,
    pub(crate) edhoc: VecDeque<EdhocRequest>,
    pub(crate) events: VecDeque<Event>,
}

/// How much the engine remembers at the moment, in entries. Everything is bounded by [`crate::Limits`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Devices.
    pub peers: usize,
    /// Resources, present or absent.
    pub resources: usize,
    /// Fetches under way.
    pub fetches: usize,
    /// Requests that wait for the origin.
    pub exchanges: usize,
    /// Confirmable messages without acknowledgement.
    pub outgoing: usize,
    /// Observers.
    pub observers: usize,
    /// Deadlines.
    pub timers: usize,
    /// Groups that images are streamed to.
    pub groups: usize,
    /// Devices that take part in them.
    pub members: usize,
    /// Sessions with devices.
    pub sessions: usize,
}

impl<S: Store> Engine<S> {
    /// An engine with an empty memory. The seed decides Message IDs, jitter and hash order: unpredictable in
    /// the relay, chosen in tests.
    pub fn new(config: Config, store: S, seed: [u8; 32]) -> Self {
        let mut rng = ChaCha12Rng::from_seed(seed);
        let hasher = FixedState::with_seed(rng.next_u64());
        let echo = Echo::new(seed);
        let limits = config.limits;
        Self {
            config,
            store,
            rng,
            timers: Timers::default(),
            peers: Peers::new(limits.transfers, hasher.clone()),
            resources: Resources::new(limits.resources, hasher.clone()),
            fetches: Fetches::default(),
            exchanges: Exchanges::new(hasher.clone()),
            outgoing: Outgoing::new(hasher.clone()),
            observers: Observers::default(),
            links: Links::default(),
            streams: Streams::default(),
            bans: Bans::default(),
            sessions: Sessions::new(hasher.clone()),
            echo,
            plain: Vec::new(),
            prefixes: Vec::new(),
            hasher,
            leisurely: 0,
            url: String::new(),
            transmits: VecDeque::new(),
            commands: VecDeque::new(),
            edhoc: VecDeque::new(),
            events: VecDeque::new(),
        }
    }

    /// Takes a new configuration; images and running transfers stay.
    pub fn reconfigure(&mut self, config: Config) {
        self.config = config;
        while let Some((address, peer)) = self.peers.shrink_to(self.config.limits.transfers) {
            self.forget(address, peer);
        }
        self.resources.resize(self.config.limits.resources);
    }

    /// Takes a datagram that was received on one of our sockets.
    pub fn handle_datagram(&mut self, now: Instant, path: Path, datagram: &[u8]) {
        let message = match Message::parse(datagram) {
            Ok(message) => message,
            Err(reason) => return self.reject(now, path, datagram, reason),
        };
        match message.message_type {
            Type::Acknowledgement => self.acknowledged(now, path, message.message_id),
            Type::Reset => self.reset(path.peer, message.message_id),
            _ if message.code.is_request() && path.multicast => {
                self.group_request(now, path, &message, datagram.len());
            }
            _ if message.code.is_request() => self.request(now, path, &message, datagram.len()),
            // A ping, or a response to nothing that we asked (RFC 7252 §4.2).
            Type::Confirmable if !path.multicast => {
                self.send(now, path, coap::empty(Type::Reset, message.message_id));
            }
            _ => self.drop(DropReason::Unmatched),
        }
        self.release(now);
    }

    /// Takes a datagram of a client that asks more often than it may: a request is answered 4.29 (RFC 8516) without being
    /// looked at, everything else is dropped. Whoever limits clients decides how often to say so.
    pub fn handle_excess(&mut self, now: Instant, path: Path, datagram: &[u8]) {
        match Message::parse(datagram) {
            Ok(message) if message.code.is_request() && !path.multicast => {
                let refusal = Refusal::new(Code::TOO_MANY_REQUESTS, "device: too many requests");
                let reply = self.reply_to(now, path, &message, datagram.len());
                self.refuse(now, reply, &Wants::default(), refusal);
            }
            _ => {}
        }
        self.drop(DropReason::ClientRate);
        self.release(now);
    }

    /// Lets time pass: call it when [`Engine::poll_timeout`] is due, or at any other time.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(timer) = self.timers.pop_due(now) {
            match timer {
                Timer::Acknowledge(id) => self.acknowledge(now, id),
                Timer::GiveUp(id) => self.give_up(now, id),
                Timer::Retransmit(peer, message_id) => self.retransmit(now, peer, message_id),
                Timer::Revalidate(url) => self.revalidate(now, &url),
                Timer::Idle(id) => self.cancel_if_idle(now, id),
                Timer::Silence(peer, url, is_protected) => self.end_if_silent(now, peer, url, is_protected),
                Timer::EndSession(serial) => {
                    self.end_sessions(&[serial], SessionEvent::Expired);
                }
                Timer::Leisure(transmit) => {
                    self.leisurely -= 1;
                    self.transmits.push_back(transmit);
                }
            }
        }
        while let Some((address, peer)) = self.peers.pop_silent(now) {
            self.forget(address, peer);
        }
        self.expire(now);
        self.disband_silent(now);
        self.release(now);
    }

    /// The next time at which [`Engine::handle_timeout`] has something to do.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let deadlines = [
            self.timers.next(),
            self.peers.next_silence(),
            self.links.poll_timeout(),
            self.streams.next_end(),
        ];
        deadlines.into_iter().flatten().min()
    }

    /// The next datagram to be sent, now.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.transmits.pop_front()
    }

    /// The next thing to be asked of the origin client.
    pub fn poll_fetch(&mut self) -> Option<FetchCommand> {
        self.commands.pop_front()
    }

    /// The next thing worth counting or logging.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// How much is remembered.
    pub fn load(&self) -> Load {
        Load {
            peers: self.peers.len(),
            resources: self.resources.len(),
            fetches: self.fetches.len(),
            exchanges: self.exchanges.len(),
            outgoing: self.outgoing.len(),
            observers: self.observers.len(),
            timers: self.timers.len(),
            groups: self.streams.len(),
            members: self.streams.members(),
            sessions: self.sessions.len(),
        }
    }

    /// The store.
    pub fn store(&self) -> &S {
        &self.store
    }

    /// The store, to change its limits or to remove images.
    pub fn store_mut(&mut self) -> &mut S {
        &mut self.store
    }

    /// RFC 7252 §4.2: what is Confirmable and cannot be processed is reset; everything else is ignored.
    fn reject(&mut self, now: Instant, path: Path, datagram: &[u8], reason: Malformed) {
        if let [first, _, high, low, ..] = *datagram
            && reason != Malformed::Version
            && first >> 4 & 3 == Type::Confirmable as u8
            && !path.multicast
        {
            self.send(now, path, coap::empty(Type::Reset, u16::from_be_bytes([high, low])));
        }
        self.drop(DropReason::Malformed);
    }

    fn acknowledged(&mut self, now: Instant, path: Path, message_id: u16) {
        let peer = path.peer;
        let Some(message) = self.outgoing.remove(peer, message_id) else {
            return self.drop(DropReason::Unmatched);
        };
        self.timers.cancel(message.timer);
        match message.purpose {
            Purpose::Response => {
                self.forget_separate(peer, message_id);
                self.hear_acknowledgement(now, path.interface, peer);
            }
            Purpose::Notification { token } => {
                self.hear_acknowledgement(now, path.interface, peer);
                self.notification_arrived(peer, token);
            }
        }
    }

    /// A session's observation survives a Reset, which anybody can send: it ends when nothing of the notification was acknowledged.
    fn reset(&mut self, peer: SocketAddr, message_id: u16) {
        let purpose = self.outgoing.get_mut(peer, message_id).map(|message| message.purpose);
        if let Some(Purpose::Notification { token }) = purpose
            && self.observers.get(peer, token).is_some_and(|observer| observer.bound.is_some())
        {
            return self.drop(DropReason::Unmatched);
        }
        let Some(message) = self.outgoing.remove(peer, message_id) else {
            return self.drop(DropReason::Unmatched);
        };
        self.timers.cancel(message.timer);
        match message.purpose {
            Purpose::Response => self.forget_separate(peer, message_id),
            Purpose::Notification { token } => self.remove_observer(peer, token),
        }
    }

    fn retransmit(&mut self, now: Instant, peer: SocketAddr, message_id: u16) {
        let Some(message) = self.outgoing.get_mut(peer, message_id) else { return };
        if let Some(timeout) = message.next_timeout() {
            let (path, bytes, repeats) = (message.path, message.bytes.clone(), message.retransmissions);
            let wait = self.patient(path, repeats, timeout);
            let timer = self.timers.set(now + wait, Timer::Retransmit(peer, message_id));
            let Some(message) = self.outgoing.get_mut(peer, message_id) else { return };
            message.timer = timer;
            self.event(Event::RetransmittedResponse);
            self.charge(path, bytes.len());
            return self.send(now, path, bytes);
        }
        let purpose = message.purpose;
        self.outgoing.remove(peer, message_id);
        self.drop(DropReason::Unacknowledged);
        match purpose {
            Purpose::Response => self.forget_separate(peer, message_id),
            Purpose::Notification { token } => self.remove_observer(peer, token),
        }
    }

    /// Accounts for a device that is remembered no longer.
    pub(crate) fn forget(&mut self, address: SocketAddr, peer: Peer) {
        self.links.forget(address);
        for transfer in peer.transfers {
            self.end_transfer(address, &transfer);
        }
    }

    pub(crate) fn send(&mut self, now: Instant, path: Path, bytes: Vec<u8>) {
        self.spend(now, path, bytes.len());
        self.transmits.push_back(Transmit { path, bytes, hop_limit: None });
    }

    pub(crate) fn event(&mut self, event: Event) {
        self.events.push_back(event);
    }

    pub(crate) fn drop(&mut self, reason: DropReason) {
        self.event(Event::Dropped(reason));
    }

    pub(crate) fn remove_observer(&mut self, peer: SocketAddr, token: Token) {
        let Some(observer) = self.observers.remove(peer, token) else { return };
        if let Some(resource) = self.resources.peek_mut(&observer.url) {
            resource.observers = resource.observers.saturating_sub(1);
        }
        if let Some(message) = observer.outstanding.and_then(|id| self.outgoing.remove(peer, id)) {
            self.timers.cancel(message.timer);
        }
        self.event(Event::ObserverRemoved);
    }
}
