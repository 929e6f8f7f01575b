//! Writing a CoAP message into a buffer of the caller (RFC 7252 §3).

use super::{Code, Type, params::MAX_TOKEN};
use core::fmt;

/// The buffer is too small, or the options were not given in the order of their numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("message does not fit its buffer, or options out of order")
    }
}

impl core::error::Error for Full {}

/// Builds one message front to back: header, options in ascending order, payload.
///
/// A call that fails leaves the message unfinished: drop it.
#[derive(Debug)]
pub struct Writer<'a> {
    buffer: &'a mut [u8],
    length: usize,
    last_option: u16,
}

impl<'a> Writer<'a> {
    /// Writes the header and the Token.
    ///
    /// # Errors
    /// [`Full`] when the buffer is too small or the Token longer than 8 bytes.
    pub fn new(
        buffer: &'a mut [u8],
        message_type: Type,
        code: Code,
        message_id: u16,
        token: &[u8],
    ) -> Result<Self, Full> {
        if token.len() > MAX_TOKEN {
            return Err(Full);
        }
        let mut writer = Self { buffer, length: 0, last_option: 0 };
        let [id_high, id_low] = message_id.to_be_bytes();
        let first = 0x40 | (message_type as u8) << 4 | token.len() as u8 & 0xf;
        writer.put(&[first, code.0, id_high, id_low])?;
        writer.put(token)?;
        Ok(writer)
    }

    /// Writes the code alone, for what OSCORE encrypts: a message without the rest of its header (RFC 8613 §5.3).
    ///
    /// # Errors
    /// [`Full`] when the buffer is too small.
    pub fn without_header(buffer: &'a mut [u8], code: Code) -> Result<Self, Full> {
        let mut writer = Self { buffer, length: 0, last_option: 0 };
        writer.put(&[code.0])?;
        Ok(writer)
    }

    /// Adds an option. Numbers must not descend.
    ///
    /// # Errors
    /// [`Full`] when it does not fit, is longer than 65 804 bytes, or comes out of order.
    pub fn option(&mut self, number: u16, value: &[u8]) -> Result<(), Full> {
        let delta = number.checked_sub(self.last_option).ok_or(Full)?;
        if value.len() > EXTENDED + 0xffff {
            return Err(Full);
        }
        let (delta, length) = (usize::from(delta), value.len());
        self.put(&[nibble(delta) << 4 | nibble(length)])?;
        self.extension(delta)?;
        self.extension(length)?;
        self.put(value)?;
        self.last_option = number;
        Ok(())
    }

    /// Adds an option with an unsigned integer in its shortest form (RFC 7252 §3.2).
    ///
    /// # Errors
    /// As [`Writer::option`].
    pub fn uint_option(&mut self, number: u16, value: u32) -> Result<(), Full> {
        let mut bytes = &value.to_be_bytes()[..];
        while let [0, rest @ ..] = bytes {
            bytes = rest;
        }
        self.option(number, bytes)
    }

    /// Adds the payload, with its marker unless it is empty, and returns the length of the message.
    ///
    /// # Errors
    /// [`Full`] when it does not fit.
    pub fn payload(mut self, payload: &[u8]) -> Result<usize, Full> {
        if !payload.is_empty() {
            self.put(&[0xff])?;
            self.put(payload)?;
        }
        Ok(self.length)
    }

    /// Ends a message without payload and returns its length.
    pub fn finish(self) -> usize {
        self.length
    }

    /// What four bits have no room for.
    fn extension(&mut self, value: usize) -> Result<(), Full> {
        match value {
            0..EXTENSION => Ok(()),
            EXTENSION..EXTENDED => self.put(&[(value - EXTENSION) as u8]),
            _ => self.put(&((value - EXTENDED) as u16).to_be_bytes()),
        }
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), Full> {
        let end = self.length.checked_add(bytes.len()).ok_or(Full)?;
        let room = self.buffer.get_mut(self.length..end).ok_or(Full)?;
        // Byte by byte: `copy_from_slice` would bring a panic path for unequal lengths into the boot program.
        for (to, from) in room.iter_mut().zip(bytes) {
            *to = *from;
        }
        self.length = end;
        Ok(())
    }
}

/// The first option delta or length that takes a byte of its own, and the first that takes two (RFC 7252 §3.1).
const EXTENSION: usize = 13;
const EXTENDED: usize = 269;

/// Four bits for an option delta or length.
const fn nibble(value: usize) -> u8 {
    match value {
        0..EXTENSION => value as u8,
        EXTENSION..EXTENDED => 13,
        _ => 14,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coap::Message;

    #[test]
    fn the_get_of_rfc_7252_appendix_a() {
        let mut buffer = [0; 32];
        let mut writer = Writer::new(&mut buffer, Type::Confirmable, Code::GET, 0x7d34, &[]).unwrap();
        writer.option(11, b"temperature").unwrap();
        let length = writer.finish();
        assert_eq!(&buffer[..5], [0x40, 0x01, 0x7d, 0x34, 0xbb]);
        assert_eq!(&buffer[5..length], b"temperature");
    }

    #[test]
    fn long_deltas_and_lengths() {
        let mut buffer = [0; 700];
        let mut writer = Writer::new(&mut buffer, Type::NonConfirmable, Code::GET, 1, &[9; 8]).unwrap();
        for (number, length) in [(1, 0), (14, 12), (300, 13), (2000, 300), (65535, 269)] {
            writer.option(number, &[number as u8; 300][..length]).unwrap();
        }
        let length = writer.payload(b"x").unwrap();
        let message = Message::parse(&buffer[..length]).unwrap();
        let lengths: std::vec::Vec<_> = message.options().map(|o| (o.number, o.value.len())).collect();
        assert_eq!(lengths, [(1, 0), (14, 12), (300, 13), (2000, 300), (65535, 269)]);
        assert_eq!(message.payload, b"x");
    }

    #[test]
    fn refuses_what_does_not_fit() {
        let mut buffer = [0; 5];
        assert!(Writer::new(&mut buffer, Type::Reset, Code::EMPTY, 0, &[0; 9]).is_err());
        let mut writer = Writer::new(&mut buffer, Type::Confirmable, Code::GET, 0, &[]).unwrap();
        writer.uint_option(12, 0).unwrap();
        assert_eq!(writer.uint_option(11, 0), Err(Full), "descending");
        assert_eq!(writer.payload(b"xy"), Err(Full));
    }
}
