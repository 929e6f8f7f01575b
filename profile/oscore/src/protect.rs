//! From CoAP messages to OSCORE messages (RFC 8613 §8.1, §8.3).

use crate::aead::{self, Aad};
use crate::class::{Class, class};
use crate::context::Context;
use crate::option::OscoreOption;
use crate::sequence::{Encoded, PartialIv};
use crate::unprotect::Received;
use core::fmt;
use sixfold_profile::coap::{Code, Full, Message, Opt, Options, Type, Writer, option};

/// A CoAP message that is to be protected, in parts: so that it need not be put together before.
#[derive(Clone, Copy, Debug)]
pub struct Plain<'a, O> {
    /// Goes out as it is.
    pub message_type: Type,
    /// Is encrypted.
    pub code: Code,
    /// Goes out as it is.
    pub message_id: u16,
    /// Goes out as it is.
    pub token: &'a [u8],
    /// In ascending order of their numbers; they are gone through twice.
    pub options: O,
    /// Is encrypted.
    pub payload: &'a [u8],
}

impl<'a> From<&Message<'a>> for Plain<'a, Options<'a>> {
    fn from(message: &Message<'a>) -> Self {
        let &Message { message_type, code, message_id, token, payload, .. } = message;
        Self { message_type, code, message_id, token, options: message.options(), payload }
    }
}

/// Why a message cannot be protected: the caller is to blame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProtectError {
    /// The buffer is too small, the Token too long, or the options are not in order.
    Full,
    /// A request with the code of a response, or the other way round.
    Code,
    /// It has an OSCORE option already (§4.1.3.7).
    Nested,
    /// It has Proxy-Uri: Proxy-Scheme, Uri-Host, Uri-Port, Uri-Path and Uri-Query say the same, and hide the path
    /// (§4.1.3.3).
    ProxyUri,
    /// The nonce of the request cannot make this response: it made one already, or this one is a notification. It needs a
    /// Partial IV of its own (§8.3).
    NonceUsed,
}

impl fmt::Display for ProtectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "the protected message does not fit its buffer, or its options are out of order",
            Self::Code => "not the code of such a message",
            Self::Nested => "the message has an OSCORE option",
            Self::ProxyUri => "Proxy-Uri must be split before it is protected",
            Self::NonceUsed => "this response needs a Partial IV of its own",
        })
    }
}

impl core::error::Error for ProtectError {}

impl From<Full> for ProtectError {
    fn from(Full: Full) -> Self {
        Self::Full
    }
}

impl Context<'_> {
    /// Protects a request with a number of this context's Sender Sequence Numbers, and returns the length of what was
    /// written. The number is needed to unprotect the responses. The same number may be given again for the very same
    /// request, which is how it is retransmitted.
    ///
    /// # Errors
    /// [`ProtectError`], all but `NonceUsed`.
    pub fn protect_request<'m>(
        &self,
        number: &PartialIv,
        request: &Plain<'m, impl Iterator<Item = Opt<'m>> + Clone>,
        buffer: &mut [u8],
    ) -> Result<usize, ProtectError> {
        if !request.code.is_request() {
            return Err(ProtectError::Code);
        }
        let number = number.number();
        let option = OscoreOption {
            partial_iv: Some(number),
            kid_context: self.id_context,
            kid: Some(self.sender_id),
        };
        // §4.2; what a proxy on the way keeps of an observation, it keeps for FETCH.
        let codes = [Code::POST, Code::FETCH];
        let piv = Encoded::new(number);
        let nonce = aead::nonce(self.common_iv, self.sender_id, piv.as_slice());
        let aad = Aad::new(self.sender_id, piv.as_slice());
        let seal = Seal { context: self, nonce, aad, option, codes };
        seal.message(request, buffer)
    }

    /// Protects a response to a request that was received in this context, and returns the length of what was written.
    ///
    /// Without a number, the nonce is that of the request, once: the response is shorter. Notifications and further
    /// responses need a number.
    ///
    /// # Errors
    /// [`ProtectError`].
    pub fn protect_response<'m>(
        &self,
        request: &mut Received,
        number: Option<&PartialIv>,
        response: &Plain<'m, impl Iterator<Item = Opt<'m>> + Clone>,
        buffer: &mut [u8],
    ) -> Result<usize, ProtectError> {
        if !response.code.is_response() {
            return Err(ProtectError::Code);
        }
        let is_notification = response.options.clone().any(|option| option.number == option::OBSERVE);
        let piv = Encoded::new(request.number);
        let nonce = match number {
            Some(number) => {
                aead::nonce(self.common_iv, self.sender_id, Encoded::new(number.number()).as_slice())
            }
            None if request.is_nonce_used || is_notification => return Err(ProtectError::NonceUsed),
            None => {
                // Even if it does not fit: bytes may have got out.
                request.is_nonce_used = true;
                aead::nonce(self.common_iv, self.recipient_id, piv.as_slice())
            }
        };
        let aad = Aad::new(self.recipient_id, piv.as_slice());
        let option = OscoreOption { partial_iv: number.map(PartialIv::number), ..OscoreOption::default() };
        Seal { context: self, nonce, aad, option, codes: [Code::CHANGED, Code::CONTENT] }
            .message(response, buffer)
    }
}

/// All that the two kinds of messages differ in.
struct Seal<'a> {
    context: &'a Context<'a>,
    nonce: [u8; aead::NONCE],
    aad: Aad,
    option: OscoreOption<'a>,
    /// The outer code, without and with Observe (§4.2, §4.1.3.5).
    codes: [Code; 2],
}

impl Seal<'_> {
    fn message<'m>(
        &self,
        plain: &Plain<'m, impl Iterator<Item = Opt<'m>> + Clone>,
        buffer: &mut [u8],
    ) -> Result<usize, ProtectError> {
        let start = self.outer(plain, buffer)?;
        let [marker, room @ ..] = buffer.get_mut(start..).unwrap_or_default() else {
            return Err(ProtectError::Full);
        };
        *marker = 0xff;
        let length = inner(plain, room)?;
        let sealed = aead::seal(self.context.sender_key, &self.nonce, &self.aad, room, length);
        sealed.map(|length| start + 1 + length).ok_or(ProtectError::Full)
    }

    /// Header, Token, the options that are not encrypted, and among them the OSCORE option.
    fn outer<'m>(
        &self,
        plain: &Plain<'m, impl Iterator<Item = Opt<'m>> + Clone>,
        buffer: &mut [u8],
    ) -> Result<usize, ProtectError> {
        let [mut code, with_observe] = self.codes;
        let mut writer = Writer::new(buffer, plain.message_type, code, plain.message_id, plain.token)?;
        let (value, length) = self.option.encode().ok_or(ProtectError::Full)?;
        let mut oscore = value.get(..length);
        for option in plain.options.clone() {
            match class(option.number) {
                Class::Inner => continue,
                Class::Outer => {}
                Class::InnerAndOuter => code = with_observe,
                Class::Split => return Err(ProtectError::ProxyUri),
                Class::Oscore => return Err(ProtectError::Nested),
            }
            if option.number > option::OSCORE
                && let Some(value) = oscore.take()
            {
                writer.option(option::OSCORE, value)?;
            }
            writer.option(option.number, option.value)?;
        }
        if let Some(value) = oscore {
            writer.option(option::OSCORE, value)?;
        }
        let length = writer.finish();
        if let [_, place, ..] = buffer {
            *place = code.0;
        }
        Ok(length)
    }
}

/// What is encrypted (§5.3).
///
/// ```text
///  0                   1                   2                   3
///  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |     Code      |    Class E options (if any) ...
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |1 1 1 1 1 1 1 1|    Payload (if any) ...
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
///  (only if there
///    is payload)
/// ```
fn inner<'m>(
    plain: &Plain<'m, impl Iterator<Item = Opt<'m>> + Clone>,
    buffer: &mut [u8],
) -> Result<usize, Full> {
    let mut writer = Writer::without_header(buffer, plain.code)?;
    for option in plain.options.clone() {
        match class(option.number) {
            // §4.1.3.5.2: the Partial IV orders notifications.
            Class::InnerAndOuter if plain.code.is_response() => writer.option(option.number, &[])?,
            Class::Inner | Class::InnerAndOuter => writer.option(option.number, option.value)?,
            Class::Outer | Class::Split | Class::Oscore => {}
        }
    }
    writer.payload(plain.payload)
}
