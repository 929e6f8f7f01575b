//! A TFTP client that reads one file (RFC 1350), with options if it is to use any (RFC 2347–2349).
//!
//! It sends its last packet again after five seconds of silence and gives up after 25, as tftp-hpa's client does; with
//! options it asks for the same time-out on the server's side, as boot loaders do. A block that comes again is
//! acknowledged again.

use super::tftp::{DEFAULT_BLOCK, Packet, UNDEFINED};
use crate::host::{Client, Datagram, Host, Progress, State};
use crate::peers::ImageCheck;
use crate::sim::PATH;
use sixfold_profile::Instant;
use std::collections::VecDeque;
use std::net::SocketAddrV6;
use std::sync::Arc;
use std::time::Duration;

const RETRANSMIT_AFTER: Duration = Duration::from_secs(5);
const GIVE_UP_AFTER: Duration = Duration::from_secs(25);

/// The client.
#[derive(Debug)]
pub struct TftpClient {
    local: SocketAddrV6,
    /// Where the request goes.
    server: SocketAddrV6,
    /// Where the answers come from, once one came.
    transfer: Option<SocketAddrV6>,
    /// The block size to ask for, when options are used.
    wanted: Option<u16>,
    block_bytes: u16,
    /// The last block that was received.
    block: u16,
    check: ImageCheck,
    state: State,
    /// What is sent again after silence; empty before the start.
    last: Vec<u8>,
    deadline: Option<Instant>,
    give_up: Instant,
    outgoing: VecDeque<Datagram>,
    retransmissions: u64,
}

impl TftpClient {
    /// A client that reads `image` from `server`, with blocks of `block_bytes` if options are to be used. It begins
    /// when it is first polled.
    pub fn new(
        local: SocketAddrV6,
        server: SocketAddrV6,
        image: Arc<[u8]>,
        block_bytes: Option<u16>,
    ) -> Self {
        Self {
            local,
            server,
            transfer: None,
            wanted: block_bytes,
            block_bytes: DEFAULT_BLOCK,
            block: 0,
            check: ImageCheck::new(image),
            state: State::Fetching,
            last: Vec::new(),
            deadline: None,
            give_up: Instant::ZERO,
            outgoing: VecDeque::new(),
            retransmissions: 0,
        }
    }

    fn request(&self) -> Vec<u8> {
        let block_bytes = self.wanted.unwrap_or(DEFAULT_BLOCK).to_string();
        let seconds = RETRANSMIT_AFTER.as_secs().to_string();
        let options = match self.wanted {
            Some(_) => vec![("blksize", block_bytes.as_str()), ("timeout", &seconds), ("tsize", "0")],
            None => Vec::new(),
        };
        Packet::Read { file: &PATH.join("/"), mode: "octet", options }.write()
    }

    /// Sends the next step of the transfer.
    fn send(&mut self, now: Instant, payload: Vec<u8>) {
        self.last = payload;
        self.give_up = now + GIVE_UP_AFTER;
        self.send_last(now);
    }

    fn send_last(&mut self, now: Instant) {
        let to = self.transfer.unwrap_or(self.server);
        self.outgoing.push_back(Datagram { from: self.local, to, payload: self.last.clone() });
        self.deadline = Some(now + RETRANSMIT_AFTER);
    }

    fn end(&mut self, state: State) {
        self.state = state;
        self.deadline = None;
    }

    fn negotiated(&mut self, now: Instant, options: &[(&str, &str)]) {
        let size = options.iter().find(|(name, _)| name.eq_ignore_ascii_case("blksize"));
        match size.map_or(Some(DEFAULT_BLOCK), |(_, value)| value.parse().ok()) {
            Some(bytes) if bytes <= self.wanted.unwrap_or(0).max(DEFAULT_BLOCK) => {
                self.block_bytes = bytes;
                self.send(now, Packet::Acknowledge { block: 0 }.write());
            }
            _ => self.end(State::GaveUp),
        }
    }

    fn received(&mut self, now: Instant, block: u16, bytes: &[u8]) {
        if block == self.block && block > 0 {
            return self.send_last(now);
        }
        if Some(block) != self.block.checked_add(1) || bytes.len() > usize::from(self.block_bytes) {
            return;
        }
        self.check.take((u64::from(block) - 1) * u64::from(self.block_bytes), bytes);
        self.block = block;
        self.send(now, Packet::Acknowledge { block }.write());
        if bytes.len() < usize::from(self.block_bytes) {
            self.end(State::Done);
        }
    }
}

impl Host for TftpClient {
    fn handle_datagram(&mut self, now: Instant, datagram: &Datagram) {
        let Datagram { from, to, payload } = datagram;
        let known = self.transfer.is_none_or(|transfer| transfer == *from);
        if *to != self.local || from.ip() != self.server.ip() || !known {
            return;
        }
        let packet = Packet::read(payload);
        if self.state == State::Done {
            // The last ACK was lost: the server is still there (RFC 1350 §6).
            if matches!(packet, Some(Packet::Data { block, .. }) if block == self.block) {
                self.outgoing.push_back(Datagram { from: self.local, to: *from, payload: self.last.clone() });
            }
            return;
        }
        if self.state == State::GaveUp {
            return;
        }
        match packet {
            Some(Packet::Data { block, bytes }) => {
                self.transfer = Some(*from);
                self.received(now, block, bytes);
            }
            Some(Packet::Options(options)) if self.wanted.is_some() && self.block == 0 => {
                self.transfer = Some(*from);
                self.negotiated(now, &options);
            }
            Some(Packet::Error { .. }) => self.end(State::GaveUp),
            _ => {}
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        if self.deadline.is_none_or(|deadline| now < deadline) {
            return;
        }
        if now >= self.give_up {
            if let Some(to) = self.transfer {
                let error = Packet::Error { code: UNDEFINED, message: "timed out" };
                self.outgoing.push_back(Datagram { from: self.local, to, payload: error.write() });
            }
            return self.end(State::GaveUp);
        }
        self.retransmissions += 1;
        self.send_last(now);
    }

    fn poll_transmit(&mut self, now: Instant) -> Option<Datagram> {
        if self.last.is_empty() {
            self.send(now, self.request());
        }
        self.outgoing.pop_front()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.deadline
    }

    fn retransmissions(&self) -> u64 {
        self.retransmissions
    }
}

impl Client for TftpClient {
    fn progress(&self) -> Progress {
        self.check.progress(self.state)
    }
}
