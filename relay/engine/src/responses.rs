//! From a response to a datagram: piggybacked or separate, Confirmable or not (RFC 7252 §5.2).

use crate::answer::Answer;
use crate::coap::{self, Refusal, Response, Wants};
use crate::engine::{Engine, Timer};
use crate::event::{DropReason, Event, LinkDecision};
use crate::exchanges::{Exchange, ExchangeId, Reply};
use crate::links::SOON_S;
use crate::outgoing::{Confirmable, Purpose};
use crate::path::Path;
use crate::peers::Separate;
use crate::store::Store;
use crate::transfers::Sent;
use rand_chacha::rand_core::Rng;
use sixfold_profile::Instant;
use sixfold_profile::coap::{Code, Type, params};
use std::net::SocketAddr;
use std::time::Duration;

impl<S: Store> Engine<S> {
    /// Sends an answer when its link has room.
    pub(crate) fn deliver(&mut self, now: Instant, reply: Reply, wants: &Wants, url: &str, answer: Answer) {
        if let Answer::Block { etag, .. } = answer
            && self.join_group(now, &reply, wants, url, etag)
        {
            return;
        }
        match self.may_leave(now, &reply, wants, url, &answer) {
            Ok(true) => {}
            Ok(false) => return,
            Err((refusal, max_age)) => {
                return self.turn_away(now, reply, wants, Response::refusal(refusal, Some(max_age)));
            }
        }
        self.emit(now, reply, wants, url, answer);
    }

    /// Sends an answer now, registers an observer if it asked to be, and follows the device's progress.
    pub(crate) fn emit(&mut self, now: Instant, reply: Reply, wants: &Wants, url: &str, answer: Answer) {
        match answer {
            Answer::NotYet => {}
            Answer::Other(response) => {
                self.note_answer(now, reply.path.peer, url, response.code());
                self.respond(now, reply, wants, response);
            }
            Answer::Block { mut response, etag, start, last } => {
                let end = start + response.payload.len();
                let offered = self.offered(&reply, wants, url, None);
                self.weigh(&reply, response.payload.len());
                response.observe = self.observation(now, &reply, wants, url);
                response = self.with_echo(now, &reply, response);
                self.respond(now, reply, wants, response);
                let is_protected = reply.bound.is_some();
                let sent = Sent { etag, is_protected, start, end, last, offered };
                self.progress(now, reply.path.peer, url, sent);
                if last {
                    self.leave_link(reply.path.interface, reply.path.peer);
                }
            }
        }
    }

    /// Remembers what a device was refused, for those who look for it.
    pub(crate) fn note_answer(&mut self, now: Instant, address: SocketAddr, what: &str, code: Code) {
        let Some(peer) = self.peers.peek_mut(&address) else { return };
        if code.is_success() { peer.serve(what) } else { peer.refuse(now, what, code) }
    }

    /// Refuses a request. Who may try again is told when (RFC 7252 §5.9.3.4, RFC 8516 §3): without Max-Age it would be after
    /// a minute.
    pub(crate) fn refuse(&mut self, now: Instant, reply: Reply, wants: &Wants, refusal: Refusal) {
        let again = matches!(refusal.code, Code::SERVICE_UNAVAILABLE | Code::TOO_MANY_REQUESTS);
        self.turn_away(now, reply, wants, Response::refusal(refusal, again.then_some(SOON_S)));
    }

    pub(crate) fn turn_away(&mut self, now: Instant, reply: Reply, wants: &Wants, response: Response) {
        if self.may_refuse(now, reply.path) {
            self.respond(now, reply, wants, response);
        }
    }

    /// Sends a response in the message that suits its request (RFC 7252 §5.2.1 to §5.2.3).
    pub(crate) fn respond(&mut self, now: Instant, reply: Reply, wants: &Wants, response: Response) {
        let code = response.code();
        if wants.suppresses(code) {
            self.drop(DropReason::NoResponse);
            if reply.confirmable && !reply.acknowledged {
                self.send(now, reply.path, coap::empty(Type::Acknowledgement, reply.message_id));
            }
            return;
        }
        let response = self.bounded(now, &reply, response);
        let (code, etag) = (response.code(), response.etag);
        let (message_type, message_id) = if reply.confirmable && !reply.acknowledged {
            (Type::Acknowledgement, reply.message_id)
        } else {
            let message_id = self.message_id(reply.path.peer);
            // No address gets retransmissions that was not shown to be live.
            let confirmable = reply.confirmable
                && reply.room.is_none()
                && self.may_repeat(
                    reply.path.peer,
                    Separate { message_id, etag, is_protected: reply.bound.is_some() },
                );
            (if confirmable { Type::Confirmable } else { Type::NonConfirmable }, message_id)
        };
        let Some(bytes) = self.datagram(reply.bound, response, message_type, message_id, reply.token) else {
            if message_type == Type::Confirmable {
                self.forget_separate(reply.path.peer, message_id);
            }
            return self.drop(DropReason::NoNumber);
        };
        self.event(Event::Response(code));
        match message_type {
            Type::Confirmable => self.send_confirmable(now, reply.path, message_id, bytes, Purpose::Response),
            _ => self.send(now, reply.path, bytes),
        }
    }

    /// Whether a separate response is repeated until it is acknowledged. A client that never acknowledges must fill neither our
    /// memory nor the link: NSTART is 1 for us, too (RFC 7252 §4.7). Beyond that, once has to do.
    fn may_repeat(&mut self, address: SocketAddr, separate: Separate) -> bool {
        let room = self.outgoing.len() < self.config.limits.exchanges;
        let Some(peer) = self.peers.peek_mut(&address) else { return room };
        let may = room && peer.separate.is_none();
        if may {
            peer.separate = Some(separate);
        }
        may
    }

    /// A device asks for more of what its unacknowledged separate response was about: that says as well as an ACK that the
    /// response arrived, so that it need not be repeated (RFC 7252 §4.2).
    pub(crate) fn move_on(&mut self, reply: &Reply, url: &str) {
        let (address, asks_protected) = (reply.path.peer, reply.bound.is_some());
        let Some(peer) = self.peers.peek_mut(&address) else { return };
        let Some(Separate { message_id, etag: Some(etag), is_protected }) = peer.separate else { return };
        if is_protected != asks_protected {
            return;
        }
        if peer.transfer(url, is_protected).is_some_and(|transfer| transfer.etag == etag) {
            peer.separate = None;
            if let Some(message) = self.outgoing.remove(address, message_id) {
                self.timers.cancel(message.timer);
            }
        }
    }

    /// A separate response is not repeated any more.
    pub(crate) fn forget_separate(&mut self, address: SocketAddr, message_id: u16) {
        if let Some(peer) = self.peers.peek_mut(&address) {
            peer.separate = peer.separate.filter(|separate| separate.message_id != message_id);
        }
    }

    pub(crate) fn send_confirmable(
        &mut self,
        now: Instant,
        path: Path,
        message_id: u16,
        bytes: Vec<u8>,
        purpose: Purpose,
    ) {
        let jitter = f64::from(self.rng.next_u32()) / f64::from(u32::MAX);
        let timeout: Duration = params::ACK_TIMEOUT + params::ACK_RANDOM_SPREAD.mul_f64(jitter);
        let wait = self.patient(path, 0, timeout);
        let timer = self.timers.set(now + wait, Timer::Retransmit(path.peer, message_id));
        self.send(now, path, bytes.clone());
        self.outgoing
            .add(message_id, Confirmable { path, bytes, purpose, timeout, retransmissions: 0, timer });
    }

    /// A Message ID that no unacknowledged message to this peer uses (RFC 7252 §4.4).
    pub(crate) fn message_id(&mut self, peer: SocketAddr) -> u16 {
        loop {
            let id = match self.peers.peek_mut(&peer) {
                Some(known) => known.message_id(),
                None => (self.rng.next_u32() & 0xffff) as u16,
            };
            // Ends: far fewer than 65 536 messages to one peer are ever unacknowledged (`limits.exchanges`).
            if !self.outgoing.contains(peer, id) {
                return id;
            }
        }
    }

    /// An empty ACK stops the client's retransmissions; the response will be separate.
    pub(crate) fn acknowledge(&mut self, now: Instant, id: ExchangeId) {
        let patience = self.config.limits.patience;
        let timer = self.timers.set(now + patience, Timer::GiveUp(id));
        let Some(exchange) = self.exchanges.get_mut(id) else { return self.timers.cancel(timer) };
        exchange.timer = timer;
        exchange.reply.acknowledged = true;
        let path = exchange.reply.path;
        self.event(Event::Decided(LinkDecision::Separated));
        self.send(now, path, coap::empty(Type::Acknowledgement, id.message_id));
    }

    pub(crate) fn give_up(&mut self, now: Instant, id: ExchangeId) {
        let Some(exchange) = self.take_exchange(id) else { return };
        self.withdraw(exchange.reply.path.interface, id);
        let refusal = Refusal::new(Code::GATEWAY_TIMEOUT, "origin or link: too slow");
        self.note_answer(now, id.peer, &exchange.url, refusal.code);
        self.respond(now, exchange.reply, &exchange.wants, Response::refusal(refusal, None));
        if let Some(fetch) = self.resources.peek(&exchange.url).and_then(|resource| resource.fetch) {
            self.leave(fetch, id);
        }
    }

    /// Ends the wait of a request.
    pub(crate) fn take_exchange(&mut self, id: ExchangeId) -> Option<Exchange> {
        let exchange = self.exchanges.remove(id)?;
        self.timers.cancel(exchange.timer);
        if let Some(peer) = self.peers.peek_mut(&id.peer) {
            let waiting = peer.waiting(id);
            *waiting = waiting.saturating_sub(1);
        }
        Some(exchange)
    }
}
