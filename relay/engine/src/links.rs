//! Where engine and pacing meet: which requests say something about a link, which answers wait for it, and how they
//! are made when they leave.
//!
//! An answer waits as the question that it answers. Links that nobody configured are not paced: every answer leaves at
//! once.

use crate::answer::{Answer, Representation};
use crate::coap::{Refusal, Response, Wants};
use crate::engine::Engine;
use crate::event::{Event, LinkEvent};
use crate::exchanges::{Exchange, ExchangeId, Reply, Waiting};
use crate::fanout::Loss;
use crate::pacing::{Link, LinkConfig, Signal, Verdict};
use crate::path::Path;
use crate::requests::Found;
use crate::store::Store;
use sixfold_profile::Instant;
use sixfold_profile::coap::Code;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// Header, ETag, Block2, Max-Age, payload marker, as they usually are, in bytes.
const AROUND_PAYLOAD: usize = 4 + 9 + 4 + 3 + 1;

/// The paced links.
#[derive(Debug, Default)]
pub(crate) struct Links(Vec<Paced>);

/// One link, and what goes to groups of it.
#[derive(Debug)]
pub(crate) struct Paced {
    pub(crate) interface: u32,
    pub(crate) link: Link<Waiting>,
    pub(crate) loss: Loss,
    /// The next datagram of a stream waits for its turn.
    pub(crate) stream_waits: bool,
}

impl Links {
    pub(crate) fn of(&mut self, interface: u32) -> Option<&mut Paced> {
        self.0.iter_mut().find(|paced| paced.interface == interface)
    }

    pub(crate) fn get_mut(&mut self, interface: u32) -> Option<&mut Link<Waiting>> {
        self.of(interface).map(|paced| &mut paced.link)
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.0.iter().filter_map(|paced| paced.link.poll_timeout()).min()
    }

    pub(crate) fn forget(&mut self, device: SocketAddr) {
        self.0.iter_mut().for_each(|paced| paced.link.forget(device));
    }
}

impl<S: Store> Engine<S> {
    /// Paces what is sent to an interface from now on, or no longer. Answers that wait there leave.
    pub fn set_link(&mut self, now: Instant, interface: u32, config: Option<LinkConfig>) {
        let hasher = self.hasher.clone();
        let before = self.links.0.iter().position(|paced| paced.interface == interface);
        let before = before.map(|place| self.links.0.swap_remove(place).link);
        self.disband(interface);
        self.links.0.extend(config.map(|config| {
            let (link, loss) = (Link::new(config, hasher), Loss::default());
            Paced { interface, link, loss, stream_waits: false }
        }));
        for waiting in before.into_iter().flat_map(Link::into_waiting) {
            if let Waiting::Answer(id) = waiting {
                self.depart(now, id);
            }
        }
    }

    /// Notes what a request says about the answer before it.
    pub(crate) fn hear(&mut self, now: Instant, reply: &Reply, wants: &Wants) {
        let Some(link) = self.links.get_mut(reply.path.interface) else { return };
        let Some(signal) = link.heard(now, reply.path.peer, num(wants)) else { return };
        self.event(Event::Link(match signal {
            Signal::Delivered => LinkEvent::Delivered,
            Signal::Lost => LinkEvent::Lost,
            Signal::Late => LinkEvent::Late,
        }));
    }

    /// A separate response was acknowledged.
    pub(crate) fn hear_acknowledgement(&mut self, now: Instant, interface: u32, peer: SocketAddr) {
        if let Some(link) = self.links.get_mut(interface) {
            link.acknowledged(now, peer);
        }
    }

    /// Decides whether a block leaves now; if not, the question waits or is refused.
    pub(crate) fn may_leave(
        &mut self,
        now: Instant,
        reply: &Reply,
        wants: &Wants,
        url: &str,
        payload: usize,
    ) -> Result<bool, (Refusal, u32)> {
        let (peer, interface) = (reply.path.peer, reply.path.interface);
        let total = self.resources.peek(url).and_then(|resource| resource.current.as_ref());
        let total = total.map_or(0, |current| current.length);
        let Some(link) = self.links.get_mut(interface) else { return Ok(true) };
        let cost = link.cost(payload + AROUND_PAYLOAD + reply.token.as_slice().len());
        let blocks = u32::try_from(total.div_ceil(payload.max(1))).unwrap_or(u32::MAX).max(1);
        if let Verdict::ComeBack(at) = link.admit(now, peer, num(wants), cost, cost.saturating_mul(blocks)) {
            self.event(Event::Link(LinkEvent::Refused));
            return Err((
                Refusal::new(Code::SERVICE_UNAVAILABLE, "link: come back later"),
                seconds(at.since(now)),
            ));
        }
        if link.pass(now, peer, cost) {
            return Ok(true);
        }
        let Some(url) = self.resources.peek(url).map(|resource| resource.url.clone()) else {
            return Ok(true);
        };
        let id = self.park(now, *reply, wants, url).map_err(|refusal| (refusal, 1))?;
        if let Some(link) = self.links.get_mut(interface) {
            link.push(peer, Waiting::Answer(id), cost);
        }
        self.event(Event::Link(LinkEvent::Queued));
        Ok(false)
    }

    /// A time-out for a Confirmable message after its `repeats`-th retransmission: longer than RFC 7252's where the link is
    /// slow, never shorter, because nothing is gained by haste while others use the link.
    pub(crate) fn patient(&mut self, path: Path, repeats: u8, timeout: Duration) -> Duration {
        let link = self.links.get_mut(path.interface);
        link.and_then(|link| link.retransmission(path.peer, repeats))
            .map_or(timeout, |estimate| timeout.max(estimate))
    }

    /// Lets leave what may leave now.
    pub(crate) fn release(&mut self, now: Instant) {
        for place in 0..self.links.0.len() {
            let Some(interface) = self.links.0.get(place).map(|paced| paced.interface) else { return };
            self.queue_stream(interface);
            while let Some(waiting) = self.links.0.get_mut(place).and_then(|paced| paced.link.poll(now)) {
                match waiting {
                    Waiting::Answer(id) => self.depart(now, id),
                    Waiting::Stream => self.stream(now, interface),
                }
            }
        }
    }

    /// Gives up answers of which nothing was heard in time.
    pub(crate) fn expire(&mut self, now: Instant) {
        let expired: usize = self.links.0.iter_mut().map(|paced| paced.link.handle_timeout(now)).sum();
        (0..expired).for_each(|_| self.event(Event::Link(LinkEvent::Expired)));
    }

    /// A device got the last block of what it came for.
    pub(crate) fn leave_link(&mut self, interface: u32, peer: SocketAddr) {
        if let Some(link) = self.links.get_mut(interface) {
            link.finished(peer);
        }
    }

    /// Nobody waits for this answer any more.
    pub(crate) fn withdraw(&mut self, interface: u32, id: ExchangeId) {
        if let Some(link) = self.links.get_mut(interface) {
            link.withdraw(id.peer, &Waiting::Answer(id));
        }
    }

    /// Makes an answer that has waited, from the version that its question means now.
    fn depart(&mut self, now: Instant, id: ExchangeId) {
        let Some(Exchange { reply, wants, url, .. }) = self.take_exchange(id) else { return };
        let answered = match self.find(now, &reply, &wants, &url) {
            Found::Image { image, max_age, .. } => {
                let answer = Representation::of(&image, max_age).answer(&wants, self.config.block_size);
                Some((image.etag, answer))
            }
            Found::Fetching(id) => self.fetches.get(id).and_then(|fetch| {
                let partial = fetch.partial.as_ref()?;
                Some((partial.etag, partial.representation(now).answer(&wants, self.config.block_size)))
            }),
            Found::Negative(refusal, max_age) => {
                return self.respond(now, reply, &wants, Response::refusal(refusal, Some(max_age)));
            }
            Found::Nothing { .. } => None,
        };
        match answered {
            Some((etag, answer)) if !matches!(answer, Answer::NotYet) => {
                self.emit(now, reply, &wants, &url, etag, answer);
            }
            _ => self.ask_again(now, reply, &wants, &url),
        }
    }

    /// The bytes had to go while their answer waited: the question is put to the origin.
    fn ask_again(&mut self, now: Instant, reply: Reply, wants: &Wants, url: &Arc<str>) {
        let fetch = match self.find(now, &reply, wants, url) {
            Found::Fetching(id) => Ok(id),
            Found::Nothing { have } => self.fetch(now, url, None, have),
            _ => return,
        };
        if let Err(refusal) = fetch.and_then(|id| self.wait(now, reply, wants, url.clone(), id)) {
            self.refuse(now, reply, wants, refusal);
        }
    }
}

fn num(wants: &Wants) -> u32 {
    wants.block.map_or(0, |block| block.num())
}

/// Whole seconds, rounded up: nobody shall come too early.
pub(crate) fn seconds(time: Duration) -> u32 {
    u32::try_from(time.as_millis().div_ceil(1000)).unwrap_or(u32::MAX)
}
