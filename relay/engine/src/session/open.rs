//! Requests that are protected (RFC 8613 §8.2): found, opened, and handed to the engine as what they are within.
//!
//! What cannot be opened is answered unprotected, in a few bytes, and each address not oftener than a device asks ([`Refusals`]): so
//! junk from others keeps nobody from being told that its session is gone.
//!
//! [`Refusals`]: super::Refusals

use super::seal::MOST_ADDED;
use super::table::{Serial, Session};
use super::{Id, IdContext};
use crate::coap::{Refusal, Response, Wants};
use crate::engine::Engine;
use crate::event::{DropReason, Event, SessionRefusal};
use crate::exchanges::Reply;
use crate::liveness::{self, ADDRESS};
use crate::store::Store;
use sixfold_oscore::{OscoreOption, Repetition, ReplayWindow, Request, UnprotectError};
use sixfold_profile::Instant;
use sixfold_profile::coap::{Code, Message, option};
use std::net::SocketAddr;

/// What an answer is bound to: a session, and the number of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bound {
    pub(crate) session: Serial,
    pub(crate) number: u64,
}

/// A request that was opened into a buffer.
struct Opened {
    bound: Bound,
    length: usize,
    age: Age,
}

/// What is known of when a request was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Age {
    /// Its number came for the first time.
    New,
    /// A retransmission, or a replay that looks like one.
    Repeated,
    /// The session lost its window, and so may have seen the request before.
    Unknown,
}

impl<S: Store> Engine<S> {
    /// Takes a request with an OSCORE option.
    pub(crate) fn protected_request(
        &mut self,
        now: Instant,
        reply: Reply,
        message: &Message<'_>,
        length: usize,
    ) {
        let mut buffer = std::mem::take(&mut self.plain);
        buffer.resize(2 * length, 0);
        match self.open(now, &reply, message, &mut buffer) {
            Ok(opened) => {
                // What protection adds is of the answer, too.
                let room = reply.room.map(|room| room.saturating_sub(MOST_ADDED));
                let reply = Reply { bound: Some(opened.bound), room, ..reply };
                let inner = buffer.get(..opened.length).map(Message::parse);
                match inner {
                    Some(Ok(inner)) => self.opened(now, reply, &inner, opened),
                    // RFC 8613 §8.2 step 7: what is within is no CoAP request.
                    _ => self.refuse_session(now, reply, UnprotectError::Undecodable),
                }
            }
            Err(error) => self.refuse_session(now, reply, error),
        }
        self.plain = buffer;
    }

    fn open(
        &mut self,
        now: Instant,
        reply: &Reply,
        message: &Message<'_>,
        buffer: &mut [u8],
    ) -> Result<Opened, UnprotectError> {
        let named = OscoreOption::of(message)?;
        let kid = named.kid.ok_or(UnprotectError::Undecodable)?;
        let kid = Id::new(kid).ok_or(UnprotectError::UnknownContext)?;
        let kid_context = match named.kid_context {
            Some(bytes) => Some(IdContext::new(bytes).ok_or(UnprotectError::UnknownContext)?),
            None => None,
        };
        let (serial, session) =
            self.sessions.find((kid, kid_context)).ok_or(UnprotectError::UnknownContext)?;
        // To a window that was lost everything is a repetition.
        let is_lost = session.is_lost();
        let is_retransmission = named.partial_iv.is_some_and(|number| session.is_recent(number, reply));
        let repetition = if is_retransmission || is_lost { Repetition::Safe } else { Repetition::Refused };
        let context = session.keys.context().map_err(|_checked_before| UnprotectError::UnknownContext)?;
        let request = context.unprotect_request(&mut session.window, repetition, message, buffer)?;
        let Request { length, received, is_repetition } = request;
        let number = received.number();
        if !is_repetition {
            session.remember(number, reply, Some(received));
        }
        // What may be a replay says nothing about where the device is.
        if !is_lost {
            session.heard = Some((now, reply.path.peer));
        }
        let age = match (is_lost, is_repetition) {
            (true, _) => Age::Unknown,
            (false, true) => Age::Repeated,
            (false, false) => Age::New,
        };
        Ok(Opened { bound: Bound { session: serial, number }, length, age })
    }

    /// Serves a request that is fresh, and whose address is live: if one of both is not known, it has to bring back the Echo value that
    /// the session was given at this address (RFC 8613 Appendix B.1.2, RFC 9175 §2.3). A key proves no address: whoever is on the way
    /// can send from another one what was protected, and who has the key can send from any. A repetition proves nothing, whatever it
    /// brings.
    fn opened(&mut self, now: Instant, reply: Reply, inner: &Message<'_>, opened: Opened) {
        let Opened { bound: Bound { session: serial, number }, age, .. } = opened;
        let subject = subject(serial, reply.path.peer);
        let echo = inner.option(option::ECHO).filter(|_| age != Age::Repeated);
        if echo.is_some_and(|value| self.echo.is_ours(now, &subject, value)) {
            if age == Age::Unknown
                && let Some(session) = self.sessions.get_mut(serial)
            {
                session.window = ReplayWindow::up_to(number);
                session.remember(number, &reply, None);
                session.heard = Some((now, reply.path.peer));
            }
            let reply = self.prove(now, reply);
            return self.serve(now, reply, inner);
        }
        if age != Age::Unknown && reply.room.is_none() {
            return self.serve(now, reply, inner);
        }
        self.event(Event::SessionRefused(SessionRefusal::Freshness));
        // Each takes a number of the session, and whoever recorded a request can replay it.
        let may_leave = |session: &mut Session| session.questions.may_leave(now, number, &reply);
        if !self.sessions.get_mut(serial).is_some_and(may_leave) {
            return self.drop(DropReason::Refused);
        }
        let echo = Some(self.echo.value(now, &subject));
        let response = Response { code: Some(Code::UNAUTHORIZED), echo, ..Response::default() };
        self.respond(now, reply, &Wants::default(), response);
    }

    fn refuse_session(&mut self, now: Instant, reply: Reply, error: UnprotectError) {
        let Some((code, diagnostic)) = error.answer() else { return self.drop(DropReason::Malformed) };
        self.event(Event::SessionRefused(match error {
            UnprotectError::UnknownContext => SessionRefusal::UnknownContext,
            UnprotectError::Replayed => SessionRefusal::Replayed,
            UnprotectError::Forged => SessionRefusal::Forged,
            _ => SessionRefusal::Undecodable,
        }));
        let reply = Reply { bound: None, ..reply };
        // A flood of addresses pushes peers out, and who comes then has a budget like a new one.
        let peer = self.peers.peek_mut(&reply.path.peer);
        if !peer.is_none_or(|peer| peer.refusals.may_leave(now)) {
            return self.drop(DropReason::Refused);
        }
        self.note_answer(now, reply.path.peer, "", code);
        // §8.2: no cache on the way keeps it.
        let max_age = (code == Code::UNAUTHORIZED).then_some(0);
        self.turn_away(
            now,
            reply,
            &Wants::default(),
            Response::refusal(Refusal::new(code, diagnostic), max_age),
        );
    }
}

/// What Echo values of a session are made for: an address that it sends from, which another one does not show to be live.
fn subject(session: Serial, peer: SocketAddr) -> [u8; 8 + ADDRESS] {
    let mut subject = [0; 8 + ADDRESS];
    let bytes = session.to_bytes().into_iter().chain(liveness::subject(peer));
    subject.iter_mut().zip(bytes).for_each(|(to, from)| *to = from);
    subject
}
