//! Requests that are protected (RFC 8613 §8.2): found, opened, and handed to the engine as what they are within.
//!
//! What cannot be opened is answered unprotected, in a few bytes, and not oftener than [`REFUSALS_A_SECOND`], whoever asks.

use super::table::{Serial, Session};
use super::{Id, IdContext};
use crate::coap::{Refusal, Response, Wants};
use crate::engine::Engine;
use crate::event::{DropReason, Event, SessionRefusal};
use crate::exchanges::Reply;
use crate::store::Store;
use sixfold_oscore::{OscoreOption, Repetition, ReplayWindow, Request, UnprotectError};
use sixfold_profile::Instant;
use sixfold_profile::coap::{Code, Message, option};
use std::time::Duration;

/// Refusals that prove nothing: a fleet whose sessions are gone is told within seconds, a flood is not answered.
const REFUSALS_A_SECOND: u32 = 64;

/// Questions whether a request is fresh, for each session: its device retransmits after two seconds at the earliest.
const QUESTIONS_A_SECOND: u32 = 4;

/// How many refusals may still leave within this second.
#[derive(Debug, Default)]
pub(crate) struct Refusals {
    since: Option<Instant>,
    sent: u32,
}

impl Refusals {
    fn may_leave(&mut self, now: Instant, a_second: u32) -> bool {
        if self.since.is_none_or(|since| now.since(since) >= Duration::from_secs(1)) {
            (self.since, self.sent) = (Some(now), 0);
        }
        self.sent = self.sent.saturating_add(1);
        self.sent <= a_second
    }
}

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
    /// The session lost its window, and so may have seen the request before.
    is_stale: bool,
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
                let reply = Reply { bound: Some(opened.bound), ..reply };
                let inner = buffer.get(..opened.length).map(Message::parse);
                match inner {
                    Some(Ok(inner)) if opened.is_stale => self.refresh(now, reply, &inner),
                    // Its answer has no bounds, but the address is not live: whoever is on the way can send what was protected from
                    // another address, once.
                    Some(Ok(inner)) => self.serve(now, Reply { room: None, ..reply }, &inner),
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
        Ok(Opened { bound: Bound { session: serial, number }, length, is_stale: is_lost })
    }

    /// A request in a session whose window was lost: taken if it brings back the Echo value that the session was given, else the
    /// value is given (RFC 8613 Appendix B.1.2, RFC 9175 §2.3).
    fn refresh(&mut self, now: Instant, reply: Reply, inner: &Message<'_>) {
        let Some(Bound { session, number }) = reply.bound else { return };
        let subject = session.to_bytes();
        if inner.option(option::ECHO).is_some_and(|value| self.echo.is_ours(now, &subject, value)) {
            if let Some(session) = self.sessions.get_mut(session) {
                session.window = ReplayWindow::up_to(number);
                session.remember(number, &reply, None);
                session.heard = Some((now, reply.path.peer));
            }
            let reply = self.prove(now, reply);
            return self.serve(now, reply, inner);
        }
        self.event(Event::SessionRefused(SessionRefusal::Freshness));
        // Each takes a number of the session, and whoever recorded a request can replay it.
        let may_leave = |session: &mut Session| session.questions.may_leave(now, QUESTIONS_A_SECOND);
        if !self.sessions.get_mut(session).is_some_and(may_leave) {
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
        if !self.session_refusals.may_leave(now, REFUSALS_A_SECOND) {
            return self.drop(DropReason::Refused);
        }
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
