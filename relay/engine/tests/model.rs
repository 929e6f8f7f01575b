//! The engine against a reference model, over random histories: devices that come, go, lose datagrams and restart;
//! an origin that delivers in pieces, breaks off, fails, and replaces its files; a store that forgets.
//!
//! What must hold, whatever happens:
//! 1. There is at most one fetch of a URL at a time, and a version whose bytes are still here and fresh is not
//!    asked for again.
//! 2. Every block is a piece of the version that its ETag names, and an ETag names one version only.
//! 3. Every request is answered.
//! 4. A device that finishes has the bytes of exactly one version.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "these are tests")]

mod support;

use proptest::prelude::*;
use sixfold_engine::{
    Config, ETag, Engine, Failure, FetchCommand, FetchId, Freshness, Image, Instant, OriginEvent, Store,
    UnboundedStore, Validator,
};
use sixfold_profile::coap::{Code, Type};
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use support::{Answer, Ask, body, config, empty, head, path};

const NAMES: [&str; 3] = ["a", "b", "c"];
const DEVICES: u16 = 6;
const MAX_AGE_S: u64 = 30;

#[derive(Clone, Debug)]
enum Step {
    /// A device asks for its next block, or starts if it was idle. The datagram may be lost, or arrive twice.
    Ask {
        device: u16,
        name: usize,
        szx: u8,
        copies: usize,
    },
    /// The origin does something about its oldest open question.
    Origin(Move),
    /// The file behind a name is replaced.
    Replace {
        name: usize,
        length: usize,
    },
    /// The store forgets everything.
    Evict,
    Pass {
        millis: u64,
    },
}

#[derive(Clone, Copy, Debug)]
enum Move {
    /// Sends up to this many further bytes, after the header if that is still to come.
    Send(usize),
    BreakOff,
    Refuse,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0..DEVICES, 0..NAMES.len(), 0u8..7, prop_oneof![1 => Just(0usize), 8 => Just(1), 2 => Just(2)])
            .prop_map(|(device, name, szx, copies)| Step::Ask { device, name, szx, copies }),
        8 => prop_oneof![8 => (1usize..3000).prop_map(Move::Send), 1 => Just(Move::BreakOff), 1 => Just(Move::Refuse)].prop_map(Step::Origin),
        1 => (0..NAMES.len(), 0usize..4000).prop_map(|(name, length)| Step::Replace { name, length }),
        1 => Just(Step::Evict),
        2 => prop_oneof![1u64..900, 900u64..5000, 5000u64..60_000].prop_map(|millis| Step::Pass { millis }),
    ]
}

/// A store that the test can empty behind the engine's back.
#[derive(Clone, Default)]
struct Forgetful(Rc<RefCell<UnboundedStore>>);

impl Store for Forgetful {
    fn image(&self, etag: ETag) -> Option<Arc<Image>> {
        self.0.borrow().image(etag)
    }
    fn holds(&self, etag: ETag) -> bool {
        self.0.borrow().holds(etag)
    }
    fn insert(&mut self, image: Arc<Image>) {
        self.0.borrow_mut().insert(image);
    }
    fn remove(&mut self, etag: ETag) {
        self.0.borrow_mut().remove(etag);
    }
    fn bytes(&self) -> u64 {
        self.0.borrow().bytes()
    }
}

/// One file of the origin.
#[derive(Clone, Copy)]
struct File {
    version: u8,
    length: usize,
}

/// How the relay names a version.
fn etag(name: usize, file: File) -> ETag {
    let url = format!("https://origin.example/base/{}", NAMES[name]);
    let validator = Validator::Strong(format!("\"v{}\"", file.version));
    ETag::derive(&url, Some(&validator), Some(file.length as u64), 0)
}

/// A question that the origin has not finished answering.
struct Open {
    id: FetchId,
    name: usize,
    have: Option<Validator>,
    /// The file as it was when the answer began, and how much of it was sent.
    sending: Option<(File, usize)>,
    begun: Instant,
}

/// A device as RFC 7959 §2.4 describes it; it starts over when the ETag changes.
#[derive(Default)]
struct Device {
    name: usize,
    szx: u8,
    etag: Option<Vec<u8>>,
    bytes: Vec<u8>,
    message_id: u16,
    /// The Message ID of the request that is not answered yet.
    waiting: Option<u16>,
}

struct World {
    engine: Engine<Forgetful>,
    store: Forgetful,
    now: Instant,
    files: [File; 3],
    open: Vec<Open>,
    devices: Vec<Device>,
    /// What each ETag stands for, by name.
    versions: HashMap<(usize, Vec<u8>), Vec<u8>>,
    /// Versions whose complete bytes the relay got, and until when they are fresh; emptied by eviction and failure.
    fresh: HashMap<(usize, u8), Instant>,
    finished: usize,
}

impl World {
    fn new() -> Self {
        let store = Forgetful::default();
        let config = Config {
            limits: sixfold_engine::Limits { exchanges_per_client: 4, ..config().limits },
            ..config()
        };
        let mut world = Self {
            engine: Engine::new(config, store.clone(), [3; 32]),
            store,
            now: Instant::ZERO,
            files: [File { version: 0, length: 0 }; 3],
            open: Vec::new(),
            devices: (0..DEVICES).map(|_| Device::default()).collect(),
            versions: HashMap::new(),
            fresh: HashMap::new(),
            finished: 0,
        };
        for (name, length) in [2500, 0, 64].into_iter().enumerate() {
            world.publish(name, File { version: 1, length });
        }
        world
    }

    fn publish(&mut self, name: usize, file: File) {
        self.files[name] = file;
        self.versions.insert((name, etag(name, file).0.to_vec()), body(file.version, file.length));
    }

    fn take(&mut self, step: &Step) {
        match *step {
            Step::Ask { device, name, szx, copies } => self.ask(device, name, szx, copies),
            Step::Origin(step) => self.origin(step),
            Step::Replace { name, length } => {
                self.publish(name, File { version: self.files[name].version.wrapping_add(1), length });
            }
            Step::Evict => {
                *self.store.0.borrow_mut() = UnboundedStore::default();
                self.fresh.clear();
            }
            Step::Pass { millis } => self.pass(Duration::from_millis(millis)),
        }
        self.settle();
    }

    fn ask(&mut self, number: u16, name: usize, szx: u8, copies: usize) {
        let device = &mut self.devices[usize::from(number)];
        if device.waiting.is_some() {
            return;
        }
        if device.bytes.is_empty() {
            (device.name, device.szx, device.etag) = (name, szx, None);
        }
        device.message_id += 1;
        let num = u32::try_from(device.bytes.len() >> (device.szx + 4)).unwrap();
        let ask = Ask::block(number, device.message_id, NAMES[device.name], num, device.szx);
        if copies > 0 {
            device.waiting = Some(device.message_id);
        }
        for _ in 0..copies {
            self.engine.handle_datagram(self.now, path(number), &ask.datagram());
        }
    }

    fn origin(&mut self, step: Move) {
        if self.open.is_empty() {
            return;
        }
        let mut open = self.open.remove(0);
        let (id, name) = (open.id, open.name);
        match step {
            Move::BreakOff => {
                self.fresh.retain(|(file, _), _| *file != name);
                self.event(id, OriginEvent::Failed(Failure::Interrupted));
            }
            Move::Refuse if open.sending.is_none() => {
                self.fresh.retain(|(file, _), _| *file != name);
                self.event(id, OriginEvent::Failed(Failure::Status(503)));
            }
            Move::Send(count) => {
                if self.send(&mut open, count) {
                    self.open.insert(0, open);
                }
            }
            Move::Refuse => self.open.insert(0, open),
        }
    }

    /// Sends the next bytes; `false` when the answer is complete.
    fn send(&mut self, open: &mut Open, count: usize) -> bool {
        let file = self.files[open.name];
        if open.sending.is_none() {
            if open.have == Some(Validator::Strong(format!("\"v{}\"", file.version))) {
                if self.holds(open.name, file) {
                    self.fresh.insert((open.name, file.version), self.now + Duration::from_secs(MAX_AGE_S));
                }
                let freshness = Freshness { max_age: Duration::from_secs(MAX_AGE_S), ..Freshness::default() };
                self.event(open.id, OriginEvent::NotModified(freshness));
                return false;
            }
            (open.sending, open.begun) = (Some((file, 0)), self.now);
            self.event(open.id, head(file.version, file.length, MAX_AGE_S));
        }
        let Some((file, sent)) = &mut open.sending else { return false };
        let bytes = body(file.version, file.length);
        let end = (*sent + count).min(file.length);
        let chunk = bytes[*sent..end].to_vec();
        *sent = end;
        let (file, complete) = (*file, end == file.length);
        if !chunk.is_empty() {
            self.event(open.id, OriginEvent::Data(chunk.into()));
        }
        if complete {
            self.event(open.id, OriginEvent::Complete);
            self.fresh.retain(|(name, _), _| *name != open.name);
            self.fresh.insert((open.name, file.version), open.begun + Duration::from_secs(MAX_AGE_S));
        }
        !complete
    }

    /// The relay still has the bytes of this version.
    fn holds(&self, name: usize, file: File) -> bool {
        self.store.image(etag(name, file)).is_some()
    }

    fn event(&mut self, id: FetchId, event: OriginEvent) {
        self.engine.handle_origin(self.now, id, event);
    }

    fn pass(&mut self, duration: Duration) {
        let end = self.now + duration;
        while let Some(at) = self.engine.poll_timeout().filter(|&at| at <= end) {
            self.now = self.now.max(at);
            self.engine.handle_timeout(self.now);
            self.settle();
        }
        self.now = end;
    }

    /// Carries out what the engine wants, and checks all of it.
    fn settle(&mut self) {
        while let Some(command) = self.engine.poll_fetch() {
            match command {
                FetchCommand::Start { id, url, have } => self.started(id, &url, have),
                FetchCommand::Cancel(id) => self.open.retain(|open| open.id != id),
            }
        }
        while self.engine.poll_event().is_some() {}
        while let Some(transmit) = self.engine.poll_transmit() {
            let answer = support::read(&transmit.bytes, transmit.path.peer);
            self.hear(&answer);
        }
    }

    fn started(&mut self, id: FetchId, url: &str, have: Option<Validator>) {
        let name = NAMES.iter().position(|name| url.ends_with(name)).unwrap();
        assert!(self.open.iter().all(|open| open.name != name), "two fetches of {url} at once");
        let version = self.files[name].version;
        let fresh = self.fresh.get(&(name, version)).is_some_and(|until| self.now < *until);
        assert!(!fresh, "{url} is here and fresh, and was asked for again");
        self.open.push(Open { id, name, have, sending: None, begun: self.now });
    }

    fn hear(&mut self, answer: &Answer) {
        if answer.message_type == Type::Confirmable {
            self.engine.handle_datagram(
                self.now,
                path(answer.peer),
                &empty(Type::Acknowledgement, answer.message_id),
            );
        }
        let device = &mut self.devices[usize::from(answer.peer)];
        let token = u16::from_be_bytes(answer.token.clone().try_into().unwrap_or_default());
        if answer.code == Code::EMPTY || device.waiting != Some(token) {
            return;
        }
        device.waiting = None;
        if answer.code != Code::CONTENT {
            (device.bytes, device.etag) = (Vec::new(), None);
            return;
        }
        let (etag, block) = (answer.etag(), answer.block());
        let image = self.versions.get(&(device.name, etag.clone())).expect("an ETag that names no version");
        let expected = &image[block.offset()..(block.offset() + block.szx.size()).min(image.len())];
        assert!(answer.payload == expected, "a block of another version than its ETag names");
        assert_eq!(block.more, block.offset() + answer.payload.len() < image.len());
        if device.etag.as_ref().is_some_and(|old| *old != etag) || block.offset() != device.bytes.len() {
            (device.bytes, device.etag) = (Vec::new(), None);
            return;
        }
        device.etag = Some(etag);
        device.bytes.extend_from_slice(&answer.payload);
        if !block.more {
            assert!(device.bytes == *image, "mixed versions");
            self.finished += 1;
            (device.bytes, device.etag) = (Vec::new(), None);
        }
    }

    /// Whoever still waits is answered in time, even if the origin never speaks again.
    fn end(&mut self) {
        self.pass(Duration::from_secs(1000));
        let waiting = self.devices.iter().filter(|device| device.waiting.is_some()).count();
        assert_eq!(waiting, 0, "requests without an answer");
        let load = self.engine.load();
        assert_eq!(
            (load.exchanges, load.fetches, load.outgoing, load.peers, load.timers),
            (0, 0, 0, 0, 0),
            "{load:?}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn every_history_keeps_the_promises(steps in prop::collection::vec(step(), 1..250)) {
        let mut world = World::new();
        steps.iter().for_each(|step| world.take(step));
        world.end();
    }
}

#[test]
fn undisturbed_devices_finish() {
    let mut world = World::new();
    for round in 0..2000 {
        for device in 0..DEVICES {
            world.take(&Step::Ask { device, name: usize::from(device) % 3, szx: 2, copies: 1 });
        }
        world.take(&Step::Origin(Move::Send(500)));
        if round % 100 == 0 {
            world.take(&Step::Pass { millis: 500 });
        }
    }
    assert!(world.finished > 100, "{}", world.finished);
}
