//! An engine with a device side and an origin side that tests play by hand, in virtual time.

#![allow(dead_code, unreachable_pub, reason = "each test binary uses its own part")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

pub mod members;
pub mod sessions;

use sixfold_engine::{
    Config, Engine, Event, FetchCommand, FetchId, Freshness, Head, Instant, OriginEvent, Path, Route,
    UnboundedStore, Validator,
};
use sixfold_profile::coap::{Block, Code, Message, Szx, Type, Writer, option};
use std::net::SocketAddr;
use std::time::Duration;

/// The URL behind `/fw/image.bin`.
pub const URL: &str = "https://origin.example/base/image.bin";

/// A request to be sent.
#[derive(Clone, Debug)]
pub struct Ask {
    pub peer: u16,
    pub message_type: Type,
    pub code: Code,
    pub message_id: u16,
    pub token: Vec<u8>,
    pub options: Vec<(u16, Vec<u8>)>,
}

/// A message that was received from the relay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub peer: u16,
    pub message_type: Type,
    pub code: Code,
    pub message_id: u16,
    pub token: Vec<u8>,
    pub options: Vec<(u16, Vec<u8>)>,
    pub payload: Vec<u8>,
}

impl Ask {
    /// A Confirmable GET of `/fw/NAME`, whose Token is its Message ID.
    pub fn get(peer: u16, message_id: u16, name: &str) -> Self {
        let options = vec![(option::URI_PATH, b"fw".to_vec()), (option::URI_PATH, name.as_bytes().to_vec())];
        let token = message_id.to_be_bytes().to_vec();
        Self { peer, message_type: Type::Confirmable, code: Code::GET, message_id, token, options }
    }

    /// The same for one block.
    pub fn block(peer: u16, message_id: u16, name: &str, num: u32, szx: u8) -> Self {
        let block = Block::new(num, false, Szx::new(szx).unwrap()).unwrap();
        Self::get(peer, message_id, name).uint(option::BLOCK2, block.encode())
    }

    pub fn uint(self, number: u16, value: u32) -> Self {
        let bytes = value.to_be_bytes().into_iter().skip_while(|&byte| byte == 0).collect::<Vec<_>>();
        self.with(number, &bytes)
    }

    pub fn with(mut self, number: u16, value: &[u8]) -> Self {
        self.options.push((number, value.to_vec()));
        self.options.sort_by_key(|(number, _)| *number);
        self
    }

    pub fn non(self) -> Self {
        Self { message_type: Type::NonConfirmable, ..self }
    }

    pub fn datagram(&self) -> Vec<u8> {
        let mut buffer = [0; 1500];
        let mut writer =
            Writer::new(&mut buffer, self.message_type, self.code, self.message_id, &self.token).unwrap();
        for (number, value) in &self.options {
            writer.option(*number, value).unwrap();
        }
        let length = writer.finish();
        buffer[..length].to_vec()
    }
}

impl Answer {
    pub fn uint(&self, number: u16) -> Option<u32> {
        let value = &self.options.iter().find(|(found, _)| *found == number)?.1;
        Some(value.iter().fold(0, |sum, &byte| sum << 8 | u32::from(byte)))
    }

    pub fn value(&self, number: u16) -> Vec<u8> {
        self.options.iter().find(|(found, _)| *found == number).unwrap().1.clone()
    }

    pub fn etag(&self) -> Vec<u8> {
        self.value(option::ETAG)
    }

    pub fn block(&self) -> Block {
        let value = &self.options.iter().find(|(number, _)| *number == option::BLOCK2).unwrap().1;
        Block::decode(value).unwrap()
    }
}

pub struct Bench {
    pub engine: Engine<UnboundedStore>,
    pub now: Instant,
    pub events: Vec<Event>,
}

pub fn config() -> Config {
    let route = Route {
        path: vec!["fw".into()],
        origin: "https://origin.example/base/".into(),
        require_session: None,
    };
    Config { routes: vec![route], forward: vec!["https://origin.example/open/".into()], ..Config::default() }
}

pub fn path(peer: u16) -> Path {
    let peer = SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1], 10_000 + peer));
    Path { peer, local: None, socket: 0, interface: 0, multicast: false }
}

/// Bytes that differ everywhere, and between versions.
pub fn body(version: u8, length: usize) -> Vec<u8> {
    (0..length)
        .map(|i| (i as u64).wrapping_mul(2_654_435_761 + u64::from(version)).to_le_bytes()[1])
        .collect()
}

pub fn head(version: u8, length: usize, max_age_s: u64) -> OriginEvent {
    OriginEvent::Head(Head {
        validator: Some(Validator::Strong(format!("\"v{version}\""))),
        length: Some(length as u64),
        media_type: Some("application/octet-stream".into()),
        freshness: Freshness {
            max_age: Duration::from_secs(max_age_s),
            stale_if_error: Duration::from_secs(3600),
        },
    })
}

impl Bench {
    pub fn new(config: Config) -> Self {
        Self {
            engine: Engine::new(config, UnboundedStore::default(), [7; 32]),
            now: Instant::ZERO,
            events: Vec::new(),
        }
    }

    /// A relay that has `image.bin`, version 1, fresh for `max_age_s`.
    pub fn with_image(length: usize, max_age_s: u64) -> Self {
        let mut bench = Self::new(config());
        bench.send(&Ask::get(999, 1, "image.bin"));
        let id = bench.fetch();
        bench.deliver(id, 1, &body(1, length), max_age_s);
        bench.answers();
        bench.events.clear();
        bench
    }

    pub fn send(&mut self, ask: &Ask) {
        self.datagram(ask.peer, &ask.datagram());
    }

    pub fn datagram(&mut self, peer: u16, datagram: &[u8]) {
        self.engine.handle_datagram(self.now, path(peer), datagram);
    }

    /// Sends a request and takes its one answer.
    pub fn ask(&mut self, ask: &Ask) -> Answer {
        self.send(ask);
        let mut answers = self.answers();
        assert_eq!(answers.len(), 1, "{answers:?}");
        answers.remove(0)
    }

    pub fn answers(&mut self) -> Vec<Answer> {
        while let Some(event) = self.engine.poll_event() {
            self.events.push(event);
        }
        std::iter::from_fn(|| self.engine.poll_transmit())
            .map(|transmit| read(&transmit.bytes, transmit.path.peer))
            .collect()
    }

    /// The same as bytes.
    pub fn datagrams(&mut self) -> Vec<Vec<u8>> {
        while let Some(event) = self.engine.poll_event() {
            self.events.push(event);
        }
        std::iter::from_fn(|| self.engine.poll_transmit()).map(|transmit| transmit.bytes).collect()
    }

    pub fn command(&mut self) -> Option<FetchCommand> {
        self.engine.poll_fetch()
    }

    /// The fetch that was just started.
    pub fn fetch(&mut self) -> FetchId {
        match self.command() {
            Some(FetchCommand::Start { id, .. }) => id,
            other => panic!("{other:?}"),
        }
    }

    pub fn origin(&mut self, id: FetchId, event: OriginEvent) {
        self.engine.handle_origin(self.now, id, event);
    }

    pub fn deliver(&mut self, id: FetchId, version: u8, bytes: &[u8], max_age_s: u64) {
        self.origin(id, head(version, bytes.len(), max_age_s));
        self.origin(id, OriginEvent::Data(bytes.to_vec().into()));
        self.origin(id, OriginEvent::Complete);
    }

    /// Lets time pass, stopping at every deadline on the way.
    pub fn pass(&mut self, duration: Duration) -> Vec<Answer> {
        let end = self.now + duration;
        let mut answers = Vec::new();
        while let Some(at) = self.engine.poll_timeout().filter(|&at| at <= end) {
            self.now = self.now.max(at);
            self.engine.handle_timeout(self.now);
            answers.extend(self.answers());
        }
        self.now = end;
        answers
    }

    /// Takes a transfer to its end, block by block, and returns the bytes and the ETags seen.
    pub fn whole(&mut self, peer: u16, name: &str, szx: u8) -> (Vec<u8>, Vec<Vec<u8>>) {
        let (mut bytes, mut etags) = (Vec::new(), Vec::new());
        for num in 0.. {
            let answer = self.ask(&Ask::block(peer, num as u16, name, num, szx));
            assert_eq!(answer.code, Code::CONTENT, "{answer:?}");
            bytes.extend_from_slice(&answer.payload);
            etags.push(answer.etag());
            if !answer.block().more {
                break;
            }
        }
        etags.dedup();
        (bytes, etags)
    }
}

pub fn read(datagram: &[u8], peer: SocketAddr) -> Answer {
    let message = Message::parse(datagram).unwrap();
    Answer {
        peer: peer.port() - 10_000,
        message_type: message.message_type,
        code: message.code,
        message_id: message.message_id,
        token: message.token.to_vec(),
        options: message.options().map(|opt| (opt.number, opt.value.to_vec())).collect(),
        payload: message.payload.to_vec(),
    }
}

/// An empty ACK or RST of a device.
pub fn empty(message_type: Type, message_id: u16) -> Vec<u8> {
    let mut buffer = [0; 4];
    Writer::new(&mut buffer, message_type, Code::EMPTY, message_id, &[]).unwrap();
    buffer.to_vec()
}
