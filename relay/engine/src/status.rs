//! A view of the engine for people: which images are here, and how far each device is.

use crate::engine::Engine;
use crate::image::ETag;
use crate::store::Store;
use sixfold_profile::Instant;
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
    /// How far blocks have been sent, in bytes.
    pub sent: usize,
    /// The length of the image, if it is still known.
    pub total: Option<usize>,
    /// Since its first request.
    pub age: Duration,
    /// From its first request to its latest.
    pub duration: Duration,
    /// The last block has left.
    pub finished: bool,
}

impl<S: Store> Engine<S> {
    /// All resources, the most recently used first.
    pub fn images(&self, now: Instant) -> Vec<ImageStatus> {
        self.resources.iter().map(|resource| self.image_status(now, resource)).collect()
    }

    fn image_status(&self, now: Instant, resource: &crate::resources::Resource) -> ImageStatus {
        let fetch = resource.fetch.and_then(|id| self.fetches.get(id));
        let partial = fetch.and_then(|fetch| fetch.partial.as_ref());
        let current = resource.current.as_ref();
        let stored = current.and_then(|current| self.store.image(current.etag));
        let state = match (partial.is_some(), fetch, current, &stored) {
            (true, ..) => ImageState::Fetching,
            (_, Some(fetch), ..) if fetch.have.is_some() => ImageState::Validating,
            (_, Some(_), ..) => ImageState::Fetching,
            (_, None, Some(current), Some(_)) if now < current.fresh_until => ImageState::Fresh,
            (_, None, Some(_), Some(_)) => ImageState::Stale,
            (_, None, Some(_), None) => ImageState::Evicted,
            (_, None, None, _) => ImageState::Failed,
        };
        ImageStatus {
            url: resource.url.clone(),
            etag: partial.map(|partial| partial.etag).or(current.map(|current| current.etag)),
            state,
            available: partial
                .map_or(stored.map_or(0, |image| image.body.len()), |partial| partial.body.len()),
            total: partial.map_or(current.map(|current| current.length), |partial| partial.total()),
            fresh_for: current.map_or(Duration::ZERO, |current| current.fresh_until.since(now)),
            observers: resource.observers,
        }
    }

    /// All transfers that are remembered, the most recently active device first.
    pub fn transfers(&self, now: Instant) -> Vec<TransferStatus> {
        let all =
            self.peers.iter().flat_map(|(&peer, record)| record.transfers.iter().map(move |t| (peer, t)));
        all.map(|(peer, transfer)| TransferStatus {
            peer,
            url: transfer.url.clone(),
            etag: transfer.etag,
            sent: transfer.sent,
            total: self.length_of(&transfer.url, transfer.etag),
            age: now.since(transfer.started),
            duration: transfer.last.since(transfer.started),
            finished: transfer.finished,
        })
        .collect()
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
