//! A client with the default transmission parameters (RFC 7252 §4.8) that fetches block after block (RFC 7959 §2.4).
//!
//! Stop and wait: the next block is asked for when the one before is there (NSTART is 1). It takes piggybacked and
//! separate responses, and like libcoap's coap-client it ends when a request was not answered after MAX_RETRANSMIT
//! retransmissions. It starts again from block 0 when the ETag changes, but never after a failure. No security.

use super::image_check::ImageCheck;
use super::{PATH, image_name, same_endpoint};
use crate::host::{Client, Datagram, Host, Progress, State};
use crate::random::Random;
use sixfold_profile::Instant;
use sixfold_profile::coap::params::{ACK_RANDOM_SPREAD, ACK_TIMEOUT, MAX_RETRANSMIT, MAX_TRANSMIT_WAIT};
use sixfold_profile::coap::{Block, Code, Full, Message, Szx, Type, Writer, option};
use std::collections::VecDeque;
use std::net::SocketAddrV6;
use std::sync::Arc;
use std::time::Duration;

/// The client.
#[derive(Clone, Debug)]
pub struct CoapClient {
    local: SocketAddrV6,
    server: SocketAddrV6,
    image: ImageCheck,
    szx: Szx,
    random: Random,
    state: State,
    /// The request that waits for its response: one from power-on until the end.
    exchange: Option<Exchange>,
    message_id: u16,
    etag: Vec<u8>,
    /// The Message ID of the last separate response, which may come again.
    separate: Option<u16>,
    /// The last segment of the image's path.
    name: String,
    acknowledges: bool,
    out: VecDeque<Datagram>,
    retransmissions: u64,
}

/// A Confirmable request and its transmission state (RFC 7252 §4.2).
#[derive(Clone, Debug)]
struct Exchange {
    message_id: u16,
    token: [u8; 4],
    block: Block,
    request: Vec<u8>,
    acknowledged: bool,
    retransmitted: u8,
    timeout: Duration,
    due: Instant,
}

impl CoapClient {
    /// A client at `local` that will fetch `image` from `server` in blocks of `szx`, or what the server makes of it.
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
            image: ImageCheck::new(image),
            szx,
            // RFC 7252 §4.4 recommends that the first Message ID is random.
            message_id: random.bits() as u16,
            random,
            state: State::Fetching,
            exchange: None,
            etag: Vec::new(),
            separate: None,
            name: image_name(0),
            acknowledges: true,
            out: VecDeque::new(),
            retransmissions: 0,
        }
    }

    /// The same for the image whose path ends in `name`.
    #[must_use]
    pub fn of(self, name: String) -> Self {
        Self { name, ..self }
    }

    /// The same as a hostile client: it acknowledges nothing, and fetches the image over and over.
    #[must_use]
    pub fn mute(self) -> Self {
        Self { acknowledges: false, ..self }
    }

    /// As after a power cut: nothing is there.
    fn begin_again(&mut self) {
        self.state = State::Fetching;
        self.exchange = None;
        self.separate = None;
        self.out.clear();
        self.image.restart();
    }

    fn send(&mut self, payload: Vec<u8>) {
        self.out.push_back(Datagram { from: self.local, to: self.server, payload });
    }

    fn send_empty(&mut self, message_type: Type, message_id: u16) {
        let mut buffer = [0; 4];
        if Writer::new(&mut buffer, message_type, Code::EMPTY, message_id, &[]).is_ok() {
            self.send(buffer.to_vec());
        }
    }

    /// Asks for a block with a new Token (32 random bits, RFC 7252 §5.3.1) and a new time-out (§4.2).
    fn request(&mut self, now: Instant, block: Block) {
        self.message_id = self.message_id.wrapping_add(1);
        let token = self.random.bits().to_be_bytes();
        let Ok(request) = write_request(self.message_id, token, &self.name, block) else {
            return self.end(State::GaveUp);
        };
        let spread = self.random.below(ACK_RANDOM_SPREAD.as_micros() as u32 + 1);
        let timeout = ACK_TIMEOUT + Duration::from_micros(spread.into());
        self.send(request.clone());
        self.exchange = Some(Exchange {
            message_id: self.message_id,
            token,
            block,
            request,
            acknowledged: false,
            retransmitted: 0,
            timeout,
            due: now + timeout,
        });
    }

    fn end(&mut self, state: State) {
        self.state = state;
        self.exchange = None;
        if state == State::Done {
            self.image.finish();
        }
        if !self.acknowledges {
            self.begin_again();
        }
    }

    fn handle_message(&mut self, now: Instant, message: &Message<'_>) {
        let exchange = self.exchange.as_mut();
        let is_mine = exchange.as_ref().is_some_and(|exchange| exchange.message_id == message.message_id);
        let answered = exchange.filter(|exchange| exchange.token == message.token);
        match (message.message_type, message.code) {
            (Type::Acknowledgement, Code::EMPTY) if is_mine => self.wait_for_separate_response(now),
            (Type::Reset, _) if is_mine => self.end(State::GaveUp),
            (Type::Acknowledgement, _) if is_mine => {
                if let Some(block) = answered.map(|exchange| exchange.block) {
                    self.handle_response(now, message, block);
                }
            }
            (Type::Confirmable | Type::NonConfirmable, code) if code.is_response() => {
                let block = answered.map(|exchange| exchange.block);
                self.handle_separate_response(now, message, block);
            }
            (Type::Confirmable, _) => self.send_empty(Type::Reset, message.message_id),
            _ => {}
        }
    }

    /// The server has the request, so that it is not sent again. RFC 7252 does not say how long to wait now: as long
    /// as for an acknowledgement.
    fn wait_for_separate_response(&mut self, now: Instant) {
        if let Some(exchange) = self.exchange.as_mut().filter(|exchange| !exchange.acknowledged) {
            exchange.acknowledged = true;
            exchange.due = now + MAX_TRANSMIT_WAIT;
        }
    }

    /// RFC 7252 §5.2.2: a Confirmable response is acknowledged, also when it comes again, and rejected when unknown.
    fn handle_separate_response(&mut self, now: Instant, message: &Message<'_>, block: Option<Block>) {
        if message.message_type == Type::Confirmable && self.acknowledges {
            let known = block.is_some() || self.separate == Some(message.message_id);
            self.send_empty(if known { Type::Acknowledgement } else { Type::Reset }, message.message_id);
        }
        if let Some(block) = block {
            self.separate = (message.message_type == Type::Confirmable).then_some(message.message_id);
            self.handle_response(now, message, block);
        }
    }

    fn handle_response(&mut self, now: Instant, response: &Message<'_>, asked: Block) {
        let Some(given) = check_response(response, asked) else { return self.end(State::GaveUp) };
        let etag = response.option(option::ETAG).unwrap_or_default();
        if given.num() == 0 {
            self.etag = etag.to_vec();
        } else if etag != self.etag {
            self.image.restart();
            return self.request(now, Block::first(given.szx));
        }
        self.image.take(given.offset() as u64, response.payload);
        match Block::new(given.num() + 1, false, given.szx) {
            _ if !given.more => self.end(State::Done),
            Some(next) => self.request(now, next),
            None => self.end(State::GaveUp),
        }
    }
}

pub(crate) fn write_request(
    message_id: u16,
    token: [u8; 4],
    name: &str,
    block: Block,
) -> Result<Vec<u8>, Full> {
    let mut buffer = [0; 32];
    let mut writer = Writer::new(&mut buffer, Type::Confirmable, Code::GET, message_id, &token)?;
    for segment in [PATH[0], name] {
        writer.option(option::URI_PATH, segment.as_bytes())?;
    }
    writer.uint_option(option::BLOCK2, block.encode())?;
    let length = writer.finish();
    buffer.get(..length).map(<[u8]>::to_vec).ok_or(Full)
}

/// The block in a response to the request for `asked`; `None` when it is an error or breaks RFC 7959 §2.4: the block
/// begins where the one asked for does, is not larger, and is full unless it is the last.
fn check_response(response: &Message<'_>, asked: Block) -> Option<Block> {
    if response.code != Code::CONTENT {
        return None;
    }
    let Some(value) = response.option(option::BLOCK2) else {
        // The whole body, which is no answer to a request for a later block.
        return (asked.num() == 0).then_some(asked);
    };
    let given = Block::decode(value).ok()?;
    let (length, size) = (response.payload.len(), given.szx.size());
    let fits = if given.more { length == size } else { length <= size };
    (given.offset() == asked.offset() && given.szx <= asked.szx && fits).then_some(given)
}

impl Host for CoapClient {
    fn handle_datagram(&mut self, now: Instant, datagram: &Datagram) {
        let powered_on = self.exchange.is_some() || self.state != State::Fetching;
        let for_me = same_endpoint(datagram.from, self.server) && datagram.to.port() == self.local.port();
        if let (true, Ok(message)) = (powered_on && for_me, Message::parse(&datagram.payload)) {
            self.handle_message(now, &message);
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        let Some(exchange) = self.exchange.as_mut().filter(|exchange| exchange.due <= now) else { return };
        if exchange.acknowledged || exchange.retransmitted == MAX_RETRANSMIT {
            return self.end(State::GaveUp);
        }
        exchange.retransmitted += 1;
        exchange.timeout *= 2;
        exchange.due = now + exchange.timeout;
        let request = exchange.request.clone();
        self.retransmissions += 1;
        self.send(request);
    }

    fn poll_transmit(&mut self, now: Instant) -> Option<Datagram> {
        if self.exchange.is_none() && self.state == State::Fetching {
            self.request(now, Block::first(self.szx));
        }
        self.out.pop_front()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.exchange.as_ref().map(|exchange| exchange.due)
    }

    fn retransmissions(&self) -> u64 {
        self.retransmissions
    }
}

impl Client for CoapClient {
    fn progress(&self) -> Progress {
        self.image.progress(self.state)
    }

    fn power_cut(&mut self) {
        self.begin_again();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLIENT: &str = "[fe80::2]:61616";
    const SERVER: &str = "[fe80::1]:5683";
    const NOW: Instant = Instant::from_micros(1_000_000);

    /// A client of an image of 100 bytes with 64-byte blocks, and its first request.
    fn start() -> (CoapClient, Vec<u8>) {
        let (local, server) = (CLIENT.parse().unwrap(), SERVER.parse().unwrap());
        let mut client = CoapClient::new(local, server, (0..100).collect(), Szx::B64, Random::new(1, 0));
        let request = client.poll_transmit(NOW).unwrap().payload;
        (client, request)
    }

    /// Gives the client a datagram and returns what it sends.
    fn hear(client: &mut CoapClient, payload: &[u8]) -> Vec<Vec<u8>> {
        let (from, to) = (SERVER.parse().unwrap(), CLIENT.parse().unwrap());
        client.handle_datagram(NOW, &Datagram { from, to, payload: payload.to_vec() });
        std::iter::from_fn(|| client.poll_transmit(NOW)).map(|datagram| datagram.payload).collect()
    }

    /// A response with an ETag, Block2 and payload.
    fn response(first: u8, id: [u8; 2], token: &[u8], etag: u8, block: u8, payload: &[u8]) -> Vec<u8> {
        [&[first | 4, 0x45], &id[..], token, &[0x41, etag, 0xd1, 6, block, 0xff], payload].concat()
    }

    /// The response that fits a request.
    fn piggybacked(request: &[u8], etag: u8, block: u8, payload: &[u8]) -> Vec<u8> {
        response(0x60, [request[2], request[3]], &request[4..8], etag, block, payload)
    }

    fn bytes(range: std::ops::Range<u8>) -> Vec<u8> {
        range.collect()
    }

    #[test]
    fn requests_byte_by_byte() {
        let (mut client, request) = start();
        assert_eq!(request[..2], [0x44, 0x01]);
        assert_eq!(request[8..], *b"\xb2fw\x05image\xc1\x02", "Uri-Path twice, Block2 0/0/64");
        let next = hear(&mut client, &piggybacked(&request, 1, 0x0a, &bytes(0..64)));
        assert_eq!(next[0][8..], *b"\xb2fw\x05image\xc1\x12", "Block2 1/0/64");
        assert_eq!(
            u16::from_be_bytes([next[0][2], next[0][3]]),
            u16::from_be_bytes([request[2], request[3]]) + 1
        );
        assert_ne!(next[0][4..8], request[4..8], "a new Token");
    }

    #[test]
    fn answers_to_other_requests_are_ignored() {
        let (mut client, request) = start();
        let good = piggybacked(&request, 1, 0x0a, &bytes(0..64));
        for place in [2, 3, 4, 7] {
            let mut other = good.clone();
            other[place] ^= 1;
            assert!(hear(&mut client, &other).is_empty(), "byte {place}");
        }
        assert_eq!(client.progress().received, 0);
        assert_eq!(hear(&mut client, &good).len(), 1);
        assert!(hear(&mut client, &good).is_empty(), "a duplicate");
        assert_eq!(
            client.progress(),
            Progress { state: State::Fetching, received: 64, wrong: 0, discarded: 0 }
        );
    }

    #[test]
    fn a_smaller_block_size_is_taken_up() {
        let (mut client, request) = start();
        let next = hear(&mut client, &piggybacked(&request, 1, 0x09, &bytes(0..32)));
        assert!(next[0].ends_with(&[0xc1, 0x11]), "Block2 1/0/32");
    }

    #[test]
    fn a_separate_response_is_acknowledged_as_often_as_it_comes() {
        let (mut client, request) = start();
        assert!(hear(&mut client, &[0x60, 0, request[2], request[3]]).is_empty());
        client.handle_timeout(NOW + Duration::from_secs(60));
        assert_eq!(client.poll_transmit(NOW), None, "the server has the request");
        let separate = response(0x40, [7, 7], &request[4..8], 1, 0x0a, &bytes(0..64));
        let sent = hear(&mut client, &separate);
        assert_eq!((sent.len(), &sent[0][..]), (2, &[0x60, 0, 7, 7][..]));
        assert_eq!(hear(&mut client, &separate), [[0x60, 0, 7, 7]], "acknowledged again, not asked again");
        let unknown = response(0x40, [7, 8], &request[4..8], 1, 0x0a, &bytes(0..64));
        assert_eq!(hear(&mut client, &unknown), [[0x70, 0, 7, 8]], "rejected");
        let last = response(0x50, [7, 9], &sent[1][4..8], 1, 0x12, &bytes(64..100));
        assert!(hear(&mut client, &last).is_empty(), "nothing to acknowledge in a NON");
        assert_eq!(client.progress(), Progress { state: State::Done, received: 100, wrong: 0, discarded: 0 });
        assert_eq!(client.poll_timeout(), None);
    }

    #[test]
    fn a_separate_response_that_never_comes_ends_the_fetch() {
        let (mut client, request) = start();
        let acknowledgement = [0x60, 0, request[2], request[3]];
        hear(&mut client, &acknowledgement);
        assert_eq!(client.poll_timeout(), Some(NOW + MAX_TRANSMIT_WAIT));
        client.handle_timeout(NOW + MAX_TRANSMIT_WAIT);
        assert_eq!(client.progress().state, State::GaveUp);
        assert_eq!(client.poll_transmit(NOW), None);
    }

    #[test]
    fn what_ends_the_fetch() {
        let (_, request) = start();
        let head = |first: u8, code: u8| [&[first, code, request[2], request[3]], &request[4..8]].concat();
        let cases = [
            ("Reset", vec![0x70, 0, request[2], request[3]]),
            ("4.04", head(0x64, 0x84)),
            ("block 1 instead of 0", piggybacked(&request, 1, 0x1a, &bytes(0..64))),
            ("a larger block", piggybacked(&request, 1, 0x0b, &[0; 128])),
            ("a block that is not full", piggybacked(&request, 1, 0x0a, &bytes(0..63))),
            ("more than a block", piggybacked(&request, 1, 0x02, &bytes(0..65))),
            ("SZX 7", piggybacked(&request, 1, 0x0f, &bytes(0..64))),
        ];
        for (name, payload) in cases {
            let (mut client, _) = start();
            assert!(hear(&mut client, &payload).is_empty(), "{name}");
            assert_eq!(
                client.progress(),
                Progress { state: State::GaveUp, received: 0, wrong: 0, discarded: 0 },
                "{name}"
            );
            assert_eq!(client.poll_timeout(), None, "{name}");
        }
    }

    #[test]
    fn a_new_version_is_fetched_from_its_beginning() {
        let (mut client, request) = start();
        let next = hear(&mut client, &piggybacked(&request, 1, 0x0a, &[9; 64]));
        assert!(client.progress().wrong > 0);
        let again = hear(&mut client, &piggybacked(&next[0], 2, 0x12, &bytes(64..100)));
        assert!(again[0].ends_with(&[0xc1, 0x02]), "Block2 0/0/64");
        let next = hear(&mut client, &piggybacked(&again[0], 2, 0x0a, &bytes(0..64)));
        hear(&mut client, &piggybacked(&next[0], 2, 0x12, &bytes(64..100)));
        assert_eq!(
            client.progress(),
            Progress { state: State::Done, received: 100, wrong: 0, discarded: 64 }
        );
    }

    #[test]
    fn wrong_and_missing_bytes_are_seen() {
        let (mut client, request) = start();
        hear(&mut client, &piggybacked(&request, 1, 0x02, &[1, 1, 2]));
        assert_eq!(client.progress(), Progress { state: State::Done, received: 3, wrong: 98, discarded: 0 });
    }

    #[test]
    fn pings_are_reset_and_strangers_ignored() {
        let (mut client, request) = start();
        assert_eq!(hear(&mut client, &[0x40, 0, 1, 2]), [[0x70, 0, 1, 2]]);
        let payload = piggybacked(&request, 1, 0x0a, &bytes(0..64));
        let (from, to) = ("[fe80::3]:5683".parse().unwrap(), CLIENT.parse().unwrap());
        client.handle_datagram(NOW, &Datagram { from, to, payload });
        assert_eq!(client.progress().received, 0);
    }
}
