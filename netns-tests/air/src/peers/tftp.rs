//! TFTP packets (RFC 1350 §5, RFC 2347): what client and server both need.

use std::str;

/// DATA without negotiation (RFC 1350 §2), in bytes.
pub(super) const DEFAULT_BLOCK: u16 = 512;
/// An ERROR that is not defined: see the message (RFC 1350 §5).
pub(super) const UNDEFINED: u16 = 0;
/// ERROR: file not found.
pub(super) const NOT_FOUND: u16 = 1;
/// ERROR: illegal operation.
pub(super) const ILLEGAL: u16 = 4;
/// ERROR: unknown transfer ID.
pub(super) const UNKNOWN_TRANSFER: u16 = 5;

/// One packet. A block number is 16 bits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Packet<'p> {
    /// RRQ: file and mode, and options if any.
    Read { file: &'p str, mode: &'p str, options: Vec<(&'p str, &'p str)> },
    /// DATA.
    Data { block: u16, bytes: &'p [u8] },
    /// ACK.
    Acknowledge { block: u16 },
    /// ERROR: a code, and a message for humans.
    Error { code: u16, message: &'p str },
    /// OACK: the options that the server accepts (RFC 2347).
    Options(Vec<(&'p str, &'p str)>),
}

impl<'p> Packet<'p> {
    /// Reads a packet; `None` when it is none, or one that a read transfer does not use.
    pub(super) fn read(payload: &'p [u8]) -> Option<Self> {
        let (opcode, rest) = payload.split_first_chunk::<2>()?;
        let number = || rest.first_chunk::<2>().map(|number| u16::from_be_bytes(*number));
        match u16::from_be_bytes(*opcode) {
            1 => {
                let mut strings = strings(rest)?.into_iter();
                let (file, mode) = (strings.next()?, strings.next()?);
                Some(Self::Read { file, mode, options: pairs(strings)? })
            }
            3 => Some(Self::Data { block: number()?, bytes: &rest[2..] }),
            4 => Some(Self::Acknowledge { block: number()? }),
            5 => Some(Self::Error { code: number()?, message: strings(&rest[2..])?.first()? }),
            6 => Some(Self::Options(pairs(strings(rest)?.into_iter())?)),
            _ => None,
        }
    }

    /// The packet's bytes.
    pub(super) fn write(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        match self {
            Self::Read { file, mode, options } => {
                bytes.extend_from_slice(&[0, 1]);
                write_strings(&mut bytes, [*file, *mode]);
                write_strings(&mut bytes, options.iter().flat_map(|(name, value)| [*name, *value]));
            }
            Self::Data { block, bytes: data } => {
                bytes.extend_from_slice(&[0, 3]);
                bytes.extend_from_slice(&block.to_be_bytes());
                bytes.extend_from_slice(data);
            }
            Self::Acknowledge { block } => {
                bytes.extend_from_slice(&[0, 4]);
                bytes.extend_from_slice(&block.to_be_bytes());
            }
            Self::Error { code, message } => {
                bytes.extend_from_slice(&[0, 5]);
                bytes.extend_from_slice(&code.to_be_bytes());
                write_strings(&mut bytes, [*message]);
            }
            Self::Options(options) => {
                bytes.extend_from_slice(&[0, 6]);
                write_strings(&mut bytes, options.iter().flat_map(|(name, value)| [*name, *value]));
            }
        }
        bytes
    }
}

/// Strings that each end in a zero byte.
fn strings(bytes: &[u8]) -> Option<Vec<&str>> {
    let text = str::from_utf8(bytes.strip_suffix(&[0])?).ok()?;
    Some(text.split('\0').collect())
}

/// Names and values in turn.
fn pairs<'s>(mut strings: impl Iterator<Item = &'s str>) -> Option<Vec<(&'s str, &'s str)>> {
    let mut pairs = Vec::new();
    while let Some(name) = strings.next() {
        pairs.push((name, strings.next()?));
    }
    Some(pairs)
}

fn write_strings<'s>(bytes: &mut Vec<u8>, strings: impl IntoIterator<Item = &'s str>) {
    for string in strings {
        bytes.extend_from_slice(string.as_bytes());
        bytes.push(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The figures of RFC 1350 §5 and the examples of RFC 2347, octet by octet.
    #[test]
    fn packets_are_those_of_the_rfcs() {
        let table = [
            (
                Packet::Read { file: "foobar", mode: "octet", options: vec![("blksize", "1432")] },
                &b"\0\x01foobar\0octet\0blksize\x001432\0"[..],
            ),
            (Packet::Read { file: "a", mode: "octet", options: vec![] }, b"\0\x01a\0octet\0"),
            (Packet::Data { block: 258, bytes: b"xyz" }, b"\0\x03\x01\x02xyz"),
            (Packet::Acknowledge { block: 7 }, b"\0\x04\0\x07"),
            (Packet::Error { code: NOT_FOUND, message: "no" }, b"\0\x05\0\x01no\0"),
            (Packet::Options(vec![("tsize", "9"), ("timeout", "5")]), b"\0\x06tsize\x009\0timeout\x005\0"),
        ];
        for (packet, bytes) in table {
            assert_eq!(packet.write(), bytes);
            assert_eq!(Packet::read(bytes), Some(packet));
        }
    }

    #[test]
    fn what_is_no_packet_is_refused() {
        let table: [&[u8]; 9] = [
            b"",
            b"\0",
            b"\0\x01",
            b"\0\x01a\0octet",
            b"\0\x03\0",
            b"\0\x04",
            b"\0\x05\0\x01no",
            b"\0\x09\0\0",
            b"\0\x06tsize\0",
        ];
        for bytes in table {
            assert_eq!(Packet::read(bytes), None, "{bytes:?}");
        }
    }
}
