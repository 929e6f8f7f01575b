//! The ticket: all that the boot program needs to know, in one piece of flash.
//!
//! The main program writes it after it has verified everything that a signature is for; the boot program only reads it.
//! The CRC tells a whole ticket from a torn one. It does not tell whose it is: flash is trusted.
//!
//! All integers are big-endian; what is shorter than its place is followed by zeros.
//!
//! ```text
//!   0  "S6TK"                      80  digest of the chunk index (32)
//!   4  version: 1                 112  ETag: length (1), value (8)
//!   5  flags                      121  group Token: length (1), value (8)
//!   6  length of it all (2)       130  group port (2)
//!   8  image size (4)             132  group address (16)
//!  12  chunk size exponent        148  OSCORE Sender ID: length (1), value (7)
//!  13  block size exponent (SZX)  156  OSCORE Recipient ID: length (1), value (7)
//!  14  relay port (2)             164  OSCORE Sender Key (16)
//!  16  relay address (16)         180  OSCORE Recipient Key (16)
//!  32  interface identifier (8)   196  OSCORE Common IV (13)
//!  40  sequence number (8)        209  first Sender Sequence Number to use (5)
//!  48  image digest (32)          214  zero (2)
//! 216  options of every request, encoded as in a message (RFC 7252 §3.1), from option number 0
//!   …  CRC-32 of all before it (4)
//! ```

use crate::coap::{Options, Szx};
use crate::crc::crc32;
use crate::index::{ChunkSize, DIGEST};
use core::fmt;
use core::net::Ipv6Addr;

/// The longest ticket in bytes.
pub const MAX_TICKET: usize = 512;
/// The first bytes of every ticket.
pub const MAGIC: [u8; 4] = *b"S6TK";
/// The version of the layout above.
pub const VERSION: u8 = 1;

/// The longest options that fit a ticket, in bytes.
pub const MAX_OPTIONS_LENGTH: usize = MAX_TICKET - FIXED - CRC;

const FIXED: usize = 216;
const CRC: usize = 4;
const HAS_GROUP: u8 = 1;
const HAS_SESSION: u8 = 2;

/// What a ticket says. Views into the bytes that it was read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket<'a> {
    /// The size of the image in bytes, at least 1.
    pub image_size: u32,
    /// The SHA-256 of the image.
    pub image_digest: [u8; DIGEST],
    /// The SHA-256 of its chunk index.
    pub index_digest: [u8; DIGEST],
    /// How the image is cut into chunks.
    pub chunk_size: ChunkSize,
    /// The largest block to ask for.
    pub szx: Szx,
    /// The sequence number of the manifest, which never goes back.
    pub sequence_number: u64,
    /// Where to fetch from.
    pub relay: Endpoint,
    /// The lower half of the device's addresses (RFC 7217).
    pub interface_identifier: [u8; 8],
    /// The version of the image, if the main program saw it: up to 8 bytes (RFC 7252 §5.10.6).
    pub etag: Option<&'a [u8]>,
    /// Where blocks for many devices are heard.
    pub group: Option<Group<'a>>,
    /// How requests and responses are protected.
    pub session: Option<Session<'a>>,
    /// The options of every request but Block2 and Size2, encoded as in a message.
    pub options: &'a [u8],
}

/// An address and a UDP port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The address.
    pub address: Ipv6Addr,
    /// The port.
    pub port: u16,
}

/// A group that blocks are sent to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Group<'a> {
    /// The multicast address and port.
    pub endpoint: Endpoint,
    /// The Token of its responses, up to 8 bytes.
    pub token: &'a [u8],
}

/// An OSCORE security context (RFC 8613 §3), already derived, for AES-CCM-16-64-128.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Session<'a> {
    /// Up to 7 bytes.
    pub sender_id: &'a [u8],
    /// Up to 7 bytes.
    pub recipient_id: &'a [u8],
    /// The Sender Key.
    pub sender_key: [u8; 16],
    /// The Recipient Key.
    pub recipient_key: [u8; 16],
    /// The Common IV.
    pub common_iv: [u8; 13],
    /// The first Sender Sequence Number that the boot program may use: 40 bits.
    pub first_sequence_number: u64,
}

/// Why bytes are no ticket, or a ticket cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TicketError {
    /// They do not begin as tickets do: erased flash, or something else.
    NotATicket,
    /// A layout that this program does not know.
    Version(u8),
    /// The length does not fit the bytes.
    Length,
    /// The CRC is another: the ticket is torn, or the flash is worn out.
    Crc,
    /// A field has a value that it must not have. The main program is to blame.
    Field(Field),
    /// The buffer is too small.
    Full,
}

/// The fields that can be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// No bytes, or more blocks than 20 bits count.
    ImageSize,
    /// An exponent out of range.
    ChunkSize,
    /// Above 6.
    Szx,
    /// More than 8 bytes, or not followed by zeros.
    ETag,
    /// Its Token is too long, or its address no multicast address.
    Group,
    /// An identifier is too long, both are the same, or a sequence number has more than 40 bits.
    Session,
    /// Not encoded as in a message, or too long.
    Options,
    /// A flag or a byte that must be zero is not.
    Reserved,
}

impl fmt::Display for TicketError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotATicket => f.write_str("there is no ticket: run prepare"),
            Self::Version(version) => {
                write!(f, "the ticket has version {version}, this program knows {VERSION}")
            }
            Self::Length => f.write_str("the ticket's length does not fit: run prepare again"),
            Self::Crc => f.write_str("the ticket is torn: run prepare again"),
            Self::Field(field) => write!(f, "the ticket's {field:?} is out of range: run prepare again"),
            Self::Full => f.write_str("the ticket does not fit its place"),
        }
    }
}

impl core::error::Error for TicketError {}

impl<'a> Ticket<'a> {
    /// Reads a ticket from the start of `bytes`; what follows it is ignored.
    ///
    /// # Errors
    /// All but [`TicketError::Full`]. The CRC is checked before any other field is believed.
    pub fn read(bytes: &'a [u8]) -> Result<Self, TicketError> {
        let mut at = Reader { rest: bytes };
        if at.array() != Some(MAGIC) {
            return Err(TicketError::NotATicket);
        }
        let [version, flags] = at.array().ok_or(TicketError::Length)?;
        if version != VERSION {
            return Err(TicketError::Version(version));
        }
        let length = usize::from(at.u16().ok_or(TicketError::Length)?);
        if !(FIXED + CRC..=MAX_TICKET).contains(&length) {
            return Err(TicketError::Length);
        }
        let (body, crc) = bytes
            .get(..length)
            .and_then(|ticket| ticket.split_last_chunk::<CRC>())
            .ok_or(TicketError::Length)?;
        if crc32(body) != u32::from_be_bytes(*crc) {
            return Err(TicketError::Crc);
        }
        let mut at = Reader { rest: body.get(8..).unwrap_or_default() };
        // The length was checked above: the fixed part is all there.
        at.fields(flags).ok_or(TicketError::Length)?.map_err(TicketError::Field)
    }

    /// Writes the ticket and returns its length.
    ///
    /// # Errors
    /// [`TicketError::Field`] when it says something that [`Ticket::read`] would refuse, [`TicketError::Full`] when
    /// `buffer` is too small.
    pub fn write(&self, buffer: &mut [u8]) -> Result<usize, TicketError> {
        self.check().map_err(TicketError::Field)?;
        let length = FIXED + self.options.len() + CRC;
        let body = buffer.get_mut(..length - CRC).ok_or(TicketError::Full)?;
        let mut to = Writer { rest: body };
        let flags =
            u8::from(self.group.is_some()) * HAS_GROUP + u8::from(self.session.is_some()) * HAS_SESSION;
        to.put(&MAGIC);
        to.put(&[VERSION, flags]);
        // `check` bounds the options: the length fits 16 bits.
        to.put(&(length as u16).to_be_bytes());
        to.put(&self.image_size.to_be_bytes());
        to.put(&[self.chunk_size.exponent(), self.szx.exponent()]);
        to.put(&self.relay.port.to_be_bytes());
        to.put(&self.relay.address.octets());
        to.put(&self.interface_identifier);
        to.put(&self.sequence_number.to_be_bytes());
        to.put(&self.image_digest);
        to.put(&self.index_digest);
        to.put_short::<8>(self.etag.unwrap_or_default());
        to.put_group(self.group);
        to.put_session(self.session);
        to.put(&[0; 2]);
        to.put(self.options);
        let crc = crc32(buffer.get(..length - CRC).unwrap_or_default());
        buffer.get_mut(length - CRC..length).ok_or(TicketError::Full)?.copy_from_slice(&crc.to_be_bytes());
        Ok(length)
    }

    fn check(&self) -> Result<(), Field> {
        let blocks = u64::from(self.image_size).div_ceil(self.szx.size() as u64);
        if blocks == 0 || blocks > u64::from(crate::coap::MAX_NUM) + 1 {
            return Err(Field::ImageSize);
        }
        if self.etag.is_some_and(|etag| etag.is_empty() || etag.len() > 8) {
            return Err(Field::ETag);
        }
        let wrong = |group: Group<'_>| group.token.len() > 8 || !group.endpoint.address.is_multicast();
        if self.group.is_some_and(wrong) {
            return Err(Field::Group);
        }
        if self.session.is_some_and(|session| !session.is_sound()) {
            return Err(Field::Session);
        }
        let fits = self.options.len() <= MAX_OPTIONS_LENGTH;
        if fits && Options::are_valid(self.options) { Ok(()) } else { Err(Field::Options) }
    }
}

impl Session<'_> {
    fn is_sound(&self) -> bool {
        let [sender, recipient] = [self.sender_id, self.recipient_id];
        let fit = sender.len() <= 7 && recipient.len() <= 7 && self.first_sequence_number >> 40 == 0;
        fit && sender != recipient
    }
}

/// Takes fields from the front.
struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.rest.split_first_chunk::<N>()?;
        self.rest = rest;
        Some(*taken)
    }

    fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    /// A length and a place of `N` bytes, of which the rest must be zero. The inner `None`: that is not so.
    fn short<const N: usize>(&mut self) -> Option<Option<&'a [u8]>> {
        let [length] = self.array()?;
        let (place, rest) = self.rest.split_at_checked(N)?;
        self.rest = rest;
        let split = place.split_at_checked(usize::from(length));
        Some(split.filter(|(_, padding)| padding.iter().all(|byte| *byte == 0)).map(|(value, _)| value))
    }

    fn endpoint_after_port(&mut self, port: u16) -> Option<Endpoint> {
        Some(Endpoint { address: Ipv6Addr::from(self.array::<16>()?), port })
    }

    /// Everything behind the length. The outer `None`: there are too few bytes.
    fn fields(&mut self, flags: u8) -> Option<Result<Ticket<'a>, Field>> {
        let image_size = u32::from_be_bytes(self.array()?);
        let [chunk, szx] = self.array()?;
        let port = self.u16()?;
        let relay = self.endpoint_after_port(port)?;
        let interface_identifier = self.array()?;
        let sequence_number = u64::from_be_bytes(self.array()?);
        let (image_digest, index_digest) = (self.array()?, self.array()?);
        let etag = self.short::<8>()?;
        let group = self.group()?;
        let session = self.session()?;
        let reserved = self.array::<2>()?;
        let Some(chunk_size) = ChunkSize::new(chunk) else { return Some(Err(Field::ChunkSize)) };
        let Some(szx) = Szx::new(szx) else { return Some(Err(Field::Szx)) };
        let Some(etag) = etag else { return Some(Err(Field::ETag)) };
        let Some(group) = group else { return Some(Err(Field::Group)) };
        let Some(session) = session else { return Some(Err(Field::Session)) };
        if flags & !(HAS_GROUP | HAS_SESSION) != 0 || reserved != [0; 2] {
            return Some(Err(Field::Reserved));
        }
        let ticket = Ticket {
            image_size,
            image_digest,
            index_digest,
            chunk_size,
            szx,
            sequence_number,
            relay,
            interface_identifier,
            etag: (!etag.is_empty()).then_some(etag),
            group: (flags & HAS_GROUP != 0).then_some(group),
            session: (flags & HAS_SESSION != 0).then_some(session),
            options: self.rest,
        };
        Some(ticket.check().map(|()| ticket))
    }

    fn group(&mut self) -> Option<Option<Group<'a>>> {
        let token = self.short::<8>()?;
        let port = self.u16()?;
        let endpoint = self.endpoint_after_port(port)?;
        Some(token.map(|token| Group { endpoint, token }))
    }

    fn session(&mut self) -> Option<Option<Session<'a>>> {
        let (sender_id, recipient_id) = (self.short::<7>()?, self.short::<7>()?);
        let (sender_key, recipient_key) = (self.array()?, self.array()?);
        let common_iv = self.array()?;
        let [a, b, c, d, e] = self.array()?;
        let first_sequence_number = u64::from_be_bytes([0, 0, 0, a, b, c, d, e]);
        Some(sender_id.zip(recipient_id).map(|(sender_id, recipient_id)| Session {
            sender_id,
            recipient_id,
            sender_key,
            recipient_key,
            common_iv,
            first_sequence_number,
        }))
    }
}

/// Puts fields behind each other into a place that is large enough.
struct Writer<'a> {
    rest: &'a mut [u8],
}

impl Writer<'_> {
    fn put(&mut self, bytes: &[u8]) {
        let rest = core::mem::take(&mut self.rest);
        if let Some((place, rest)) = rest.split_at_mut_checked(bytes.len()) {
            place.copy_from_slice(bytes);
            self.rest = rest;
        }
    }

    fn put_short<const N: usize>(&mut self, value: &[u8]) {
        let mut place = [0; N];
        place.iter_mut().zip(value).for_each(|(to, from)| *to = *from);
        self.put(&[value.len() as u8]);
        self.put(&place);
    }

    fn put_group(&mut self, group: Option<Group<'_>>) {
        let (token, port, address) = group.map_or((&[][..], 0, [0; 16]), |group| {
            (group.token, group.endpoint.port, group.endpoint.address.octets())
        });
        self.put_short::<8>(token);
        self.put(&port.to_be_bytes());
        self.put(&address);
    }

    fn put_session(&mut self, session: Option<Session<'_>>) {
        let nobody = Session {
            sender_id: &[],
            recipient_id: &[],
            sender_key: [0; 16],
            recipient_key: [0; 16],
            common_iv: [0; 13],
            first_sequence_number: 0,
        };
        let session = session.unwrap_or(nobody);
        self.put_short::<7>(session.sender_id);
        self.put_short::<7>(session.recipient_id);
        self.put(&session.sender_key);
        self.put(&session.recipient_key);
        self.put(&session.common_iv);
        let [_, _, _, number @ ..] = session.first_sequence_number.to_be_bytes();
        self.put(&number);
    }
}
