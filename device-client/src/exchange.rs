//! One Confirmable request at a time, from its first transmission to its response (RFC 7252 §4.2, §5.2).
//!
//! Retransmits with binary exponential back-off, takes piggybacked and separate responses, acknowledges
//! Confirmable responses (again, when they come again) and rejects what is not for it. It does not look at
//! options or payloads, and does not know what it asks for.

use crate::random::Random;
use core::time::Duration;
use sixfold_profile::Instant;
use sixfold_profile::coap::params::{ACK_RANDOM_SPREAD, ACK_TIMEOUT, MAX_RETRANSMIT, MAX_TRANSMIT_WAIT};
use sixfold_profile::coap::{Code, Full, Message, Type, Writer};

/// How long a separate response may take after the empty ACK. RFC 7252 leaves it to the client; this is what a
/// request without any answer gets.
pub const RESPONSE_WAIT: Duration = MAX_TRANSMIT_WAIT;

const ACK_TIMEOUT_US: u32 = ACK_TIMEOUT.as_micros() as u32;
const SPREAD_US: u32 = ACK_RANDOM_SPREAD.as_micros() as u32;

/// The exchanges of one client with one server, one after the other (NSTART is 1).
///
/// Message IDs and Tokens count up from random starts. So every Token that was ever used is known without
/// remembering it, and a response that comes late is acknowledged, not rejected.
#[derive(Clone, Debug)]
pub struct Exchange {
    random: Random,
    message_id: u16,
    token: u32,
    requests: u32,
    retransmissions: u32,
    state: State,
    /// The empty message that is to leave next: an ACK or a RST.
    reply: Option<(Type, u16)>,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// Nothing is asked.
    Idle,
    /// The request is to leave now.
    Due(Attempt),
    /// The request left; neither ACK nor response came yet.
    Unacknowledged(Attempt, Instant),
    /// An empty ACK came: a separate response will follow.
    Acknowledged(Instant),
}

#[derive(Clone, Copy, Debug)]
struct Attempt {
    timeout_us: u32,
    repeats: u8,
}

/// What a datagram was.
#[derive(Clone, Copy, Debug)]
pub enum Heard<'d> {
    /// Nothing that ends the exchange: an empty ACK, a duplicate, or not for us.
    Nothing,
    /// The response to the request. The exchange is over.
    Response(Message<'d>),
    /// The server rejected the request with RST. The exchange is over.
    Reset,
}

impl Exchange {
    /// No request yet. `seed` should differ from client to client and be hard to guess.
    pub const fn new(seed: u32) -> Self {
        let mut random = Random::new(seed);
        let message_id = random.next() as u16;
        let token = random.next();
        Self { random, message_id, token, requests: 0, retransmissions: 0, state: State::Idle, reply: None }
    }

    /// Makes a new request due; one that was under way is forgotten.
    pub const fn request(&mut self) {
        self.message_id = self.message_id.wrapping_add(1);
        self.token = self.token.wrapping_add(1);
        self.requests = self.requests.wrapping_add(1);
        // In units of 16 µs, 32 bits hold the product.
        let jitter = ((self.random.next() >> 16) * (SPREAD_US >> 4)) >> 12;
        self.state = State::Due(Attempt { timeout_us: ACK_TIMEOUT_US + jitter, repeats: 0 });
    }

    /// Random bits that decide nothing else.
    pub(crate) const fn random_bits(&mut self) -> u32 {
        self.random.next()
    }

    /// Forgets the request that is under way, if any.
    pub const fn stop(&mut self) {
        self.state = State::Idle;
    }

    /// Requests made so far. After 65 536 of them Message IDs come again: within EXCHANGE_LIFETIME (247 s) the
    /// caller must go on from another port by then, or it is answered from the server's memory.
    pub const fn requests(&self) -> u32 {
        self.requests
    }

    /// Retransmissions so far, over all requests.
    pub const fn retransmissions(&self) -> u32 {
        self.retransmissions
    }

    /// Takes a datagram from the server. Then call [`Exchange::poll_transmit`]: an ACK or RST may be due.
    pub fn handle_datagram<'d>(&mut self, now: Instant, datagram: &'d [u8]) -> Heard<'d> {
        let Ok(message) = Message::parse(datagram) else {
            self.reject_malformed(datagram);
            return Heard::Nothing;
        };
        let age = self.age(message.token);
        match message.message_type {
            Type::Reset if self.asked(message.message_id) => {
                self.state = State::Idle;
                return Heard::Reset;
            }
            Type::Acknowledgement if self.asked(message.message_id) => {
                if message.code == Code::EMPTY {
                    self.acknowledged(now);
                } else if age == Some(0) {
                    return self.answered(message);
                }
            }
            Type::Confirmable | Type::NonConfirmable => return self.separate(message, age),
            Type::Reset | Type::Acknowledgement => {}
        }
        Heard::Nothing
    }

    /// Rejects the Confirmable response that was just heard: the ACK that is due becomes a RST.
    pub const fn reject(&mut self) {
        if let Some((Type::Acknowledgement, message_id)) = self.reply {
            self.reply = Some((Type::Reset, message_id));
        }
    }

    /// To be called at [`Exchange::poll_timeout`]. True when the server did not answer in time, after all
    /// retransmissions: the exchange is over.
    pub fn handle_timeout(&mut self, now: Instant) -> bool {
        match self.state {
            State::Unacknowledged(Attempt { timeout_us, repeats }, until) if now >= until => {
                if repeats >= MAX_RETRANSMIT {
                    self.state = State::Idle;
                    return true;
                }
                self.state = State::Due(Attempt { timeout_us: timeout_us << 1, repeats: repeats + 1 });
            }
            State::Acknowledged(until) if now >= until => {
                self.state = State::Idle;
                return true;
            }
            _ => {}
        }
        false
    }

    /// Writes the next datagram that is to leave now, if any, and returns its length. `options` adds the options
    /// of the request and must add the same ones each time until the next [`Exchange::request`].
    ///
    /// # Errors
    /// [`Full`] when `buffer` is too small or `options` fails. The datagram stays due.
    pub fn poll_transmit(
        &mut self,
        now: Instant,
        buffer: &mut [u8],
        options: impl FnOnce(&mut Writer<'_>) -> Result<(), Full>,
    ) -> Result<Option<usize>, Full> {
        self.poll_transmit_with(now, buffer, Code::GET, |mut writer| {
            options(&mut writer)?;
            Ok(writer.finish())
        })
    }

    /// As [`Exchange::poll_transmit`], for requests of any method: `write` adds options and payload, and gives the length.
    ///
    /// # Errors
    /// As [`Exchange::poll_transmit`].
    pub fn poll_transmit_with(
        &mut self,
        now: Instant,
        buffer: &mut [u8],
        method: Code,
        write: impl FnOnce(Writer<'_>) -> Result<usize, Full>,
    ) -> Result<Option<usize>, Full> {
        if let Some((message_type, message_id)) = self.reply {
            let writer = Writer::new(buffer, message_type, Code::EMPTY, message_id, &[])?;
            self.reply = None;
            return Ok(Some(writer.finish()));
        }
        let State::Due(attempt) = self.state else { return Ok(None) };
        let token = self.token.to_be_bytes();
        let writer = Writer::new(buffer, Type::Confirmable, method, self.message_id, &token)?;
        let length = write(writer)?;
        self.retransmissions = self.retransmissions.wrapping_add(u32::from(attempt.repeats > 0));
        self.state = State::Unacknowledged(attempt, now.after_micros(attempt.timeout_us.into()));
        Ok(Some(length))
    }

    /// When [`Exchange::handle_timeout`] is to be called; `None` when nothing is under way. Ask after
    /// [`Exchange::poll_transmit`] has nothing more to send.
    pub const fn poll_timeout(&self) -> Option<Instant> {
        match self.state {
            State::Unacknowledged(_, until) | State::Acknowledged(until) => Some(until),
            State::Idle | State::Due(_) => None,
        }
    }

    /// Whether this is the Token of the latest request.
    #[cfg(feature = "oscore")]
    pub(crate) const fn is_latest(&self, token: [u8; 4]) -> bool {
        self.requests > 0 && u32::from_be_bytes(token) == self.token
    }

    /// Is this the Message ID of the request that is under way?
    const fn asked(&self, message_id: u16) -> bool {
        !matches!(self.state, State::Idle) && self.message_id == message_id
    }

    /// How many requests ago this Token was used: 0 for the latest; `None` if it is not one of ours.
    fn age(&self, token: &[u8]) -> Option<u32> {
        let token = u32::from_be_bytes(token.try_into().ok()?);
        let age = self.token.wrapping_sub(token);
        (age < self.requests).then_some(age)
    }

    /// RFC 7252 §5.2.2: no more retransmission; the response follows in a message of its own.
    fn acknowledged(&mut self, now: Instant) {
        if !matches!(self.state, State::Acknowledged(_)) {
            self.state = State::Acknowledged(now + RESPONSE_WAIT);
        }
    }

    fn separate<'d>(&mut self, message: Message<'d>, age: Option<u32>) -> Heard<'d> {
        let age = age.filter(|_| message.code.is_response());
        if message.message_type == Type::Confirmable {
            let reply = if age.is_some() { Type::Acknowledgement } else { Type::Reset };
            self.reply = Some((reply, message.message_id));
        }
        if age == Some(0) { self.answered(message) } else { Heard::Nothing }
    }

    /// The first response to the latest request counts; another is a duplicate.
    const fn answered<'d>(&mut self, message: Message<'d>) -> Heard<'d> {
        if matches!(self.state, State::Idle) {
            return Heard::Nothing;
        }
        self.state = State::Idle;
        Heard::Response(message)
    }

    /// RFC 7252 §4.2: a Confirmable message with a format error is rejected, anything else ignored.
    fn reject_malformed(&mut self, datagram: &[u8]) {
        if let [0x40..=0x4f, _, high, low, ..] = *datagram {
            self.reply = Some((Type::Reset, u16::from_be_bytes([high, low])));
        }
    }
}
