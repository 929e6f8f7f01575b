//! A view of the engine for people: which images are here, and how far each device is.

use crate::engine::Engine;
use crate::fanout::Group;
use crate::image::ETag;
use crate::links::Paced;
use crate::origin::Failure;
use crate::pacing::LinkConfig;
use crate::peers::{Peer, Refused, SILENCE, Transfer};
use crate::resources::Resource;
use crate::store::Store;
use sixfold_profile::Instant;
use sixfold_profile::coap::{Code, Szx};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// How a resource stands with the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImageState {
    /// Its bytes are arriving from the origin.
    Fetching,
    /// The origin is being asked whether it is still current.
    Validating,
    /// Usable without asking the origin.
    Fresh,
    /// To be validated before the next transfer starts.
    Stale,
    /// Known, but its bytes were evicted.
    Evicted,
    /// The origin failed, for as long as that is remembered.
    Failed,
}

impl ImageState {
    /// Every variant.
    pub const ALL: [Self; 6] =
        [Self::Fetching, Self::Validating, Self::Fresh, Self::Stale, Self::Evicted, Self::Failed];

    /// The word for it.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Fetching => "fetching",
            Self::Validating => "validating",
            Self::Fresh => "fresh",
            Self::Stale => "stale",
            Self::Evicted => "evicted",
            Self::Failed => "failed",
        }
    }
}

/// One resource.
#[derive(Clone, Debug)]
pub struct ImageStatus {
    /// Where it comes from.
    pub url: Arc<str>,
    /// The version, once known.
    pub etag: Option<ETag>,
    /// The SHA-256 digest of the version, once all of it was here.
    pub digest: Option<[u8; 32]>,
    /// How it stands.
    pub state: ImageState,
    /// Bytes that are here.
    pub available: usize,
    /// Bytes that it has, once known.
    pub total: Option<usize>,
    /// For how long it may be used without asking.
    pub fresh_for: Duration,
    /// Devices that want to hear of a new version.
    pub observers: usize,
    /// How the origin failed when it was asked last, if it did.
    pub failure: Option<Failure>,
}

/// How a device stands with an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransferState {
    /// What it asked for last in vain was refused, and nothing came of it since.
    Refused,
    /// It should have asked for the next block: its request was lost, it writes to flash, or it is gone.
    Missing,
    /// The answer to its request waits for its link or, before the first block, for the origin.
    Waiting,
    /// Blocks leave as the device asks for them.
    Fetching,
    /// It was heard, and got no more than one block that was not the last: it looks for relays or images.
    Asked,
    /// The last block has left.
    Finished,
}

impl TransferState {
    /// Every variant, those that somebody may have to do something about first.
    pub const ALL: [Self; 6] =
        [Self::Refused, Self::Missing, Self::Waiting, Self::Fetching, Self::Asked, Self::Finished];

    /// The word for it.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Missing => "missing",
            Self::Waiting => "waiting",
            Self::Fetching => "fetching",
            Self::Asked => "asked",
            Self::Finished => "finished",
        }
    }

    /// Where it is in lists. A device waits and fetches in turn: it would jump with each block.
    const fn rank(self) -> u8 {
        match self {
            Self::Fetching => Self::Waiting as u8,
            other => other as u8,
        }
    }
}

/// One device and one image: what it fetches, has fetched, or was refused.
#[derive(Clone, Debug)]
pub struct TransferStatus {
    /// Which device.
    pub peer: SocketAddr,
    /// Which resource; the path that it asked for where no URL belongs to that; nothing if neither is known.
    pub url: Option<Arc<str>>,
    /// Which version, once blocks of it were sent.
    pub etag: Option<ETag>,
    /// Where it began, in bytes: a device may go on in the middle.
    pub from: usize,
    /// How far blocks have been sent, in bytes.
    pub sent: usize,
    /// The length of the image, if it is still known.
    pub total: Option<usize>,
    /// Since its first request; of one that was refused, since then; of one that only asked, since its latest request.
    pub age: Duration,
    /// From its first request to its latest.
    pub duration: Duration,
    /// How it stands.
    pub state: TransferState,
    /// With what it was refused.
    pub code: Option<Code>,
}

/// A line of the list of devices, before anything is copied.
struct Row<'e> {
    peer: SocketAddr,
    state: TransferState,
    about: About<'e>,
}

enum About<'e> {
    Transfer(&'e Transfer),
    Refusal(&'e Refused),
    /// Nothing is known but when it was heard.
    Nothing(Instant),
}

impl<'e> Row<'e> {
    /// Its place in the list: it keeps it for as long as its state is the same.
    fn place(&self) -> (u8, SocketAddr, &'e str) {
        let url = match self.about {
            About::Transfer(transfer) => &*transfer.url,
            About::Refusal(_) | About::Nothing(_) => "",
        };
        (self.state.rank(), self.peer, url)
    }
}

/// One paced link.
#[derive(Clone, Debug, PartialEq)]
pub struct LinkStatus {
    /// The index of its interface.
    pub interface: u32,
    /// How it is paced.
    pub config: LinkConfig,
    /// Payload delivered lately, in bytes a second.
    pub rate_bytes: f64,
    /// The share of answers that were lost lately, 0 to 1.
    pub loss: f64,
    /// From an answer to the next request, smoothed.
    pub round_trip: Option<Duration>,
    /// After which time an answer to a new device counts as lost.
    pub timeout: Duration,
    /// How much airtime may be on its way.
    pub window: Duration,
    /// How much is.
    pub in_flight: Duration,
    /// The share of time in which the relay sent lately, 0 to 1.
    pub busy: f64,
    /// The largest block that is offered.
    pub block_size: Szx,
    /// Answers that wait.
    pub waiting: usize,
    /// Devices that are served.
    pub members: usize,
    /// Devices that should have asked again.
    pub missing: usize,
    /// What is streamed to groups there.
    pub groups: Vec<GroupStatus>,
}

/// One version of an image that is streamed to a group, or was lately.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupStatus {
    /// Which resource.
    pub url: Arc<str>,
    /// Which version.
    pub etag: ETag,
    /// Devices that take part.
    pub members: usize,
    /// Datagrams that are planned and have not left yet.
    pub planned: u32,
    /// The size of its blocks.
    pub block_size: Szx,
    /// Blocks sent so far.
    pub blocks: u32,
    /// Parity symbols sent so far.
    pub parity: u32,
}

impl<S: Store> Engine<S> {
    /// The resources, the most recently used first: at most `limit`, after so many that are left out.
    pub fn images(&self, now: Instant, skip: usize, limit: usize) -> Vec<ImageStatus> {
        let some = self.resources.iter().skip(skip).take(limit);
        some.map(|resource| self.image_status(now, resource)).collect()
    }

    /// How many resources stand how with the cache, in the order of [`ImageState::ALL`].
    pub fn image_states(&self, now: Instant) -> [usize; ImageState::ALL.len()] {
        let mut counts = [0; ImageState::ALL.len()];
        for resource in self.resources.iter() {
            counts[self.image_state(now, resource) as usize] += 1;
        }
        counts
    }

    /// How long the transfers in their middle have taken so far, the longest first, and which share of their image has been
    /// sent, 0 to 1 (0 where its length is not known); nothing where there are fewer. Looks at every device.
    pub fn longest_transfers<const N: usize>(&self, now: Instant) -> [Option<(Duration, f64)>; N] {
        let mut longest: [Option<(Duration, &Transfer)>; N] = [None; N];
        let transfers = self.peers.iter().flat_map(|(_, record)| &record.transfers);
        for transfer in transfers.filter(|transfer| transfer.begun && !transfer.finished) {
            let mut next = Some((now.since(transfer.started), transfer));
            for place in &mut longest {
                if place.map(|(age, _)| age) < next.map(|(age, _)| age) {
                    std::mem::swap(place, &mut next);
                }
            }
        }
        longest.map(|place| {
            let (age, transfer) = place?;
            let length = self.length_of(&transfer.url, transfer.etag).filter(|&length| length > 0);
            Some((age, length.map_or(0.0, |length| transfer.sent as f64 / length as f64)))
        })
    }

    /// The paced links.
    pub fn link_status(&self, now: Instant) -> Vec<LinkStatus> {
        let groups = |interface| self.streams.on(interface).map(Group::describe).collect();
        let link = |paced: &Paced| LinkStatus {
            groups: groups(paced.interface),
            ..paced.link.describe(now, paced.interface)
        };
        self.links.iter().map(link).collect()
    }

    pub(crate) fn image_status(&self, now: Instant, resource: &Resource) -> ImageStatus {
        let fetch = resource.fetch.and_then(|id| self.fetches.get(id));
        let partial = fetch.and_then(|fetch| fetch.partial.as_ref());
        let current = resource.current.as_ref();
        let held = current.filter(|current| self.store.holds(current.etag));
        ImageStatus {
            url: resource.url.clone(),
            etag: partial.map(|partial| partial.etag).or(current.map(|current| current.etag)),
            digest: current.filter(|_| partial.is_none()).map(|current| current.digest),
            state: self.image_state(now, resource),
            available: partial.map_or(held.map_or(0, |current| current.length), |partial| partial.body.len()),
            total: partial.map_or(current.map(|current| current.length), |partial| partial.total()),
            fresh_for: current.map_or(Duration::ZERO, |current| current.fresh_until.since(now)),
            observers: resource.observers,
            failure: resource.negative.map(|negative| negative.failure),
        }
    }

    fn image_state(&self, now: Instant, resource: &Resource) -> ImageState {
        let fetch = resource.fetch.and_then(|id| self.fetches.get(id));
        let current = resource.current.as_ref();
        match (fetch, current) {
            (Some(fetch), _) if fetch.partial.is_none() && fetch.have.is_some() => ImageState::Validating,
            (Some(_), _) => ImageState::Fetching,
            (None, Some(current)) if !self.store.holds(current.etag) => ImageState::Evicted,
            (None, Some(current)) if now < current.fresh_until => ImageState::Fresh,
            (None, Some(_)) => ImageState::Stale,
            (None, None) => ImageState::Failed,
        }
    }

    /// The devices that are remembered with their transfers, by state and then by address: at most `limit` rows, after so
    /// many that are left out; and how many rows there are of each state, in the order of [`TransferState::ALL`]. Every device
    /// has a row at least. Looks at every device, and copies what it gives.
    pub fn transfers(
        &self,
        now: Instant,
        skip: usize,
        limit: usize,
    ) -> (Vec<TransferStatus>, [usize; TransferState::ALL.len()]) {
        let mut rows: Vec<_> =
            self.peers.iter().flat_map(|(&address, peer)| self.rows(now, address, peer)).collect();
        let mut counts = [0; TransferState::ALL.len()];
        rows.iter().for_each(|row| counts[row.state as usize] += 1);
        let end = skip.saturating_add(limit);
        if end < rows.len() {
            rows.select_nth_unstable_by_key(end, Row::place);
            rows.truncate(end);
        }
        rows.sort_unstable_by_key(Row::place);
        (rows.into_iter().skip(skip).map(|row| self.transfer_status(now, &row)).collect(), counts)
    }

    /// What there is to say of a device: what it was refused lately, each transfer that began; and if that is nothing, that it
    /// was heard.
    fn rows<'e>(
        &'e self,
        now: Instant,
        address: SocketAddr,
        peer: &'e Peer,
    ) -> impl Iterator<Item = Row<'e>> {
        let row = move |state, about| Row { peer: address, state, about };
        let refused = peer.refused.as_ref().filter(|refused| now.since(refused.at) < SILENCE);
        let begun = peer.transfers.iter().filter(|transfer| transfer.begun);
        let is_silent = refused.is_none() && begun.clone().next().is_none();
        let heard = is_silent.then(|| {
            let looks = peer.transfers.last().map_or(About::Nothing(peer.last_seen), About::Transfer);
            row(if peer.is_waiting() { TransferState::Waiting } else { TransferState::Asked }, looks)
        });
        let refused = refused.map(|refused| row(TransferState::Refused, About::Refusal(refused)));
        let begun =
            begun.map(move |transfer| row(self.transfer_state(address, transfer), About::Transfer(transfer)));
        refused.into_iter().chain(begun).chain(heard)
    }

    fn transfer_status(&self, now: Instant, row: &Row<'_>) -> TransferStatus {
        let nothing = TransferStatus {
            peer: row.peer,
            url: None,
            etag: None,
            from: 0,
            sent: 0,
            total: None,
            age: Duration::ZERO,
            duration: Duration::ZERO,
            state: row.state,
            code: None,
        };
        match row.about {
            About::Transfer(transfer) => TransferStatus {
                url: Some(transfer.url.clone()),
                etag: Some(transfer.etag),
                from: transfer.from,
                sent: transfer.sent,
                total: self.length_of(&transfer.url, transfer.etag),
                age: now.since(if transfer.begun { transfer.started } else { transfer.last }),
                duration: transfer.last.since(transfer.started),
                ..nothing
            },
            About::Refusal(refused) => TransferStatus {
                url: Some(refused.what.clone()).filter(|what| !what.is_empty()),
                age: now.since(refused.at),
                code: Some(refused.code),
                ..nothing
            },
            About::Nothing(heard) => TransferStatus { age: now.since(heard), ..nothing },
        }
    }

    fn transfer_state(&self, peer: SocketAddr, transfer: &Transfer) -> TransferState {
        if transfer.finished {
            return TransferState::Finished;
        }
        match self.links.of_device(peer) {
            Some((true, _)) => TransferState::Waiting,
            Some((_, true)) => TransferState::Missing,
            _ => TransferState::Fetching,
        }
    }

    /// The length of a version that is known.
    pub(crate) fn length_of(&self, url: &str, etag: ETag) -> Option<usize> {
        let resource = self.resources.peek(url)?;
        let current =
            resource.current.as_ref().filter(|current| current.etag == etag).map(|current| current.length);
        let partial =
            || self.fetches.get(resource.fetch?)?.partial.as_ref().filter(|p| p.etag == etag)?.total();
        current.or_else(partial)
    }
}
