//! A TFTP server: block after block in lock-step (RFC 1350), with the options of RFC 2347–2349 when it may.
//!
//! Times are those of tftp-hpa's tftpd, the usual one: a packet without answer is sent again after 1 s, or what the
//! `timeout` option says, then after twice that, and so on; the transfer ends when the sixth was not answered either,
//! 63 times the first time-out after it began. An acknowledgement that comes again is ignored, so that one duplicate
//! does not double all that follows (the Sorcerer's Apprentice Syndrome, RFC 1123 §4.2.3.1).
//!
//! It serves one image in octet mode and keeps one transfer for each client TID. Whatever comes to the port of a
//! transfer that is over, or not from its client, is dropped: there is no socket any more. No uploads.

use super::FILE;
use super::tftp_packet::{DEFAULT_BLOCK_SIZE, ErrorCode, OCTET, Options, Packet};
use crate::host::{Datagram, Host};
use sixfold_profile::Instant;
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::net::SocketAddrV6;
use std::sync::Arc;
use std::time::Duration;

/// The first time-out unless an option says otherwise.
const TIMEOUT: Duration = Duration::from_secs(1);
/// How often a packet is sent before the transfer is given up.
const TRIES: u32 = 6;
/// The dynamic ports (RFC 6335 §6), of which each transfer takes the next.
const DYNAMIC_PORTS: std::ops::RangeInclusive<u16> = 49152..=65535;
/// As many as there are dynamic ports.
const MAX_TRANSFERS: usize = 16384;

/// The server.
#[derive(Clone, Debug)]
pub struct TftpServer {
    local: SocketAddrV6,
    image: Arc<[u8]>,
    takes_options: bool,
    transfers: HashMap<SocketAddrV6, Transfer>,
    due: BTreeSet<(Instant, SocketAddrV6)>,
    next_port: u16,
    out: VecDeque<Datagram>,
    retransmissions: u64,
}

/// One transfer and the packet that waits for its acknowledgement.
#[derive(Clone, Debug)]
struct Transfer {
    /// The TID of the server's side.
    port: u16,
    /// What was agreed on.
    options: Options,
    /// The block that waits for its ACK; 0 is the OACK.
    block: u16,
    sent: u32,
    due: Instant,
}

impl Transfer {
    fn block_size(&self) -> usize {
        self.options.block_size.unwrap_or(DEFAULT_BLOCK_SIZE).into()
    }

    fn timeout(&self) -> Duration {
        let first = self.options.timeout.map_or(TIMEOUT, |seconds| Duration::from_secs(seconds.into()));
        first * (1 << self.sent.saturating_sub(1))
    }

    fn payload<'a>(&self, image: &'a [u8]) -> &'a [u8] {
        let start = usize::from(self.block.saturating_sub(1)) * self.block_size();
        let rest = image.get(start..).unwrap_or_default();
        rest.get(..self.block_size()).unwrap_or(rest)
    }

    fn packet(&self, image: &[u8]) -> Vec<u8> {
        match self.block {
            0 => Packet::OptionAcknowledgement(self.options).to_bytes(),
            block => Packet::Data { block, payload: self.payload(image) }.to_bytes(),
        }
    }

    /// Whether the block is the last: the first that is not full.
    fn is_last(&self, image: &[u8]) -> bool {
        self.block > 0 && self.payload(image).len() < self.block_size()
    }
}

impl TftpServer {
    /// A server that listens at `local`, usually with port 69, and agrees to options when it `takes_options`.
    pub fn new(local: SocketAddrV6, image: Arc<[u8]>, takes_options: bool) -> Self {
        Self {
            local,
            image,
            takes_options,
            transfers: HashMap::new(),
            due: BTreeSet::new(),
            next_port: *DYNAMIC_PORTS.start(),
            out: VecDeque::new(),
            retransmissions: 0,
        }
    }

    /// A request that comes again before its answer was acknowledged begins the transfer again; later it is stale.
    fn handle_request(&mut self, now: Instant, client: SocketAddrV6, request: Packet<'_>) {
        let Packet::ReadRequest { filename, mode, options } = request else { return };
        let running = self.transfers.get(&client);
        if running.is_some_and(|transfer| transfer.block > u16::from(transfer.options.is_empty())) {
            return;
        }
        match self.accept(filename, mode, options) {
            Ok(options) => self.begin(now, client, options),
            Err((code, message)) => {
                let payload = Packet::Error { code, message }.to_bytes();
                let port = self.take_port();
                self.send(port, client, payload);
            }
        }
    }

    /// The options that are agreed on, or why the file cannot be sent.
    fn accept(&self, name: &str, mode: &str, asked: Options) -> Result<Options, (ErrorCode, &'static str)> {
        if name != FILE {
            return Err((ErrorCode::FILE_NOT_FOUND, "File not found"));
        }
        if !mode.eq_ignore_ascii_case(OCTET) {
            return Err((ErrorCode::ILLEGAL_OPERATION, "Only octet mode is served"));
        }
        if self.transfers.len() >= MAX_TRANSFERS {
            return Err((ErrorCode::NOT_DEFINED, "Too many transfers, try again later"));
        }
        let options = if self.takes_options { asked } else { Options::default() };
        let block_size = options.block_size.unwrap_or(DEFAULT_BLOCK_SIZE);
        if self.image.len() / usize::from(block_size) >= usize::from(u16::MAX) {
            return Err((ErrorCode::NOT_DEFINED, "More than 65535 blocks, ask for larger ones"));
        }
        Ok(Options { transfer_size: options.transfer_size.map(|_| self.image.len() as u64), ..options })
    }

    fn begin(&mut self, now: Instant, client: SocketAddrV6, options: Options) {
        let running = self.end(client);
        let port = running.map_or_else(|| self.take_port(), |transfer| transfer.port);
        let block = u16::from(options.is_empty());
        self.transmit(now, client, Transfer { port, options, block, sent: 0, due: now });
    }

    fn handle_packet(&mut self, now: Instant, client: SocketAddrV6, packet: Packet<'_>) {
        let Some(transfer) = self.transfers.get(&client) else { return };
        match packet {
            Packet::Acknowledgement { block } if block == transfer.block => {
                let last = transfer.is_last(&self.image);
                if let (Some(transfer), false) = (self.end(client), last) {
                    // `accept` made sure that the last block has a number.
                    let block = transfer.block.saturating_add(1);
                    self.transmit(now, client, Transfer { block, sent: 0, ..transfer });
                }
            }
            Packet::Error { .. } => drop(self.end(client)),
            _ => {}
        }
    }

    /// Sends the packet of a transfer, for the first time or again, and keeps the transfer.
    fn transmit(&mut self, now: Instant, client: SocketAddrV6, mut transfer: Transfer) {
        transfer.sent += 1;
        transfer.due = now + transfer.timeout();
        self.send(transfer.port, client, transfer.packet(&self.image));
        self.due.insert((transfer.due, client));
        self.transfers.insert(client, transfer);
    }

    fn end(&mut self, client: SocketAddrV6) -> Option<Transfer> {
        let transfer = self.transfers.remove(&client)?;
        self.due.remove(&(transfer.due, client));
        Some(transfer)
    }

    fn send(&mut self, port: u16, client: SocketAddrV6, payload: Vec<u8>) {
        let mut from = self.local;
        from.set_port(port);
        self.out.push_back(Datagram { from, to: client, payload });
    }

    fn take_port(&mut self) -> u16 {
        let port = self.next_port;
        self.next_port = port.checked_add(1).unwrap_or(*DYNAMIC_PORTS.start());
        port
    }
}

impl Host for TftpServer {
    fn handle_datagram(&mut self, now: Instant, datagram: &Datagram) {
        let (client, port) = (datagram.from, datagram.to.port());
        let Some(packet) = Packet::parse(&datagram.payload) else { return };
        if port == self.local.port() {
            self.handle_request(now, client, packet);
        } else if self.transfers.get(&client).is_some_and(|transfer| transfer.port == port) {
            self.handle_packet(now, client, packet);
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        while let Some(&(due, client)) = self.due.first()
            && due <= now
            && let Some(transfer) = self.end(client)
        {
            if transfer.sent < TRIES {
                self.retransmissions += 1;
                self.transmit(now, client, transfer);
            }
        }
    }

    fn poll_transmit(&mut self, _now: Instant) -> Option<Datagram> {
        self.out.pop_front()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.due.first().map(|&(due, _)| due)
    }

    fn retransmissions(&self) -> u64 {
        self.retransmissions
    }
}
