//! Observe (RFC 7641): who registers, when the origin is asked on their behalf, and how they hear of it.
//!
//! Notifications are Confirmable: they are rare, and an observer that is gone is found out by the first one.

use crate::answer::{Answer, Representation};
use crate::coap::{Response, Token, Wants};
use crate::engine::{Engine, Timer};
use crate::event::{DropReason, Event};
use crate::exchanges::Reply;
use crate::gateway;
use crate::observers::Observer;
use crate::operator::BANNED;
use crate::outgoing::Purpose;
use crate::path::Path;
use crate::session::Bound;
use crate::store::Store;
use crate::transfers::Sent;
use sixfold_profile::Instant;
use sixfold_profile::coap::{Block, Type};
use std::net::SocketAddr;
use std::time::Duration;

/// However short an image stays fresh, observers do not make the origin be asked more often than this.
const MIN_REVALIDATION: Duration = Duration::from_secs(5);

impl<S: Store> Engine<S> {
    /// Registers or deregisters as the request says; the value of the response's Observe option, if any.
    pub(crate) fn observation(
        &mut self,
        now: Instant,
        reply: &Reply,
        wants: &Wants,
        url: &str,
    ) -> Option<u32> {
        let peer = reply.path.peer;
        match wants.observe {
            // A member of a group is told nothing of later versions.
            Some(0) if wants.starts_body() && wants.lacks.is_none() => self.register(now, reply, wants, url),
            Some(1) => {
                if self.may_change_observer(reply) {
                    self.remove_observer(peer, reply.token);
                }
                None
            }
            _ => None,
        }
    }

    fn register(&mut self, now: Instant, reply: &Reply, wants: &Wants, url: &str) -> Option<u32> {
        let key = (reply.path.peer, reply.token);
        let known = self.observers.contains(key.0, key.1);
        if !self.may_change_observer(reply) {
            return None;
        }
        // Nobody asked is told anything at an address that was not shown to be live.
        if reply.room.is_some() {
            return None;
        }
        if !known && self.observers.len() >= self.config.limits.observers {
            return None;
        }
        // Registering again, perhaps for another resource, takes the place of the old entry (RFC 7641 §4.1).
        self.remove_observer(key.0, key.1);
        let resource = self.resources.peek_mut(url)?;
        resource.observers += 1;
        let sequence = resource.next_sequence();
        let szx = wants.block.map_or(self.config.block_size, |block| block.szx);
        let (path, bound) = (reply.path, reply.bound);
        let observer = Observer { path, url: resource.url.clone(), szx, bound, outstanding: None };
        self.observers.add(reply.token, observer);
        self.event(Event::ObserverAdded);
        self.schedule_revalidation(now, url);
        Some(sequence)
    }

    /// What a session observes, only that session changes: nobody on the way ends it, or takes its place, with a request or a Reset.
    fn may_change_observer(&self, reply: &Reply) -> bool {
        let session = |bound: Option<Bound>| bound.map(|bound| bound.session);
        let observer = self.observers.get(reply.path.peer, reply.token);
        observer
            .and_then(|observer| session(observer.bound))
            .is_none_or(|of| session(reply.bound) == Some(of))
    }

    /// Sets the time at which the origin is asked again for the sake of observers.
    pub(crate) fn schedule_revalidation(&mut self, now: Instant, url: &str) {
        let Some(resource) = self.resources.peek_mut(url) else { return };
        if let Some(timer) = resource.revalidation.take() {
            self.timers.cancel(timer);
        }
        if resource.observers == 0 || resource.fetch.is_some() {
            return;
        }
        let fresh_until = resource.current.as_ref().map_or(now, |current| current.fresh_until);
        let at = fresh_until.max(now + MIN_REVALIDATION);
        resource.revalidation = Some(self.timers.set(at, Timer::Revalidate(resource.url.clone())));
    }

    pub(crate) fn revalidate(&mut self, now: Instant, url: &str) {
        let Some(resource) = self.resources.peek_mut(url) else { return };
        resource.revalidation = None;
        if resource.observers == 0 || resource.fetch.is_some() {
            return;
        }
        let current = resource.current.as_ref().filter(|current| current.validator.is_some());
        let have = current.map(|current| current.etag).filter(|&etag| self.store.image(etag).is_some());
        if self.fetch(now, url, None, have).is_err() {
            self.schedule_revalidation(now, url);
        }
    }

    /// Tells all observers of a resource about its new version, or that there is none any more, when their links have room.
    pub(crate) fn notify(&mut self, now: Instant, url: &str) {
        let Some(resource) = self.resources.peek_mut(url) else { return };
        resource.next_sequence();
        let length = resource.current.as_ref().map_or(0, |current| current.length);
        for (peer, token) in self.observers.of(url) {
            let Some(observer) = self.observers.get_mut(peer, token) else { continue };
            let (path, payload) = (observer.path, observer.szx.size().min(length));
            self.notify_in_turn(now, path, token, payload);
        }
    }

    /// Tells an observer what is true now: the first block of the newest version (RFC 7641 §3.2, RFC 7959 §2.6), or that there is
    /// no representation any more, which ends its interest (RFC 7641 §4.2).
    pub(crate) fn send_notification(&mut self, now: Instant, peer: SocketAddr, token: Token) {
        let Some(observer) = self.observers.get_mut(peer, token) else { return };
        let (path, url, szx, bound) = (observer.path, observer.url.clone(), observer.szx, observer.bound);
        let reply =
            Reply { path, token, message_id: 0, confirmable: true, acknowledged: true, bound, room: None };
        let Some(resource) = self.resources.peek(&url) else { return };
        let negative = resource.negative.filter(|negative| negative.failure.is_definite());
        let banned = self.bans.cover(&url).then_some(BANNED);
        if let Some(refusal) = banned.or(negative.map(|negative| gateway::refusal(negative.failure))) {
            self.remove_observer(peer, token);
            return self.respond(now, reply, &Wants::default(), Response::refusal(refusal, None));
        }
        let Some(current) = &resource.current else { return };
        let (sequence, max_age) = (resource.sequence, current.max_age(now));
        let Some(image) = self.store.image(current.etag) else { return };
        let wants = Wants { block: Some(Block::first(szx)), ..Wants::default() };
        let offered = self.offered(&reply, &wants, &url, Some(image.body.len()));
        let answer = Representation::of(&image, max_age).answer(&wants, offered);
        if let Answer::Block { response, etag, start, last } = answer {
            let end = start + response.payload.len();
            let response = Response { observe: Some(sequence), ..response };
            self.send_to_observer(now, path, bound, token, response);
            // The observer gets the rest of this version with requests of its own (RFC 7959 §2.6).
            let is_protected = bound.is_some();
            self.progress(now, peer, &url, Sent { etag, is_protected, start, end, last, offered });
        }
    }

    /// A newer notification takes the place of one that is not acknowledged yet (RFC 7641 §4.5.2).
    fn send_to_observer(
        &mut self,
        now: Instant,
        path: Path,
        bound: Option<Bound>,
        token: Token,
        response: Response,
    ) {
        let peer = path.peer;
        let message_id = self.message_id(peer);
        let Some(observer) = self.observers.get_mut(peer, token) else { return };
        let superseded = observer.outstanding.replace(message_id);
        if let Some(message) = superseded.and_then(|id| self.outgoing.remove(peer, id)) {
            self.timers.cancel(message.timer);
        }
        let code = response.code();
        let Some(bytes) = self.datagram(bound, response, Type::Confirmable, message_id, token) else {
            return self.drop(DropReason::NoNumber);
        };
        self.event(Event::Response(code));
        self.send_confirmable(now, path, message_id, bytes, Purpose::Notification { token });
    }

    pub(crate) fn notification_arrived(&mut self, peer: SocketAddr, token: Token) {
        if let Some(observer) = self.observers.get_mut(peer, token) {
            observer.outstanding = None;
        }
    }
}
