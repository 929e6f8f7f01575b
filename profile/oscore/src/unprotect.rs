//! From OSCORE messages to CoAP messages (RFC 8613 §8.2, §8.4).

use crate::aead::{self, Aad};
use crate::class::{Class, class};
use crate::context::Context;
use crate::option::OscoreOption;
use crate::replay::ReplayWindow;
use crate::sequence::Encoded;
use core::fmt;
use sixfold_profile::coap::{Code, Message, Opt, Options, Writer, option};

/// A request that was received, as its responses are bound to it: to be kept until the last of them was protected.
#[derive(Debug, PartialEq, Eq)]
pub struct Received {
    pub(crate) number: u64,
    pub(crate) is_nonce_used: bool,
}

impl Received {
    /// A request with this Partial IV whose nonce made a response already, or may have: each response to it needs a number. For
    /// whoever has to answer again and did not keep what it answered.
    pub const fn answered(number: u64) -> Self {
        Self { number, is_nonce_used: true }
    }

    /// Its Partial IV.
    pub const fn number(&self) -> u64 {
        self.number
    }
}

/// What becomes of a request whose number was received before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repetition {
    /// It is refused, unread (§7.4).
    Refused,
    /// It is decrypted, and refused unless it is a GET or FETCH, which may be done twice (RFC 7252 §4.5). For servers that
    /// do not remember their responses to answer a retransmission with, but make them again; they need a number for it.
    Safe,
}

/// A request that was unprotected.
#[derive(Debug, PartialEq, Eq)]
pub struct Request {
    /// The length of the CoAP message at the front of the buffer.
    pub length: usize,
    /// What its responses need.
    pub received: Received,
    /// The number was received before: see [`Repetition::Safe`].
    pub is_repetition: bool,
}

/// A response that was unprotected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Response {
    /// The length of the CoAP message at the front of the datagram.
    pub length: usize,
    /// The Partial IV, if it has its own.
    pub partial_iv: Option<u64>,
    /// It has an inner Observe option. It counts if the request registered, and [`crate::NotificationNumber`] accepts it.
    pub is_notification: bool,
}

/// Why a message was not unprotected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnprotectError {
    /// The buffer is too small: the caller is to blame.
    Full,
    /// No CoAP message, or one that cannot have an OSCORE option.
    NotCoap,
    /// There is no OSCORE option: the message is not protected.
    NotProtected,
    /// The option, or what was encrypted, cannot be read: the sender is to blame.
    Undecodable,
    /// It is of another context than this one.
    UnknownContext,
    /// The number was received before, or is too old to tell.
    Replayed,
    /// It was not made with this context's key, or was changed on the way, or is an answer to another request.
    Forged,
}

impl UnprotectError {
    /// The unprotected answer that a server may give to such a request, with this as its diagnostic payload (§8.2); `None`
    /// when it should not.
    pub const fn answer(self) -> Option<(Code, &'static str)> {
        match self {
            Self::Undecodable => Some((Code::BAD_OPTION, "Failed to decode COSE")),
            Self::UnknownContext => Some((Code::UNAUTHORIZED, "Security context not found")),
            Self::Replayed => Some((Code::UNAUTHORIZED, "Replay detected")),
            Self::Forged => Some((Code::BAD_REQUEST, "Decryption failed")),
            Self::Full | Self::NotCoap | Self::NotProtected => None,
        }
    }
}

impl fmt::Display for UnprotectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "the message does not fit its buffer",
            Self::NotCoap => "not a CoAP message that could be protected",
            Self::NotProtected => "the message is not protected",
            Self::Undecodable => "the sender's OSCORE message cannot be decoded",
            Self::UnknownContext => "the message is of another security context",
            Self::Replayed => "the message was received before",
            Self::Forged => "the message was changed, or made with another key",
        })
    }
}

impl core::error::Error for UnprotectError {}

impl<'a> OscoreOption<'a> {
    /// The option of a message: with `kid` and `kid context`, a server finds the context of a request.
    ///
    /// # Errors
    /// [`UnprotectError::NotProtected`] and [`UnprotectError::Undecodable`].
    pub fn of(message: &Message<'a>) -> Result<Self, UnprotectError> {
        let value = message.option(option::OSCORE).ok_or(UnprotectError::NotProtected)?;
        Self::parse(value).map_err(|_undecodable| UnprotectError::Undecodable)
    }
}

impl Context<'_> {
    /// Unprotects a request, writes it as a CoAP message to the front of `buffer`, which has to be twice as long as the
    /// datagram, and notes its number.
    ///
    /// The options that were encrypted count, and of the others those of class U that were not among them: anybody on the way
    /// may have changed these.
    ///
    /// # Errors
    /// [`UnprotectError`]. The window changes only when there is none.
    pub fn unprotect_request(
        &self,
        window: &mut ReplayWindow,
        repetition: Repetition,
        message: &Message<'_>,
        buffer: &mut [u8],
    ) -> Result<Request, UnprotectError> {
        let option = OscoreOption::of(message)?;
        if !message.code.is_request() {
            return Err(UnprotectError::NotCoap);
        }
        let (Some(kid), Some(number)) = (option.kid, option.partial_iv) else {
            return Err(UnprotectError::Undecodable);
        };
        let is_of_this_context = option.kid_context.is_none_or(|context| Some(context) == self.id_context);
        if kid != self.recipient_id || !is_of_this_context {
            return Err(UnprotectError::UnknownContext);
        }
        let is_repetition = !window.is_new(number);
        if is_repetition && repetition == Repetition::Refused {
            return Err(UnprotectError::Replayed);
        }
        let start = buffer.len().checked_sub(message.payload.len()).ok_or(UnprotectError::Full)?;
        let (room, text) = buffer.split_at_mut_checked(start).ok_or(UnprotectError::Full)?;
        text.iter_mut().zip(message.payload).for_each(|(to, from)| *to = *from);
        let piv = Encoded::new(number);
        let nonce = aead::nonce(self.common_iv, kid, piv.as_slice());
        let text = aead::open(self.recipient_key, &nonce, &Aad::new(kid, piv.as_slice()), text);
        let inner = Inner::read(text.ok_or(UnprotectError::Forged)?)?;
        if !inner.code.is_request() {
            return Err(UnprotectError::Undecodable);
        }
        if is_repetition && !matches!(inner.code, Code::GET | Code::FETCH) {
            return Err(UnprotectError::Replayed);
        }
        let length = inner.merge(message, room).ok_or(UnprotectError::Full)?;
        window.accept(number);
        let received = Received { number, is_nonce_used: is_repetition };
        Ok(Request { length, received, is_repetition })
    }

    /// Unprotects a response to the request with this number, in place: afterwards the datagram begins with a CoAP message.
    /// Only the options that were encrypted are in it.
    ///
    /// # Errors
    /// [`UnprotectError`]. Then the datagram holds nothing that may be used, but for `NotCoap` and `NotProtected`, when it is
    /// as it came.
    pub fn unprotect_response(&self, request: u64, datagram: &mut [u8]) -> Result<Response, UnprotectError> {
        let message = Message::parse(datagram).map_err(|_malformed| UnprotectError::NotCoap)?;
        if !message.code.is_response() {
            return Err(UnprotectError::NotCoap);
        }
        let option = OscoreOption::of(&message)?;
        let is_of_this_context = option.kid.is_none_or(|kid| kid == self.recipient_id);
        if option.kid_context.is_some() || !is_of_this_context {
            return Err(UnprotectError::UnknownContext);
        }
        let (generator, number) = match option.partial_iv {
            Some(number) => (self.recipient_id, number),
            None => (self.sender_id, request),
        };
        let nonce = aead::nonce(self.common_iv, generator, Encoded::new(number).as_slice());
        let partial_iv = option.partial_iv;
        let to = HEADER + message.token.len();
        let from = datagram.len().saturating_sub(message.payload.len());
        let text = datagram.get_mut(from..).unwrap_or_default();
        let text = aead::open(
            self.recipient_key,
            &nonce,
            &Aad::new(self.sender_id, Encoded::new(request).as_slice()),
            text,
        );
        let text = text.ok_or(UnprotectError::Forged)?;
        let length = text.len();
        let inner = Inner::read(text)?;
        if !inner.code.is_response() {
            return Err(UnprotectError::Undecodable);
        }
        let (code, is_notification) = (inner.code, inner.has(option::OBSERVE));
        // What is behind the code goes to the end of the Token, and the code to its place in the header.
        let length = pull(datagram, from + 1, to, length.saturating_sub(1));
        if let [_, place, ..] = datagram {
            *place = code.0;
        }
        Ok(Response { length, partial_iv, is_notification })
    }
}

/// Bytes before the Token (RFC 7252 §3).
const HEADER: usize = 4;

/// What was encrypted, taken apart.
struct Inner<'t> {
    code: Code,
    options: Options<'t>,
    payload: &'t [u8],
}

impl<'t> Inner<'t> {
    fn read(text: &'t [u8]) -> Result<Self, UnprotectError> {
        let (code, rest) = text.split_first().ok_or(UnprotectError::Undecodable)?;
        let (options, payload) = Options::split(rest).map_err(|_malformed| UnprotectError::Undecodable)?;
        let inner = Self { code: Code(*code), options, payload };
        if inner.has(option::OSCORE) { Err(UnprotectError::Undecodable) } else { Ok(inner) }
    }

    fn has(&self, number: u16) -> bool {
        self.options.clone().any(|option| option.number == number)
    }
}

impl Inner<'_> {
    /// The CoAP message that was protected, with the outer options that count; its length, or `None` when there is no room.
    fn merge(&self, message: &Message<'_>, buffer: &mut [u8]) -> Option<usize> {
        let counts = |outer: &Opt<'_>| {
            matches!(class(outer.number), Class::Outer | Class::Split) && !self.has(outer.number)
        };
        let mut outer = message.options().filter(counts).peekable();
        let mut writer =
            Writer::new(buffer, message.message_type, self.code, message.message_id, message.token).ok()?;
        for inner in self.options.clone() {
            while let Some(outer) = outer.next_if(|outer| outer.number < inner.number) {
                writer.option(outer.number, outer.value).ok()?;
            }
            writer.option(inner.number, inner.value).ok()?;
        }
        for outer in outer {
            writer.option(outer.number, outer.value).ok()?;
        }
        writer.payload(self.payload).ok()
    }
}

/// Moves so many bytes towards the front, one by one, because the places overlap; the end of where they are then.
pub(crate) fn pull(bytes: &mut [u8], from: usize, to: usize, length: usize) -> usize {
    for n in 0..length {
        let byte = bytes.get(from + n).copied();
        if let (Some(byte), Some(place)) = (byte, bytes.get_mut(to + n)) {
            *place = byte;
        }
    }
    to + length
}
