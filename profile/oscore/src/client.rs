//! The client's side in less code, for a boot program: [`Context::protect_request`] and [`Context::unprotect_response`] take more
//! flash than a session may.
//!
//! What makes it small: no ID Context, Tokens of four bytes, requests without payload that stand as datagrams already, and no look at
//! what was in a response: the caller parses it, as it parses every message. Tests hold it against the other way.

use crate::aead::{self, Aad, Bytes, Key, NONCE};
use crate::class::{Class, class};
use crate::sequence::{Encoded, PartialIv};
use crate::unprotect::{UnprotectError, pull};
use sixfold_profile::coap::{Code, Full, Message, Opt, Options, Writer, option};
use sixfold_profile::ticket::Session;

/// A header, and a Token of four bytes (RFC 7252 §3).
const START: usize = 8;

/// A context of which only the client's side is used.
#[derive(Clone, Copy, Debug)]
pub struct Client<'a> {
    sender_id: &'a [u8],
    recipient_id: &'a [u8],
    sender_key: Key<'a>,
    recipient_key: Key<'a>,
    common_iv: &'a [u8; NONCE],
}

/// Which options of a request are written where.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    /// Outer ones with numbers below that of the OSCORE option.
    Before,
    /// Outer ones with numbers above it.
    Behind,
    Inner,
}

impl<'a> Client<'a> {
    /// The client of a ticket, which has looked at the identifiers.
    pub const fn of_session(session: &Session<'a>) -> Self {
        Self {
            sender_id: session.sender_id,
            recipient_id: session.recipient_id,
            sender_key: Key(session.sender_key),
            recipient_key: Key(session.recipient_key),
            common_iv: session.common_iv,
        }
    }

    /// As [`Context::protect_request`](crate::Context::protect_request), for a request that is a datagram with a Token of
    /// four bytes and without payload.
    ///
    /// # Errors
    /// [`Full`] when it does not fit `buffer`, is none, or has an option that cannot be protected.
    pub fn protect(&self, number: &PartialIv, request: &[u8], buffer: &mut [u8]) -> Result<usize, Full> {
        let (start, options) = request.split_first_chunk::<START>().ok_or(Full)?;
        let piv = Encoded::new(number.number());
        let piv = piv.as_slice();
        let mut value = Bytes::new();
        value.put(&[0x08 | piv.len() as u8]);
        value.put(piv);
        value.put(self.sender_id);
        buffer.iter_mut().zip(start).for_each(|(to, from)| *to = *from);
        let [_, outer_code, _, _, _, _, _, room @ ..] = buffer else { return Err(Full) };
        let &[_, code, _, _, _, _, _, last] = start;
        // The options begin behind the Token, whose last byte is in place of a code.
        let mut outer = Writer::without_header(room, Code(last))?;
        let has_observe = copy(options, Part::Before, &mut outer)?;
        outer.option(option::OSCORE, value.as_slice())?;
        copy(options, Part::Behind, &mut outer)?;
        let length = outer.finish();
        *outer_code = if has_observe { Code::FETCH.0 } else { Code::POST.0 };
        let [marker, room @ ..] = room.get_mut(length..).unwrap_or_default() else { return Err(Full) };
        *marker = 0xff;
        let mut inner = Writer::without_header(room, Code(code))?;
        copy(options, Part::Inner, &mut inner)?;
        let inner = inner.finish();
        let nonce = aead::nonce(self.common_iv, self.sender_id, piv);
        let aad = Aad::new(self.sender_id, piv);
        let sealed = aead::seal(self.sender_key, &nonce, &aad, room, inner).ok_or(Full)?;
        Ok(START + length + sealed)
    }

    /// As [`Context::unprotect_response`](crate::Context::unprotect_response), for a response with a Token of four bytes; the
    /// length of the message at the front of the datagram. Nothing in it was looked at, but it is what was protected.
    ///
    /// # Errors
    /// [`UnprotectError`].
    pub fn unprotect(&self, request: &PartialIv, datagram: &mut [u8]) -> Result<usize, UnprotectError> {
        let message = Message::parse(datagram).map_err(|_malformed| UnprotectError::NotCoap)?;
        let value = message.option(option::OSCORE).ok_or(UnprotectError::NotProtected)?;
        let request = Encoded::new(request.number());
        let (mut id, mut piv) = (self.sender_id, request.as_slice());
        if let [flags, rest @ ..] = value {
            let known = rest.split_at_checked(usize::from(flags & 7)).filter(|_| matches!(flags, 1..=15));
            let (own, kid) = known.ok_or(UnprotectError::Undecodable)?;
            if !own.is_empty() {
                // Of what is no Partial IV there is no nonce that anything was made with.
                (id, piv) = (self.recipient_id, own);
            }
            let expected = if flags & 8 == 0 { &[] } else { self.recipient_id };
            if kid != expected {
                return Err(UnprotectError::UnknownContext);
            }
        }
        let start = datagram.len().saturating_sub(message.payload.len());
        let nonce = aead::nonce(self.common_iv, id, piv);
        let aad = Aad::new(self.sender_id, request.as_slice());
        let text = datagram.get_mut(start..).unwrap_or_default();
        let text = aead::open(self.recipient_key, &nonce, &aad, text).ok_or(UnprotectError::Forged)?;
        let Some((code, rest)) = text.split_first() else { return Err(UnprotectError::Undecodable) };
        let (code, length) = (*code, rest.len());
        if let [_, place, ..] = datagram {
            *place = code;
        }
        Ok(pull(datagram, start + 1, START, length))
    }
}

/// Writes the options of one part; whether Observe was among them.
#[inline(never)]
fn copy(options: &[u8], part: Part, writer: &mut Writer<'_>) -> Result<bool, Full> {
    let mut has_observe = false;
    for Opt { number, value } in Options::new(options) {
        let outer = if number < option::OSCORE { Part::Before } else { Part::Behind };
        let is_of_part = match class(number) {
            Class::Inner => part == Part::Inner,
            Class::Outer => part == outer,
            Class::InnerAndOuter => {
                has_observe = true;
                part == outer || part == Part::Inner
            }
            Class::Split | Class::Oscore => return Err(Full),
        };
        if is_of_part {
            writer.option(number, value)?;
        }
    }
    Ok(has_observe)
}
