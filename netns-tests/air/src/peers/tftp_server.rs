//! A TFTP server for one file (RFC 1350), with the options blksize, timeout and tsize (RFC 2347–2349).
//!
//! It keeps to the lock-step: a block, its ACK, the next block. When no ACK comes it sends the block again after a
//! second, or what the client negotiated, and doubles that time at each of its six tries, as tftpd-hpa does. A repeated
//! ACK is not answered (RFC 1123 §4.2.3.1).

use super::tftp::{DEFAULT_BLOCK, ILLEGAL, NOT_FOUND, Packet, UNKNOWN_TRANSFER};
use crate::host::{Datagram, Host};
use crate::sim::PATH;
use sixfold_profile::Instant;
use std::collections::{HashMap, VecDeque};
use std::net::SocketAddrV6;
use std::sync::Arc;
use std::time::Duration;

const FIRST_TIMEOUT: Duration = Duration::from_secs(1);
const MAX_TRIES: u32 = 6;
/// Transfer identifiers are ports of this range.
const FIRST_PORT: u16 = 50_000;

/// The server.
#[derive(Debug)]
pub struct TftpServer {
    local: SocketAddrV6,
    image: Arc<[u8]>,
    transfers: HashMap<SocketAddrV6, Transfer>,
    next_port: u16,
    outgoing: VecDeque<Datagram>,
    retransmissions: u64,
}

#[derive(Debug)]
struct Transfer {
    /// The endpoint of this transfer on our side.
    local: SocketAddrV6,
    block_bytes: u16,
    /// What is in flight: DATA of this number, or 0 for OACK.
    block: u16,
    /// The options that were accepted; empty without negotiation.
    accepted: Vec<(String, String)>,
    timeout: Duration,
    tries: u32,
    deadline: Instant,
}

impl TftpServer {
    /// A server at `local`, for one file.
    pub fn new(local: SocketAddrV6, image: Arc<[u8]>) -> Self {
        Self {
            local,
            image,
            transfers: HashMap::new(),
            next_port: FIRST_PORT,
            outgoing: VecDeque::new(),
            retransmissions: 0,
        }
    }

    fn requested(&mut self, now: Instant, client: SocketAddrV6, payload: &[u8]) {
        let refuse = |code, message| Datagram {
            from: self.local,
            to: client,
            payload: Packet::Error { code, message }.write(),
        };
        match Packet::read(payload) {
            Some(Packet::Read { file, mode, options }) if mode.eq_ignore_ascii_case("octet") => {
                if file == PATH.join("/") {
                    self.begin(now, client, &options);
                } else {
                    self.outgoing.push_back(refuse(NOT_FOUND, "no such file"));
                }
            }
            Some(Packet::Error { .. }) | None => {}
            Some(_) => self.outgoing.push_back(refuse(ILLEGAL, "read requests in mode octet only")),
        }
    }

    /// A request that comes again, because the client has heard nothing, begins anew.
    fn begin(&mut self, now: Instant, client: SocketAddrV6, options: &[(&str, &str)]) {
        let local = SocketAddrV6::new(*self.local.ip(), self.next_port, 0, 0);
        self.next_port = self.next_port.checked_add(1).unwrap_or(FIRST_PORT);
        let mut transfer = Transfer {
            local,
            block_bytes: DEFAULT_BLOCK,
            block: 0,
            accepted: Vec::new(),
            timeout: FIRST_TIMEOUT,
            tries: 1,
            deadline: now,
        };
        options.iter().for_each(|(name, value)| transfer.negotiate(name, value, self.image.len()));
        if transfer.accepted.is_empty() {
            transfer.block = 1;
        }
        transfer.deadline = now + transfer.timeout;
        self.send(client, &transfer);
        self.transfers.insert(client, transfer);
    }

    fn send(&mut self, client: SocketAddrV6, transfer: &Transfer) {
        let payload = transfer.packet(&self.image);
        self.outgoing.push_back(Datagram { from: transfer.local, to: client, payload });
    }

    fn acknowledged(&mut self, now: Instant, client: SocketAddrV6, block: u16) {
        let Some(mut transfer) = self.transfers.remove(&client) else { return };
        if block == transfer.block {
            match transfer.block.checked_add(1).filter(|_| !transfer.is_last(&self.image)) {
                Some(next) => transfer.block = next,
                // The last block has arrived; or the file has more blocks than numbers, and the client times out.
                None => return,
            }
            transfer.tries = 1;
            transfer.deadline = now + transfer.timeout;
            self.send(client, &transfer);
        }
        self.transfers.insert(client, transfer);
    }
}

impl Transfer {
    /// Accepts an option that is known and within its bounds; ignores any other (RFC 2347).
    fn negotiate(&mut self, name: &str, value: &str, size: usize) {
        let number: Option<u32> = value.parse().ok();
        let accepted = match (name.to_ascii_lowercase().as_str(), number) {
            ("blksize", Some(bytes @ 8..=65_464)) => {
                self.block_bytes = bytes as u16;
                value.to_owned()
            }
            ("timeout", Some(seconds @ 1..=255)) => {
                self.timeout = Duration::from_secs(seconds.into());
                value.to_owned()
            }
            ("tsize", Some(0)) => size.to_string(),
            _ => return,
        };
        self.accepted.push((name.to_owned(), accepted));
    }

    fn packet(&self, image: &[u8]) -> Vec<u8> {
        if self.block == 0 {
            let options = self.accepted.iter().map(|(name, value)| (name.as_str(), value.as_str()));
            return Packet::Options(options.collect()).write();
        }
        let start = (usize::from(self.block) - 1) * usize::from(self.block_bytes);
        let end = image.len().min(start + usize::from(self.block_bytes));
        Packet::Data { block: self.block, bytes: &image[start.min(end)..end] }.write()
    }

    /// A block that is not full is the last one (RFC 1350 §6).
    fn is_last(&self, image: &[u8]) -> bool {
        self.block > 0 && usize::from(self.block) * usize::from(self.block_bytes) > image.len()
    }
}

impl Host for TftpServer {
    fn handle_datagram(&mut self, now: Instant, datagram: &Datagram) {
        let client = datagram.from;
        if datagram.to.port() == self.local.port() {
            return self.requested(now, client, &datagram.payload);
        }
        let known =
            self.transfers.get(&client).is_some_and(|transfer| transfer.local.port() == datagram.to.port());
        match Packet::read(&datagram.payload) {
            Some(Packet::Acknowledge { block }) if known => self.acknowledged(now, client, block),
            Some(Packet::Error { .. }) if known => drop(self.transfers.remove(&client)),
            Some(Packet::Data { .. } | Packet::Read { .. } | Packet::Options(_)) if !known => {
                let error = Packet::Error { code: UNKNOWN_TRANSFER, message: "unknown transfer" };
                let (from, to) = (datagram.to, client);
                self.outgoing.push_back(Datagram { from, to, payload: error.write() });
            }
            _ => {}
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        let late = self.transfers.iter().filter(|(_, transfer)| now >= transfer.deadline);
        let mut late: Vec<SocketAddrV6> = late.map(|(client, _)| *client).collect();
        late.sort_unstable();
        for client in late {
            let Some(mut transfer) = self.transfers.remove(&client) else { continue };
            if transfer.tries < MAX_TRIES {
                self.retransmissions += 1;
                transfer.deadline = now + transfer.timeout * (1 << transfer.tries);
                transfer.tries += 1;
                self.send(client, &transfer);
                self.transfers.insert(client, transfer);
            }
        }
    }

    fn poll_transmit(&mut self, _now: Instant) -> Option<Datagram> {
        self.outgoing.pop_front()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.transfers.values().map(|transfer| transfer.deadline).min()
    }

    fn retransmissions(&self) -> u64 {
        self.retransmissions
    }
}
