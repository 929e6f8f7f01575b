//! What a ticket says, taken apart: for whoever writes one, or shows it.

use super::content::ContentKey;
use super::{
    A128CTR, CRC, FIXED, Field, HAS_GROUP, HAS_SESSION, IS_ENCRYPTED, MAGIC, MAX_OPTIONS_LENGTH,
    PLAIN_ALLOWED, Ticket, TicketError, VERSION, counts,
};
use crate::coap::{Options, Szx, option};
use crate::crc::crc32;
use crate::index::{ChunkSize, DIGEST};
use core::fmt;
use core::net::Ipv6Addr;

/// What a ticket says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fields<'a> {
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
    /// How the image is decrypted, if it is encrypted. Digests and size are those of the plaintext all the same.
    pub content_key: Option<ContentKey<'a>>,
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
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Session<'a> {
    /// Up to 7 bytes.
    pub sender_id: &'a [u8],
    /// Up to 7 bytes.
    pub recipient_id: &'a [u8],
    /// The Sender Key.
    pub sender_key: &'a [u8; 16],
    /// The Recipient Key.
    pub recipient_key: &'a [u8; 16],
    /// The Common IV.
    pub common_iv: &'a [u8; 13],
    /// The Sender Sequence Numbers that are the boot program's: nobody else uses any of them, nor does another ticket say them.
    pub numbers: Numbers,
    /// Whether the boot program may go on without protection when the session is gone.
    pub plain_allowed: bool,
}

/// Sender Sequence Numbers (RFC 8613 §3.1): 2^`exponent` of them, from `first` on, all of 40 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Numbers {
    /// The first.
    pub first: u64,
    /// How many there are, as a power of two: at least [`Numbers::FEWEST`], at most 40.
    pub exponent: u8,
}

impl Numbers {
    /// The smallest `exponent`: of what a boot program reserves at once.
    pub const FEWEST: u8 = 8;
    const BITS: u8 = 40;

    /// The number behind the last one.
    pub const fn end(self) -> u64 {
        self.first.saturating_add(1 << (self.exponent & 63))
    }

    fn are_sound(self) -> bool {
        // 2⁴⁰ - 2^exponent, in units of 2⁸: no shift of 64 bits by a variable, which is a function on small processors.
        let shift = self.exponent.checked_sub(Self::FEWEST).filter(|_| self.exponent <= Self::BITS);
        let most = shift.map(|shift| u32::MAX.checked_shl(shift.into()).unwrap_or(0));
        most.is_some_and(|most| self.first <= u64::from(most) << Self::FEWEST)
    }
}

/// Without its keys.
impl fmt::Debug for Session<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("sender_id", &self.sender_id)
            .field("recipient_id", &self.recipient_id)
            .field("numbers", &self.numbers)
            .field("plain_allowed", &self.plain_allowed)
            .finish_non_exhaustive()
    }
}

impl<'a> Fields<'a> {
    /// Reads all fields of the ticket at the start of `bytes`, and checks each.
    ///
    /// # Errors
    /// All but [`TicketError::Full`].
    pub fn read(bytes: &'a [u8]) -> Result<Self, TicketError> {
        Ticket::read(bytes)?.fields().map_err(TicketError::Field)
    }

    /// Writes them as a ticket and returns its length.
    ///
    /// # Errors
    /// [`TicketError::Field`] when it says something that [`Ticket::read`] would refuse, [`TicketError::Full`] when
    /// `buffer` is too small.
    pub fn write(&self, buffer: &mut [u8]) -> Result<usize, TicketError> {
        self.check().map_err(TicketError::Field)?;
        let length = FIXED + self.content_length() + self.options.len() + CRC;
        let body = buffer.get_mut(..length - CRC).ok_or(TicketError::Full)?;
        let mut to = Writer { rest: body };
        let plain_allowed = self.session.is_some_and(|session| session.plain_allowed);
        let flags = u8::from(self.group.is_some()) * HAS_GROUP
            + u8::from(self.session.is_some()) * HAS_SESSION
            + u8::from(plain_allowed) * PLAIN_ALLOWED
            + u8::from(self.content_key.is_some()) * IS_ENCRYPTED;
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
        to.put(&[u8::from(self.content_key.is_some()) * A128CTR]);
        if let Some(ContentKey { key, iv }) = self.content_key {
            to.put(key);
            to.put(iv);
        }
        to.put(self.options);
        let crc = crc32(buffer.get(..length - CRC).unwrap_or_default());
        buffer.get_mut(length - CRC..length).ok_or(TicketError::Full)?.copy_from_slice(&crc.to_be_bytes());
        Ok(length)
    }

    const fn content_length(&self) -> usize {
        if self.content_key.is_some() { ContentKey::LENGTH } else { 0 }
    }

    pub(super) fn check(&self) -> Result<(), Field> {
        if !counts(self.image_size, self.szx) {
            return Err(Field::ImageSize);
        }
        if self.relay.port == 0 || self.relay.address.is_multicast() || self.relay.address.is_unspecified() {
            return Err(Field::Relay);
        }
        if self.etag.is_some_and(|etag| etag.is_empty() || etag.len() > 8) {
            return Err(Field::ETag);
        }
        let wrong = |group: Group<'_>| group.token.len() > 8 || !group.endpoint.address.is_multicast();
        if self.group.is_some_and(wrong) {
            return Err(Field::Group);
        }
        if self.content_key.is_some() && !cfg!(feature = "encrypted") {
            return Err(Field::Content);
        }
        if self.session.is_some_and(|session| !session.is_sound()) {
            return Err(Field::Session);
        }
        // RFC 8613 §4.1.3.3: what Proxy-Uri says is split before it is protected.
        let is_ours = |number| {
            number == option::BLOCK2
                || number == option::SIZE2
                || number == option::PROXY_URI && self.session.is_some()
        };
        let is_bad = self.content_length() + self.options.len() > MAX_OPTIONS_LENGTH
            || !Options::are_valid(self.options)
            || Options::new(self.options).any(|option| is_ours(option.number));
        if is_bad { Err(Field::Options) } else { Ok(()) }
    }
}

impl Session<'_> {
    pub(super) fn is_sound(&self) -> bool {
        self.sender_id.len() <= 7 && self.recipient_id.len() <= 7 && self.is_usable()
    }

    /// What of it is not said by its place in a ticket.
    pub(super) fn is_usable(&self) -> bool {
        self.numbers.are_sound() && self.sender_id != self.recipient_id
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
            sender_key: &[0; 16],
            recipient_key: &[0; 16],
            common_iv: &[0; 13],
            numbers: Numbers { first: 0, exponent: 0 },
            plain_allowed: false,
        };
        let session = session.unwrap_or(nobody);
        self.put_short::<7>(session.sender_id);
        self.put_short::<7>(session.recipient_id);
        self.put(session.sender_key);
        self.put(session.recipient_key);
        self.put(session.common_iv);
        let [_, _, _, number @ ..] = session.numbers.first.to_be_bytes();
        self.put(&number);
        self.put(&[session.numbers.exponent]);
    }
}
