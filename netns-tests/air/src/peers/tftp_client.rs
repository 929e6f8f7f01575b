//! A TFTP client: block after block in lock-step (RFC 1350), with the options of RFC 2347–2349 when it asks for them.
//!
//! Times are those of the clients of BSD and tftp-hpa: the last packet is sent again every 5 s, or what the `timeout`
//! option says, and the transfer ends after five such times without anything new. Its TID is the port that it was
//! given. After the end it still acknowledges the last block, should the server send it again (RFC 1350 §6).
//! It writes nothing and does not start again after a failure.

use super::FILE;
use super::image_check::ImageCheck;
use super::tftp_packet::{DEFAULT_BLOCK_SIZE, ErrorCode, OCTET, Options, Packet};
use crate::host::{Client, Datagram, Host, Progress, State};
use sixfold_profile::Instant;
use std::collections::VecDeque;
use std::net::SocketAddrV6;
use std::sync::Arc;
use std::time::Duration;

/// How long a packet waits for its answer unless an option says otherwise.
const TIMEOUT: Duration = Duration::from_secs(5);
/// How many time-outs in a row end the transfer.
const MAX_TIMEOUTS: u32 = 5;

/// The client.
#[derive(Clone, Debug)]
pub struct TftpClient {
    local: SocketAddrV6,
    server: SocketAddrV6,
    image: ImageCheck,
    asked: Options,
    state: State,
    /// The TID of the server's side, from its first packet on.
    server_port: Option<u16>,
    block_size: u16,
    /// The number of the next block. A u32, because behind block 65535 there is none.
    next_block: u32,
    /// The packet that waits for an answer.
    last_packet: Vec<u8>,
    /// `None` before power-on and after the end.
    due: Option<Instant>,
    timeouts: u32,
    out: VecDeque<Datagram>,
    retransmissions: u64,
}

impl TftpClient {
    /// A client at `local` that will fetch `image` from `server`, usually at port 69, and ask for `options`: the empty
    /// ones are plain RFC 1350.
    pub fn new(local: SocketAddrV6, server: SocketAddrV6, image: Arc<[u8]>, options: Options) -> Self {
        Self {
            local,
            server,
            image: ImageCheck::new(image),
            asked: options,
            state: State::Fetching,
            server_port: None,
            block_size: DEFAULT_BLOCK_SIZE,
            next_block: 1,
            last_packet: Vec::new(),
            due: None,
            timeouts: 0,
            out: VecDeque::new(),
            retransmissions: 0,
        }
    }

    fn timeout(&self) -> Duration {
        self.asked.timeout.map_or(TIMEOUT, |seconds| Duration::from_secs(seconds.into()))
    }

    fn send(&mut self, port: u16, payload: Vec<u8>) {
        let mut to = self.server;
        to.set_port(port);
        self.out.push_back(Datagram { from: self.local, to, payload });
    }

    /// Sends the last packet, to port 69 until the server has chosen a TID.
    fn send_last(&mut self) {
        let port = self.server_port.unwrap_or(self.server.port());
        self.send(port, self.last_packet.clone());
    }

    /// Sends a packet that asks for the next one.
    fn ask(&mut self, now: Instant, packet: &Packet<'_>) {
        self.last_packet = packet.to_bytes();
        self.timeouts = 0;
        self.due = Some(now + self.timeout());
        self.send_last();
    }

    fn end(&mut self, state: State) {
        self.state = state;
        self.due = None;
        if state == State::Done {
            self.image.finish();
        }
    }

    /// Ends the transfer, and tells the server why.
    fn refuse(&mut self, code: ErrorCode, message: &str) {
        self.last_packet = Packet::Error { code, message }.to_bytes();
        self.send_last();
        self.end(State::GaveUp);
    }

    fn handle_packet(&mut self, now: Instant, packet: Packet<'_>) {
        match packet {
            // The acknowledgement was lost, or it or the block came twice.
            Packet::Data { block, .. } if block > 0 && u32::from(block) + 1 == self.next_block => {
                self.send_last();
            }
            _ if self.state == State::Done => {}
            Packet::Data { block, payload } if u32::from(block) == self.next_block => {
                self.handle_block(now, block, payload);
            }
            Packet::OptionAcknowledgement(options) if self.next_block == 1 => {
                self.handle_options(now, options)
            }
            Packet::Error { .. } => self.end(State::GaveUp),
            _ => {}
        }
    }

    fn handle_block(&mut self, now: Instant, block: u16, payload: &[u8]) {
        let block_size = usize::from(self.block_size);
        if payload.len() > block_size {
            return self.refuse(ErrorCode::ILLEGAL_OPERATION, "Block larger than agreed");
        }
        self.image.take(u64::from(block - 1) * block_size as u64, payload);
        self.next_block += 1;
        self.ask(now, &Packet::Acknowledgement { block });
        if payload.len() < block_size {
            self.end(State::Done);
        } else if block == u16::MAX {
            self.refuse(ErrorCode::NOT_DEFINED, "More than 65535 blocks");
        }
    }

    /// RFC 2347: only what was asked for may be acknowledged; RFC 2348: with a block size that is not larger;
    /// RFC 2349: with the same time-out.
    fn handle_options(&mut self, now: Instant, given: Options) {
        let asked = self.asked;
        let agreed = !given.is_empty()
            && given.block_size.is_none_or(|given| asked.block_size.is_some_and(|asked| given <= asked))
            && given.timeout.is_none_or(|given| asked.timeout == Some(given))
            && (given.transfer_size.is_none() || asked.transfer_size.is_some());
        if !agreed {
            return self.refuse(ErrorCode::OPTIONS_REFUSED, "Options that were not asked for");
        }
        self.block_size = given.block_size.unwrap_or(DEFAULT_BLOCK_SIZE);
        self.ask(now, &Packet::Acknowledgement { block: 0 });
    }

    /// Whether the datagram is of this transfer, whose server TID the first good packet decides (RFC 1350 §4).
    fn is_of_transfer(&mut self, port: u16, packet: &Packet<'_>) -> bool {
        match packet {
            Packet::Acknowledgement { .. } | Packet::ReadRequest { .. } => false,
            _ => *self.server_port.get_or_insert(port) == port,
        }
    }
}

impl Host for TftpClient {
    fn handle_datagram(&mut self, now: Instant, datagram: &Datagram) {
        let powered_on = self.due.is_some() || self.state == State::Done;
        let for_me =
            datagram.from.ip() == self.server.ip() && datagram.to.port() == self.local.port() && powered_on;
        let Some(packet) = Packet::parse(&datagram.payload).filter(|_| for_me) else { return };
        let port = datagram.from.port();
        if self.is_of_transfer(port, &packet) {
            self.handle_packet(now, packet);
        } else if !matches!(packet, Packet::Error { .. }) {
            let code = ErrorCode::UNKNOWN_TRANSFER_ID;
            self.send(port, Packet::Error { code, message: "Unknown transfer ID" }.to_bytes());
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        if self.due.is_none_or(|due| due > now) {
            return;
        }
        self.timeouts += 1;
        if self.timeouts == MAX_TIMEOUTS {
            return self.end(State::GaveUp);
        }
        self.retransmissions += 1;
        self.due = Some(now + self.timeout());
        self.send_last();
    }

    fn poll_transmit(&mut self, now: Instant) -> Option<Datagram> {
        if self.state == State::Fetching && self.due.is_none() {
            self.ask(now, &Packet::ReadRequest { filename: FILE, mode: OCTET, options: self.asked });
        }
        self.out.pop_front()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.due
    }

    fn retransmissions(&self) -> u64 {
        self.retransmissions
    }
}

impl Client for TftpClient {
    fn progress(&self) -> Progress {
        Progress { state: self.state, received: self.image.received(), wrong: self.image.wrong() }
    }
}
