//! The OSCORE option (RFC 8613 §6.1): what the receiver has to know to decrypt.

use crate::context::{MAX_ID, MAX_ID_CONTEXT};
use crate::sequence::{self, Encoded, MAX_PARTIAL_IV};
use core::fmt;

/// The longest value that this crate writes.
pub(crate) const MAX_VALUE: usize = 1 + MAX_PARTIAL_IV + 1 + MAX_ID_CONTEXT + MAX_ID;

const HAS_KID: u8 = 0x08;
const HAS_KID_CONTEXT: u8 = 0x10;
const RESERVED: u8 = 0xe0;

/// The value of an OSCORE option.
///
/// ```text
///  0 1 2 3 4 5 6 7 <------------- n bytes -------------->
/// +-+-+-+-+-+-+-+-+--------------------------------------
/// |0 0 0|h|k|  n  |       Partial IV (if any) ...
/// +-+-+-+-+-+-+-+-+--------------------------------------
///
///  <- 1 byte -> <----- s bytes ------>
/// +------------+----------------------+------------------+
/// | s (if any) | kid context (if any) | kid (if any) ... |
/// +------------+----------------------+------------------+
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OscoreOption<'a> {
    /// The Partial IV as a number of 40 bits: in all requests, and in responses that do not use the request's nonce.
    pub partial_iv: Option<u64>,
    /// The ID Context of the sender's security context.
    pub kid_context: Option<&'a [u8]>,
    /// The Sender ID: in all requests.
    pub kid: Option<&'a [u8]>,
}

/// A value that is no OSCORE option: reserved bits or lengths, cut short, or not as short as it must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Undecodable;

impl fmt::Display for Undecodable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the OSCORE option cannot be decoded")
    }
}

impl core::error::Error for Undecodable {}

impl<'a> OscoreOption<'a> {
    /// Reads a value.
    ///
    /// # Errors
    /// [`Undecodable`]. The Partial IV must not have leading zeros (§5), and a value of one zero byte must be empty.
    pub fn parse(value: &'a [u8]) -> Result<Self, Undecodable> {
        let (flags, rest) = match value {
            [] => return Ok(Self::default()),
            [0, ..] => return Err(Undecodable),
            [flags, rest @ ..] => (*flags, rest),
        };
        if flags & RESERVED != 0 {
            return Err(Undecodable);
        }
        let (partial_iv, rest) = rest.split_at_checked(usize::from(flags & 7)).ok_or(Undecodable)?;
        let (kid_context, rest) = match rest {
            rest if flags & HAS_KID_CONTEXT == 0 => (None, rest),
            [length, rest @ ..] => {
                let (kid_context, rest) = rest.split_at_checked(usize::from(*length)).ok_or(Undecodable)?;
                (Some(kid_context), rest)
            }
            [] => return Err(Undecodable),
        };
        let kid = (flags & HAS_KID != 0).then_some(rest);
        let partial_iv = match partial_iv {
            [] => None,
            bytes => Some(sequence::decode(bytes).ok_or(Undecodable)?),
        };
        let option = Self { partial_iv, kid_context, kid };
        if kid.is_none() && !rest.is_empty() { Err(Undecodable) } else { Ok(option) }
    }

    /// The value, at the front of so many bytes, and its length; `None` when it is too long for them.
    pub(crate) fn encode(&self) -> Option<([u8; MAX_VALUE], usize)> {
        let mut value = [0; MAX_VALUE];
        let (mut flags, mut length) = (0, 1);
        let mut put = |bytes: &[u8]| {
            let room = value.get_mut(length..length + bytes.len())?;
            room.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
            length += bytes.len();
            Some(())
        };
        if let Some(number) = self.partial_iv {
            let piv = Encoded::new(number);
            put(piv.as_slice())?;
            flags |= piv.as_slice().len() as u8;
        }
        if let Some(kid_context) = self.kid_context {
            put(&[u8::try_from(kid_context.len()).ok()?])?;
            put(kid_context)?;
            flags |= HAS_KID_CONTEXT;
        }
        if let Some(kid) = self.kid {
            put(kid)?;
            flags |= HAS_KID;
        }
        value[0] = flags;
        Some((value, if flags == 0 { 0 } else { length }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The examples of §6.3, whole and cut.
    #[test]
    fn the_examples_of_the_standard() {
        let option = |partial_iv, kid_context, kid| OscoreOption { partial_iv, kid_context, kid };
        let table: &[(&[u8], OscoreOption<'_>)] = &[
            (&[9, 5, 0x25], option(Some(5), None, Some(&[0x25]))),
            (&[9, 0], option(Some(0), None, Some(&[]))),
            (b"\x19\x05\x05Dalek", option(Some(5), Some(b"Dalek"), Some(&[]))),
            (&[], option(None, None, None)),
            (&[1, 7], option(Some(7), None, None)),
        ];
        for (value, expected) in table {
            assert_eq!(OscoreOption::parse(value), Ok(*expected), "{value:02x?}");
            let (bytes, length) = expected.encode().unwrap();
            assert_eq!(&bytes[..length], *value);
        }
    }

    #[test]
    fn what_is_no_oscore_option() {
        let table: &[&[u8]] = &[
            &[0],       // must be empty
            &[0x20, 1], // reserved bits
            &[0x40],
            &[0x80],
            &[6, 1, 2, 3, 4, 5, 6], // reserved lengths
            &[7, 1, 2, 3, 4, 5, 6, 7],
            &[3, 1, 2], // cut
            &[0x10],
            &[0x11, 1, 5, 0],
            &[1, 1, 9], // bytes that are no kid
            &[2, 0, 1], // leading zero
        ];
        for value in table {
            assert_eq!(OscoreOption::parse(value), Err(Undecodable), "{value:02x?}");
        }
    }

    #[test]
    fn what_is_too_long_is_not_written() {
        let kid_context = Some(&[0; MAX_ID_CONTEXT + 1][..]);
        let option = OscoreOption { partial_iv: Some(sequence::LAST), kid_context, kid: Some(&[0; MAX_ID]) };
        assert_eq!(option.encode(), None);
    }

    proptest! {
        #[test]
        fn what_is_read_is_written_the_same(value in prop::collection::vec(any::<u8>(), 0..20)) {
            if let Some((bytes, length)) = OscoreOption::parse(&value).ok().and_then(|option| option.encode()) {
                prop_assert_eq!(&bytes[..length], &value[..]);
            }
        }
    }
}
