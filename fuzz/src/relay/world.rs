//! An engine with devices and an origin around it, which watches everything that the engine does.
//!
//! The bytes of every version of every resource follow from their place and the version, so that each block
//! that leaves can be checked: no block may mix two versions, and an ETag may never name two.

use bytes::Bytes;
use sixfold_engine::{
    Config, ETag, EchoPolicy, Engine, Failure, FetchCommand, FetchId, Freshness, Head, Image, Instant,
    Limits, LinkConfig, OriginEvent, Path, Route, Store, Transmit, Validator,
};
use sixfold_profile::coap::{Block, Code, Message, Szx, Type, content_format, option, params};
use sixfold_profile::parity::Parity;
use std::collections::{HashMap, VecDeque};
use std::net::{Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// No message of the relay is longer: a block of 1024 bytes with its options, or 1280 bytes of IPv6.
const LONGEST_MESSAGE: usize = 1152;

/// Answers to multicast requests that may wait for their leisure; the engine's own bound.
const LEISURELY: usize = 64;

/// Groups of streams at the same time; the engine's own bound.
const GROUPS: usize = 16;

/// The interface behind which devices take part in groups: every fourth one.
const LINK: u32 = 1;

const ORIGIN: &str = "https://origin/base/";
const FORWARD: &str = "https://forward/";

/// Small enough that every limit is met.
const LIMITS: Limits = Limits {
    exchanges: 24,
    exchanges_per_client: 4,
    observers: 8,
    fetches: 4,
    resources: 12,
    transfers: 32,
    sessions: 4,
    negative_ttl: Duration::from_secs(10),
    patience: Duration::from_secs(90),
};

/// The engine and what is around it.
pub struct World {
    engine: Engine<FewImages>,
    now: Instant,
    running: Vec<Running>,
    /// Which version each ETag named.
    versions: HashMap<Vec<u8>, u8>,
    last_sent: Option<(Path, u16)>,
    blocks: u64,
}

/// A fetch that the origin is busy with.
struct Running {
    id: FetchId,
    conditional: bool,
    /// Since the header: the version, the announced length, and how many bytes were delivered.
    body: Option<(u8, usize, usize)>,
}

/// What the origin can do next about one of the fetches.
#[derive(Clone, Copy, Debug)]
pub enum OriginMove {
    /// A body of this version and length begins.
    Head { version: u8, length: usize, announced: bool, validator: Kind },
    /// So many more bytes come, right or too many.
    Data(usize),
    /// The rest comes, and the end.
    Finish,
    /// The end comes now, whether all bytes are there or not.
    Complete,
    /// 304, also when nobody asked for it.
    NotModified,
    /// It fails.
    Fail(Failure),
}

/// By what the origin tells versions apart.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    Strong,
    /// An honest weak entity-tag: a new one for each version.
    Weak,
    None,
}

impl Kind {
    pub const ALL: [Self; 3] = [Self::Strong, Self::Weak, Self::None];
}

impl World {
    /// A new engine with an empty memory.
    pub fn new(seed: u8) -> Self {
        let route = |path: &[&str], origin: &str| Route {
            path: path.iter().map(|segment| (*segment).to_owned()).collect(),
            origin: origin.to_owned(),
            require_session: None,
        };
        let config = Config {
            routes: vec![route(&["fw"], ORIGIN), route(&["x", "y"], "https://origin/base/other/")],
            forward: vec![FORWARD.to_owned()],
            allow_plain: true,
            edhoc: true,
            echo: EchoPolicy::default(),
            block_size: Szx::MAX,
            max_object: 20_000,
            port: params::PORT,
            limits: LIMITS,
        };
        let mut engine = Engine::new(config, FewImages::default(), [seed; 32]);
        engine.set_link(Instant::ZERO, LINK, Some(LinkConfig::default()));
        Self {
            engine,
            now: Instant::ZERO,
            running: Vec::new(),
            versions: HashMap::new(),
            last_sent: None,
            blocks: 0,
        }
    }

    /// A device sends a datagram.
    pub fn datagram(&mut self, device: u8, multicast: bool, bytes: &[u8]) {
        let ours = Ipv6Addr::LOCALHOST.into();
        let path = Path {
            peer: address(device),
            local: (!multicast).then_some(ours),
            socket: 0,
            interface: interface(device),
            multicast,
        };
        self.engine.handle_datagram(self.now, path, bytes);
        self.settle();
    }

    /// The receiver of the message sent last acknowledges or resets it.
    pub fn react_to_last(&mut self, reaction: Type) {
        if let Some((path, message_id)) = self.last_sent {
            let [high, low] = message_id.to_be_bytes();
            self.engine.handle_datagram(self.now, path, &[0x40 | (reaction as u8) << 4, 0, high, low]);
            self.settle();
        }
    }

    /// The origin acts on the fetch of this number, if there are any.
    pub fn origin(&mut self, number: usize, act: OriginMove) {
        if self.running.is_empty() {
            return;
        }
        let index = number % self.running.len();
        let id = self.running[index].id;
        for event in self.running[index].events(act) {
            self.engine.handle_origin(self.now, id, event);
        }
        if self.running[index].is_over(act) {
            self.running.remove(index);
        }
        self.settle();
    }

    /// Time passes, and the engine is told at the end of it only.
    pub fn pass(&mut self, duration: Duration) {
        self.now += duration;
        self.engine.handle_timeout(self.now);
        self.settle();
    }

    /// Time passes until the engine's next deadline.
    pub fn pass_to_deadline(&mut self) {
        if let Some(deadline) = self.engine.poll_timeout() {
            self.pass(deadline.since(self.now));
            let next = self.engine.poll_timeout();
            assert!(next.is_none_or(|next| next > self.now), "a deadline that stays due: {next:?}");
        }
    }

    /// How many blocks have left, each with the right bytes.
    pub fn blocks(&self) -> u64 {
        self.blocks
    }

    /// Lets everything end that ends by itself, and checks that nothing is left over but what the cache keeps.
    pub fn come_to_rest(&mut self) {
        while !self.running.is_empty() {
            self.origin(0, OriginMove::Fail(Failure::Status(404)));
        }
        // A failure ends the interest of all observers. The longest-lived entry is a device, for 247 s, or a message to one on a
        // paced link, whose time-outs are longer than RFC 7252's.
        for _ in 0..100 {
            self.pass(Duration::from_secs(10));
            while !self.running.is_empty() {
                self.origin(0, OriginMove::Fail(Failure::Status(404)));
            }
        }
        let load = self.engine.load();
        assert_eq!((load.peers, load.fetches, load.exchanges, load.outgoing), (0, 0, 0, 0), "{load:?}");
        assert_eq!((load.observers, load.timers), (0, 0), "{load:?}");
        assert_eq!((load.groups, load.members), (0, 0), "{load:?}");
    }

    /// Takes and checks everything that the engine has to say.
    fn settle(&mut self) {
        while let Some(transmit) = self.engine.poll_transmit() {
            self.sent(&transmit);
        }
        while let Some(command) = self.engine.poll_fetch() {
            self.commanded(command);
        }
        while self.engine.poll_event().is_some() {}
        self.check_bounds();
    }

    fn sent(&mut self, transmit: &Transmit) {
        assert!(transmit.bytes.len() <= LONGEST_MESSAGE, "{} bytes", transmit.bytes.len());
        let message = Message::parse(&transmit.bytes).expect("the engine sends CoAP");
        assert!(!message.code.is_request(), "the engine only answers: {message:?}");
        if transmit.path.multicast {
            return self.streamed(&message);
        }
        self.last_sent = Some((transmit.path, message.message_id));
        let is_links = message.option(option::CONTENT_FORMAT) == Some(&[content_format::LINK_FORMAT as u8]);
        if message.code == Code::CONTENT && !is_links {
            let etag = message.option(option::ETAG).expect("every block has an ETag");
            self.check_block(&message, etag);
        }
    }

    /// What goes to a group is a block or a parity symbol, of the version that its Token names.
    fn streamed(&mut self, message: &Message<'_>) {
        assert_eq!((message.message_type, message.code), (Type::NonConfirmable, Code::CONTENT));
        assert!(message.option(option::ETAG).is_none_or(|etag| *message.token == etag[..2]), "{message:?}");
        match message.option(option::BLOCK2) {
            Some(_) => self.check_block(message, message.token),
            None => assert!(Parity::read(message.payload).is_some(), "{message:?}"),
        }
    }

    /// Blocks of one `name`, an ETag or a group's Token, are those of one version.
    fn check_block(&mut self, message: &Message<'_>, name: &[u8]) {
        let block = message
            .option(option::BLOCK2)
            .or(message.option(option::Q_BLOCK2))
            .map(|value| Block::decode(value).expect("a block option"));
        let start = block.map_or(0, Block::offset);
        let Some(&first) = message.payload.first() else { return };
        let version = first ^ byte(start, 0);
        let same = message.payload.iter().enumerate().all(|(at, &is)| is == byte(start + at, version));
        assert!(same, "a block with wrong bytes, or with those of two versions: {message:?}");
        let known = *self.versions.entry(name.to_vec()).or_insert(version);
        assert_eq!(known, version, "one name for two versions");
        self.blocks += 1;
    }

    fn commanded(&mut self, command: FetchCommand) {
        match command {
            FetchCommand::Start { id, url, have } => {
                let allowed = url.starts_with(ORIGIN) || url.starts_with(FORWARD);
                assert!(allowed, "an origin that the configuration does not name: {url}");
                self.running.push(Running { id, conditional: have.is_some(), body: None });
            }
            FetchCommand::Cancel(id) => self.running.retain(|running| running.id != id),
        }
    }

    fn check_bounds(&self) {
        let load = self.engine.load();
        assert!(load.peers <= LIMITS.transfers, "{load:?}");
        assert!(load.resources <= LIMITS.resources, "{load:?}");
        assert!(load.fetches <= LIMITS.fetches, "{load:?}");
        assert_eq!(load.fetches, self.running.len(), "fetches that nobody works on");
        assert!(load.exchanges <= LIMITS.exchanges, "{load:?}");
        assert!(load.observers <= LIMITS.observers, "{load:?}");
        assert!(load.groups <= GROUPS, "{load:?}");
        assert!(load.outgoing <= LIMITS.exchanges + LIMITS.observers, "{load:?}");
        // One deadline for each of these, and for the revalidation of each observed resource.
        let reasons = load.fetches + load.exchanges + load.outgoing + load.resources + LEISURELY;
        assert!(load.timers <= reasons, "{load:?}");
    }
}

impl Running {
    fn events(&mut self, act: OriginMove) -> Vec<OriginEvent> {
        match (act, &mut self.body) {
            (OriginMove::Head { version, length, announced, validator }, body) => {
                *body = Some((version, length, 0));
                let tag = format!("\"{version}\"");
                let validator = match validator {
                    Kind::Strong => Some(Validator::Strong(tag)),
                    Kind::Weak => Some(Validator::Weak(tag)),
                    Kind::None => None,
                };
                let freshness = Freshness {
                    max_age: Duration::from_secs(u64::from(version)),
                    stale_if_error: Duration::from_secs(60),
                };
                let length = announced.then_some(length as u64);
                vec![OriginEvent::Head(Head { validator, length, media_type: None, freshness })]
            }
            (OriginMove::Data(count), Some((version, _, sent))) => {
                let bytes = bytes(*version, *sent, count);
                *sent += count;
                vec![OriginEvent::Data(bytes)]
            }
            (OriginMove::Finish, Some((version, length, sent))) => {
                vec![
                    OriginEvent::Data(bytes(*version, *sent, length.saturating_sub(*sent))),
                    OriginEvent::Complete,
                ]
            }
            (OriginMove::Data(_), None) => vec![OriginEvent::Data(Bytes::from_static(b"no header"))],
            (OriginMove::Finish | OriginMove::Complete, _) => vec![OriginEvent::Complete],
            (OriginMove::NotModified, _) => {
                let max_age = Duration::from_secs(if self.conditional { 60 } else { 0 });
                vec![OriginEvent::NotModified(Freshness { max_age, stale_if_error: max_age })]
            }
            (OriginMove::Fail(failure), _) => vec![OriginEvent::Failed(failure)],
        }
    }

    fn is_over(&self, act: OriginMove) -> bool {
        !matches!(act, OriginMove::Head { .. } | OriginMove::Data(_))
    }
}

/// A store that keeps the images of the last few fetches.
#[derive(Default)]
struct FewImages(VecDeque<Arc<Image>>);

impl Store for FewImages {
    fn image(&self, etag: ETag) -> Option<Arc<Image>> {
        self.0.iter().find(|image| image.etag == etag).cloned()
    }

    fn holds(&self, etag: ETag) -> bool {
        self.image(etag).is_some()
    }

    fn insert(&mut self, image: Arc<Image>) {
        self.remove(image.etag);
        self.0.push_front(image);
        self.0.truncate(4);
    }

    fn remove(&mut self, etag: ETag) {
        self.0.retain(|image| image.etag != etag);
    }

    fn bytes(&self) -> u64 {
        self.0.iter().map(|image| image.body.len() as u64).sum()
    }
}

fn interface(device: u8) -> u32 {
    if device % 4 == 1 { LINK } else { 0 }
}

fn address(device: u8) -> SocketAddr {
    SocketAddr::from((
        Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, u16::from(device >> 4)),
        40_000 + u16::from(device),
    ))
}

/// The byte at this place of a body of this version.
fn byte(at: usize, version: u8) -> u8 {
    (at as u8).wrapping_mul(37) ^ (at >> 8) as u8 ^ version
}

fn bytes(version: u8, start: usize, count: usize) -> Bytes {
    (start..start + count).map(|at| byte(at, version)).collect()
}
