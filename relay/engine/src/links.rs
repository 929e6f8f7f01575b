//! Where engine and pacing meet: which requests say something about a link, which answers wait for it, and how they
//! are made when they leave.
//!
//! An answer waits as its question, and a notification as the name of its observer. What leaves is therefore what is true
//! at that moment. Messages that only say "not now" do not wait, but they are counted. Links that nobody configured are
//! not paced: every answer leaves at once.

use crate::answer::{Answer, Representation};
use crate::coap::{Refusal, Response, Token, Wants};
use crate::engine::Engine;
use crate::event::{DropReason, Event, LinkDecision, LinkEvent};
use crate::exchanges::{Exchange, ExchangeId, Reply};
use crate::fanout::Loss;
use crate::pacing::{AROUND_PAYLOAD, Link, LinkConfig, Parcel, Sign, Signal, Verdict};
use crate::path::Path;
use crate::requests::Found;
use crate::session::AROUND_PROTECTED;
use crate::store::Store;
use sixfold_profile::Instant;
use sixfold_profile::coap::{Code, MAX_NUM, Szx};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// Max-Age for those who may try again as soon as others are done.
pub(crate) const SOON_S: u32 = 1;

/// What waits for a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waiting {
    /// The answer to a request.
    Answer(ExchangeId),
    /// A notification to the observer with this Token.
    Notification(SocketAddr, Token),
    /// The next datagram of the link's streams.
    Stream,
}

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
    pub(crate) fn paced_mut(&mut self, interface: u32) -> Option<&mut Paced> {
        self.0.iter_mut().find(|paced| paced.interface == interface)
    }

    pub(crate) fn link_mut(&mut self, interface: u32) -> Option<&mut Link<Waiting>> {
        self.paced_mut(interface).map(|paced| &mut paced.link)
    }

    pub(crate) fn link(&self, interface: u32) -> Option<&Link<Waiting>> {
        self.0.iter().find(|paced| paced.interface == interface).map(|paced| &paced.link)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Paced> {
        self.0.iter()
    }

    /// Whether an answer to a device waits, and whether the device is missing; `None` if no link knows it.
    pub(crate) fn of_device(&self, device: SocketAddr) -> Option<(bool, bool)> {
        self.0.iter().find_map(|paced| paced.link.describe_device(device))
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
            let loss = Loss::new(config.fanout.map_or(1, |fanout| fanout.hop_limit));
            let link = Link::new(config, hasher);
            Paced { interface, link, loss, stream_waits: false }
        }));
        for waiting in before.into_iter().flat_map(Link::into_waiting) {
            self.depart(now, interface, waiting);
        }
    }

    /// Notes what a request says about the answer before it.
    pub(crate) fn hear(&mut self, now: Instant, reply: &Reply, wants: &Wants) {
        let Some(link) = self.links.link_mut(reply.path.interface) else { return };
        let Some(signal) = link.heard(now, reply.path.peer, num(wants)) else { return };
        self.event(Event::Link(match signal {
            Signal::Delivered => LinkEvent::Delivered,
            Signal::Lost => LinkEvent::Lost,
            Signal::Late => LinkEvent::Late,
        }));
    }

    /// A separate response was acknowledged.
    pub(crate) fn hear_acknowledgement(&mut self, now: Instant, interface: u32, peer: SocketAddr) {
        if let Some(link) = self.links.link_mut(interface) {
            link.acknowledged(now, peer);
        }
    }

    /// The largest block that may answer a request: what suits the link, and within a transfer never more than before, so that
    /// a client sees sizes fall, if at all (RFC 7959 §2.4). NUM has 20 bits, which keeps the blocks of long bodies large.
    pub(crate) fn offered(&self, reply: &Reply, wants: &Wants, url: &str, total: Option<usize>) -> Szx {
        let most = self.fitting(reply, wants, self.config.block_size).unwrap_or(Szx::MIN);
        let path = reply.path;
        let Some(link) = self.links.link(path.interface) else { return most };
        // RFC 9177 §4.4: within a body that is asked for with Q-Block2 sizes stay.
        if wants.lacks.is_some() {
            return most;
        }
        let is_protected = reply.bound.is_some();
        let transfer = self.peers.peek(&path.peer).and_then(|peer| peer.transfer(url, is_protected));
        let before = transfer.filter(|_| !wants.starts_body()).map_or(Szx::MAX, |transfer| transfer.offered);
        let suits = link.block_size().min(before);
        let counts = |szx: &Szx| total.is_none_or(|total| total.div_ceil(szx.size()) <= MAX_NUM as usize + 1);
        let enough = (suits.exponent()..).map_while(Szx::new).find(counts).unwrap_or(Szx::MAX);
        most.min(enough)
    }

    /// Decides whether an answer leaves now; if not, the question waits or is refused.
    pub(crate) fn may_leave(
        &mut self,
        now: Instant,
        reply: &Reply,
        wants: &Wants,
        url: &str,
        answer: &Answer,
    ) -> Result<bool, (Refusal, u32)> {
        let (peer, interface) = (reply.path.peer, reply.path.interface);
        let (payload, start, sign) = match answer {
            Answer::Block { response, start, .. } => (response.payload.len(), *start, Sign::Request),
            Answer::Other(response) => (response.payload.len(), 0, Sign::Nothing),
            Answer::NotYet => return Ok(true),
        };
        let total = self.length(url).unwrap_or(0);
        let Some(link) = self.links.link_mut(interface) else { return Ok(true) };
        let parcel = parcel(reply, payload, sign);
        if sign == Sign::Request {
            let blocks = total.saturating_sub(start).div_ceil(payload.max(1));
            let blocks = u32::try_from(blocks).unwrap_or(u32::MAX).max(1);
            let cost = link.cost(parcel.bytes);
            let verdict = link.admit(now, peer, num(wants), cost, cost.saturating_mul(blocks));
            if let Verdict::ComeBack(at) = verdict {
                self.event(Event::Decided(LinkDecision::Refused));
                let refusal = Refusal::new(Code::SERVICE_UNAVAILABLE, "link: come back later");
                return Err((refusal, seconds(at.since(now))));
            }
        }
        if link.pass(now, peer, parcel) {
            return Ok(true);
        }
        let Some(url) = self.resources.peek(url).map(|resource| resource.url.clone()) else {
            return Ok(true);
        };
        let id = self.park(now, *reply, wants, url).map_err(|refusal| (refusal, SOON_S))?;
        if let Some(link) = self.links.link_mut(interface) {
            link.push(peer, Waiting::Answer(id), parcel);
        }
        Ok(false)
    }

    /// A block of `payload` bytes leaves: perhaps fewer than when it began to wait.
    pub(crate) fn weigh(&mut self, reply: &Reply, payload: usize) {
        if let Some(link) = self.links.link_mut(reply.path.interface) {
            link.resized(reply.path.peer, parcel(reply, payload, Sign::Request));
        }
    }

    /// The length of the version that a URL means, once known.
    fn length(&self, url: &str) -> Option<usize> {
        let resource = self.resources.peek(url)?;
        let partial = || self.fetches.get(resource.fetch?)?.partial.as_ref()?.total();
        resource.current.as_ref().map(|current| current.length).or_else(partial)
    }

    /// Lets a notification leave when its link has room.
    pub(crate) fn notify_in_turn(&mut self, now: Instant, path: Path, token: Token, payload: usize) {
        let waiting = Waiting::Notification(path.peer, token);
        let bytes = payload + AROUND_PAYLOAD + token.as_slice().len();
        let parcel = Parcel { bytes, payload, sign: Sign::Acknowledgement };
        let Some(link) = self.links.link_mut(path.interface) else {
            return self.depart(now, path.interface, waiting);
        };
        // One that still waits will be the newest when it leaves.
        link.withdraw(path.peer, |other| *other == waiting);
        if link.pass(now, path.peer, parcel) {
            return self.depart(now, path.interface, waiting);
        }
        link.push(path.peer, waiting, parcel);
    }

    /// Whether a refusal may be sent: a client that is refused and asks on must not fill the link with refusals.
    pub(crate) fn may_refuse(&mut self, now: Instant, path: Path) -> bool {
        let may = self.links.link_mut(path.interface).is_none_or(|link| link.may_refuse(now, path.peer));
        if !may {
            self.drop(DropReason::Refused);
        }
        may
    }

    /// Counts a datagram that leaves: whatever it says, it keeps the channel.
    pub(crate) fn spend(&mut self, now: Instant, path: Path, bytes: usize) {
        if let Some(link) = self.links.link_mut(path.interface) {
            link.spend(now, bytes);
        }
    }

    /// The same for what is beyond a device's turn: it pays for it.
    pub(crate) fn charge(&mut self, path: Path, bytes: usize) {
        if let Some(link) = self.links.link_mut(path.interface) {
            link.charge(path.peer, bytes);
        }
    }

    /// Reports what the pacers decided.
    fn report(&mut self) {
        for paced in &mut self.links.0 {
            self.events.extend(paced.link.decisions().map(Event::Decided));
        }
    }

    /// A time-out for a Confirmable message after its `repeats`-th retransmission: longer than RFC 7252's where the link is
    /// slow, never shorter, because nothing is gained by haste while others use the link.
    pub(crate) fn patient(&mut self, path: Path, repeats: u8, timeout: Duration) -> Duration {
        let link = self.links.link_mut(path.interface);
        link.and_then(|link| link.retransmission(path.peer, repeats))
            .map_or(timeout, |estimate| timeout.max(estimate))
    }

    /// Lets leave what may leave now.
    pub(crate) fn release(&mut self, now: Instant) {
        for place in 0..self.links.0.len() {
            let Some(interface) = self.links.0.get(place).map(|paced| paced.interface) else { return };
            self.queue_stream(interface);
            while let Some(waiting) = self.links.0.get_mut(place).and_then(|paced| paced.link.poll(now)) {
                self.depart(now, interface, waiting);
            }
        }
        self.report();
    }

    /// Gives up answers of which nothing was heard in time.
    pub(crate) fn expire(&mut self, now: Instant) {
        let expired: usize = self.links.0.iter_mut().map(|paced| paced.link.handle_timeout(now)).sum();
        (0..expired).for_each(|_| self.event(Event::Link(LinkEvent::Expired)));
    }

    /// A device got the last block of what it came for.
    pub(crate) fn leave_link(&mut self, interface: u32, peer: SocketAddr) {
        if let Some(link) = self.links.link_mut(interface) {
            link.finished(peer);
        }
    }

    /// Nobody waits for this answer any more.
    pub(crate) fn withdraw(&mut self, interface: u32, id: ExchangeId) {
        if let Some(link) = self.links.link_mut(interface) {
            link.withdraw(id.peer, |waiting| *waiting == Waiting::Answer(id));
        }
    }

    fn depart(&mut self, now: Instant, interface: u32, waiting: Waiting) {
        let before = self.transmits.len();
        let peer = match waiting {
            Waiting::Answer(id) => {
                self.answer_in_turn(now, id);
                id.peer
            }
            Waiting::Notification(peer, token) => {
                self.send_notification(now, peer, token);
                peer
            }
            Waiting::Stream => return self.stream(now, interface),
        };
        if self.transmits.len() == before
            && let Some(link) = self.links.link_mut(interface)
        {
            link.stayed(peer);
        }
    }

    /// Makes an answer that has waited, from the version that its question means now.
    fn answer_in_turn(&mut self, now: Instant, id: ExchangeId) {
        let Some(Exchange { reply, wants, url, .. }) = self.take_exchange(id) else { return };
        let answered = match self.find(now, &reply, &wants, &url) {
            Found::Image { image, max_age, .. } => {
                let offered = self.offered(&reply, &wants, &url, Some(image.body.len()));
                Some(Representation::of(&image, max_age).answer(&wants, offered))
            }
            Found::Fetching(fetch) => self.answer_from(now, fetch, &reply, &wants),
            Found::Negative(refusal, max_age) => {
                return self.respond(now, reply, &wants, Response::refusal(refusal, Some(max_age)));
            }
            Found::Nothing { .. } => None,
        };
        match answered {
            Some(answer) if !matches!(answer, Answer::NotYet) => self.emit(now, reply, &wants, &url, answer),
            _ => self.ask_again(now, reply, &wants, &url),
        }
    }

    /// The bytes had to go while their answer waited: the question is put to the origin.
    fn ask_again(&mut self, now: Instant, reply: Reply, wants: &Wants, url: &Arc<str>) {
        let fetch = match self.find(now, &reply, wants, url) {
            Found::Fetching(id) => Ok(id),
            Found::Nothing { have, .. } => self.fetch(now, url, None, have),
            _ => return,
        };
        if let Err(refusal) = fetch.and_then(|id| self.wait(now, reply, wants, url.clone(), id)) {
            self.refuse(now, reply, wants, refusal);
        }
    }
}

/// An answer with `payload` bytes of payload.
fn parcel(reply: &Reply, payload: usize, sign: Sign) -> Parcel {
    let protection = reply.bound.map_or(0, |_| AROUND_PROTECTED);
    Parcel { bytes: payload + AROUND_PAYLOAD + protection + reply.token.as_slice().len(), payload, sign }
}

fn num(wants: &Wants) -> u32 {
    wants.block.map_or(0, |block| block.num())
}

/// Whole seconds, rounded up: nobody shall come too early.
pub(crate) fn seconds(time: Duration) -> u32 {
    u32::try_from(time.as_millis().div_ceil(1000)).unwrap_or(u32::MAX)
}
