//! Reading a CoAP message: a checked view of a datagram (RFC 7252 §3).

use super::{Code, params::MAX_TOKEN};
use core::fmt;

/// The message type (RFC 7252 §3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Type {
    /// CON
    Confirmable = 0,
    /// NON
    NonConfirmable = 1,
    /// ACK
    Acknowledgement = 2,
    /// RST
    Reset = 3,
}

/// A datagram that was found to be one well-formed CoAP message.
///
/// ```text
///  0                   1                   2                   3
///  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |Ver| T |  TKL  |      Code     |          Message ID           |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |   Token (if any, TKL bytes) ...
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |   Options (if any) ...
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |1 1 1 1 1 1 1 1|    Payload (if any) ...
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// ```
///
/// Everything is checked by [`Message::parse`], so that the accessors cannot fail.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// Confirmable, Non-confirmable, Acknowledgement or Reset.
    pub message_type: Type,
    /// The code.
    pub code: Code,
    /// The Message ID.
    pub message_id: u16,
    /// The Token, 0–8 bytes.
    pub token: &'a [u8],
    options: &'a [u8],
    /// The payload; empty when there is none.
    pub payload: &'a [u8],
}

/// Why a datagram is no CoAP message (RFC 7252 §3: "message format error").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Malformed {
    /// Shorter than the header, or cut inside the Token or an option.
    Truncated,
    /// A version other than 1: must be silently ignored.
    Version,
    /// TKL 9–15.
    TokenLength,
    /// Option delta or length 15, or an option number above 65535.
    Option,
    /// A payload marker with nothing behind it.
    EmptyPayload,
    /// An Empty message with a token, options or payload (§4.1).
    NotEmpty,
    /// A code of a reserved class, or one that the message type cannot carry (§3, §4.2, §4.3).
    Code,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Truncated => "truncated message",
            Self::Version => "CoAP version is not 1",
            Self::TokenLength => "token longer than 8 bytes",
            Self::Option => "invalid option delta or length",
            Self::EmptyPayload => "payload marker without payload",
            Self::NotEmpty => "bytes after an Empty message",
            Self::Code => "code not allowed in this message type",
        })
    }
}

impl core::error::Error for Malformed {}

impl<'a> Message<'a> {
    /// Checks a whole datagram.
    ///
    /// # Errors
    /// [`Malformed`], with the reason that the datagram must be rejected or ignored.
    pub fn parse(datagram: &'a [u8]) -> Result<Self, Malformed> {
        let (header, rest) = datagram.split_first_chunk::<4>().ok_or(Malformed::Truncated)?;
        if header[0] >> 6 != 1 {
            return Err(Malformed::Version);
        }
        let message_type = match header[0] >> 4 & 3 {
            0 => Type::Confirmable,
            1 => Type::NonConfirmable,
            2 => Type::Acknowledgement,
            _ => Type::Reset,
        };
        let code = Code(header[1]);
        let token_length = usize::from(header[0] & 0xf);
        if token_length > MAX_TOKEN {
            return Err(Malformed::TokenLength);
        }
        if code == Code::EMPTY && (token_length > 0 || !rest.is_empty()) {
            return Err(Malformed::NotEmpty);
        }
        if !allowed(message_type, code) {
            return Err(Malformed::Code);
        }
        let (token, rest) = rest.split_at_checked(token_length).ok_or(Malformed::Truncated)?;
        let (Options { rest: options, .. }, payload) = Options::split(rest)?;
        let message_id = u16::from_be_bytes([header[2], header[3]]);
        Ok(Self { message_type, code, message_id, token, options, payload })
    }

    /// The options in the order of the message, which is the order of their numbers.
    pub fn options(&self) -> Options<'a> {
        Options { rest: self.options, number: 0 }
    }

    /// The value of the first option of this number.
    pub fn option(&self, number: u16) -> Option<&'a [u8]> {
        self.options().find(|option| option.number == number).map(|option| option.value)
    }

    /// The first option of this number as an unsigned integer (RFC 7252 §3.2); `None` when it is absent or
    /// longer than four bytes.
    pub fn uint_option(&self, number: u16) -> Option<u32> {
        self.option(number).and_then(uint)
    }
}

/// RFC 7252 §4.2, §4.3 and table 1.
fn allowed(message_type: Type, code: Code) -> bool {
    match code {
        Code::EMPTY => message_type != Type::NonConfirmable,
        code if code.is_response() => message_type != Type::Reset,
        code => code.is_request() && matches!(message_type, Type::Confirmable | Type::NonConfirmable),
    }
}

/// One option of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opt<'a> {
    /// The option number (see [`super::option`]).
    pub number: u16,
    /// The option value.
    pub value: &'a [u8],
}

impl Opt<'_> {
    /// The value as an unsigned integer (RFC 7252 §3.2); `None` when it is longer than four bytes.
    pub fn uint(&self) -> Option<u32> {
        uint(self.value)
    }
}

/// An unsigned integer of up to four bytes (RFC 7252 §3.2).
pub(super) const fn uint(mut value: &[u8]) -> Option<u32> {
    if value.len() > 4 {
        return None;
    }
    let mut sum = 0;
    while let [byte, rest @ ..] = value {
        sum = sum << 8 | *byte as u32;
        value = rest;
    }
    Some(sum)
}

/// Iterates over options (RFC 7252 §3.1).
///
/// ```text
///   0   1   2   3   4   5   6   7
/// +---------------+---------------+
/// | Option Delta  | Option Length |   1 byte
/// +---------------+---------------+
/// /  Option Delta (extended)      /   0-2 bytes
/// /  Option Length (extended)     /   0-2 bytes
/// /  Option Value                 /   0 or more bytes
/// +-------------------------------+
/// ```
#[derive(Clone, Debug)]
pub struct Options<'a> {
    rest: &'a [u8],
    number: u16,
}

impl<'a> Options<'a> {
    /// Options that are encoded as in a message (RFC 7252 §3.1), but stand alone: from option number 0, to the end of
    /// `bytes`. What is not encoded so ends them; see [`Options::are_valid`].
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, number: 0 }
    }

    /// Whether all of `bytes` are options.
    pub fn are_valid(bytes: &'a [u8]) -> bool {
        let mut options = Self::new(bytes);
        while options.next().is_some() {}
        options.rest.is_empty()
    }

    /// Options and payload as they stand behind a Token (RFC 7252 §3), and behind the code where OSCORE encrypts them (RFC
    /// 8613 §5.3).
    ///
    /// # Errors
    /// [`Malformed`], when they do not fill all of `bytes`.
    pub fn split(bytes: &'a [u8]) -> Result<(Self, &'a [u8]), Malformed> {
        let mut options = Self::new(bytes);
        while options.next().is_some() {}
        match options.rest {
            [] => Ok((Self::new(bytes), &[])),
            [0xff] => Err(Malformed::EmptyPayload),
            [0xff, payload @ ..] => {
                let length = bytes.len().saturating_sub(payload.len() + 1);
                Ok((Self::new(bytes.get(..length).unwrap_or_default()), payload))
            }
            _ => Err(options.advance().err().unwrap_or(Malformed::Option)),
        }
    }

    /// The next option; `None` at the payload marker or the end. After an error, where it is does not matter.
    fn advance(&mut self) -> Result<Option<Opt<'a>>, Malformed> {
        let first = match *self.rest {
            [] | [0xff, ..] => return Ok(None),
            [first, ref rest @ ..] => {
                self.rest = rest;
                first
            }
        };
        let number = u32::from(self.number) + self.extended(first >> 4)?;
        let length = self.extended(first & 0xf)?;
        self.number = u16::try_from(number).map_err(|_| Malformed::Option)?;
        let (value, rest) = self.rest.split_at_checked(length as usize).ok_or(Malformed::Truncated)?;
        self.rest = rest;
        Ok(Some(Opt { number: self.number, value }))
    }

    /// An option delta or length that begins with these four bits.
    fn extended(&mut self, nibble: u8) -> Result<u32, Malformed> {
        let (value, rest) = match (nibble, self.rest) {
            (0..=12, _) => return Ok(u32::from(nibble)),
            (13, [a, rest @ ..]) => (u32::from(*a) + 13, rest),
            (14, [a, b, rest @ ..]) => (u32::from(u16::from_be_bytes([*a, *b])) + 269, rest),
            (13 | 14, _) => return Err(Malformed::Truncated),
            _ => return Err(Malformed::Option),
        };
        self.rest = rest;
        Ok(value)
    }
}

impl<'a> Iterator for Options<'a> {
    type Item = Opt<'a>;

    fn next(&mut self) -> Option<Opt<'a>> {
        let before = self.clone();
        self.advance().unwrap_or_else(|_malformed| {
            *self = before;
            None
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[test]
    fn the_get_of_rfc_7252_appendix_a() {
        // Figure 16: CON GET, MID 0x7d34, Uri-Path "temperature".
        let mut datagram = Vec::from([0x40, 0x01, 0x7d, 0x34, 0xbb]);
        datagram.extend_from_slice(b"temperature");
        let message = Message::parse(&datagram).unwrap();
        assert_eq!(message.message_type, Type::Confirmable);
        assert_eq!((message.code, message.message_id), (Code::GET, 0x7d34));
        assert_eq!(message.option(11), Some(&b"temperature"[..]));
        assert!(message.payload.is_empty());
    }

    #[test]
    fn a_response_with_token_and_payload() {
        let mut datagram = Vec::from([0x61, 0x45, 0x7d, 0x35, 0x20, 0xff]);
        datagram.extend_from_slice(b"22.3 C");
        let message = Message::parse(&datagram).unwrap();
        assert_eq!((message.message_type, message.code), (Type::Acknowledgement, Code::CONTENT));
        assert_eq!((message.token, message.payload), (&[0x20][..], &b"22.3 C"[..]));
    }

    #[test]
    fn format_errors() {
        let cases: &[(&[u8], Malformed)] = &[
            (&[0x40, 1, 0], Malformed::Truncated),
            (&[0x00, 1, 0, 0], Malformed::Version),
            (&[0x49, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], Malformed::TokenLength),
            (&[0x44, 1, 0, 0, 1, 2, 3], Malformed::Truncated),
            (&[0x40, 1, 0, 0, 0xff], Malformed::EmptyPayload),
            (&[0x40, 0, 0, 0, 1], Malformed::NotEmpty),
            (&[0x41, 0, 0, 0, 1], Malformed::NotEmpty),
            (&[0x50, 0, 0, 0], Malformed::Code),
            (&[0x60, 1, 0, 0], Malformed::Code),
            (&[0x70, 0x45, 0, 0], Malformed::Code),
            (&[0x40, 0xe0, 0, 0], Malformed::Code),
            (&[0x40, 1, 0, 0, 0xf0], Malformed::Option),
            (&[0x40, 1, 0, 0, 0x0f], Malformed::Option),
            (&[0x40, 1, 0, 0, 0xd0], Malformed::Truncated),
            (&[0x40, 1, 0, 0, 0xe0, 0], Malformed::Truncated),
            (&[0x40, 1, 0, 0, 0xb3, 1, 2], Malformed::Truncated),
            (&[0x40, 1, 0, 0, 0xe0, 0xff, 0xff], Malformed::Option),
        ];
        for (datagram, reason) in cases {
            assert_eq!(Message::parse(datagram).err(), Some(*reason), "{datagram:02x?}");
        }
    }

    #[test]
    fn integers_of_every_length() {
        for (value, expected) in [(&[][..], 0), (&[7], 7), (&[1, 0], 256), (&[0, 0, 1, 0], 256)] {
            assert_eq!(uint(value), Some(expected));
        }
        assert_eq!(uint(&[0; 5]), None);
    }
}
