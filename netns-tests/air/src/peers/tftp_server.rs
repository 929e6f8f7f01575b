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

#[cfg(test)]
mod tests {
    use super::*;

    const SERVER: &str = "[fe80::1]:69";
    const REQUEST: &[u8] = b"\0\x01fw/image\0octet\0";
    const NOW: Instant = Instant::from_micros(1_000_000);

    fn server(bytes: usize) -> TftpServer {
        TftpServer::new(SERVER.parse().unwrap(), vec![7; bytes].into(), true)
    }

    fn client(number: u16) -> SocketAddrV6 {
        SocketAddrV6::new([0xfe80, 0, 0, 0, 0, 0, 0, number].into(), 61616, 0, 0)
    }

    /// Gives the server a packet from a client to a port, and returns what it sends.
    fn hear(server: &mut TftpServer, from: SocketAddrV6, port: u16, payload: &[u8]) -> Vec<Datagram> {
        let mut to: SocketAddrV6 = SERVER.parse().unwrap();
        to.set_port(port);
        server.handle_datagram(NOW, &Datagram { from, to, payload: payload.to_vec() });
        std::iter::from_fn(|| server.poll_transmit(NOW)).collect()
    }

    #[test]
    fn each_transfer_has_its_own_port() {
        let mut server = server(600);
        let one = hear(&mut server, client(1), 69, REQUEST).remove(0);
        let two = hear(&mut server, client(2), 69, REQUEST).remove(0);
        assert!(one.from.port() >= 49152 && two.from.port() > one.from.port());
        assert!(hear(&mut server, client(1), two.from.port(), &[0, 4, 0, 1]).is_empty(), "not its transfer");
        let next = hear(&mut server, client(1), one.from.port(), &[0, 4, 0, 1]).remove(0);
        assert_eq!((&next.payload[..5], next.from), (&[0, 3, 0, 2, 7][..], one.from));
    }

    #[test]
    fn options_are_acknowledged_as_far_as_they_are_known() {
        let all = b"\0\x01fw/image\0OCTET\0tsize\x000\0windowsize\x004\0blksize\x0064\0timeout\x009\0";
        let mut server = server(600);
        let sent = hear(&mut server, client(1), 69, all).remove(0);
        assert_eq!(sent.payload, b"\0\x06blksize\x0064\0timeout\x009\0tsize\x00600\0");
        assert_eq!(server.poll_timeout(), Some(NOW + Duration::from_secs(9)));
        let first = hear(&mut server, client(1), sent.from.port(), &[0, 4, 0, 0]).remove(0);
        assert_eq!((&first.payload[..4], first.payload.len()), (&[0, 3, 0, 1][..], 68));
        server.takes_options = false;
        let sent = hear(&mut server, client(2), 69, all).remove(0);
        assert_eq!((&sent.payload[..4], sent.payload.len()), (&[0, 3, 0, 1][..], 516));
    }

    #[test]
    fn what_it_refuses() {
        let cases = [
            (600, &b"\0\x01other\0octet\0"[..], ErrorCode::FILE_NOT_FOUND),
            (600, b"\0\x01fw/image\0netascii\0", ErrorCode::ILLEGAL_OPERATION),
            (512 * 65535, REQUEST, ErrorCode::NOT_DEFINED),
            (8 * 65535, b"\0\x01fw/image\0octet\0blksize\x008\0", ErrorCode::NOT_DEFINED),
        ];
        for (bytes, request, code) in cases {
            let mut server = server(bytes);
            let sent = hear(&mut server, client(1), 69, request);
            assert!(sent[0].payload.starts_with(&[0, 5, 0, code.0 as u8]), "{bytes} {request:?}");
            assert!(server.poll_timeout().is_none() && server.transfers.is_empty());
        }
        let mut server = server(512 * 65535 - 1);
        assert!(hear(&mut server, client(1), 69, REQUEST)[0].payload.starts_with(&[0, 3, 0, 1]));
    }

    #[test]
    fn time_outs_double_and_the_sixth_ends_the_transfer() {
        let mut server = server(600);
        let first = hear(&mut server, client(1), 69, REQUEST);
        let mut at = NOW;
        for wait in [1, 2, 4, 8, 16] {
            at += Duration::from_secs(wait);
            assert_eq!(server.poll_timeout(), Some(at));
            server.handle_timeout(at);
            assert_eq!(server.poll_transmit(at), Some(first[0].clone()));
        }
        assert_eq!(server.poll_timeout(), Some(at + Duration::from_secs(32)));
        server.handle_timeout(at + Duration::from_secs(32));
        assert_eq!((server.poll_transmit(at), server.poll_timeout()), (None, None));
        assert_eq!((server.retransmissions(), server.transfers.len()), (5, 0));
    }

    #[test]
    fn an_acknowledgement_that_comes_again_is_ignored() {
        let mut server = server(600);
        let port = hear(&mut server, client(1), 69, REQUEST)[0].from.port();
        assert_eq!(hear(&mut server, client(1), port, &[0, 4, 0, 1]).len(), 1);
        for block in [0, 1, 3] {
            assert!(hear(&mut server, client(1), port, &[0, 4, 0, block]).is_empty(), "ACK {block}");
        }
        assert!(hear(&mut server, client(1), port, &[0, 4, 0, 2]).is_empty(), "the end");
        assert!(server.transfers.is_empty() && server.due.is_empty());
    }

    #[test]
    fn a_request_that_comes_again_is_answered_until_its_answer_was_acknowledged() {
        let mut server = server(600);
        let first = hear(&mut server, client(1), 69, REQUEST);
        assert_eq!(hear(&mut server, client(1), 69, REQUEST), first);
        assert_eq!((server.transfers.len(), server.due.len()), (1, 1));
        hear(&mut server, client(1), first[0].from.port(), &[0, 4, 0, 1]);
        assert!(hear(&mut server, client(1), 69, REQUEST).is_empty());
    }

    #[test]
    fn an_error_ends_the_transfer() {
        let mut server = server(600);
        let port = hear(&mut server, client(1), 69, REQUEST)[0].from.port();
        assert!(hear(&mut server, client(1), port, b"\0\x05\0\0x\0").is_empty());
        assert!(server.transfers.is_empty() && server.poll_timeout().is_none());
    }

    #[test]
    fn there_are_no_more_transfers_than_ports() {
        let mut server = server(1);
        for number in 0..MAX_TRANSFERS as u16 {
            assert_eq!(hear(&mut server, client(number), 69, REQUEST)[0].payload[1], 3);
        }
        assert_eq!(hear(&mut server, client(u16::MAX), 69, REQUEST)[0].payload[..4], [0, 5, 0, 0]);
        assert_eq!(server.transfers.len(), MAX_TRANSFERS);
    }
}
