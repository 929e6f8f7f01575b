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
//!  48  image digest (32)          214  exponent of how many of them (1)
//!                                 215  algorithm that the image is encrypted with: none (0), A128CTR (1)
//! 216  of an encrypted image alone: content key (16), IV (16)
//!   …  options of every request, encoded as in a message (RFC 7252 §3.1), from option number 0
//!   …  CRC-32 of all before it (4)
//! ```

mod content;
mod fields;

pub use self::content::ContentKey;
pub use self::fields::{Endpoint, Fields, Group, Numbers, Session};
use crate::coap::{MAX_NUM, Options, Szx};
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

/// The most bytes of options that a ticket has room for; that of an encrypted image has [`ContentKey::LENGTH`] less.
pub const MAX_OPTIONS_LENGTH: usize = MAX_TICKET - FIXED - CRC;

const FIXED: usize = 216;
const CRC: usize = 4;
const HAS_GROUP: u8 = 1;
const HAS_SESSION: u8 = 2;
const PLAIN_ALLOWED: u8 = 4;
const IS_ENCRYPTED: u8 = 8;
/// Flags that have a meaning: that of an encrypted image only where there is decryption.
const KNOWN: u8 =
    HAS_GROUP | HAS_SESSION | PLAIN_ALLOWED | if cfg!(feature = "encrypted") { IS_ENCRYPTED } else { 0 };
/// Byte 215 of the ticket of an encrypted image.
const A128CTR: u8 = 1;

/// A whole ticket where it stands: everything was checked once, so that a field is read when it is needed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Ticket<'a> {
    fixed: &'a [u8; FIXED],
    /// The content key, if the image is encrypted; then the options.
    rest: &'a [u8],
}

/// Without its keys.
impl fmt::Debug for Ticket<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ticket")
            .field("sequence_number", &self.sequence_number())
            .field("image_size", &self.image_size())
            .field("has_session", &self.has_session())
            .field("is_encrypted", &self.is_encrypted())
            .finish_non_exhaustive()
    }
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
    /// No port, or an address that no relay has.
    Relay,
    /// More than 8 bytes, or not followed by zeros.
    ETag,
    /// Its Token is too long, or its address no multicast address.
    Group,
    /// An identifier is too long, both are the same, there are too few numbers or some have more than 40 bits, or plain mode is
    /// allowed where there is no session.
    Session,
    /// The algorithm is none that is known, there is one without an encrypted image, or this program cannot decrypt.
    Content,
    /// Not encoded as in a message, too long, or Block2 or Size2 are among them, or, where there is a session, Proxy-Uri.
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
    /// All but [`TicketError::Full`]. The CRC is checked before any other field is believed. Fields that not every boot
    /// program needs are checked when they are read.
    pub fn read(bytes: &'a [u8]) -> Result<Self, TicketError> {
        let [m0, m1, m2, m3, version, flags, high, low, ..] = *bytes else {
            return Err(TicketError::NotATicket);
        };
        if [m0, m1, m2, m3] != MAGIC {
            return Err(TicketError::NotATicket);
        }
        if version != VERSION {
            return Err(TicketError::Version(version));
        }
        let length = usize::from(u16::from_be_bytes([high, low]));
        if !(FIXED + CRC..=MAX_TICKET).contains(&length) {
            return Err(TicketError::Length);
        }
        // Checked: compilers leave a panic in what takes the last bytes of a slice.
        let (body, crc) = bytes
            .get(..length)
            .and_then(|ticket| ticket.split_at_checked(length - CRC))
            .ok_or(TicketError::Length)?;
        if crc.first_chunk() != Some(&crc32(body).to_be_bytes()) {
            return Err(TicketError::Crc);
        }
        let (fixed, rest) = body.split_first_chunk().ok_or(TicketError::Length)?;
        let ticket = Self { fixed, rest };
        if rest.len() < ticket.content_length() {
            return Err(TicketError::Length);
        }
        match ticket.flaw(flags) {
            None => Ok(ticket),
            Some(field) => Err(TicketError::Field(field)),
        }
    }

    /// The field that is wrong, if one is.
    fn flaw(&self, flags: u8) -> Option<Field> {
        let [chunk_size, szx] = *self.at::<12, 2>();
        let [algorithm] = *self.at::<215, 1>();
        if flags & !KNOWN != 0 {
            return Some(Field::Reserved);
        }
        if algorithm != u8::from(self.is_encrypted()) * A128CTR {
            return Some(Field::Content);
        }
        if ChunkSize::new(chunk_size).is_none() {
            return Some(Field::ChunkSize);
        }
        let Some(szx) = Szx::new(szx) else { return Some(Field::Szx) };
        if !counts(self.image_size(), szx) {
            return Some(Field::ImageSize);
        }
        if Options::are_valid(self.options()) { None } else { Some(Field::Options) }
    }

    /// See [`Fields::image_size`].
    pub fn image_size(&self) -> u32 {
        u32::from_be_bytes(*self.at::<8, 4>())
    }

    /// See [`Fields::image_digest`].
    pub fn image_digest(&self) -> &'a [u8; DIGEST] {
        self.at::<48, DIGEST>()
    }

    /// See [`Fields::index_digest`].
    pub fn index_digest(&self) -> &'a [u8; DIGEST] {
        self.at::<80, DIGEST>()
    }

    /// See [`Fields::chunk_size`].
    pub fn chunk_size(&self) -> ChunkSize {
        let [exponent] = *self.at::<12, 1>();
        ChunkSize::accepted(exponent)
    }

    /// See [`Fields::szx`].
    pub fn szx(&self) -> Szx {
        let [exponent] = *self.at::<13, 1>();
        Szx::accepted(exponent)
    }

    /// See [`Fields::sequence_number`].
    pub fn sequence_number(&self) -> u64 {
        u64::from_be_bytes(*self.at::<40, 8>())
    }

    /// See [`Fields::relay`].
    pub fn relay(&self) -> Endpoint {
        endpoint(self.at::<16, 16>(), self.at::<14, 2>())
    }

    /// See [`Fields::interface_identifier`].
    pub fn interface_identifier(&self) -> &'a [u8; 8] {
        self.at::<32, 8>()
    }

    /// See [`Fields::etag`].
    ///
    /// # Errors
    /// [`Field::ETag`].
    pub fn etag(&self) -> Result<Option<&'a [u8]>, Field> {
        let etag = short(self.at::<112, 9>()).ok_or(Field::ETag)?;
        Ok((!etag.is_empty()).then_some(etag))
    }

    /// See [`Fields::group`].
    ///
    /// # Errors
    /// [`Field::Group`].
    pub fn group(&self) -> Result<Option<Group<'a>>, Field> {
        let endpoint = endpoint(self.at::<132, 16>(), self.at::<130, 2>());
        let group = Group { endpoint, token: short(self.at::<121, 9>()).ok_or(Field::Group)? };
        match self.flags() & HAS_GROUP {
            0 => Ok(None),
            _ if group.endpoint.address.is_multicast() => Ok(Some(group)),
            _ => Err(Field::Group),
        }
    }

    /// See [`Fields::session`].
    ///
    /// # Errors
    /// [`Field::Session`].
    pub fn session(&self) -> Result<Option<Session<'a>>, Field> {
        let [a, b, c, d, e, exponent] = *self.at::<209, 6>();
        let numbers = Numbers { first: u64::from_be_bytes([0, 0, 0, a, b, c, d, e]), exponent };
        let plain_allowed = self.flags() & PLAIN_ALLOWED != 0;
        let session = Session {
            sender_id: short(self.at::<148, 8>()).ok_or(Field::Session)?,
            recipient_id: short(self.at::<156, 8>()).ok_or(Field::Session)?,
            sender_key: self.at::<164, 16>(),
            recipient_key: self.at::<180, 16>(),
            common_iv: self.at::<196, 13>(),
            numbers,
            plain_allowed,
        };
        match self.has_session() {
            false if plain_allowed || exponent != 0 => Err(Field::Session),
            false => Ok(None),
            true if session.is_usable() => Ok(Some(session)),
            true => Err(Field::Session),
        }
    }

    /// See [`Fields::content_key`].
    pub fn content_key(&self) -> Option<ContentKey<'a>> {
        let (key, iv) = self.rest.get(..self.content_length())?.split_first_chunk()?;
        Some(ContentKey { key, iv: iv.first_chunk()? })
    }

    /// Whether it has a content key.
    pub fn is_encrypted(&self) -> bool {
        self.flags() & KNOWN & IS_ENCRYPTED != 0
    }

    /// Whether it has a session, which may be one that [`Ticket::session`] refuses.
    pub fn has_session(&self) -> bool {
        self.flags() & HAS_SESSION != 0
    }

    /// Whether a boot program that knows no sessions must leave it: it has one, and does not allow to go on without.
    pub fn needs_session(&self) -> bool {
        self.flags() & (HAS_SESSION | PLAIN_ALLOWED) == HAS_SESSION
    }

    /// See [`Fields::options`].
    pub fn options(&self) -> &'a [u8] {
        self.rest.get(self.content_length()..).unwrap_or_default()
    }

    /// Bytes before the options, which are 32 or none.
    fn content_length(&self) -> usize {
        if self.is_encrypted() { ContentKey::LENGTH } else { 0 }
    }

    /// All that it says.
    ///
    /// # Errors
    /// The [`Field`] that is wrong.
    pub fn fields(&self) -> Result<Fields<'a>, Field> {
        let fields = Fields {
            image_size: self.image_size(),
            image_digest: *self.image_digest(),
            index_digest: *self.index_digest(),
            chunk_size: self.chunk_size(),
            szx: self.szx(),
            sequence_number: self.sequence_number(),
            relay: self.relay(),
            interface_identifier: *self.interface_identifier(),
            etag: self.etag()?,
            group: self.group()?,
            session: self.session()?,
            content_key: self.content_key(),
            options: self.options(),
        };
        fields.check().map(|()| fields)
    }

    fn flags(&self) -> u8 {
        let [flags] = *self.at::<5, 1>();
        flags
    }

    /// The `N` bytes from `START` on.
    #[inline]
    fn at<const START: usize, const N: usize>(&self) -> &'a [u8; N] {
        const { assert!(START + N <= FIXED) };
        self.fixed.get(START..).and_then(|rest| rest.first_chunk()).unwrap_or(&[0; N])
    }
}

/// Whether 20 bits count the blocks of an image (RFC 7959 §2.2), of which there is at least one.
fn counts(image_size: u32, szx: Szx) -> bool {
    image_size.checked_sub(1).is_some_and(|last| last >> szx.bits() <= MAX_NUM)
}

/// A length and a place of `N - 1` bytes: its value, if it fits, and what is behind it is zero.
fn short<const N: usize>(place: &[u8; N]) -> Option<&[u8]> {
    let (length, place) = place.split_first()?;
    let (value, padding) = place.split_at_checked(usize::from(*length))?;
    padding.iter().all(|byte| *byte == 0).then_some(value)
}

fn endpoint(address: &[u8; 16], port: &[u8; 2]) -> Endpoint {
    Endpoint { address: Ipv6Addr::from(*address), port: u16::from_be_bytes(*port) }
}
