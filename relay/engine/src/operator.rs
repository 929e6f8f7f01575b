//! What an operator asks of an engine at work: to fetch before devices do, to forget, to refuse.
//!
//! Who may ask is not decided here. Bans are kept in memory, through every change of the configuration, and end with the
//! engine.

use crate::answer::Answer;
use crate::bans::Bans;
use crate::coap::{Refusal, Response};
use crate::engine::Engine;
use crate::image::ETag;
use crate::origin::FetchCommand;
use crate::resources::Resource;
use crate::status::ImageStatus;
use crate::store::Store;
use crate::target;
use sixfold_profile::Instant;
use sixfold_profile::coap::Code;
use std::collections::BTreeSet;
use std::fmt;

/// What a device hears that asks for a banned resource.
pub(crate) const BANNED: Refusal = Refusal::new(Code::FORBIDDEN, "relay: banned by its operator");

/// Why something was not done: the operator's to mend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unable {
    /// No route and no allowed origin covers it.
    NotConfigured,
    /// It is banned.
    Banned,
    /// There are too many fetches or resources.
    Full,
    /// There are too many bans.
    TooManyBans,
}

impl fmt::Display for Unable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotConfigured => {
                "no [[route]] and no [proxy] forward covers it; give a path such as /fw/image.bin, or the URL at its origin"
            }
            Self::Banned => "it is banned; lift the ban first",
            Self::Full => "too many fetches are under way, or too many resources in use; wait, or raise [limits]",
            Self::TooManyBans => "too many resources are banned; lift a ban, or take files away at the origin",
        })
    }
}

impl<S: Store> Engine<S> {
    /// The URL of what an operator means by a path on this relay (`/fw/a.bin`), a `coap` URI with such a path, or a URL at
    /// an origin.
    ///
    /// # Errors
    /// When the configuration does not cover it.
    pub fn locate(&self, name: &str) -> Result<String, Unable> {
        target::named(&self.config, name).map(|(url, _)| url).ok_or(Unable::NotConfigured)
    }

    /// What is known of a resource, by its URL.
    pub fn image(&self, now: Instant, url: &str) -> Option<ImageStatus> {
        self.resources.peek(url).map(|resource| self.image_status(now, resource))
    }

    /// Whether anything is known of what a ban of a URL covers.
    pub fn is_known(&self, url: &str) -> bool {
        let ban = Bans::of(url);
        self.resources.iter().any(|resource| ban.cover(&resource.url))
    }

    /// Whether a URL is where a route begins, or above a resource that is known: an operator may take it for all that is below.
    pub fn is_directory(&self, url: &str) -> bool {
        let whole = url.trim_end_matches('/');
        let is_above = |resource: &Resource| {
            resource.url.strip_prefix(whole).is_some_and(|rest| rest.starts_with('/') && rest.len() > 1)
        };
        self.config.routes.iter().any(|route| route.origin.trim_end_matches('/') == whole)
            || self.resources.iter().any(is_above)
    }

    /// Fetches what an operator names, unless it is fresh or being fetched; also after a failure that is remembered. The
    /// fetch goes on whether a device asks or not. Gives the URL.
    ///
    /// # Errors
    /// Why it is not fetched.
    pub fn prefetch(&mut self, now: Instant, name: &str) -> Result<String, Unable> {
        let (url, path) = target::named(&self.config, name).ok_or(Unable::NotConfigured)?;
        if self.bans.cover(&url) {
            return Err(Unable::Banned);
        }
        let resource = self.resources.peek(&url);
        let current = resource.and_then(|resource| resource.current.as_ref());
        let held = current.filter(|current| self.store.holds(current.etag));
        let id = match (resource.and_then(|resource| resource.fetch), held) {
            (Some(id), _) => id,
            (None, Some(current)) if now < current.fresh_until => return Ok(url),
            (None, held) => {
                let have = held.filter(|current| current.validator.is_some()).map(|current| current.etag);
                self.fetch(now, &url, path, have).map_err(|_| Unable::Full)?
            }
        };
        if let Some(fetch) = self.fetches.get_mut(id) {
            fetch.wanted = true;
        }
        Ok(url)
    }

    /// Forgets the bytes of a resource, or of all: the origin is asked for them when they are wanted again. What is
    /// arriving goes on arriving. Gives how many resources were known.
    pub fn purge(&mut self, now: Instant, url: Option<&str>) -> usize {
        let urls: Vec<_> = match url {
            Some(url) => self.resources.peek(url).map(|resource| resource.url.clone()).into_iter().collect(),
            None => self.resources.iter().map(|resource| resource.url.clone()).collect(),
        };
        // Devices may be in the middle of older versions.
        let begun = self.peers.iter().flat_map(|(_, peer)| &peer.transfers);
        let older: Vec<ETag> =
            begun.filter(|transfer| url.is_none_or(|url| *transfer.url == *url)).map(|t| t.etag).collect();
        older.into_iter().for_each(|etag| self.store.remove(etag));
        for url in &urls {
            let Some(resource) = self.resources.peek_mut(url) else { continue };
            if let Some(current) = &mut resource.current {
                self.store.remove(current.etag);
                // A conditional question may be on its way; its answer finds no bytes and asks again.
                current.validator = None;
                current.fresh_until = now;
                current.stale_until = now;
            }
            resource.negative = None;
            self.resources.remove_idle(url);
        }
        urls.len()
    }

    /// Refuses a resource from now on, whoever asks and how: 4.03. Without a query in its name it is refused with any, and in every
    /// spelling of its path. Who waits for it or observes it is told; streams of it end. Its bytes stay until they are
    /// purged. Gives the URL in its plain spelling.
    ///
    /// # Errors
    /// Why it is not banned.
    pub fn ban(&mut self, now: Instant, name: &str) -> Result<String, Unable> {
        let url = self.bans.add(&self.locate(name)?).ok_or(Unable::TooManyBans)?;
        let banned = self.resources.iter().filter(|resource| self.bans.cover(&resource.url));
        let banned: Vec<_> = banned.map(|resource| resource.url.clone()).collect();
        self.disband_banned();
        for banned in banned {
            self.end_service(now, &banned);
        }
        self.release(now);
        Ok(url)
    }

    /// Ends what is under way of a resource that was banned.
    fn end_service(&mut self, now: Instant, url: &str) {
        if let Some(id) = self.resources.peek(url).and_then(|resource| resource.fetch)
            && let Some(fetch) = self.end_fetch(id)
        {
            self.commands.push_back(FetchCommand::Cancel(id));
            for &waiter in &fetch.waiters {
                let Some(exchange) = self.take_exchange(waiter) else { continue };
                let answer = Answer::Other(Response::refusal(BANNED, None));
                self.deliver(now, exchange.reply, &exchange.wants, &exchange.url, answer);
            }
        }
        self.notify(now, url);
    }

    /// Serves a resource again. Gives the URL, and whether it was banned.
    ///
    /// # Errors
    /// When the configuration does not cover it, and it is not banned.
    pub fn lift_ban(&mut self, name: &str) -> Result<(String, bool), Unable> {
        // A ban outlives the route that it was given under.
        let (url, was_banned) = self.bans.lift(name);
        if was_banned {
            return Ok((url, true));
        }
        Ok(self.bans.lift(&self.locate(name)?))
    }

    /// The URLs that are banned, in alphabetical order.
    pub const fn bans(&self) -> &BTreeSet<String> {
        self.bans.all()
    }
}
