//! What the origin client reports, and what it means for the resource, the image and those who wait.

use crate::answer::{Answer, Representation};
use crate::coap::{Response, Wants};
use crate::engine::{Engine, Timer};
use crate::event::{CacheResult, Event};
use crate::exchanges::{Exchange, ExchangeId, Reply};
use crate::fetches::{Fetch, Partial};
use crate::gateway;
use crate::image::{ETag, Image, Validator};
use crate::origin::{Failure, FetchCommand, FetchId, Freshness, Head, OriginEvent};
use crate::peers::SILENCE;
use crate::resources::{Current, Negative};
use crate::store::Store;
use bytes::Bytes;
use rand_chacha::rand_core::Rng;
use sixfold_profile::Instant;
use std::sync::Arc;

impl<S: Store> Engine<S> {
    /// Takes an event of the origin client. Events of a fetch that is over or cancelled are ignored.
    pub fn handle_origin(&mut self, now: Instant, id: FetchId, event: OriginEvent) {
        if self.fetches.get(id).is_none() {
            return;
        }
        match event {
            OriginEvent::Head(head) => self.begin_body(now, id, head),
            OriginEvent::Data(bytes) => self.extend_body(now, id, &bytes),
            OriginEvent::Complete => self.complete_body(now, id),
            OriginEvent::NotModified(freshness) => self.not_modified(now, id, freshness),
            OriginEvent::Failed(failure) => self.fetch_failed(now, id, failure),
        }
        self.release(now);
    }

    fn begin_body(&mut self, now: Instant, id: FetchId, head: Head) {
        let max_object = self.config.max_object;
        if head.length.is_some_and(|length| length > max_object) {
            return self.abort(now, id, Failure::TooLarge);
        }
        let salt = self.rng.next_u64();
        let Some(fetch) = self.fetches.get_mut(id) else { return };
        // Equal weak tags or dates are no proof of equal bytes, and blocks of two versions must never mix: only a
        // strong validator names a version, any other body is a version of its own.
        let strong = head.validator.as_ref().filter(|validator| matches!(validator, Validator::Strong(_)));
        let etag = ETag::derive(&fetch.url, strong, head.length, salt);
        fetch.partial = Some(Partial::new(now, etag, head, max_object));
        self.wake(now, id);
    }

    fn extend_body(&mut self, now: Instant, id: FetchId, bytes: &Bytes) {
        let max_object = self.config.max_object;
        let Some(partial) = self.fetches.get_mut(id).and_then(|fetch| fetch.partial.as_mut()) else {
            return self.abort(now, id, Failure::Mismatch);
        };
        let length = partial.body.len() as u64 + bytes.len() as u64;
        if length > partial.head.length.unwrap_or(u64::MAX) {
            return self.abort(now, id, Failure::Mismatch);
        }
        if length > max_object {
            return self.abort(now, id, Failure::TooLarge);
        }
        partial.extend(bytes);
        self.wake(now, id);
    }

    fn complete_body(&mut self, now: Instant, id: FetchId) {
        let Some(mut fetch) = self.end_fetch(id) else { return };
        let partial = fetch.partial.take();
        let known =
            partial.as_ref().map(|partial| (partial.received_at, partial.head.freshness, partial.digest()));
        let (Some(image), Some((received_at, freshness, digest))) =
            (partial.and_then(Partial::complete), known)
        else {
            return self.fail(now, &fetch, Failure::Mismatch);
        };
        let image = Arc::new(image);
        let bytes = image.body.len() as u64;
        let duration = now.since(fetch.started);
        self.event(Event::ImageFetched { url: fetch.url.to_string(), etag: image.etag, bytes, duration });
        let previous = self.adopt(received_at, &fetch.url, &image, digest, freshness);
        self.store.insert(image.clone());
        self.answer_waiters(now, &fetch, &image);
        let old_bytes_differ = |old: ETag| self.store.image(old).is_none_or(|old| old.body != image.body);
        if let Some(from) = previous.filter(|&old| old != image.etag && old_bytes_differ(old)) {
            self.event(Event::ImageChanged { url: fetch.url.to_string(), from, to: image.etag });
            self.notify(now, &fetch.url);
        }
        self.schedule_revalidation(now, &fetch.url);
    }

    /// Makes an image the current version of its resource; returns the version that was.
    fn adopt(
        &mut self,
        received_at: Instant,
        url: &str,
        image: &Image,
        digest: [u8; 32],
        freshness: Freshness,
    ) -> Option<ETag> {
        let resource = self.resources.peek_mut(url)?;
        let mut current = Current {
            etag: image.etag,
            validator: image.validator.clone(),
            content_format: image.content_format,
            length: image.body.len(),
            digest,
            fresh_until: received_at,
            stale_until: received_at,
        };
        current.refresh(received_at, freshness);
        resource.current.replace(current).map(|old| old.etag)
    }

    fn not_modified(&mut self, now: Instant, id: FetchId, freshness: Freshness) {
        let Some(fetch) = self.end_fetch(id) else { return };
        let current = self.resources.peek_mut(&fetch.url).and_then(|resource| resource.current.as_mut());
        let Some(current) = current.filter(|current| fetch.have == Some(current.etag)) else {
            return self.fail(now, &fetch, Failure::Mismatch);
        };
        current.refresh(now, freshness);
        let etag = current.etag;
        self.event(Event::Revalidated { url: fetch.url.to_string() });
        match self.store.image(etag) {
            Some(image) => {
                self.answer_waiters(now, &fetch, &image);
                self.schedule_revalidation(now, &fetch.url);
            }
            None => self.fetch_again(now, fetch),
        }
    }

    /// The version is still current, but its bytes had to go meanwhile: ask once more, for the bytes.
    fn fetch_again(&mut self, now: Instant, fetch: Fetch) {
        match self.fetch(now, &fetch.url, None, None) {
            Ok(id) => {
                if let Some(again) = self.fetches.get_mut(id) {
                    again.waiters = fetch.waiters;
                    again.wanted = fetch.wanted;
                }
            }
            // The slot of the fetch that just ended is free, so this is out of reach; nobody is left waiting.
            Err(_) => self.fail(now, &fetch, Failure::Interrupted),
        }
    }

    fn fetch_failed(&mut self, now: Instant, id: FetchId, failure: Failure) {
        if let Some(fetch) = self.end_fetch(id) {
            self.fail(now, &fetch, failure);
        }
    }

    /// Ends a fetch that the origin client would go on with.
    fn abort(&mut self, now: Instant, id: FetchId, failure: Failure) {
        self.commands.push_back(FetchCommand::Cancel(id));
        self.fetch_failed(now, id, failure);
    }

    /// Answers those who wait: from a stale image where that is allowed (RFC 5861 §4), else with the reason.
    /// Either way the origin is left alone for a while.
    fn fail(&mut self, now: Instant, fetch: &Fetch, failure: Failure) {
        let pause = now + self.config.limits.negative_ttl;
        let store = &self.store;
        let resource = self.resources.peek_mut(&fetch.url);
        let stale = resource.and_then(|resource| {
            let current = resource
                .current
                .as_mut()
                .filter(|current| !failure.is_definite() && now < current.stale_until);
            let image = current.as_ref().and_then(|current| store.image(current.etag));
            match (current, &image) {
                (Some(current), Some(_)) => current.fresh_until = pause.min(current.stale_until),
                _ => resource.negative = Some(Negative { failure, until: pause }),
            }
            image
        });
        self.event(Event::FetchFailed { url: fetch.url.to_string(), failure, stale: stale.is_some() });
        match stale {
            Some(image) => {
                fetch.waiters.iter().for_each(|_| self.events.push_back(Event::Cache(CacheResult::Stale)));
                self.answer_waiters(now, fetch, &image);
            }
            None => self.refuse_waiters(now, fetch, failure),
        }
        self.schedule_revalidation(now, &fetch.url);
    }

    fn answer_waiters(&mut self, now: Instant, fetch: &Fetch, image: &Image) {
        let current = self.resources.peek(&fetch.url).and_then(|resource| resource.current.as_ref());
        let max_age = current.map_or(0, |current| current.max_age(now));
        for &id in &fetch.waiters {
            let Some(exchange) = self.take_exchange(id) else { continue };
            let Exchange { reply, wants, url, .. } = &exchange;
            let offered = self.offered(reply, wants, url, Some(image.body.len()));
            let answer = Representation::of(image, max_age).answer(wants, offered);
            self.deliver(now, *reply, wants, url, answer);
        }
    }

    fn refuse_waiters(&mut self, now: Instant, fetch: &Fetch, failure: Failure) {
        let refusal = gateway::refusal(failure);
        let max_age = u32::try_from(self.config.limits.negative_ttl.as_secs()).unwrap_or(u32::MAX);
        for &id in &fetch.waiters {
            let Some(exchange) = self.take_exchange(id) else { continue };
            let answer = Answer::Other(Response::refusal(refusal, Some(max_age)));
            self.deliver(now, exchange.reply, &exchange.wants, &exchange.url, answer);
        }
        if failure.is_definite() {
            self.notify(now, &fetch.url);
        }
    }

    /// Serve while fetching: answers everyone whose bytes have arrived.
    fn wake(&mut self, now: Instant, id: FetchId) {
        let Some(fetch) = self.fetches.get_mut(id) else { return };
        let waiters = std::mem::take(&mut fetch.waiters);
        for exchange in waiters {
            let Some((reply, wants)) = self.exchanges.get(exchange).map(|e| (&e.reply, &e.wants)) else {
                continue;
            };
            let Some(answer) = self.answer_from(now, id, reply, wants) else { continue };
            if let Answer::NotYet = answer {
                if let Some(fetch) = self.fetches.get_mut(id) {
                    fetch.waiters.push(exchange);
                }
                continue;
            }
            if let Some(exchange) = self.take_exchange(exchange) {
                self.deliver(now, exchange.reply, &exchange.wants, &exchange.url, answer);
            }
        }
    }

    /// What the bytes that are here have to say to a question; `None` before the header is here.
    pub(crate) fn answer_from(
        &self,
        now: Instant,
        id: FetchId,
        reply: &Reply,
        wants: &Wants,
    ) -> Option<Answer> {
        let fetch = self.fetches.get(id)?;
        let partial = fetch.partial.as_ref()?;
        let offered = self.offered(reply, wants, &fetch.url, partial.total());
        Some(partial.representation(now).answer(wants, offered))
    }

    /// A request gave up waiting.
    pub(crate) fn leave(&mut self, id: FetchId, exchange: ExchangeId) {
        if let Some(fetch) = self.fetches.get_mut(id) {
            fetch.waiters.retain(|&waiter| waiter != exchange);
        }
    }

    pub(crate) fn cancel_if_idle(&mut self, now: Instant, id: FetchId) {
        let Some(fetch) = self.fetches.get_mut(id) else { return };
        if fetch.wanted || !fetch.waiters.is_empty() || now.since(fetch.last_asked) < SILENCE {
            fetch.idle = self.timers.set(now + SILENCE, Timer::Idle(id));
            return;
        }
        self.commands.push_back(FetchCommand::Cancel(id));
        if let Some(fetch) = self.end_fetch(id) {
            self.schedule_revalidation(now, &fetch.url);
        }
    }

    pub(crate) fn end_fetch(&mut self, id: FetchId) -> Option<Fetch> {
        let fetch = self.fetches.remove(id)?;
        self.timers.cancel(fetch.idle);
        if let Some(resource) = self.resources.peek_mut(&fetch.url) {
            resource.fetch = None;
        }
        Some(fetch)
    }
}
