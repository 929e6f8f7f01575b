//! What the relay is doing, device by device: as JSON for programs, as plain text for people.
//!
//! It is a view of one moment. Numbers to be added up or drawn over time are in [`super::Metrics`].

mod client;
mod live;
mod tables;
mod text;

pub use client::fetch;
pub use live::{Form, watch};
pub(crate) use tables::{BANS, Cell, GROUPS, IMAGES, LINKS, SESSIONS, TRANSFERS, Table, printable, progress};
pub use text::SessionList;

use crate::origin::Traffic;
use serde::{Deserialize, Serialize};
use sixfold_engine::{
    Engine, GroupStatus, ImageState, ImageStatus, Instant, LinkStatus, SessionStatus, Store, TransferState,
    TransferStatus,
};
use sixfold_profile::Hex;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

/// The state of an image whose bytes are arriving.
pub const FETCHING: &str = ImageState::Fetching.label();
/// The state of an image of which the origin is asked whether it is current.
pub const VALIDATING: &str = ImageState::Validating.label();

/// The path of the status on the admin address.
pub const PATH: &str = "/api/status";

/// Which part of the tables of devices, images and sessions is wanted: they may have thousands of rows, and the relay serves nobody
/// while they are copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// How many rows of each at most.
    pub limit: usize,
    /// How many devices are left out before them.
    pub skip: usize,
    /// How many images are.
    pub skip_images: usize,
    /// How many sessions are.
    pub skip_sessions: usize,
}

impl Page {
    /// The most rows that are given at once.
    pub const MOST: usize = 1000;

    /// Reads the query of a URL: `limit=20&skip=40`, with `skip_images` and `skip_sessions` too.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn from_query(query: &str) -> Result<Self, String> {
        let mut page = Self::default();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (field, value) = match pair.split_once('=') {
                Some(("limit", value)) => (&mut page.limit, value),
                Some(("skip", value)) => (&mut page.skip, value),
                Some(("skip_images", value)) => (&mut page.skip_images, value),
                Some(("skip_sessions", value)) => (&mut page.skip_sessions, value),
                _ => {
                    return Err(format!(
                        "no such parameter: {pair:?}; there are limit, skip, skip_images and skip_sessions"
                    ));
                }
            };
            *field = value.parse().map_err(|_| format!("{pair:?}: give a whole number"))?;
        }
        if page.limit > Self::MOST {
            return Err(format!("limit: give {} at most, and use skip for the rest", Self::MOST));
        }
        Ok(page)
    }

    /// The query that [`Page::from_query`] reads.
    pub(crate) fn to_query(self) -> String {
        let Self { limit, skip, skip_images, skip_sessions } = self;
        let mut query = format!("limit={limit}");
        for (name, value) in [("skip", skip), ("skip_images", skip_images), ("skip_sessions", skip_sessions)]
        {
            if value > 0 {
                query += &format!("&{name}={value}");
            }
        }
        query
    }
}

impl Default for Page {
    fn default() -> Self {
        Self { limit: 100, skip: 0, skip_images: 0, skip_sessions: 0 }
    }
}

/// Everything. Field names end in their units; `_s` are seconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// The relay's version.
    pub version: String,
    /// Since it started.
    pub uptime_s: u64,
    /// Where CoAP is served now.
    pub listen: Vec<SocketAddr>,
    /// The memory for complete images.
    pub cache: Cache,
    /// The origin side since the start.
    pub origin: Origin,
    /// How many there are, whether they are below or not.
    pub totals: Totals,
    /// The paced links.
    pub links: Vec<Link>,
    /// The interfaces that are served and not paced.
    #[serde(default)]
    pub unpaced: Vec<String>,
    /// The interfaces that the configuration names and that are not there, or not up.
    #[serde(default)]
    pub absent: Vec<String>,
    /// The resources that are known, the most recently used first: one [`Page`] of them.
    pub images: Vec<Image>,
    /// The URLs that an operator banned.
    pub bans: Vec<String>,
    /// The devices that are remembered, each with its transfers: those in trouble first, and each in its place for as long as its
    /// state is the same. One [`Page`] of them.
    pub transfers: Vec<Transfer>,
    /// The sessions with devices, in the order in which they were agreed on: one [`Page`] of them.
    pub sessions: Vec<Session>,
}

/// How many there are of what the tables show in part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Resources.
    pub images: u64,
    /// Devices that are remembered.
    pub devices: u64,
    /// Rows of devices, by state.
    #[serde(default)]
    pub states: States,
    /// Transfers in their middle.
    pub transfers_active: u64,
    /// Payload of blocks that left since the start; to a group each counts once.
    pub sent_bytes: u64,
    /// Sessions.
    pub sessions: u64,
}

/// How many rows of devices there are of each state: see [`TransferState`]. A device with several transfers has several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct States {
    /// What they asked for was refused.
    pub refused: u64,
    /// They should have asked for the next block.
    pub missing: u64,
    /// Their answers wait.
    pub waiting: u64,
    /// They fetch.
    pub fetching: u64,
    /// They only asked.
    pub asked: u64,
    /// They have their image.
    pub finished: u64,
}

impl States {
    /// Each with its word, those in trouble first.
    pub(crate) fn named(self) -> [(&'static str, u64); TransferState::ALL.len()] {
        let Self { refused, missing, waiting, fetching, asked, finished } = self;
        let counts = [refused, missing, waiting, fetching, asked, finished];
        std::array::from_fn(|n| (TransferState::ALL[n].label(), counts[n]))
    }

    /// How many rows there are.
    pub(crate) fn sum(self) -> u64 {
        self.named().iter().map(|(_, count)| count).sum()
    }

    fn of(counts: [usize; TransferState::ALL.len()]) -> Self {
        let [refused, missing, waiting, fetching, asked, finished] = counts.map(|count| count as u64);
        Self { refused, missing, waiting, fetching, asked, finished }
    }
}

/// A session with a device (OSCORE, RFC 8613).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Session {
    /// What the device is called in its certificate, or by the operator.
    pub name: String,
    /// The device's Sender ID, in hexadecimal: `kid`.
    pub kid: String,
    /// The ID Context, in hexadecimal, if there is one.
    pub kid_context: Option<String>,
    /// For how long it may still be used; nothing if it does not expire.
    pub left_s: Option<u64>,
    /// How long ago its latest request came, if one did since the relay started.
    pub heard_s: Option<f64>,
    /// Where that came from.
    pub peer: Option<SocketAddr>,
}

/// One paced link. `docs/pacing.md` tells what the figures mean.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Link {
    /// The name of its interface.
    pub interface: String,
    /// Payload delivered lately, in bits a second.
    pub rate_bps: u64,
    /// The share of answers that were lost lately, 0 to 1.
    pub loss: f64,
    /// From an answer to the next request, smoothed.
    pub round_trip_s: Option<f64>,
    /// After which time an answer to a new device counts as lost.
    pub timeout_s: f64,
    /// How much airtime may be on its way.
    pub window_s: f64,
    /// How much is.
    pub in_flight_s: f64,
    /// Answers that wait for their turn.
    pub queue: u64,
    /// Devices that are served.
    pub devices: u64,
    /// Devices that should have asked again.
    pub missing: u64,
    /// The largest block that is offered.
    pub block_bytes: u64,
    /// The share of time in which the relay sent lately, 0 to 1.
    pub busy: f64,
    /// How much of the time it may send, in percent.
    pub duty_cycle_percent: u8,
    /// How time-outs are estimated.
    pub algorithm: String,
    /// What is streamed to groups there.
    pub groups: Vec<Group>,
}

/// One version of an image that is streamed to a group of devices, or was lately.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// Which resource.
    pub url: String,
    /// Which version, in hexadecimal.
    pub etag: String,
    /// Devices that take part.
    pub members: u64,
    /// Datagrams that are planned and have not left yet.
    pub planned: u64,
    /// The size of its blocks.
    pub block_bytes: u64,
    /// Blocks sent so far.
    pub blocks: u64,
    /// Parity symbols sent so far.
    pub parity: u64,
}

/// The memory for complete images.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cache {
    /// Taken now.
    pub bytes: u64,
    /// `cache.memory`.
    pub limit_bytes: u64,
}

/// The origin side since the start.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Origin {
    /// Bytes of bodies received.
    pub bytes: u64,
    /// Requests made again after a failure.
    pub retries: u64,
    /// Transfers that went on where they broke off.
    pub resumes: u64,
    /// Requests by what became of them, as far as that occurred: `complete`, `not_modified`, `certificate` …
    pub requests: BTreeMap<String, u64>,
}

/// One resource.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Image {
    /// Where it comes from.
    pub url: String,
    /// The version towards devices, in hexadecimal, once known.
    pub etag: Option<String>,
    /// The SHA-256 digest of the bytes, in hexadecimal, once all are here.
    pub sha256: Option<String>,
    /// `fetching`, `validating`, `fresh`, `stale`, `evicted` or `failed`.
    pub state: String,
    /// Bytes that are here.
    pub available_bytes: u64,
    /// Bytes that it has, once known.
    pub total_bytes: Option<u64>,
    /// For how long it may be used without asking the origin.
    pub fresh_for_s: u64,
    /// Devices that want to hear of a new version.
    pub observers: u64,
    /// How the origin failed when it was asked last, if it did: `connect`, `certificate` …
    pub failure: Option<String>,
}

/// One device and one image: what it fetches, has fetched, or was refused.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Transfer {
    /// Which device.
    pub peer: SocketAddr,
    /// Which resource; the path that it asked for where no URL belongs to that; nothing if neither is known.
    pub url: Option<String>,
    /// Which version, in hexadecimal, once blocks of it were sent.
    pub etag: Option<String>,
    /// Where in the image it began: a device may go on in the middle.
    pub from_bytes: u64,
    /// How far blocks have been sent.
    pub sent_bytes: u64,
    /// The length of the image, if it is still known.
    pub total_bytes: Option<u64>,
    /// Since its first request; of one that was refused, since then; of one that only asked, since its latest request.
    pub age_s: f64,
    /// From its first request to its latest.
    pub duration_s: f64,
    /// Since its first request, in bits of payload a second.
    pub rate_bps: u64,
    /// How long the rest takes at this rate; nothing if that cannot be said.
    pub left_s: Option<f64>,
    /// `refused`, `missing`, `waiting`, `fetching`, `asked` or `finished`.
    pub state: String,
    /// The code with which it was refused: `4.04`.
    #[serde(default)]
    pub code: Option<String>,
}

/// What the engine does not know of a relay.
pub struct Around<'a> {
    /// `cache.memory`.
    pub cache_limit_bytes: u64,
    /// The origin side.
    pub origin: &'a Traffic,
    /// Transfers in their middle.
    pub transfers_active: u64,
    /// Payload of blocks that left since the start.
    pub sent_bytes: u64,
    /// Since the start.
    pub uptime: Duration,
    /// Where CoAP is served now.
    pub listen: &'a [SocketAddr],
    /// The names of interfaces.
    pub interface: &'a dyn Fn(u32) -> String,
    /// Interfaces that are served and not paced.
    pub unpaced: Vec<String>,
    /// Interfaces that the configuration names and that are not there, or not up.
    pub absent: Vec<String>,
}

impl Status {
    /// The state of a relay at the time `now` of its engine. Looks at every device, and copies the rows of the page.
    pub fn describe<S: Store>(engine: &Engine<S>, around: &Around<'_>, now: Instant, page: Page) -> Self {
        let load = engine.load();
        let links = engine.link_status(now);
        let (transfers, states) = engine.transfers(now, page.skip, page.limit);
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            uptime_s: around.uptime.as_secs(),
            listen: around.listen.to_vec(),
            cache: Cache { bytes: engine.store().bytes(), limit_bytes: around.cache_limit_bytes },
            origin: Origin::of(around.origin),
            totals: Totals {
                images: load.resources as u64,
                devices: load.peers as u64,
                states: States::of(states),
                transfers_active: around.transfers_active,
                sent_bytes: around.sent_bytes,
                sessions: load.sessions as u64,
            },
            links: links.iter().map(|link| Link::of(link, (around.interface)(link.interface))).collect(),
            unpaced: around.unpaced.clone(),
            absent: around.absent.clone(),
            images: engine.images(now, page.skip_images, page.limit).into_iter().map(Image::of).collect(),
            bans: engine.bans().iter().cloned().collect(),
            transfers: transfers.into_iter().map(Transfer::of).collect(),
            sessions: engine
                .sessions(now, page.skip_sessions, page.limit)
                .into_iter()
                .map(Session::of)
                .collect(),
        }
    }
}

impl Session {
    fn of(session: SessionStatus) -> Self {
        let SessionStatus { name, recipient_id, id_context, left, heard } = session;
        Self {
            name: name.to_string(),
            kid: recipient_id.to_string(),
            kid_context: id_context.map(|context| context.to_string()),
            left_s: left.map(|left| left.as_secs()),
            heard_s: heard.map(|(ago, _)| ago.as_secs_f64()),
            peer: heard.map(|(_, peer)| peer),
        }
    }
}

impl Link {
    pub(super) fn of(link: &LinkStatus, interface: String) -> Self {
        Self {
            interface,
            rate_bps: (link.rate_bytes * 8.0) as u64,
            loss: link.loss,
            round_trip_s: link.round_trip.map(|time| time.as_secs_f64()),
            timeout_s: link.timeout.as_secs_f64(),
            window_s: link.window.as_secs_f64(),
            in_flight_s: link.in_flight.as_secs_f64(),
            queue: link.waiting as u64,
            devices: link.members as u64,
            missing: link.missing as u64,
            block_bytes: link.block_size.size() as u64,
            busy: link.busy,
            duty_cycle_percent: link.config.duty_cycle,
            algorithm: link.config.algorithm.label().to_owned(),
            groups: link.groups.iter().map(Group::of).collect(),
        }
    }
}

impl Group {
    fn of(group: &GroupStatus) -> Self {
        Self {
            url: group.url.to_string(),
            etag: group.etag.to_string(),
            members: group.members as u64,
            planned: group.planned.into(),
            block_bytes: group.block_size.size() as u64,
            blocks: group.blocks.into(),
            parity: group.parity.into(),
        }
    }
}

impl Origin {
    fn of(traffic: &Traffic) -> Self {
        let occurred = traffic.requests().filter(|(_, count)| *count > 0);
        Self {
            bytes: traffic.bytes(),
            retries: traffic.retries(),
            resumes: traffic.resumes(),
            requests: occurred.map(|(outcome, count)| (outcome.to_owned(), count)).collect(),
        }
    }
}

impl Image {
    /// A resource, as the engine has it.
    pub fn of(image: ImageStatus) -> Self {
        Self {
            url: image.url.to_string(),
            etag: image.etag.map(|etag| etag.to_string()),
            sha256: image.digest.map(|digest| Hex(&digest).to_string()),
            state: image.state.label().to_owned(),
            available_bytes: image.available as u64,
            total_bytes: image.total.map(|total| total as u64),
            fresh_for_s: image.fresh_for.as_secs(),
            observers: image.observers as u64,
            failure: image.failure.map(|failure| failure.label().to_owned()),
        }
    }
}

impl Transfer {
    fn of(transfer: TransferStatus) -> Self {
        let duration = transfer.duration.as_secs_f64();
        let got = transfer.sent.saturating_sub(transfer.from) as f64;
        let rate = if duration > 0.0 { got / duration } else { 0.0 };
        let left = transfer.total.map(|total| total.saturating_sub(transfer.sent) as f64 / rate);
        let goes_on = matches!(
            transfer.state,
            TransferState::Missing | TransferState::Waiting | TransferState::Fetching
        );
        Self {
            peer: transfer.peer,
            url: transfer.url.map(|url| url.to_string()),
            etag: transfer.etag.map(|etag| etag.to_string()),
            from_bytes: transfer.from as u64,
            sent_bytes: transfer.sent as u64,
            total_bytes: transfer.total.map(|total| total as u64),
            age_s: transfer.age.as_secs_f64(),
            duration_s: duration,
            rate_bps: (rate * 8.0) as u64,
            left_s: left.filter(|left| goes_on && left.is_finite()),
            state: transfer.state.label().to_owned(),
            code: transfer.code.map(|code| code.to_string()),
        }
    }
}

#[cfg(test)]
pub(crate) use tests::half_way;

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use sixfold_engine::{
        Config, FetchCommand, Freshness, Head, LinkConfig, OriginEvent, Path, Route, UnboundedStore,
        Validator,
    };
    use std::net::Ipv6Addr;

    /// A relay that has 128 of 200 bytes, and sent the first 128 to a device in two seconds.
    pub(crate) fn half_way(page: Page) -> Status {
        let route = Route { path: Vec::new(), origin: "https://h/".to_owned(), require_session: None };
        let config = Config { routes: vec![route], ..Config::default() };
        let mut engine = Engine::new(config, UnboundedStore::default(), [0; 32]);
        let peer = SocketAddr::from((Ipv6Addr::LOCALHOST, 5683));
        let path = Path { peer, local: None, socket: 0, interface: 0, multicast: false };
        let start = Instant::ZERO;
        // GET /a, Block2 0/_/64.
        engine.handle_datagram(start, path, b"\x40\x01\x00\x01\xb1a\xc1\x02");
        let Some(FetchCommand::Start { id, .. }) = engine.poll_fetch() else { panic!("no fetch") };
        let freshness = Freshness { max_age: Duration::from_secs(60), ..Freshness::default() };
        let validator = Some(Validator::Strong("\"1\"".to_owned()));
        let head = Head { validator, length: Some(200), media_type: None, freshness };
        engine.handle_origin(start, id, OriginEvent::Head(head));
        engine.handle_origin(start, id, OriginEvent::Data(Bytes::from_static(&[7; 128])));
        // GET /a, Block2 1/_/64, two seconds later.
        engine.handle_datagram(start + Duration::from_secs(2), path, b"\x40\x01\x00\x02\xb1a\xc1\x12");
        let now = start + Duration::from_millis(3500);
        engine.set_link(now, 7, Some(LinkConfig::default()));
        let around = Around {
            cache_limit_bytes: 1000,
            origin: &Traffic::default(),
            transfers_active: 1,
            sent_bytes: 128,
            uptime: Duration::from_secs(200),
            listen: &[peer],
            interface: &|index| format!("wpan{index}"),
            unpaced: vec!["eth0".to_owned()],
            absent: vec!["wpan8".to_owned()],
        };
        Status::describe(&engine, &around, now, page)
    }

    #[test]
    fn describes_an_engine_at_work() {
        let status = half_way(Page::default());
        let [image] = &status.images[..] else { panic!("{status:?}") };
        assert_eq!((image.url.as_str(), image.state.as_str()), ("https://h/a", "fetching"));
        assert_eq!((image.available_bytes, image.total_bytes, &image.sha256), (128, Some(200), &None));
        let [transfer] = &status.transfers[..] else { panic!("{status:?}") };
        assert_eq!((transfer.sent_bytes, transfer.total_bytes), (128, Some(200)));
        assert_eq!((transfer.age_s, transfer.duration_s), (3.5, 2.0));
        assert_eq!((transfer.rate_bps, transfer.left_s), (512, Some(72.0 / 64.0)));
        assert_eq!(transfer.state, "fetching");
        assert_eq!((&transfer.etag, &transfer.code), (&image.etag, &None));
        assert_eq!((status.uptime_s, status.cache.limit_bytes), (200, 1000));
        assert_eq!(
            status.totals,
            Totals {
                images: 1,
                devices: 1,
                states: States { fetching: 1, ..States::default() },
                transfers_active: 1,
                sent_bytes: 128,
                sessions: 0
            }
        );
        let [link] = &status.links[..] else { panic!("{status:?}") };
        assert_eq!((link.interface.as_str(), link.queue, link.block_bytes), ("wpan7", 0, 1024));
    }

    #[test]
    fn a_page_is_all_that_is_copied() {
        let all = Page::default();
        for (page, rows) in [
            (Page { limit: 0, ..all }, (0, 0)),
            (Page { skip: 1, ..all }, (1, 0)),
            (Page { skip_images: 1, ..all }, (0, 1)),
        ] {
            let status = half_way(page);
            assert_eq!((status.images.len(), status.transfers.len()), rows, "{page:?}");
            assert_eq!((status.totals.images, status.totals.states.sum()), (1, 1));
        }
    }

    #[test]
    fn pages_in_a_query() {
        assert_eq!(Page::from_query(""), Ok(Page::default()));
        let page = Page { limit: 5, skip: 10, skip_images: 20, skip_sessions: 30 };
        assert_eq!(page.to_query(), "limit=5&skip=10&skip_images=20&skip_sessions=30");
        for page in [page, Page { skip: 0, ..page }, Page::default()] {
            assert_eq!(Page::from_query(&page.to_query()), Ok(page));
        }
        for query in ["limit=1001", "limit=-1", "limit", "colour=1", "skip=x"] {
            assert!(Page::from_query(query).is_err(), "{query}");
        }
    }
}
