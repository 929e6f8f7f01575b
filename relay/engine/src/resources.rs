//! What is known of each resource: its current version, how fresh it is, its absence, and whether it is
//! being fetched (RFC 9111 §4.2, RFC 7252 §5.6).

use crate::image::{ETag, Validator};
use crate::origin::{Failure, FetchId, Freshness};
use crate::peers::non_zero;
use crate::timers::TimerId;
use foldhash::quality::FixedState;
use lru::LruCache;
use sixfold_profile::Instant;
use std::sync::Arc;

/// The version that the origin had when it was asked last.
#[derive(Clone, Debug)]
pub(crate) struct Current {
    pub(crate) etag: ETag,
    pub(crate) validator: Option<Validator>,
    pub(crate) content_format: Option<u16>,
    pub(crate) length: usize,
    /// SHA-256 of the body.
    pub(crate) digest: [u8; 32],
    pub(crate) fresh_until: Instant,
    pub(crate) stale_until: Instant,
}

impl Current {
    pub(crate) fn refresh(&mut self, now: Instant, freshness: Freshness) {
        self.fresh_until = now + freshness.max_age;
        self.stale_until = self.fresh_until + freshness.stale_if_error;
    }

    /// The Max-Age option for a response that leaves now, in whole seconds.
    pub(crate) fn max_age(&self, now: Instant) -> u32 {
        u32::try_from(self.fresh_until.since(now).as_secs()).unwrap_or(u32::MAX)
    }
}

/// A failure that is remembered for a short while, so that many devices do not ask the origin in vain.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Negative {
    pub(crate) failure: Failure,
    pub(crate) until: Instant,
}

#[derive(Debug)]
pub(crate) struct Resource {
    pub(crate) url: Arc<str>,
    /// The CoAP path under which a device asked for it first; `None` through the forward proxy.
    pub(crate) path: Option<String>,
    pub(crate) current: Option<Current>,
    pub(crate) negative: Option<Negative>,
    pub(crate) fetch: Option<FetchId>,
    pub(crate) observers: usize,
    /// When the origin is asked again on behalf of the observers.
    pub(crate) revalidation: Option<TimerId>,
    /// The sequence number of the last notification (RFC 7641 §3.4): 24 bits.
    pub(crate) sequence: u32,
}

impl Resource {
    fn is_busy(&self) -> bool {
        self.fetch.is_some() || self.observers > 0
    }

    pub(crate) fn next_sequence(&mut self) -> u32 {
        self.sequence = (self.sequence + 1) & 0xff_ffff;
        self.sequence
    }
}

/// All resources asked for lately, bounded in number.
pub(crate) struct Resources(LruCache<Arc<str>, Resource, FixedState>);

impl Resources {
    pub(crate) fn new(limit: usize, hasher: FixedState) -> Self {
        Self(LruCache::with_hasher(non_zero(limit), hasher))
    }

    pub(crate) fn get_mut(&mut self, url: &str) -> Option<&mut Resource> {
        self.0.get_mut(url)
    }

    pub(crate) fn peek(&self, url: &str) -> Option<&Resource> {
        self.0.peek(url)
    }

    pub(crate) fn peek_mut(&mut self, url: &str) -> Option<&mut Resource> {
        self.0.peek_mut(url)
    }

    /// Makes room for `url` and adds it. `None` when every resource is being fetched or observed.
    pub(crate) fn add(&mut self, url: &str, path: Option<String>) -> Option<&mut Resource> {
        if self.0.len() >= self.0.cap().get() {
            let idle = self.0.iter().rev().find(|(_, resource)| !resource.is_busy())?.0.clone();
            self.0.pop(&idle);
        }
        let url: Arc<str> = url.into();
        let resource = Resource {
            url: url.clone(),
            path,
            current: None,
            negative: None,
            fetch: None,
            observers: 0,
            revalidation: None,
            sequence: 0,
        };
        self.0.put(url.clone(), resource);
        self.0.get_mut(&url)
    }

    /// Forgets a resource, unless it is being fetched or observed.
    pub(crate) fn remove_idle(&mut self, url: &str) {
        if self.0.peek(url).is_some_and(|resource| !resource.is_busy()) {
            self.0.pop(url);
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Resource> {
        self.0.iter().map(|(_, resource)| resource)
    }

    pub(crate) fn resize(&mut self, limit: usize) {
        self.0.resize(non_zero(limit));
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}
