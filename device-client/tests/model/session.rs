//! A relay with a session: [`Server`], which knows nothing of it, behind sixfold-oscore's server side. It keeps a ledger of every
//! number that the device used, and with which bytes.
#![allow(dead_code, unreachable_pub)] // Every test program uses its own part of this module.

use super::{Peer, Server};
use sixfold_oscore::{
    Derived, OscoreOption, Plain, Repetition, ReplayWindow, Secret, SenderSequence, UnprotectError,
};
use sixfold_profile::Instant;
use sixfold_profile::coap::{Code, Message, Opt, Type, option};
use sixfold_profile::ticket::{Numbers, Session};
use std::collections::HashMap;
use std::net::SocketAddr;

const DEVICE_ID: &[u8] = b"\x0d\x01";
const RELAY_ID: &[u8] = b"\x0e";

/// What device and relay agreed on.
pub struct Agreement(Derived);

impl Agreement {
    pub fn new(master_secret: &[u8]) -> Self {
        let secret = Secret { master_secret, master_salt: b"salt", id_context: None };
        Self(Derived::new(secret, DEVICE_ID, RELAY_ID).unwrap())
    }

    /// The relay's side.
    pub fn context(&self) -> sixfold_oscore::Context<'_> {
        self.0.peer()
    }

    /// What the ticket has of it.
    pub fn session(&self, exponent: u8, plain_allowed: bool) -> Session<'_> {
        let parameters = self.0.parameters();
        Session {
            sender_id: parameters.sender_id,
            recipient_id: parameters.recipient_id,
            sender_key: parameters.sender_key,
            recipient_key: parameters.recipient_key,
            common_iv: parameters.common_iv,
            numbers: Numbers { first: 1000, exponent },
            plain_allowed,
        }
    }
}

/// Makes datagrams about a request.
pub type Forge = fn(&Message<'_>) -> Vec<Vec<u8>>;

pub struct Guarded {
    pub server: Server,
    /// `None`: it does not know the session.
    pub agreement: Option<Agreement>,
    pub window: ReplayWindow,
    /// It asks for this value before it answers anything else.
    pub echo: Option<Vec<u8>>,
    /// Every number, and the datagram that it made.
    pub ledger: HashMap<u64, Vec<u8>>,
    /// Requests without protection that were answered.
    pub plain: usize,
    /// Sent before every answer that is due, made from the request: what somebody on the link says.
    pub forge: Option<Forge>,
    /// Sees every protected datagram that leaves.
    pub sent: Vec<Vec<u8>>,
    numbers: SenderSequence,
    received: HashMap<Vec<u8>, sixfold_oscore::Request>,
    /// What was unprotected, and what was protected: a repetition gets the same.
    known: HashMap<Vec<u8>, Vec<u8>>,
    outbox: Vec<(SocketAddr, Vec<u8>)>,
}

impl Guarded {
    pub fn new(server: Server, agreement: Agreement) -> Self {
        Self {
            server,
            agreement: Some(agreement),
            window: ReplayWindow::new(),
            echo: None,
            ledger: HashMap::new(),
            plain: 0,
            forge: None,
            sent: Vec::new(),
            numbers: SenderSequence::new(0..1 << 30),
            received: HashMap::new(),
            known: HashMap::new(),
            outbox: Vec::new(),
        }
    }

    fn request(&mut self, now: Instant, peer: SocketAddr, datagram: &[u8], message: &Message<'_>) {
        let number = OscoreOption::of(message).unwrap().partial_iv.unwrap();
        let before = self.ledger.entry(number).or_insert_with(|| datagram.to_vec());
        assert_eq!(before, datagram, "number {number} made two datagrams");
        if let Some(plain) = self.known.get(datagram) {
            return self.server.handle_datagram(now, peer, &plain.clone());
        }
        let mut buffer = [0; 2048];
        let Some(Agreement(derived)) = &self.agreement else {
            return self.refuse(peer, message, UnprotectError::UnknownContext);
        };
        let context = derived.peer();
        let repetition = if self.echo.is_some() { Repetition::Safe } else { Repetition::Refused };
        let request = match context.unprotect_request(&mut self.window, repetition, message, &mut buffer) {
            Ok(request) => request,
            Err(error) => return self.refuse(peer, message, error),
        };
        let plain = Message::parse(&buffer[..request.length]).unwrap();
        if let Some(value) = &self.echo {
            if plain.option(option::ECHO) != Some(value) {
                let response = Plain {
                    message_type: Type::Acknowledgement,
                    code: Code::UNAUTHORIZED,
                    message_id: plain.message_id,
                    token: plain.token,
                    options: [Opt { number: option::ECHO, value }].into_iter(),
                    payload: &[],
                };
                let (mut received, own) = (request.received, self.numbers.take().unwrap());
                let mut sealed = [0; 256];
                let length = context.protect_response(&mut received, Some(&own), &response, &mut sealed);
                return self.outbox.push((peer, sealed[..length.unwrap()].to_vec()));
            }
            self.echo = None;
            self.window = ReplayWindow::up_to(number);
        }
        let (token, plain) = (plain.token.to_vec(), buffer[..request.length].to_vec());
        self.received.insert(token, request);
        self.known.insert(datagram.to_vec(), plain.clone());
        self.server.handle_datagram(now, peer, &plain);
    }

    /// RFC 8613 §8.2.
    fn refuse(&mut self, peer: SocketAddr, message: &Message<'_>, error: UnprotectError) {
        if let Some((code, _)) = error.answer() {
            self.outbox.push((peer, answer(message, code)));
        }
    }

    fn protect(&mut self, plain: Vec<u8>) -> Vec<u8> {
        let message = Message::parse(&plain).unwrap();
        let Some(request) = self.received.get_mut(message.token) else { return plain };
        if let Some(sealed) = self.known.get(&plain) {
            return sealed.clone();
        }
        let Some(Agreement(derived)) = &self.agreement else { return Vec::new() };
        let mut sealed = [0; 2048];
        let context = derived.peer();
        let length = context
            .protect_response(&mut request.received, None, &Plain::from(&message), &mut sealed)
            .or_else(|_used| {
                let own = self.numbers.take().unwrap();
                context.protect_response(
                    &mut request.received,
                    Some(&own),
                    &Plain::from(&message),
                    &mut sealed,
                )
            })
            .unwrap();
        let sealed = sealed[..length].to_vec();
        self.known.insert(plain, sealed.clone());
        self.sent.push(sealed.clone());
        sealed
    }
}

/// An answer without protection.
pub fn answer(request: &Message<'_>, code: Code) -> Vec<u8> {
    let [high, low] = request.message_id.to_be_bytes();
    [&[0x60 | request.token.len() as u8, code.0, high, low][..], request.token].concat()
}

/// An empty message about a request (RFC 7252 §4.1): an ACK with 0x60, an RST with 0x70.
pub fn empty(request: &Message<'_>, first: u8) -> Vec<u8> {
    let [high, low] = request.message_id.to_be_bytes();
    vec![first, Code::EMPTY.0, high, low]
}

impl Peer for Guarded {
    fn handle_datagram(&mut self, now: Instant, peer: SocketAddr, datagram: &[u8]) {
        let message = Message::parse(datagram).unwrap();
        if message.code == Code::EMPTY {
            return self.server.handle_datagram(now, peer, datagram);
        }
        if let Some(forge) = self.forge {
            self.outbox.extend(forge(&message).into_iter().map(|forged| (peer, forged)));
        }
        if message.option(option::OSCORE).is_some() {
            return self.request(now, peer, datagram, &message);
        }
        self.plain += 1;
        self.server.handle_datagram(now, peer, datagram);
    }

    fn poll_transmit(&mut self, now: Instant) -> Vec<(SocketAddr, Vec<u8>)> {
        let mut all = std::mem::take(&mut self.outbox);
        for (peer, plain) in self.server.poll_transmit(now) {
            let is_empty = plain[1] == Code::EMPTY.0;
            let datagram = if is_empty { plain } else { self.protect(plain) };
            if !datagram.is_empty() {
                all.push((peer, datagram));
            }
        }
        all
    }

    fn poll_timeout(&self) -> Option<Instant> {
        if self.outbox.is_empty() { self.server.poll_timeout() } else { Some(Instant::ZERO) }
    }
}
