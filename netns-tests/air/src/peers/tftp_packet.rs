//! TFTP packets (RFC 1350 §5) and options (RFC 2347): bytes to values and back. Only what reading a file takes.

/// The well-known port to which requests go (RFC 1350 §4).
pub const PORT: u16 = 69;
/// The bytes of a block when no block size was agreed on (RFC 1350 §2).
pub const DEFAULT_BLOCK_SIZE: u16 = 512;
/// The only mode that is used here: 8-bit bytes as they are (RFC 1350 §1).
pub(super) const OCTET: &str = "octet";

/// A packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Packet<'a> {
    /// RRQ, opcode 1.
    ReadRequest { filename: &'a str, mode: &'a str, options: Options },
    /// DATA, opcode 3.
    Data { block: u16, payload: &'a [u8] },
    /// ACK, opcode 4.
    Acknowledgement { block: u16 },
    /// ERROR, opcode 5.
    Error { code: ErrorCode, message: &'a str },
    /// OACK, opcode 6 (RFC 2347).
    OptionAcknowledgement(Options),
}

/// An error code (RFC 1350 appendix I; 8 is of RFC 2347).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ErrorCode(pub(super) u16);

impl ErrorCode {
    pub(super) const NOT_DEFINED: Self = Self(0);
    pub(super) const FILE_NOT_FOUND: Self = Self(1);
    pub(super) const ILLEGAL_OPERATION: Self = Self(4);
    pub(super) const UNKNOWN_TRANSFER_ID: Self = Self(5);
    pub(super) const OPTIONS_REFUSED: Self = Self(8);
}

/// The options of a request or of its acknowledgement. Others are ignored, and values out of range as well.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// `blksize`, 8–65464 bytes (RFC 2348).
    pub block_size: Option<u16>,
    /// `timeout`, 1–255 s: how long the sender waits before it sends a packet again (RFC 2349).
    pub timeout: Option<u8>,
    /// `tsize`, the size of the file in bytes; 0 in a request asks for it (RFC 2349).
    pub transfer_size: Option<u64>,
}

impl Options {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Names are case-insensitive.
    fn set(&mut self, name: &str, value: &str) {
        if name.eq_ignore_ascii_case("blksize") {
            self.block_size = value.parse().ok().filter(|size| (8..=65464).contains(size));
        } else if name.eq_ignore_ascii_case("timeout") {
            self.timeout = value.parse().ok().filter(|&seconds| seconds > 0);
        } else if name.eq_ignore_ascii_case("tsize") {
            self.transfer_size = value.parse().ok();
        }
    }

    /// Reads pairs of strings to the end.
    fn read(mut bytes: &[u8]) -> Option<Self> {
        let mut options = Self::default();
        while !bytes.is_empty() {
            let (name, rest) = read_string(bytes)?;
            let (value, rest) = read_string(rest)?;
            options.set(name, value);
            bytes = rest;
        }
        Some(options)
    }

    fn write(&self, packet: &mut Vec<u8>) {
        let values = [
            ("blksize", self.block_size.map(u64::from)),
            ("timeout", self.timeout.map(u64::from)),
            ("tsize", self.transfer_size),
        ];
        for (name, value) in values {
            if let Some(value) = value {
                write_string(packet, name);
                write_string(packet, &value.to_string());
            }
        }
    }
}

impl<'a> Packet<'a> {
    /// Reads a datagram; `None` when it is no such packet.
    pub(super) fn parse(datagram: &'a [u8]) -> Option<Self> {
        let (opcode, body) = read_number(datagram)?;
        match opcode {
            1 => {
                let (filename, rest) = read_string(body)?;
                let (mode, rest) = read_string(rest)?;
                Some(Self::ReadRequest { filename, mode, options: Options::read(rest)? })
            }
            3 => read_number(body).map(|(block, payload)| Self::Data { block, payload }),
            4 => read_number(body).map(|(block, _)| Self::Acknowledgement { block }),
            5 => {
                let (code, text) = read_number(body)?;
                // A message without its zero byte ends the transfer all the same.
                let message = read_string(text).map_or("", |(message, _)| message);
                Some(Self::Error { code: ErrorCode(code), message })
            }
            6 => Options::read(body).map(Self::OptionAcknowledgement),
            _ => None,
        }
    }

    /// The packet as a datagram.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut packet = vec![0, self.opcode()];
        match self {
            Self::ReadRequest { filename, mode, options } => {
                write_string(&mut packet, filename);
                write_string(&mut packet, mode);
                options.write(&mut packet);
            }
            Self::Data { block, payload } => {
                packet.extend(block.to_be_bytes());
                packet.extend(*payload);
            }
            Self::Acknowledgement { block } => packet.extend(block.to_be_bytes()),
            Self::Error { code, message } => {
                packet.extend(code.0.to_be_bytes());
                write_string(&mut packet, message);
            }
            Self::OptionAcknowledgement(options) => options.write(&mut packet),
        }
        packet
    }

    const fn opcode(&self) -> u8 {
        match self {
            Self::ReadRequest { .. } => 1,
            Self::Data { .. } => 3,
            Self::Acknowledgement { .. } => 4,
            Self::Error { .. } => 5,
            Self::OptionAcknowledgement(_) => 6,
        }
    }
}

fn read_number(bytes: &[u8]) -> Option<(u16, &[u8])> {
    bytes.split_first_chunk().map(|(number, rest)| (u16::from_be_bytes(*number), rest))
}

/// A string up to its zero byte.
fn read_string(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let end = bytes.iter().position(|&byte| byte == 0)?;
    let text = std::str::from_utf8(bytes.get(..end)?).ok()?;
    Some((text, bytes.get(end + 1..)?))
}

fn write_string(packet: &mut Vec<u8>, text: &str) {
    packet.extend(text.bytes());
    packet.push(0);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The packets of RFC 1350 §5 and of the examples in RFC 2347–2349, in the form of their diagrams.
    #[test]
    fn packets_of_the_rfcs() {
        let all = Options { block_size: Some(1432), timeout: Some(1), transfer_size: Some(673_312) };
        let (filename, mode, message) = ("foobar", OCTET, "File not found");
        let cases: [(Packet<'_>, &[u8]); 7] = [
            (Packet::ReadRequest { filename, mode, options: Options::default() }, b"\0\x01foobar\0octet\0"),
            (
                Packet::ReadRequest {
                    filename,
                    mode,
                    options: Options { block_size: Some(1428), ..Options::default() },
                },
                b"\0\x01foobar\0octet\0blksize\x001428\0",
            ),
            (Packet::Data { block: 0x0102, payload: b"abc" }, b"\0\x03\x01\x02abc"),
            (Packet::Data { block: 1, payload: b"" }, b"\0\x03\0\x01"),
            (Packet::Acknowledgement { block: 0xfffe }, b"\0\x04\xff\xfe"),
            (Packet::Error { code: ErrorCode::FILE_NOT_FOUND, message }, b"\0\x05\0\x01File not found\0"),
            (Packet::OptionAcknowledgement(all), b"\0\x06blksize\x001432\0timeout\x001\0tsize\x00673312\0"),
        ];
        for (packet, bytes) in cases {
            assert_eq!(packet.to_bytes(), bytes, "{packet:?}");
            assert_eq!(Packet::parse(bytes), Some(packet));
        }
    }

    #[test]
    fn options_are_read_in_any_case_and_order_and_ignored_when_bad() {
        let read = |text: &str| Options::read(text.replace(' ', "\0").as_bytes());
        let expected = Options { block_size: Some(64), timeout: None, transfer_size: Some(0) };
        assert_eq!(read("TSIZE 0 windowsize 4 BlkSize 64 "), Some(expected));
        assert_eq!(read("blksize 7 timeout 0 tsize -1 "), Some(Options::default()));
        assert_eq!(read("blksize 65465 timeout 256 tsize x "), Some(Options::default()));
        assert_eq!(read("blksize "), None, "no value");
        assert_eq!(read("blksize 64"), None, "no end");
    }

    #[test]
    fn what_is_no_packet() {
        for bytes in
            [&b""[..], b"\0", b"\0\x01", b"\0\x01a\0octet", b"\0\x02a\0octet\0", b"\0\x03\0", b"\0\x07"]
        {
            assert_eq!(Packet::parse(bytes), None, "{bytes:02x?}");
        }
    }

    proptest! {
        #[test]
        fn garbage_is_no_packet_or_survives_the_way_back(opcode in 0u8..8, body: Vec<u8>) {
            let bytes = [&[0, opcode][..], &body].concat();
            if let Some(packet) = Packet::parse(&bytes) {
                let again = packet.to_bytes();
                prop_assert_eq!(Packet::parse(&again), Some(packet));
            }
        }
    }
}
