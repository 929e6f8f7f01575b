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
                self.handle_options(now, options);
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
}

/// Whether servers send such packets: a client neither acknowledges nor requests anything of another client.
const fn is_of_server(packet: &Packet<'_>) -> bool {
    !matches!(packet, Packet::Acknowledgement { .. } | Packet::ReadRequest { .. })
}

impl Host for TftpClient {
    fn handle_datagram(&mut self, now: Instant, datagram: &Datagram) {
        let powered_on = self.due.is_some() || self.state == State::Done;
        let for_me =
            datagram.from.ip() == self.server.ip() && datagram.to.port() == self.local.port() && powered_on;
        let packet = Packet::parse(&datagram.payload).filter(is_of_server);
        let Some(packet) = packet.filter(|_| for_me) else { return };
        let port = datagram.from.port();
        // The first packet decides which TID the server has; all others are of another transfer (RFC 1350 §4).
        if *self.server_port.get_or_insert(port) == port {
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
        self.image.progress(self.state)
    }

    fn power_cut(&mut self) {
        self.image.restart();
        *self = Self {
            image: self.image.clone(),
            retransmissions: self.retransmissions,
            ..Self::new(self.local, self.server, Arc::default(), self.asked)
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLIENT: &str = "[fe80::2]:61616";
    const SERVER: &str = "[fe80::1]:69";
    const NOW: Instant = Instant::from_micros(1_000_000);
    const TID: u16 = 50000;

    /// A client of an image of 100 bytes, after its request.
    fn start(options: Options) -> TftpClient {
        let (local, server) = (CLIENT.parse().unwrap(), SERVER.parse().unwrap());
        let mut client = TftpClient::new(local, server, (0..100).collect(), options);
        assert_eq!(client.poll_transmit(NOW).unwrap().to, server);
        client
    }

    fn with_options() -> TftpClient {
        start(Options { block_size: Some(64), timeout: Some(3), transfer_size: Some(0) })
    }

    /// Gives the client a packet from a port, and returns what it sends to that port.
    fn hear(client: &mut TftpClient, port: u16, payload: &[u8]) -> Vec<Vec<u8>> {
        let (mut from, to): (SocketAddrV6, _) = (SERVER.parse().unwrap(), CLIENT.parse().unwrap());
        from.set_port(port);
        client.handle_datagram(NOW, &Datagram { from, to, payload: payload.to_vec() });
        let sent: Vec<_> = std::iter::from_fn(|| client.poll_transmit(NOW)).collect();
        assert!(sent.iter().all(|datagram| datagram.to == from && datagram.from == to));
        sent.into_iter().map(|datagram| datagram.payload).collect()
    }

    fn data(block: u8, payload: std::ops::Range<u8>) -> Vec<u8> {
        [0, 3, 0, block].into_iter().chain(payload).collect()
    }

    #[test]
    fn the_request_byte_by_byte() {
        let (local, server) = (CLIENT.parse().unwrap(), SERVER.parse().unwrap());
        let asked = Options { block_size: Some(64), timeout: Some(3), transfer_size: Some(0) };
        let mut client = TftpClient::new(local, server, Arc::from([]), asked);
        let request = client.poll_transmit(NOW).unwrap().payload;
        assert_eq!(request, b"\0\x01fw/image\0octet\0blksize\x0064\0timeout\x003\0tsize\x000\0");
    }

    #[test]
    fn options_change_the_block_size_and_a_server_without_them_does_not() {
        let mut client = with_options();
        for _ in 0..2 {
            let sent = hear(&mut client, TID, b"\0\x06blksize\x0064\0tsize\x00100\0");
            assert_eq!(sent, [[0, 4, 0, 0]], "also when it comes again");
        }
        assert_eq!(hear(&mut client, TID, &data(1, 0..64)), [[0, 4, 0, 1]]);
        assert!(hear(&mut client, TID, b"\0\x06blksize\x0064\0").is_empty(), "too late");
        assert_eq!(client.progress().state, State::Fetching);
        hear(&mut client, TID, &data(2, 64..100));
        assert_eq!(client.progress(), Progress { state: State::Done, received: 100, wrong: 0, discarded: 0 });

        let mut client = with_options();
        assert_eq!(hear(&mut client, TID, &data(1, 0..100)), [[0, 4, 0, 1]], "512-byte blocks");
        assert_eq!(client.progress(), Progress { state: State::Done, received: 100, wrong: 0, discarded: 0 });
    }

    #[test]
    fn options_that_were_not_asked_for_are_refused() {
        for options in [&b"blksize\x0065\0"[..], b"timeout\x004\0", b""] {
            let mut client = with_options();
            let sent = hear(&mut client, TID, &[b"\0\x06", options].concat());
            assert!(sent[0].starts_with(&[0, 5, 0, 8]), "{options:?}");
            assert_eq!(client.progress().state, State::GaveUp);
        }
        let mut client = start(Options::default());
        assert!(hear(&mut client, TID, b"\0\x06tsize\x00100\0")[0].starts_with(&[0, 5, 0, 8]));
    }

    #[test]
    fn a_block_that_comes_again_is_acknowledged_again() {
        let mut client = with_options();
        hear(&mut client, TID, b"\0\x06blksize\x0064\0");
        for _ in 0..3 {
            assert_eq!(hear(&mut client, TID, &data(1, 0..64)), [[0, 4, 0, 1]]);
        }
        assert!(hear(&mut client, TID, &data(3, 0..64)).is_empty(), "from the future");
        for _ in 0..3 {
            assert_eq!(hear(&mut client, TID, &data(2, 64..100)), [[0, 4, 0, 2]], "also after the end");
        }
        assert!(hear(&mut client, TID, &data(3, 0..1)).is_empty());
        assert!(hear(&mut client, TID, b"\0\x05\0\0x\0").is_empty());
        assert_eq!(client.progress(), Progress { state: State::Done, received: 100, wrong: 0, discarded: 0 });
        assert_eq!((client.poll_timeout(), client.retransmissions()), (None, 0));
    }

    #[test]
    fn another_transfer_id_is_an_error_that_does_not_disturb() {
        let mut client = with_options();
        hear(&mut client, TID, b"\0\x06blksize\x0064\0");
        let sent = hear(&mut client, TID + 1, &data(1, 0..64));
        assert!(sent[0].starts_with(&[0, 5, 0, 5]));
        assert!(hear(&mut client, TID + 1, b"\0\x05\0\x01x\0").is_empty(), "no error for an error");
        assert_eq!(hear(&mut client, TID, &data(1, 0..64)), [[0, 4, 0, 1]]);
    }

    #[test]
    fn what_is_not_for_the_transfer_is_ignored() {
        let mut client = start(Options::default());
        assert!(hear(&mut client, TID, &data(0, 0..64)).is_empty(), "there is no block 0");
        assert!(hear(&mut client, TID + 1, &[0, 4, 0, 0]).is_empty(), "clients get no acknowledgements");
        let from = SocketAddrV6::new([0xfe80, 0, 0, 0, 0, 0, 0, 9].into(), TID, 0, 0);
        let stranger = Datagram { from, to: CLIENT.parse().unwrap(), payload: data(1, 0..100) };
        client.handle_datagram(NOW, &stranger);
        assert_eq!(client.poll_transmit(NOW), None);
        assert_eq!(
            client.progress(),
            Progress { state: State::Fetching, received: 0, wrong: 0, discarded: 0 }
        );
    }

    #[test]
    fn wrong_and_missing_bytes_are_seen() {
        let mut client = start(Options::default());
        hear(&mut client, TID, &data(1, 1..100));
        assert_eq!(
            client.progress(),
            Progress { state: State::Done, received: 99, wrong: 100, discarded: 0 }
        );
    }

    #[test]
    fn errors_and_too_large_blocks_end_the_transfer() {
        let mut client = start(Options::default());
        assert!(hear(&mut client, TID, b"\0\x05\0\x01File not found\0").is_empty());
        assert_eq!(client.progress(), Progress { state: State::GaveUp, received: 0, wrong: 0, discarded: 0 });
        let mut client = with_options();
        hear(&mut client, TID, b"\0\x06blksize\x0064\0");
        assert!(hear(&mut client, TID, &data(1, 0..65))[0].starts_with(&[0, 5, 0, 4]));
        assert_eq!(client.progress(), Progress { state: State::GaveUp, received: 0, wrong: 0, discarded: 0 });
    }

    #[test]
    fn block_numbers_do_not_wrap() {
        let mut client = start(Options { block_size: Some(8), ..Options::default() });
        hear(&mut client, TID, b"\0\x06blksize\x008\0");
        for block in 1..u16::MAX {
            hear(&mut client, TID, &Packet::Data { block, payload: &[0; 8] }.to_bytes());
        }
        let sent = hear(&mut client, TID, &[0, 3, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert!(sent[1].starts_with(&[0, 5, 0, 0]));
        assert_eq!(client.progress().state, State::GaveUp);
    }

    #[test]
    fn only_progress_starts_the_five_time_outs_anew() {
        let mut client = with_options();
        hear(&mut client, TID, b"\0\x06blksize\x0064\0");
        let mut due = client.poll_timeout().unwrap();
        assert_eq!(due, NOW + Duration::from_secs(3));
        for _ in 0..4 {
            client.handle_timeout(due);
            assert_eq!(client.poll_transmit(due).unwrap().payload, [0, 4, 0, 0]);
            due += Duration::from_secs(3);
            assert_eq!(client.poll_timeout(), Some(due));
        }
        hear(&mut client, TID, &data(2, 0..64));
        client.handle_timeout(due);
        assert_eq!((client.progress().state, client.retransmissions()), (State::GaveUp, 4));
    }
}
