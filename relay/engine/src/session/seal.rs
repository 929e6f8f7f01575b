//! Answers to protected requests (RFC 8613 §8.3).

use super::open::Bound;
use crate::coap::{Refusal, Response, Token};
use crate::engine::Engine;
use crate::event::{Event, SessionRefusal};
use crate::store::Store;
use sixfold_oscore::{Plain, Received};
use sixfold_profile::coap::{Code, Message, Type, option};

/// What protection adds to an answer at most: the OSCORE option with a number, the inner code, and the tag.
pub(super) const MOST_ADDED: usize = 2 + 6 + 1 + 1 + sixfold_oscore::TAG;

/// What it adds to a block: an empty OSCORE option, a payload marker more, the inner code, and the tag.
pub(crate) const AROUND_PROTECTED: usize = 1 + 1 + 1 + sixfold_oscore::TAG;

impl<S: Store> Engine<S> {
    /// The datagram that carries a response: protected, if its request was. `None` when it cannot be protected now.
    ///
    /// The first answer to a request is made with the request's nonce, which saves it a few bytes; all others, and notifications,
    /// take a number of the session.
    pub(crate) fn datagram(
        &mut self,
        bound: Option<Bound>,
        response: Response,
        message_type: Type,
        message_id: u16,
        token: Token,
    ) -> Option<Vec<u8>> {
        let Some(bound) = bound else { return Some(response.datagram(message_type, message_id, token)) };
        let Some(session) = self.sessions.get_mut(bound.session) else {
            self.event(Event::SessionRefused(SessionRefusal::Ended));
            let refusal = Refusal::new(Code::UNAUTHORIZED, "Security context not found");
            return Some(Response::refusal(refusal, Some(0)).datagram(message_type, message_id, token));
        };
        let plain = response.datagram(message_type, message_id, token);
        let message = Message::parse(&plain).ok()?;
        let mut datagram = vec![0; plain.len() + MOST_ADDED];
        let is_notification = message.option(option::OBSERVE).is_some();
        let (mut received, number) = match session.take_nonce(bound.number) {
            // A notification never uses its request's nonce (§8.3).
            Some(received) if !is_notification => (received, None),
            _ => (Received::answered(bound.number), session.numbers.take()),
        };
        let context = session.keys.context().ok()?;
        let length =
            context.protect_response(&mut received, number.as_ref(), &Plain::from(&message), &mut datagram);
        match length {
            Ok(length) => {
                datagram.truncate(length);
                Some(datagram)
            }
            // No numbers are reserved: the device asks again, and they are by then.
            Err(_) => None,
        }
    }
}
