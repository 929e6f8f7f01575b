//! The boot program's side of a session (OSCORE, RFC 8613): requests are protected, and responses believed only if they are.
//!
//! A Sender Sequence Number makes one request, for ever. So numbers are reserved in flash before they are used, an entry of the
//! record's count for each 2⁸ of them; after a reset the device goes on behind whatever was reserved. A retransmission is the same
//! datagram again, with the same number.
//!
//! Whoever is on the link can send an unprotected refusal. One of them ends nothing: the response is still waited for. When
//! [`ROUNDS`] requests in a row got refusals and no response, the session is taken for lost, and flash says so. An RST is as good as nothing. What comes to a group
//! is not protected; digests say what is right there as everywhere.

use super::core::{Boot, Cause};
use super::record::{BootError, ERASED, entry_is, entry_size, mark_entry};
use core::ops::Range;
use embedded_storage::nor_flash::NorFlash;
use sixfold_oscore::{Client, PartialIv, SenderSequence, UnprotectError};
use sixfold_profile::coap::Code;
use sixfold_profile::crc32;
use sixfold_profile::record::{RESERVED, reservations};
use sixfold_profile::ticket::Ticket;

/// The session is lost after this many requests in a row that were refused and not answered. With the sleeps between them,
/// that takes three minutes at least.
const ROUNDS: u8 = 4;

/// How an RST begins, which has four bytes (RFC 7252 §3, §4.1).
const RESET: u8 = 0x70;

/// What is remembered of a session.
#[derive(Debug)]
pub(super) struct Protection<'t> {
    /// `None` when nothing is protected.
    client: Option<Client<'t>>,
    plain_allowed: bool,
    /// Where the count is in flash, and how many of its entries may stand for numbers.
    count: u32,
    entries: u32,
    /// The first number, and how many were used, or given up, from there on: the next one is reserved already unless it is the
    /// first of an entry.
    first: u64,
    used: u32,
    /// That of the latest request.
    number: Option<PartialIv>,
    /// Which request that was, and the CRC of what it says.
    request: (u32, u32),
    /// It was refused by somebody.
    is_refused: bool,
    /// Requests in a row of which that can be said, and nothing else.
    refusals: u8,
}

impl<'t> Protection<'t> {
    /// Of a ticket, with `count` as the place in flash.
    pub(super) fn new<F: NorFlash>(
        flash: &mut F,
        count: &Range<u32>,
        ticket: &Ticket<'t>,
    ) -> Result<Self, BootError<F::Error>> {
        let mut protection = Self {
            client: None,
            plain_allowed: false,
            count: count.start,
            entries: 0,
            first: 0,
            used: 0,
            number: None,
            request: (0, 0),
            is_refused: false,
            refusals: 0,
        };
        if let Some(session) = ticket.session().map_err(|_field| BootError::Session)? {
            let entries = (count.end - count.start) / entry_size::<F>() as u32;
            protection.entries = reservations(entries, session.numbers.exponent);
            protection.first = session.numbers.first;
            protection.plain_allowed = session.plain_allowed;
            if !session.plain_allowed || entry_is(flash, count.start, ERASED)? {
                protection.client = Some(Client::of_session(&session));
            }
        }
        Ok(protection)
    }

    /// The next number; `None` when there is none left.
    fn take<F: NorFlash>(&mut self, flash: &mut F) -> Result<Option<PartialIv>, F::Error> {
        const LAST: u32 = (1 << RESERVED) - 1;
        while self.used & LAST == 0 {
            let entry = self.used >> RESERVED;
            if entry >= self.entries {
                return Ok(None);
            }
            if mark_entry(flash, self.count + (entry + 1) * entry_size::<F>() as u32)? {
                break;
            }
            // It was touched before, and its numbers may have been used.
            self.used += 1 << RESERVED;
        }
        let number = self.first + u64::from(self.used);
        self.used += 1;
        Ok(SenderSequence::new(number..number + 1).take())
    }
}

impl<F: NorFlash> Boot<'_, F> {
    /// Whether requests are protected, and nothing else is believed: false without a session, and when it was lost and the
    /// ticket allows to go on without.
    pub const fn is_protected(&self) -> bool {
        self.protection.client.is_some()
    }

    /// The place for a protected datagram, and that for the one that is to be protected, which is not larger.
    pub(super) fn room<'b>(&self, buffer: &'b mut [u8]) -> (&'b mut [u8], &'b mut [u8]) {
        let half = if self.is_protected() { buffer.len() - (buffer.len() >> 1) } else { 0 };
        buffer.split_at_mut_checked(half).unwrap_or_default()
    }

    /// What of a datagram is for the exchange: `None` when it says that it is an answer, and nobody knows whose.
    pub(super) fn unprotect<'d>(&mut self, datagram: &'d mut [u8]) -> Option<&'d [u8]> {
        let Protection { client: Some(client), number, is_refused, refusals, .. } = &mut self.protection
        else {
            return Some(datagram);
        };
        // Whoever sees a Message ID can make an RST (RFC 7252 §4.2, §4.3): retransmission goes on. Other empty messages are as ever
        // (§4.2), and what has not the Token of the latest request changes nothing.
        let &mut [first, code, _, _, a, b, c, d, ..] = datagram else {
            return if let [RESET, ..] = datagram { None } else { Some(datagram) };
        };
        let code = Code(code);
        if first & 0x0f != 4 || code == Code::EMPTY || !self.blocks.exchange().is_latest([a, b, c, d]) {
            return Some(datagram);
        }
        // Without a number the request never left: whatever claims to be its answer is somebody's guess.
        let Some(number) = number else { return None };
        match client.unprotect(number, datagram) {
            Ok(length) => {
                (*is_refused, *refusals) = (false, 0);
                datagram.get(..length)
            }
            Err(error) => {
                // §8.2.
                *is_refused |= error == UnprotectError::NotProtected
                    && matches!(code, Code::BAD_REQUEST | Code::UNAUTHORIZED | Code::BAD_OPTION);
                None
            }
        }
    }

    /// Protects a datagram that is to leave, with `sealed` as its place ([`Boot::room`]).
    pub(super) fn protect(
        &mut self,
        text: &[u8],
        sealed: &mut [u8],
    ) -> Result<Option<usize>, BootError<F::Error>> {
        // The empty ones are shorter.
        if text.len() > 4 {
            // A retransmission says the same. If it does not, it is a request of its own.
            let request = (self.blocks.exchange().requests(), crc32(text));
            if self.protection.number.is_none() || self.protection.request != request {
                self.protection.request = request;
                self.protection.number = self.protection.take(&mut self.flash)?;
                self.protection.is_refused = false;
            }
            if let Protection { client: Some(client), number: Some(number), .. } = &self.protection {
                return client.protect(number, text, sealed).map_err(|_full| BootError::Request).map(Some);
            }
            self.lose()?;
            if self.is_protected() {
                // As if it had been sent: `silence` tells why there is no answer.
                return Ok(None);
            }
        }
        sealed.iter_mut().zip(text).for_each(|(to, from)| *to = *from);
        Ok(Some(text.len()))
    }

    /// What it means that there was no answer in time.
    pub(super) fn silence(&mut self) -> Result<Cause, F::Error> {
        if self.is_protected() && self.protection.number.is_none() {
            return Ok(Cause::UsedUp);
        }
        if !self.protection.is_refused {
            return Ok(Cause::Silence);
        }
        self.protection.is_refused = false;
        self.protection.refusals += 1;
        if self.protection.refusals >= ROUNDS {
            self.protection.refusals = 0;
            self.lose()?;
        }
        Ok(Cause::Unknown)
    }

    /// The session is lost: says so in flash, and goes on without, if the ticket allows it.
    fn lose(&mut self) -> Result<(), F::Error> {
        mark_entry(&mut self.flash, self.protection.count)?;
        if self.protection.plain_allowed {
            self.protection.client = None;
        }
        Ok(())
    }
}
