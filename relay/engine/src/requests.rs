//! From a request to its resource: answered from what is at hand, joined to a fetch, or asked of the origin
//! (RFC 7252 §5.6, §5.7).

use crate::answer::{Answer, Representation};
use crate::body::Body;
use crate::coap::{Ask, Refusal, Response, Wants};
use crate::discovery;
use crate::engine::{Engine, Timer};
use crate::event::{CacheResult, DropReason, Event, LinkDecision, SessionRefusal};
use crate::exchanges::{Exchange, ExchangeId, Reply};
use crate::fetches::Fetch;
use crate::gateway;
use crate::image::{ETag, Image};
use crate::operator::BANNED;
use crate::origin::{FetchCommand, FetchId};
use crate::pacing::REQUEST;
use crate::path::Path;
use crate::peers::SILENCE;
use crate::resources::Resource;
use crate::store::Store;
use crate::target::{self, Target};
use rand_chacha::rand_core::Rng;
use sixfold_profile::Instant;
use sixfold_profile::coap::{Code, Message, Szx, Type, content_format, option, params};
use std::sync::Arc;
use std::time::Duration;

/// A waiting Confirmable request is acknowledged after this long, half of ACK_TIMEOUT: late enough that most
/// answers still travel in the ACK, early enough that the client does not repeat itself. (libcoap's client, up to
/// 4.3.1 at least, cannot go on to the next block after a separate response: one more reason to be patient.)
const ACK_DELAY: Duration = Duration::from_millis(1000);

/// Answers to multicast requests that may be waiting for their leisure to end.
const MAX_LEISURELY: usize = 64;

/// For a device that came without a session. It fits one frame, and says what to do.
const NO_SESSION: Refusal =
    Refusal::new(Code::UNAUTHORIZED, "device: needs an OSCORE session; run prepare again");

/// Links are short-lived: images come and go.
const CORE_MAX_AGE_S: u32 = 30;

/// What is at hand for a request.
pub(crate) enum Found {
    Image { image: Arc<Image>, max_age: u32, result: CacheResult },
    Fetching(FetchId),
    Negative(Refusal, u32),
    Nothing { have: Option<ETag>, result: CacheResult },
}

impl<S: Store> Engine<S> {
    /// Takes a request that came in `length` bytes.
    pub(crate) fn request(&mut self, now: Instant, path: Path, message: &Message<'_>, length: usize) {
        let reply = self.reply_to(now, path, message, length);
        let is_protected = message.option(option::OSCORE).is_some();
        if let Some(waiting) = self.exchanges.get(ExchangeId { is_protected, ..reply.exchange() }) {
            let acknowledged = waiting.reply.acknowledged;
            self.event(Event::RetransmittedRequest);
            if acknowledged {
                self.send(now, path, crate::coap::empty(Type::Acknowledgement, reply.message_id));
            }
            return;
        }
        let rng = &mut self.rng;
        let first_id = || (rng.next_u32() & 0xffff) as u16;
        let (repeated, evicted) = self.peers.heard(now, path.peer, reply.message_id, first_id);
        if let Some((address, peer)) = evicted {
            self.forget(address, peer);
        }
        if repeated {
            self.event(Event::RetransmittedRequest);
        }
        if is_protected {
            return self.protected_request(now, reply, message, length);
        }
        let reply = self.hear_echo(now, reply, message);
        self.serve(now, reply, message);
    }

    /// Processes a request: as it came, or as it was within an OSCORE message.
    pub(crate) fn serve(&mut self, now: Instant, reply: Reply, message: &Message<'_>) {
        self.event(Event::Request(message.code));
        let mut url = std::mem::take(&mut self.url);
        url.clear();
        if let Err(refusal) = self.process(now, reply, message, &mut url) {
            self.turn_down(now, reply, message, &Wants::default(), &url, refusal);
        }
        self.url = url;
    }

    /// Refuses a request, and remembers that; `url` is empty unless it means a resource.
    fn turn_down(
        &mut self,
        now: Instant,
        reply: Reply,
        message: &Message<'_>,
        wants: &Wants,
        url: &str,
        refusal: Refusal,
    ) {
        let asked = url.is_empty().then(|| asked_for(message));
        self.note_answer(now, reply.path.peer, asked.as_deref().unwrap_or(url), refusal.code);
        self.refuse(now, reply, wants, refusal);
    }

    fn process(
        &mut self,
        now: Instant,
        reply: Reply,
        message: &Message<'_>,
        url: &mut String,
    ) -> Result<(), Refusal> {
        let ask = match Ask::read(message) {
            Ok(ask) => ask,
            // RFC 7252 §5.4.1: in a Non-confirmable message the option makes the message be rejected.
            Err(refusal) if refusal.code == Code::BAD_OPTION && !reply.confirmable => {
                self.drop(DropReason::Malformed);
                return Ok(());
            }
            Err(refusal) => return Err(refusal),
        };
        let outcome = self.dispatch(now, reply, message, &ask, url);
        if let Err(refusal) = outcome {
            self.turn_down(now, reply, message, &ask.wants, url, refusal);
        }
        Ok(())
    }

    fn dispatch(
        &mut self,
        now: Instant,
        reply: Reply,
        message: &Message<'_>,
        ask: &Ask<'_>,
        url: &mut String,
    ) -> Result<(), Refusal> {
        if self.is_edhoc(message) {
            return self.take_edhoc(now, reply, message, ask);
        }
        check_method(message.code, ask)?;
        let target = target::resolve(&self.config, message, ask, url).inspect_err(|_| url.clear())?;
        self.hear(now, &reply, &ask.wants);
        if self.requires_session(target) && reply.bound.is_none() {
            self.event(Event::SessionRefused(SessionRefusal::Required));
            return Err(NO_SESSION);
        }
        self.move_on(&reply, url);
        if target == Target::WellKnownCore {
            let links = discovery::links(&self.config.routes, self.served(), message);
            self.answer_links(now, reply, &ask.wants, &links);
            return Ok(());
        }
        if ask.wants.accept == Some(content_format::INFORMATIVE_RESPONSE.into()) && !self.bans.cover(url) {
            return self.inform(now, reply, &ask.wants, url, message);
        }
        if self.fitting(&reply, &ask.wants, Szx::MIN).is_none() {
            self.challenge(now, reply, &ask.wants);
            return Ok(());
        }
        match self.find(now, &reply, &ask.wants, url) {
            Found::Image { image, max_age, result } => {
                self.event(Event::Cache(result));
                let offered = self.offered(&reply, &ask.wants, url, Some(image.body.len()));
                let answer = Representation::of(&image, max_age).answer(&ask.wants, offered);
                self.deliver(now, reply, &ask.wants, url, answer);
                Ok(())
            }
            Found::Fetching(id) => {
                self.event(Event::Cache(CacheResult::Joined));
                self.join(now, reply, &ask.wants, id)
            }
            Found::Negative(refusal, max_age) => {
                self.event(Event::Cache(CacheResult::Negative));
                let answer = Answer::Other(Response::refusal(refusal, Some(max_age)));
                self.deliver(now, reply, &ask.wants, url, answer);
                Ok(())
            }
            Found::Nothing { have, result } => {
                if ask.hop_limit == Some(1) {
                    return Err(Refusal::new(Code::HOP_LIMIT_REACHED, "relay: Hop-Limit reached"));
                }
                self.event(Event::Cache(result));
                let path = matches!(target, Target::Reverse { .. }).then(|| uri_path(message));
                let id = self.fetch(now, url, path, have)?;
                self.join(now, reply, &ask.wants, id)
            }
        }
    }

    /// The decision of the cache (RFC 9111 §4, with rule 2 of the design: a transfer stays with its version).
    pub(crate) fn find(&mut self, now: Instant, reply: &Reply, wants: &Wants, url: &str) -> Found {
        if self.bans.cover(url) {
            let max_age = self.config.limits.negative_ttl.as_secs();
            return Found::Negative(BANNED, u32::try_from(max_age).unwrap_or(u32::MAX));
        }
        let transfer =
            self.peers.peek(&reply.path.peer).and_then(|peer| peer.transfer(url, reply.bound.is_some()));
        let pinned = transfer.filter(|_| !wants.starts_body()).map(|transfer| transfer.etag);
        let missed = |result| Found::Nothing { have: None, result };
        let Some(resource) = self.resources.get_mut(url) else {
            return missed(CacheResult::Miss);
        };
        if let Some(image) = pinned.and_then(|etag| self.store.image(etag)) {
            let current = resource.current.as_ref().filter(|current| current.etag == image.etag);
            let max_age = current.map_or(0, |current| current.max_age(now));
            return Found::Image { image, max_age, result: CacheResult::Hit };
        }
        if let Some(id) = resource.fetch {
            return Found::Fetching(id);
        }
        if let Some(negative) = resource.negative.filter(|negative| now < negative.until) {
            let left = u32::try_from(negative.until.since(now).as_secs()).unwrap_or(u32::MAX);
            return Found::Negative(gateway::refusal(negative.failure), left.max(1));
        }
        let Some(current) = &resource.current else {
            return missed(CacheResult::Miss);
        };
        let Some(image) = self.store.image(current.etag) else {
            return missed(CacheResult::Evicted);
        };
        if now < current.fresh_until {
            return Found::Image { image, max_age: current.max_age(now), result: CacheResult::Hit };
        }
        if current.validator.is_none() {
            return missed(CacheResult::Miss);
        }
        Found::Nothing { have: Some(current.etag), result: CacheResult::Revalidation }
    }

    /// Asks the origin, and remembers that it was asked: one question at a time for each resource.
    pub(crate) fn fetch(
        &mut self,
        now: Instant,
        url: &str,
        path: Option<String>,
        have: Option<ETag>,
    ) -> Result<FetchId, Refusal> {
        if self.fetches.len() >= self.config.limits.fetches {
            return Err(Refusal::new(Code::SERVICE_UNAVAILABLE, "relay: too many fetches"));
        }
        if self.resources.peek(url).is_none() {
            self.resources
                .add(url, path)
                .ok_or(Refusal::new(Code::SERVICE_UNAVAILABLE, "relay: too many resources"))?;
        }
        // The entry was found or added just now.
        let Some(resource) = self.resources.peek_mut(url) else {
            return Err(gateway::refusal(crate::Failure::NotConfigured));
        };
        let current = resource.current.as_ref().filter(|current| have == Some(current.etag));
        let validator = current.and_then(|current| current.validator.clone());
        let id = self.fetches.next_id();
        let idle = self.timers.set(now + SILENCE, Timer::Idle(id));
        let url = resource.url.clone();
        self.fetches.add(
            id,
            Fetch {
                url,
                started: now,
                last_asked: now,
                have,
                partial: None,
                waiters: Vec::new(),
                wanted: false,
                idle,
            },
        );
        resource.fetch = Some(id);
        resource.negative = None;
        self.commands.push_back(FetchCommand::Start { id, url: resource.url.to_string(), have: validator });
        Ok(id)
    }

    /// Answers from the bytes that are here already, or waits for them.
    fn join(&mut self, now: Instant, reply: Reply, wants: &Wants, id: FetchId) -> Result<(), Refusal> {
        let Some(fetch) = self.fetches.get_mut(id) else { return Ok(()) };
        fetch.last_asked = now;
        let url = fetch.url.clone();
        match self.answer_from(now, id, &reply, wants) {
            None => {}
            Some(Answer::NotYet) if !self.join_group_of_fetch(now, &reply, wants, &url) => {}
            Some(Answer::NotYet) => return Ok(()),
            Some(answer) => {
                self.deliver(now, reply, wants, &url, answer);
                return Ok(());
            }
        }
        self.wait(now, reply, wants, url, id)
    }

    pub(crate) fn wait(
        &mut self,
        now: Instant,
        reply: Reply,
        wants: &Wants,
        url: Arc<str>,
        id: FetchId,
    ) -> Result<(), Refusal> {
        let exchange = self.park(now, reply, wants, url)?;
        if let Some(fetch) = self.fetches.get_mut(id) {
            fetch.waiters.push(exchange);
        }
        Ok(())
    }

    /// Keeps a request that cannot be answered yet, and sees to it that its client does not repeat it.
    pub(crate) fn park(
        &mut self,
        now: Instant,
        reply: Reply,
        wants: &Wants,
        url: Arc<str>,
    ) -> Result<ExchangeId, Refusal> {
        let limits = self.config.limits;
        if self.exchanges.len() >= limits.exchanges {
            self.drop(DropReason::Exchanges);
            return Err(Refusal::new(Code::SERVICE_UNAVAILABLE, "relay: too many requests waiting"));
        }
        let Some(peer) = self.peers.peek_mut(&reply.path.peer) else { return Ok(reply.exchange()) };
        let mut most = limits.exchanges_per_client;
        let exchange = reply.exchange();
        let waiting = peer.waiting(exchange);
        if *waiting > 0
            && let Some(link) = self.links.link_mut(reply.path.interface)
        {
            // NSTART is 1 (RFC 7252 §4.7): who has a second request waiting pays for it, and who has nothing left to pay
            // with has no third.
            link.charge(reply.path.peer, REQUEST);
            if link.owes(reply.path.peer) {
                most = most.min(1);
            }
        }
        if *waiting >= most {
            self.event(Event::Decided(LinkDecision::Limited));
            return Err(Refusal::new(Code::TOO_MANY_REQUESTS, "device: too many requests waiting"));
        }
        *waiting += 1;
        let timer = if reply.confirmable && !reply.acknowledged {
            self.timers.set(now + ACK_DELAY, Timer::Acknowledge(exchange))
        } else {
            self.timers.set(now + limits.patience, Timer::GiveUp(exchange))
        };
        self.exchanges.add(Exchange { reply, wants: wants.clone(), url, timer });
        Ok(exchange)
    }

    /// What devices may have.
    fn served(&self) -> impl Iterator<Item = &Resource> {
        self.resources.iter().filter(|resource| !self.bans.cover(&resource.url))
    }

    fn answer_links(&mut self, now: Instant, reply: Reply, wants: &Wants, links: &str) {
        let representation = Representation {
            etag: ETag::of_bytes(links.as_bytes()),
            content_format: Some(content_format::LINK_FORMAT),
            max_age: CORE_MAX_AGE_S,
            body: Body::whole(links.as_bytes()),
        };
        let offered = self.fitting(&reply, wants, self.config.block_size).unwrap_or(Szx::MIN);
        if let Answer::Block { response, .. } | Answer::Other(response) =
            representation.answer(wants, offered)
        {
            self.respond(now, reply, wants, response);
        }
    }

    /// RFC 7252 §8: of requests to a group only discovery is answered, only with a success, and after a
    /// random leisure.
    pub(crate) fn group_request(&mut self, now: Instant, path: Path, message: &Message<'_>, length: usize) {
        let mut url = String::new();
        let target = Ask::read(message).ok().filter(|_| message.code == Code::GET).and_then(|ask| {
            let target = target::resolve(&self.config, message, &ask, &mut url).ok()?;
            (target == Target::WellKnownCore).then_some(ask.wants)
        });
        let links = discovery::links(&self.config.routes, self.served(), message);
        let Some(wants) =
            target.filter(|_| message.message_type == Type::NonConfirmable && !links.is_empty())
        else {
            return self.drop(DropReason::Multicast);
        };
        if self.leisurely >= MAX_LEISURELY {
            return self.drop(DropReason::Multicast);
        }
        self.event(Event::Request(message.code));
        let path = Path { local: None, multicast: false, ..path };
        let reply = self.reply_to(now, path, message, length);
        let queued = self.transmits.len();
        self.answer_links(now, reply, &wants, &links);
        let leisure = params::DEFAULT_LEISURE.mul_f64(f64::from(self.rng.next_u32()) / f64::from(u32::MAX));
        for transmit in self.transmits.split_off(queued) {
            self.leisurely += 1;
            self.timers.set(now + leisure, Timer::Leisure(transmit));
        }
    }
}

impl<S: Store> Engine<S> {
    /// Discovery is open: a device has to find the relay first.
    fn requires_session(&self, target: Target) -> bool {
        match target {
            Target::WellKnownCore => false,
            Target::Reverse { require_session } => require_session.unwrap_or(!self.config.allow_plain),
            Target::Forward => !self.config.allow_plain,
        }
    }
}

/// Only GET is proxied. FETCH needs a body that says what to fetch, and none is understood (RFC 8132 §2.3).
fn check_method(code: Code, ask: &Ask<'_>) -> Result<(), Refusal> {
    match code {
        Code::GET => Ok(()),
        Code::FETCH if ask.content_format.is_some() => {
            Err(Refusal::new(Code::UNSUPPORTED_CONTENT_FORMAT, "FETCH: no such Content-Format here"))
        }
        Code::FETCH => Err(Refusal::new(Code::BAD_REQUEST, "FETCH without Content-Format")),
        _ => Err(Refusal::new(Code::METHOD_NOT_ALLOWED, "only GET")),
    }
}

/// What a request is about, for people, where no URL is known: its Proxy-Uri or Uri-Path.
fn asked_for(message: &Message<'_>) -> String {
    let proxy_uri = message.options().find(|opt| opt.number == option::PROXY_URI);
    proxy_uri.map_or_else(|| uri_path(message), |uri| String::from_utf8_lossy(uri.value).into_owned())
}

/// The Uri-Path as text, for links: what is not a legal path character is percent-encoded.
fn uri_path(message: &Message<'_>) -> String {
    let mut path = String::new();
    for opt in message.options().filter(|opt| opt.number == option::URI_PATH) {
        path.push('/');
        target::percent_encode_segment(&mut path, opt.value);
    }
    path
}
