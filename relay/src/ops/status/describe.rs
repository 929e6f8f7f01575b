//! The status of an engine at one moment.

use super::{Cache, Group, Image, Link, Origin, Page, Session, States, Status, Totals, Transfer};
use crate::origin::Traffic;
use sixfold_engine::{
    Engine, GroupStatus, ImageStatus, Instant, LinkStatus, SessionStatus, Store, TransferState,
    TransferStatus,
};
use sixfold_profile::Hex;
use std::net::SocketAddr;
use std::time::Duration;

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
    pub(in crate::ops) fn of(link: &LinkStatus, interface: String) -> Self {
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
}
