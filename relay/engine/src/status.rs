//! A view of the engine for people: which images are here, and how far each device is.

use crate::engine::Engine;
use crate::fanout::Group;
use crate::image::ETag;
use crate::links::Paced;
use crate::origin::Failure;
use crate::pacing::LinkConfig;
use crate::peers::Transfer;
use crate::resources::Resource;
use crate::store::Store;
use sixfold_profile::Instant;
use sixfold_profile::coap::Szx;
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
    /// How the origin failed, for as long as that is remembered.
    pub failure: Option<Failure>,
}

/// How a transfer stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransferState {
    /// Blocks leave as the device asks for them.
    Fetching,
    /// The answer to its request waits for its link.
    Waiting,
    /// It should have asked for the next block: its request was lost, it writes to flash, or it is gone.
    Missing,
    /// The last block has left.
    Finished,
}

impl TransferState {
    /// The word for it.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Fetching => "fetching",
            Self::Waiting => "waiting",
            Self::Missing => "missing",
            Self::Finished => "finished",
        }
    }
}

/// One device that fetches, or has fetched, an image.
#[derive(Clone, Debug)]
pub struct TransferStatus {
    /// Which device.
    pub peer: SocketAddr,
    /// Which resource.
    pub url: Arc<str>,
    /// Which version.
    pub etag: ETag,
    /// Where it began, in bytes: a device may go on in the middle.
    pub from: usize,
    /// How far blocks have been sent, in bytes.
    pub sent: usize,
    /// The length of the image, if it is still known.
    pub total: Option<usize>,
    /// Since its first request.
    pub age: Duration,
    /// From its first request to its latest.
    pub duration: Duration,
    /// How it stands.
    pub state: TransferState,
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
            failure: resource
                .negative
                .filter(|negative| now < negative.until)
                .map(|negative| negative.failure),
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

    /// Transfers that are remembered, the most recently active device first: at most `limit`, after so many that are left out.
    pub fn transfers(&self, now: Instant, skip: usize, limit: usize) -> Vec<TransferStatus> {
        let all =
            self.peers.iter().flat_map(|(&peer, record)| record.transfers.iter().map(move |t| (peer, t)));
        let some = all.filter(|(_, transfer)| transfer.begun).skip(skip).take(limit);
        some.map(|(peer, transfer)| TransferStatus {
            peer,
            url: transfer.url.clone(),
            etag: transfer.etag,
            from: transfer.from,
            sent: transfer.sent,
            total: self.length_of(&transfer.url, transfer.etag),
            age: now.since(transfer.started),
            duration: transfer.last.since(transfer.started),
            state: self.transfer_state(peer, transfer),
        })
        .collect()
    }

    /// How many of those there are: several of one device, or none. Takes time in proportion to the devices.
    pub fn transfers_len(&self) -> usize {
        let transfers = self.peers.iter().flat_map(|(_, record)| &record.transfers);
        transfers.filter(|transfer| transfer.begun).count()
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
