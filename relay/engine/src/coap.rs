//! CoAP at the edge of the engine: what a request asks for, and how a response is put on the wire.
//!
//! Datagrams are read through the strict view of `sixfold-profile`, because coap-lite accepts some messages
//! that RFC 7252 requires to be rejected, and blocks are written with its writer. All other messages are
//! assembled with coap-lite. Differential tests in `profile/tests` hold the two codecs together.

use crate::image::ETag;
use crate::session::ECHO;
use coap_lite::{CoapOption, MessageClass, MessageType, Packet};
use sixfold_profile::coap::{Block, BlockError, Code, Full, Message, Szx, Type, Writer, option, params};
use sixfold_profile::missing::Missing;

/// Header, Token, ETag, payload marker, six integer options and Echo at their longest are 74 bytes.
const OVERHEAD: usize = 76;

/// How many blocks one request can name; others are asked for later.
const MOST_NAMED: usize = 32;
/// How many versions one request can have validated; others are taken as not held.
const MOST_ETAGS: usize = 8;

/// A Token (RFC 7252 §5.3.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Token {
    bytes: [u8; params::MAX_TOKEN],
    length: u8,
}

impl Token {
    pub(crate) fn new(token: &[u8]) -> Self {
        let mut bytes = [0; params::MAX_TOKEN];
        let length = token.len().min(params::MAX_TOKEN);
        bytes.iter_mut().zip(token).for_each(|(to, from)| *to = *from);
        Self { bytes, length: u8::try_from(length).unwrap_or_default() }
    }

    pub(crate) fn as_slice(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.length)).unwrap_or_default()
    }
}

/// An error response: its code and a short diagnostic payload for humans (RFC 7252 §5.5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) code: Code,
    pub(crate) diagnostic: &'static str,
}

impl Refusal {
    pub(crate) const fn new(code: Code, diagnostic: &'static str) -> Self {
        Self { code, diagnostic }
    }
}

/// The options of a request that the engine understands. Uri-Path and Uri-Query are read from the message.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ask<'a> {
    pub(crate) uri_host: Option<&'a [u8]>,
    pub(crate) uri_port: Option<u32>,
    pub(crate) proxy_uri: Option<&'a [u8]>,
    pub(crate) proxy_scheme: Option<&'a [u8]>,
    pub(crate) content_format: Option<u32>,
    pub(crate) hop_limit: Option<u32>,
    pub(crate) wants: Wants,
}

/// What of a resource is wanted, and how: all that has to be remembered while the bytes are not here yet.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wants {
    /// Block2; `None` when the client left the block size to us.
    pub(crate) block: Option<Block>,
    /// Size2 was present: the total size is wanted (RFC 7959 §4).
    pub(crate) size: bool,
    /// Observe: 0 registers, 1 deregisters (RFC 7641 §2).
    pub(crate) observe: Option<u32>,
    /// The versions that the client has, to be validated.
    pub(crate) etags: Vec<ETag>,
    /// The only Content-Format that the client can use.
    pub(crate) accept: Option<u32>,
    /// Response classes that the client does not want, as a bit map (RFC 7967 §2.1).
    pub(crate) no_response: u32,
    /// What a member of a group lacks; `block` is the first of it then.
    pub(crate) lacks: Option<Box<Lacks>>,
}

/// What a member of a group lacks: its Q-Block2 options (RFC 9177 §4.4) and the option MISSING.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Lacks {
    /// The size of its blocks.
    pub(crate) szx: Szx,
    /// The blocks that it names, [`MOST_NAMED`] at most.
    pub(crate) named: Vec<u32>,
    /// M was 1: this block, and everything after it.
    pub(crate) from: Option<u32>,
    /// A value that [`Missing::read`] takes; empty when there was none.
    pub(crate) missing: Vec<u8>,
}

impl Lacks {
    /// Takes one Q-Block2 option: all have one size, and after M = 1 nothing is left to be said.
    fn take(&mut self, block: Block) -> Result<(), Refusal> {
        if block.szx != self.szx || self.from.is_some() {
            return Err(Refusal::new(Code::BAD_REQUEST, "Q-Block2: two sizes, or a block after M=1"));
        }
        if block.more {
            self.from = Some(block.num());
        } else if self.named.len() < MOST_NAMED {
            self.named.push(block.num());
        }
        Ok(())
    }
}

impl Wants {
    /// The request starts a body rather than continuing one.
    pub(crate) fn starts_body(&self) -> bool {
        self.block.is_none_or(|block| block.num() == 0)
    }

    /// RFC 7967 §2.1: bit 1 stands for 2.xx, bit 3 for 4.xx, bit 4 for 5.xx.
    pub(crate) fn suppresses(&self, code: Code) -> bool {
        code.class() > 0 && self.no_response >> (code.class() - 1) & 1 == 1
    }
}

impl<'a> Ask<'a> {
    /// Reads the options of a request, by the rules of RFC 7252 §5.4.
    pub(crate) fn read(message: &Message<'a>) -> Result<Self, Refusal> {
        let mut ask = Self::default();
        let mut last = 0;
        for opt in message.options() {
            let repeated = opt.number == last && !is_repeatable(opt.number);
            last = opt.number;
            let understood = !repeated && ask.take(opt.number, opt.value, opt.uint())?;
            if !understood && option::is_critical(opt.number) {
                return Err(Refusal::new(
                    Code::BAD_OPTION,
                    "critical option not understood, too long or repeated",
                ));
            }
        }
        if ask.wants.lacks.is_some() && ask.wants.observe != Some(0) {
            return Err(Refusal::new(Code::BAD_OPTION, "Q-Block2 without Observe 0"));
        }
        Ok(ask)
    }

    /// Takes one option; `false` when it must be treated as unrecognized (RFC 7252 §5.4.3, §5.4.5).
    fn take(&mut self, number: u16, value: &'a [u8], uint: Option<u32>) -> Result<bool, Refusal> {
        if !has_legal_length(number, value.len()) {
            return Ok(false);
        }
        match number {
            option::URI_HOST => self.uri_host = Some(value),
            option::URI_PORT => self.uri_port = uint,
            // The target is made of these, from the message.
            option::URI_PATH | option::URI_QUERY => {}
            option::PROXY_URI => self.proxy_uri = Some(value),
            option::PROXY_SCHEME => self.proxy_scheme = Some(value),
            option::CONTENT_FORMAT => self.content_format = uint,
            option::ACCEPT => self.wants.accept = uint,
            option::OBSERVE => self.wants.observe = uint,
            option::NO_RESPONSE => self.wants.no_response = uint.unwrap_or(0),
            option::SIZE2 => self.wants.size = true,
            option::ETAG => {
                // Our ETags have 8 bytes: another length cannot be one of ours and is no match.
                if let Ok(etag) = value.try_into()
                    && self.wants.etags.len() < MOST_ETAGS
                {
                    self.wants.etags.push(ETag(etag));
                }
            }
            option::HOP_LIMIT => match uint {
                Some(limit @ 1..=255) if value.len() == 1 => self.hop_limit = Some(limit),
                // RFC 8768 §3: a value outside 1–255 is answered 4.00.
                _ => return Err(Refusal::new(Code::BAD_REQUEST, "Hop-Limit is not 1-255")),
            },
            option::BLOCK2 => match Block::decode(value) {
                Ok(block) => self.wants.block = Some(block),
                Err(BlockError::ReservedSzx) => {
                    return Err(Refusal::new(Code::BAD_REQUEST, "Block2: SZX 7 is reserved"));
                }
                Err(BlockError::TooLong) => return Ok(false),
            },
            option::Q_BLOCK2 => match Block::decode(value) {
                Ok(block) => return self.take_q_block(block),
                Err(BlockError::ReservedSzx) => {
                    return Err(Refusal::new(Code::BAD_REQUEST, "Q-Block2: SZX 7 is reserved"));
                }
                Err(BlockError::TooLong) => return Ok(false),
            },
            option::MISSING => {
                if let (Some(_), Some(lacks)) = (Missing::read(value), &mut self.wants.lacks) {
                    lacks.missing = value.to_vec();
                }
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// `false` when Block2 is there too (RFC 9177 §4.1: never both).
    fn take_q_block(&mut self, block: Block) -> Result<bool, Refusal> {
        if let Some(lacks) = &mut self.wants.lacks {
            return lacks.take(block).map(|()| true);
        }
        let mut lacks = Lacks { szx: block.szx, named: Vec::new(), from: None, missing: Vec::new() };
        lacks.take(block)?;
        let first = self.wants.block.replace(block.with_more(false));
        self.wants.lacks = Some(Box::new(lacks));
        Ok(first.is_none())
    }
}

/// Whether an option's value is as long as its definition allows; where reading the value tells, every length is.
fn has_legal_length(number: u16, length: usize) -> bool {
    let legal = match number {
        option::URI_HOST | option::PROXY_SCHEME => 1..=255,
        option::URI_PATH | option::URI_QUERY => 0..=255,
        option::URI_PORT | option::CONTENT_FORMAT | option::ACCEPT => 0..=2,
        option::PROXY_URI => 1..=1034,
        option::OBSERVE => 0..=3,
        option::NO_RESPONSE => 0..=1,
        option::ETAG => 1..=8,
        _ => return true,
    };
    legal.contains(&length)
}

const fn is_repeatable(number: u16) -> bool {
    matches!(
        number,
        option::IF_MATCH
            | option::ETAG
            | option::URI_PATH
            | option::URI_QUERY
            | option::LOCATION_PATH
            | option::LOCATION_QUERY
            | option::Q_BLOCK2
    )
}

/// A response, before it has a message to travel in.
#[derive(Clone, Debug, Default)]
pub(crate) struct Response {
    pub(crate) code: Option<Code>,
    pub(crate) etag: Option<ETag>,
    pub(crate) observe: Option<u32>,
    pub(crate) content_format: Option<u16>,
    pub(crate) max_age: Option<u32>,
    pub(crate) block: Option<Block>,
    pub(crate) size: Option<u32>,
    /// The block, where it was asked for with Q-Block2 (RFC 9177 §4.4).
    pub(crate) q_block: Option<Block>,
    /// The Echo option (RFC 9175 §2.2).
    pub(crate) echo: Option<[u8; ECHO]>,
    pub(crate) payload: Vec<u8>,
}

impl Response {
    pub(crate) fn refusal(refusal: Refusal, max_age: Option<u32>) -> Self {
        Self { code: Some(refusal.code), max_age, payload: refusal.diagnostic.into(), ..Self::default() }
    }

    /// How many bytes its datagram has, unprotected.
    pub(crate) fn length(&self, token: Token) -> usize {
        self.written(Type::Acknowledgement, 0, token).map_or(usize::MAX, |bytes| bytes.len())
    }

    pub(crate) fn code(&self) -> Code {
        self.code.unwrap_or(Code::INTERNAL_SERVER_ERROR)
    }

    /// The datagram that carries this response.
    ///
    /// Blocks are what the relay says most. They are written straight into their buffer: coap-lite takes a dozen
    /// allocations, half of the engine's time for a block (`make bench` shows both).
    pub(crate) fn datagram(self, message_type: Type, message_id: u16, token: Token) -> Vec<u8> {
        if self.code == Some(Code::CONTENT) {
            // Cannot fail: the buffer has room for every option at its longest, and they are in order.
            return self.written(message_type, message_id, token).unwrap_or_default();
        }
        let mut packet = packet(message_type, self.code(), message_id);
        packet.set_token(token.as_slice().to_vec());
        if let Some(etag) = self.etag {
            packet.add_option(CoapOption::ETag, etag.0.to_vec());
        }
        for (number, value) in self.uint_options() {
            packet.add_option(CoapOption::from(number), shortest(value));
        }
        if let Some(echo) = self.echo {
            packet.add_option(CoapOption::from(option::ECHO), echo.to_vec());
        }
        packet.payload = self.payload;
        serialize(&packet)
    }

    fn written(&self, message_type: Type, message_id: u16, token: Token) -> Result<Vec<u8>, Full> {
        let mut datagram = vec![0; OVERHEAD + self.payload.len()];
        let mut writer = Writer::new(&mut datagram, message_type, self.code(), message_id, token.as_slice())?;
        if let Some(etag) = self.etag {
            writer.option(option::ETAG, &etag.0)?;
        }
        self.uint_options().try_for_each(|(number, value)| writer.uint_option(number, value))?;
        if let Some(echo) = self.echo {
            writer.option(option::ECHO, &echo)?;
        }
        let length = writer.payload(&self.payload)?;
        datagram.truncate(length);
        Ok(datagram)
    }

    /// In ascending order.
    fn uint_options(&self) -> impl Iterator<Item = (u16, u32)> {
        let options = [
            (option::OBSERVE, self.observe),
            (option::CONTENT_FORMAT, self.content_format.map(u32::from)),
            (option::MAX_AGE, self.max_age.filter(|&age| age != params::DEFAULT_MAX_AGE_S)),
            (option::BLOCK2, self.block.map(Block::encode)),
            (option::SIZE2, self.size),
            (option::Q_BLOCK2, self.q_block.map(Block::encode)),
        ];
        options.into_iter().filter_map(|(number, value)| Some((number, value?)))
    }
}

/// A message without token, options and payload: an empty ACK or a Reset (RFC 7252 §4.2, §4.3).
pub(crate) fn empty(message_type: Type, message_id: u16) -> Vec<u8> {
    serialize(&packet(message_type, Code::EMPTY, message_id))
}

fn packet(message_type: Type, code: Code, message_id: u16) -> Packet {
    let mut packet = Packet::new();
    packet.header.set_type(match message_type {
        Type::Confirmable => MessageType::Confirmable,
        Type::NonConfirmable => MessageType::NonConfirmable,
        Type::Acknowledgement => MessageType::Acknowledgement,
        Type::Reset => MessageType::Reset,
    });
    packet.header.code = MessageClass::from(code.0);
    packet.header.message_id = message_id;
    packet
}

/// Cannot fail: coap-lite refuses only tokens above 8 bytes and messages above a limit, and neither exists here.
fn serialize(packet: &Packet) -> Vec<u8> {
    packet.to_bytes_unlimited().unwrap_or_default()
}

/// An unsigned integer without leading zero bytes (RFC 7252 §3.2).
fn shortest(value: u32) -> Vec<u8> {
    let skip = (value.leading_zeros() / 8) as usize;
    value.to_be_bytes().into_iter().skip(skip).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(options: &[(u16, &[u8])]) -> Result<Wants, Code> {
        let mut buffer = [0; 256];
        let mut writer = Writer::new(&mut buffer, Type::Confirmable, Code::GET, 1, &[]).unwrap();
        for (number, value) in options {
            writer.option(*number, value).unwrap();
        }
        let length = writer.finish();
        let message = Message::parse(&buffer[..length]).unwrap();
        Ask::read(&message).map(|ask| ask.wants).map_err(|refusal| refusal.code)
    }

    #[test]
    fn options_by_the_rules_of_rfc_7252() {
        let bad = Err(Code::BAD_OPTION);
        type Row = (&'static [(u16, &'static [u8])], Result<(), Code>);
        let table: &[Row] = &[
            (&[(option::URI_PATH, b"a"), (option::URI_PATH, b"b")], Ok(())),
            (&[(2049, b"x")], bad),                   // unknown, critical
            (&[(2048, b"x")], Ok(())),                // unknown, elective
            (&[(option::IF_MATCH, b"x")], bad),       // critical, not for us
            (&[(option::OSCORE, b"")], bad),          // no contexts here
            (&[(option::URI_PORT, b"123")], bad),     // critical, too long
            (&[(option::MAX_AGE, b"12345")], Ok(())), // elective
            (&[(option::ACCEPT, b"1"), (option::ACCEPT, b"2")], bad), // repeated, critical
            (&[(option::SIZE2, b""), (option::SIZE2, b"")], Ok(())), // repeated, elective
            (&[(option::BLOCK2, &[7])], Err(Code::BAD_REQUEST)), // SZX 7
            (&[(option::BLOCK2, &[0, 0, 0, 2])], bad),
            (&[(option::HOP_LIMIT, &[0])], Err(Code::BAD_REQUEST)),
            (&[(option::HOP_LIMIT, &[1, 1])], Err(Code::BAD_REQUEST)),
            (&[(option::HOP_LIMIT, &[255])], Ok(())),
        ];
        for (options, expected) in table {
            assert_eq!(read(options).map(|_| ()), *expected, "{options:?}");
        }
    }

    #[test]
    fn no_response_by_class() {
        let wants = read(&[(option::NO_RESPONSE, &[0b1_1000])]).unwrap();
        assert!(wants.suppresses(Code::NOT_FOUND) && wants.suppresses(Code::BAD_GATEWAY));
        assert!(!wants.suppresses(Code::CONTENT));
        assert!(!read(&[]).unwrap().suppresses(Code::CONTENT));
    }

    #[test]
    fn the_strict_view_reads_what_both_encoders_write() {
        for code in [Code::CONTENT, Code::VALID] {
            reads_back(code);
        }
    }

    fn reads_back(code: Code) {
        let response = Response {
            code: Some(code),
            etag: Some(ETag(*b"12345678")),
            observe: Some(0),
            content_format: Some(42),
            max_age: Some(300),
            block: Block::new(70_000, true, Szx::B64),
            size: Some(5_000_000),
            q_block: Block::new(70_000, true, Szx::B64),
            echo: Some([5; ECHO]),
            payload: vec![7; 64],
        };
        let datagram = response.datagram(Type::Acknowledgement, 0xbeef, Token::new(b"tok"));
        let message = Message::parse(&datagram).unwrap();
        assert_eq!((message.message_id, message.token, message.payload.len()), (0xbeef, &b"tok"[..], 64));
        assert_eq!(message.option(option::ETAG), Some(&b"12345678"[..]));
        assert_eq!(message.option(option::OBSERVE), Some(&b""[..]));
        assert_eq!(message.uint_option(option::MAX_AGE), Some(300));
        assert_eq!(message.uint_option(option::SIZE2), Some(5_000_000));
        assert_eq!(message.option(option::ECHO), Some(&[5; ECHO][..]));
        assert_eq!(Block::decode(message.option(option::BLOCK2).unwrap()).unwrap().num(), 70_000);
        assert_eq!(Message::parse(&empty(Type::Reset, 5)).unwrap().message_type, Type::Reset);
    }
}
