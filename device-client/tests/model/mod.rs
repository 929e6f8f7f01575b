//! A small CoAP server for tests, written on coap-lite so that no mistake of our own codec hides in both ends.
//!
//! It serves one body, deduplicates by Message ID as RFC 7252 §4.5 asks, and can be told to misbehave. Like the
//! client it has no socket and no clock.
#![allow(dead_code, unreachable_pub)] // Every test program uses its own part of this module.

pub mod device;
pub mod flash;
#[cfg(feature = "listen")]
pub mod fleet;
#[cfg(feature = "listen")]
pub mod relay;
#[cfg(feature = "oscore")]
pub mod session;

use coap_lite::{CoapOption, MessageClass, MessageType, Packet};
use sixfold_profile::Instant;
use sixfold_profile::coap::params::{ACK_TIMEOUT, MAX_RETRANSMIT};
use sixfold_profile::coap::{Block, Code, Szx};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

/// Called with the number of each new request, from 0, before it is answered.
type Script = Box<dyn FnMut(usize, &mut Server) + Send>;

/// Whoever answers a device.
pub trait Peer {
    fn handle_datagram(&mut self, now: Instant, peer: SocketAddr, datagram: &[u8]);
    /// Every datagram that is to leave now, and to whom.
    fn poll_transmit(&mut self, now: Instant) -> Vec<(SocketAddr, Vec<u8>)>;
    fn poll_timeout(&self) -> Option<Instant>;
}

impl Peer for Server {
    fn handle_datagram(&mut self, now: Instant, peer: SocketAddr, datagram: &[u8]) {
        Self::handle_datagram(self, now, peer, datagram);
    }

    fn poll_transmit(&mut self, now: Instant) -> Vec<(SocketAddr, Vec<u8>)> {
        Self::poll_transmit(self, now)
    }

    fn poll_timeout(&self) -> Option<Instant> {
        Self::poll_timeout(self)
    }
}

pub struct Server {
    pub image: Vec<u8>,
    /// Empty: no ETag.
    pub etag: Vec<u8>,
    /// The largest block size that is served.
    pub szx: Szx,
    /// Whether Block2 is used at all.
    pub blockwise: bool,
    /// Answers come as separate responses of this type, after this time.
    pub separate: Option<(MessageType, Duration)>,
    /// Every request gets this code and Max-Age.
    pub error: Option<(Code, u32)>,
    /// Requests are received but not answered.
    pub silent: bool,
    /// Every request that was not a duplicate, and who sent it.
    pub requests: Vec<(SocketAddr, Packet)>,
    /// Confirmable responses that were acknowledged.
    pub acknowledged: usize,
    script: Option<Script>,
    outbox: Vec<Outgoing>,
    answered: HashMap<(SocketAddr, u16), Vec<u8>>,
    message_id: u16,
}

struct Outgoing {
    due: Instant,
    peer: SocketAddr,
    bytes: Vec<u8>,
    /// For a Confirmable response: its Message ID, the next time-out, transmissions left.
    confirmable: Option<(u16, Duration, u8)>,
}

impl Server {
    pub fn new(image: Vec<u8>) -> Self {
        Self {
            image,
            etag: b"one".to_vec(),
            szx: Szx::MAX,
            blockwise: true,
            separate: None,
            error: None,
            silent: false,
            requests: Vec::new(),
            acknowledged: 0,
            script: None,
            outbox: Vec::new(),
            answered: HashMap::new(),
            message_id: 0xff00,
        }
    }

    pub fn script(mut self, script: impl FnMut(usize, &mut Self) + Send + 'static) -> Self {
        self.script = Some(Box::new(script));
        self
    }

    pub fn remove_script(&mut self) {
        self.script = None;
        self.silent = false;
    }

    pub fn handle_datagram(&mut self, now: Instant, peer: SocketAddr, datagram: &[u8]) {
        let packet = Packet::from_bytes(datagram).expect("the client sends well-formed messages");
        let message_id = packet.header.message_id;
        match packet.header.get_type() {
            MessageType::Acknowledgement | MessageType::Reset => {
                let before = self.outbox.len();
                self.outbox.retain(|out| {
                    out.peer != peer || out.confirmable.is_none_or(|(id, ..)| id != message_id)
                });
                self.acknowledged += before - self.outbox.len();
            }
            _ => match self.answered.get(&(peer, message_id)) {
                Some(again) => self.send(now, peer, again.clone()),
                None => self.request(now, peer, &packet),
            },
        }
    }

    /// Every datagram that is to leave now, and to whom.
    pub fn poll_transmit(&mut self, now: Instant) -> Vec<(SocketAddr, Vec<u8>)> {
        let (due, later) = std::mem::take(&mut self.outbox).into_iter().partition(|out| out.due <= now);
        self.outbox = later;
        Vec::into_iter(due).map(|out| self.transmit(now, out)).collect()
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        self.outbox.iter().map(|out| out.due).min()
    }

    fn transmit(&mut self, now: Instant, out: Outgoing) -> (SocketAddr, Vec<u8>) {
        let Outgoing { peer, bytes, confirmable, .. } = out;
        if let Some((id, timeout, left @ 1..)) = confirmable {
            let confirmable = Some((id, timeout * 2, left - 1));
            self.outbox.push(Outgoing { due: now + timeout, peer, bytes: bytes.clone(), confirmable });
        }
        (peer, bytes)
    }

    fn send(&mut self, due: Instant, peer: SocketAddr, bytes: Vec<u8>) {
        self.outbox.push(Outgoing { due, peer, bytes, confirmable: None });
    }

    fn request(&mut self, now: Instant, peer: SocketAddr, request: &Packet) {
        let number = self.requests.len();
        self.requests.push((peer, request.clone()));
        if let Some(mut script) = self.script.take() {
            script(number, self);
            self.script = Some(script);
        }
        if self.silent {
            return;
        }
        let mut response = self.response(request);
        let message_id = request.header.message_id;
        let Some((message_type, delay)) = self.separate else {
            response.header.message_id = message_id;
            response.header.set_type(MessageType::Acknowledgement);
            let bytes = response.to_bytes().unwrap();
            self.answered.insert((peer, message_id), bytes.clone());
            return self.send(now, peer, bytes);
        };
        let ack = vec![0x60, 0, (message_id >> 8) as u8, message_id as u8];
        self.answered.insert((peer, message_id), ack.clone());
        self.send(now, peer, ack);
        self.message_id = self.message_id.wrapping_add(1);
        response.header.message_id = self.message_id;
        response.header.set_type(message_type);
        let confirmable = (message_type == MessageType::Confirmable).then_some((
            self.message_id,
            ACK_TIMEOUT,
            MAX_RETRANSMIT,
        ));
        let bytes = response.to_bytes().unwrap();
        self.outbox.push(Outgoing { due: now + delay, peer, bytes, confirmable });
    }

    fn response(&self, request: &Packet) -> Packet {
        let mut response = Packet::new();
        response.set_token(request.get_token().to_vec());
        let code = self.error.map_or(Code::CONTENT, |(code, _)| code);
        response.header.code = MessageClass::from(code.0);
        if let Some((_, max_age)) = self.error {
            response.add_option(CoapOption::MaxAge, shortest(max_age));
            response.payload = b"no such luck".to_vec();
            return response;
        }
        if !self.etag.is_empty() {
            response.add_option(CoapOption::ETag, self.etag.clone());
        }
        if request.get_option(CoapOption::Size2).is_some() {
            response.add_option(CoapOption::Size2, shortest(self.image.len() as u32));
        }
        if self.blockwise { self.block(request, response) } else { self.whole(response) }
    }

    fn whole(&self, mut response: Packet) -> Packet {
        response.payload.clone_from(&self.image);
        response
    }

    fn block(&self, request: &Packet, mut response: Packet) -> Packet {
        let asked = block2(request).expect("the client always asks for blocks");
        let block = asked.at_most(self.szx).unwrap();
        let start = block.offset();
        let end = self.image.len().min(start + block.szx.size());
        if start > 0 && start >= self.image.len() {
            response.header.code = MessageClass::from(Code::BAD_REQUEST.0);
            return response;
        }
        let more = end < self.image.len();
        let block = Block::new(block.num(), more, block.szx).unwrap();
        response.add_option(CoapOption::Block2, shortest(block.encode()));
        response.payload = self.image[start..end].to_vec();
        response
    }
}

/// The Block2 option of a message.
pub fn block2(packet: &Packet) -> Option<Block> {
    packet.get_first_option(CoapOption::Block2).map(|value| Block::decode(value).unwrap())
}

/// An unsigned integer in its shortest form (RFC 7252 §3.2).
pub fn shortest(value: u32) -> Vec<u8> {
    value.to_be_bytes().into_iter().skip_while(|byte| *byte == 0).collect()
}

/// `length` bytes in which every 16-byte block is another.
pub fn image(length: usize, seed: u32) -> Vec<u8> {
    (0..length as u32)
        .map(|at| {
            let x = (at / 4).wrapping_mul(0x9e37_79b9).wrapping_add(seed);
            (x ^ x >> 15).to_be_bytes()[at as usize % 4]
        })
        .collect()
}
