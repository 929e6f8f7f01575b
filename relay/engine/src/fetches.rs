//! Images on their way from the origin: blocks leave as soon as their bytes are here.

use crate::answer::Representation;
use crate::body::Body;
use crate::exchanges::ExchangeId;
use crate::image::{ETag, Image};
use crate::origin::{FetchId, Head};
use crate::timers::TimerId;
use bytes::Bytes;
use sha2::{Digest, Sha256};
use sixfold_profile::Instant;
use sixfold_profile::coap::content_format;
use std::collections::BTreeMap;
use std::sync::Arc;

/// One representation that is being received.
#[derive(Debug)]
pub(crate) struct Partial {
    pub(crate) etag: ETag,
    pub(crate) head: Head,
    pub(crate) body: Vec<u8>,
    /// The digest of the body so far.
    digest: Sha256,
    pub(crate) received_at: Instant,
}

impl Partial {
    /// Reserves no more than was announced, and never more than `max_object`.
    pub(crate) fn new(now: Instant, etag: ETag, head: Head, max_object: u64) -> Self {
        let expected = head.length.unwrap_or(0).min(max_object);
        let body = Vec::with_capacity(usize::try_from(expected).unwrap_or(0));
        Self { etag, head, body, digest: Sha256::new(), received_at: now }
    }

    /// More bytes arrived.
    pub(crate) fn extend(&mut self, bytes: &[u8]) {
        self.body.extend_from_slice(bytes);
        self.digest.update(bytes);
    }

    /// The SHA-256 digest of the bytes that are here.
    pub(crate) fn digest(&self) -> [u8; 32] {
        self.digest.clone().finalize().into()
    }

    pub(crate) fn content_format(&self) -> Option<u16> {
        self.head.media_type.as_deref().and_then(content_format::from_media_type)
    }

    pub(crate) fn total(&self) -> Option<usize> {
        self.head.length.and_then(|length| usize::try_from(length).ok())
    }

    /// What can be answered from the bytes that are here.
    pub(crate) fn representation(&self, now: Instant) -> Representation<'_> {
        let left = (self.received_at + self.head.freshness.max_age).since(now).as_secs();
        Representation {
            etag: self.etag,
            content_format: self.content_format(),
            max_age: u32::try_from(left).unwrap_or(u32::MAX),
            body: Body { available: &self.body, total: self.total() },
        }
    }

    /// The image, if all bytes are here that were announced.
    pub(crate) fn complete(self) -> Option<Image> {
        let fits = self.head.length.is_none_or(|length| length == self.body.len() as u64);
        let content_format = self.content_format();
        let body = if self.body.len() == self.body.capacity() {
            self.body
        } else {
            self.body.into_boxed_slice().into()
        };
        fits.then(|| Image {
            etag: self.etag,
            validator: self.head.validator,
            content_format,
            body: Bytes::from(body),
        })
    }
}

/// One question to the origin, and who waits for its answer.
#[derive(Debug)]
pub(crate) struct Fetch {
    pub(crate) url: Arc<str>,
    pub(crate) started: Instant,
    /// When a device last wanted something of it.
    pub(crate) last_asked: Instant,
    /// The version held when the question was asked: it is conditional, and 304 is an answer.
    pub(crate) have: Option<ETag>,
    /// `None` until the header is here.
    pub(crate) partial: Option<Partial>,
    pub(crate) waiters: Vec<ExchangeId>,
    /// An operator wants it, whether a device asks or not.
    pub(crate) wanted: bool,
    /// When to look whether anybody still wants it.
    pub(crate) idle: TimerId,
}

/// All fetches under way.
#[derive(Debug, Default)]
pub(crate) struct Fetches {
    running: BTreeMap<FetchId, Fetch>,
    last: u64,
}

impl Fetches {
    /// A name that no fetch had before.
    pub(crate) fn next_id(&mut self) -> FetchId {
        self.last += 1;
        FetchId(self.last)
    }

    pub(crate) fn add(&mut self, id: FetchId, fetch: Fetch) {
        self.running.insert(id, fetch);
    }

    pub(crate) fn get(&self, id: FetchId) -> Option<&Fetch> {
        self.running.get(&id)
    }

    pub(crate) fn get_mut(&mut self, id: FetchId) -> Option<&mut Fetch> {
        self.running.get_mut(&id)
    }

    pub(crate) fn remove(&mut self, id: FetchId) -> Option<Fetch> {
        self.running.remove(&id)
    }

    pub(crate) fn len(&self) -> usize {
        self.running.len()
    }
}
