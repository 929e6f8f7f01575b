//! A CoAP client that asks for one block after the other (RFC 7959 §2.4) with the default transmission parameters of
//! RFC 7252 §4.8, and ends when a request was not answered after all retransmissions, as coap-client does.

use crate::host::{Client, Datagram, Host, Progress, State};
use crate::peers::ImageCheck;
use crate::random::Random;
use crate::sim::PATH;
use sixfold_profile::Instant;
use sixfold_profile::coap::{Block, Code, Full, Message, Szx, Type, Writer, option, params};
use std::collections::VecDeque;
use std::net::SocketAddrV6;
use std::sync::Arc;
use std::time::Duration;

const LONGEST_REQUEST: usize = 64;

/// The client.
#[derive(Debug)]
pub struct CoapClient {
    local: SocketAddrV6,
    server: SocketAddrV6,
    check: ImageCheck,
    state: State,
    random: Random,
    /// The block that is asked for.
    block: Block,
    message_id: u16,
    token: u32,
    /// How long the request that is under way waits for its answer; `None` before the first one.
    timeout: Option<Duration>,
    /// When it is sent again; `None` once it was acknowledged.
    deadline: Option<Instant>,
    repeats: u8,
    retransmissions: u64,
    outgoing: VecDeque<Vec<u8>>,
}

impl CoapClient {
    /// A client that fetches `image` from `server` in blocks of at most `szx`. It begins when it is first polled.
    pub fn new(
        local: SocketAddrV6,
        server: SocketAddrV6,
        image: Arc<[u8]>,
        szx: Szx,
        mut random: Random,
    ) -> Self {
        Self {
            local,
            server,
            check: ImageCheck::new(image),
            state: State::Fetching,
            block: Block::first(szx),
            message_id: random.bits() as u16,
            token: random.bits(),
            random,
            timeout: None,
            deadline: None,
            repeats: 0,
            retransmissions: 0,
            outgoing: VecDeque::new(),
        }
    }

    /// Asks for the current block, with a Message ID and a token of its own.
    fn ask(&mut self, now: Instant) {
        self.message_id = self.message_id.wrapping_add(1);
        self.token = self.token.wrapping_add(1);
        self.repeats = 0;
        let jitter = f64::from(self.random.bits()) / f64::from(u32::MAX);
        self.send(now, params::ACK_TIMEOUT + params::ACK_RANDOM_SPREAD.mul_f64(jitter));
    }

    fn send(&mut self, now: Instant, timeout: Duration) {
        self.timeout = Some(timeout);
        self.deadline = Some(now + timeout);
        let mut buffer = [0; LONGEST_REQUEST];
        match self.request(&mut buffer) {
            Ok(length) => self.outgoing.push_back(buffer[..length].to_vec()),
            Err(Full) => self.end(State::GaveUp),
        }
    }

    fn request(&self, buffer: &mut [u8]) -> Result<usize, Full> {
        let token = self.token.to_be_bytes();
        let mut writer = Writer::new(buffer, Type::Confirmable, Code::GET, self.message_id, &token)?;
        for segment in PATH {
            writer.option(option::URI_PATH, segment.as_bytes())?;
        }
        writer.uint_option(option::BLOCK2, self.block.encode())?;
        Ok(writer.finish())
    }

    fn end(&mut self, state: State) {
        self.state = state;
        self.deadline = None;
    }

    fn heard(&mut self, now: Instant, message: &Message<'_>) {
        if message.message_type == Type::Confirmable {
            self.acknowledge(message.message_id);
        }
        let mine = message.message_id == self.message_id;
        match message.message_type {
            Type::Reset if mine => self.end(State::GaveUp),
            // The response will be separate: wait for it as long as for an acknowledgement at most.
            Type::Acknowledgement if mine && message.code == Code::EMPTY => {
                self.deadline = Some(now + params::MAX_TRANSMIT_WAIT);
                self.repeats = params::MAX_RETRANSMIT;
            }
            Type::Reset => {}
            Type::Acknowledgement if !mine => {}
            _ if message.token == self.token.to_be_bytes() => self.answered(now, message),
            _ => {}
        }
    }

    fn acknowledge(&mut self, message_id: u16) {
        let mut buffer = [0; 4];
        if let Ok(writer) = Writer::new(&mut buffer, Type::Acknowledgement, Code::EMPTY, message_id, &[]) {
            let length = writer.finish();
            self.outgoing.push_back(buffer[..length].to_vec());
        }
    }

    fn answered(&mut self, now: Instant, message: &Message<'_>) {
        let block = message.option(option::BLOCK2).and_then(|value| Block::decode(value).ok());
        let Some(block) = block.filter(|block| {
            message.code == Code::CONTENT
                && block.offset() == self.block.offset()
                && block.szx <= self.block.szx
        }) else {
            return self.end(State::GaveUp);
        };
        self.check.take(block.offset() as u64, message.payload);
        if !block.more {
            return self.end(State::Done);
        }
        match Block::new(block.num() + 1, false, block.szx) {
            Some(next) => {
                self.block = next;
                self.ask(now);
            }
            None => self.end(State::GaveUp),
        }
    }
}

impl Host for CoapClient {
    fn handle_datagram(&mut self, now: Instant, datagram: &Datagram) {
        if self.state != State::Fetching || datagram.from != self.server || datagram.to != self.local {
            return;
        }
        if let Ok(message) = Message::parse(&datagram.payload) {
            self.heard(now, &message);
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        let Some(timeout) = self.timeout else { return };
        if self.deadline.is_none_or(|deadline| now < deadline) {
            return;
        }
        if self.repeats >= params::MAX_RETRANSMIT {
            return self.end(State::GaveUp);
        }
        self.repeats += 1;
        self.retransmissions += 1;
        self.send(now, timeout * 2);
    }

    fn poll_transmit(&mut self, now: Instant) -> Option<Datagram> {
        if self.timeout.is_none() && self.state == State::Fetching {
            self.ask(now);
        }
        let payload = self.outgoing.pop_front()?;
        Some(Datagram { from: self.local, to: self.server, payload })
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.deadline
    }

    fn retransmissions(&self) -> u64 {
        self.retransmissions
    }
}

impl Client for CoapClient {
    fn progress(&self) -> Progress {
        self.check.progress(self.state)
    }
}
