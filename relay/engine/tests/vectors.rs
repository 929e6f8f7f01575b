//! The vectors that a relay speaks: its side of whole exchanges.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "these are tests")]

#[path = "../../../profile/vectors/tests/reader/mod.rs"]
mod reader;

use reader::{array, bytes, file, golden, list, number, text};
use serde_json::Value;
use sixfold_engine::{
    Config, Engine, Failure, FetchCommand, FetchId, Freshness, Head, Id, Instant, LinkConfig, Master,
    NewSession, OriginEvent, Path, Route, UnboundedStore, Validator,
};
use std::time::Duration;

#[test]
fn the_engine_answers_exactly_these_datagrams() {
    let file = file(reader::EXCHANGES);
    let alone = ["vectors", "sessions"].into_iter().flat_map(|key| list(&file, key));
    let alone = alone.map(|vector| (vector, None));
    let with_group = ["preparations", "members"].into_iter().flat_map(|key| list(&file, key));
    let with_group = with_group.map(|vector| (vector, Some(LinkConfig::default())));
    for ((name, vector), link) in alone.chain(with_group) {
        let mut relay = Relay::new(&file["relay"]);
        relay.engine.set_link(Instant::ZERO, path(DEVICE).interface, link);
        relay.agree(&vector["session"]);
        for step in vector["steps"].as_array().unwrap() {
            relay.play(name, step);
        }
        assert_eq!(relay.sent(), None, "{name}: one datagram more");
    }
}

struct Relay {
    engine: Engine<UnboundedStore>,
    /// The latest fetch.
    fetch: Option<FetchId>,
}

impl Relay {
    fn new(fields: &Value) -> Self {
        let route = Route {
            path: vec![text(&fields["route"]).into()],
            origin: text(&fields["origin"]).into(),
            require_session: None,
        };
        let config = Config { routes: vec![route], ..Config::default() };
        let engine = Engine::new(config, UnboundedStore::default(), array(&fields["seed"]));
        Self { engine, fetch: None }
    }

    /// What it agreed on with the device, if it did.
    fn agree(&mut self, session: &Value) {
        if session.is_null() {
            return;
        }
        let bytes = |key: &str| bytes(&session[key]);
        let new = NewSession {
            name: "device".into(),
            recipient_id: Id::new(&bytes("device_id")).unwrap(),
            sender_id: Id::new(&bytes("relay_id")).unwrap(),
            master: Master { secret: bytes("master_secret"), salt: bytes("master_salt"), id_context: None },
            lifetime: None,
        };
        self.engine.add_session(Instant::ZERO, new).unwrap();
    }

    fn play(&mut self, name: &str, step: &Value) {
        let now = Instant::from_micros(number(&step["at_us"]));
        while let Some(at) = self.engine.poll_timeout().filter(|at| *at <= now) {
            self.engine.handle_timeout(at);
        }
        match text(&step["from"]) {
            "device" => self.take(name, now, path(DEVICE), step),
            "other member" => self.take(name, now, path(OTHER_MEMBER), step),
            "origin" => self.engine.handle_origin(now, self.fetch.expect("a fetch"), origin_event(step)),
            "relay" => {
                let to = step["to"].as_str().unwrap_or("device").to_owned();
                golden(name, self.sent(), Some((to, bytes(&step["bytes"]))));
            }
            other => panic!("{other}"),
        }
        while let Some(command) = self.engine.poll_fetch() {
            let FetchCommand::Start { id, .. } = command else { continue };
            self.fetch = Some(id);
        }
    }

    fn take(&mut self, name: &str, now: Instant, path: Path, step: &Value) {
        assert_eq!(self.sent(), None, "{name}: a datagram that is not in the vector");
        if text(&step["fate"]) == "arrives" {
            self.engine.handle_datagram(now, path, &bytes(&step["bytes"]));
        }
    }

    /// A datagram, and to whom.
    fn sent(&mut self) -> Option<(String, Vec<u8>)> {
        let transmit = self.engine.poll_transmit()?;
        let to = match transmit.path.peer.to_string().as_str() {
            DEVICE => "device",
            OTHER_MEMBER => "other member",
            GROUP => "group",
            other => panic!("{other}"),
        };
        Some((to.to_owned(), transmit.bytes))
    }
}

const DEVICE: &str = "[fe80::ff:fe00:1]:5683";
const OTHER_MEMBER: &str = "[fe80::ff:fe00:2]:5683";
const GROUP: &str = "[ff02::fd]:61616";

fn path(peer: &str) -> Path {
    let peer = peer.parse().unwrap();
    Path { peer, local: None, socket: 0, interface: 0, multicast: false }
}

fn origin_event(step: &Value) -> OriginEvent {
    match text(&step["event"]) {
        "head" => OriginEvent::Head(Head {
            validator: Some(Validator::Strong(text(&step["etag"]).into())),
            length: Some(number(&step["length"])),
            media_type: Some(text(&step["media_type"]).into()),
            freshness: Freshness {
                max_age: Duration::from_secs(number(&step["max_age_s"])),
                stale_if_error: Duration::ZERO,
            },
        }),
        "data" => OriginEvent::Data(bytes(&step["bytes"]).into()),
        "complete" => OriginEvent::Complete,
        "no connection" => OriginEvent::Failed(Failure::Connect),
        other => panic!("{other}"),
    }
}
