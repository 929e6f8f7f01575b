//! Where engine and fan-out meet: who takes part in a group, what its stream is made of, and when it leaves.

use crate::body::Body;
use crate::coap::{Refusal, Response, Wants};
use crate::engine::Engine;
use crate::event::{Event, FanoutEvent};
use crate::exchanges::Reply;
use crate::fanout::{self, AROUND_BLOCK, Addresses, Asked, Fanout, Group, Item, Key, Repair, Verdict};
use crate::image::{ETag, Image};
use crate::links::{Waiting, seconds};
use crate::origin::FetchId;
use crate::pacing::{LinkConfig, Parcel, Sign, headers};
use crate::path::{Path, Transmit};
use crate::store::Store;
use crate::transfers::Sent;
use rand_chacha::rand_core::Rng;
use sixfold_profile::Instant;
use sixfold_profile::coap::{Code, Message, Szx, content_format};
use sixfold_profile::parity::SMALLEST;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// Groups at the same time on all links; devices beyond are served by unicast.
const MOST_GROUPS: usize = 16;
/// Beside devices that are served by unicast, a link's streams have as many shares as members, within these bounds. The lower
/// bound is for members that hear everything: they never ask, so nobody knows of them. The upper one keeps everybody else
/// from starving.
const SHARES: std::ops::RangeInclusive<usize> = 16..=64;
/// What a member is told to wait, in seconds: it hears the stream before that, or asks again.
const MAX_AGE_S: std::ops::RangeInclusive<u32> = 1..=60;

/// All groups. They take turns.
#[derive(Debug, Default)]
pub(crate) struct Streams {
    groups: Vec<Group>,
    message_id: u16,
}

/// Where the bytes of a version are.
enum Source {
    Whole(Arc<Image>),
    Arriving(FetchId),
}

impl Streams {
    pub(crate) const fn len(&self) -> usize {
        self.groups.len()
    }

    pub(crate) fn members(&self) -> usize {
        self.groups.iter().map(Group::members).sum()
    }

    /// The groups on a link.
    pub(crate) fn on(&self, interface: u32) -> impl Iterator<Item = &Group> {
        self.groups.iter().filter(move |group| group.key.interface == interface)
    }

    pub(crate) fn next_end(&self) -> Option<Instant> {
        self.groups.iter().map(Group::ends).min()
    }

    fn position(&self, key: &Key) -> Option<usize> {
        self.groups.iter().position(|group| group.key == *key)
    }
}

impl<S: Store> Engine<S> {
    /// Makes the sender of a request a member of the group of its version, and answers it, if it asks for that and the link
    /// fans out. `false`: it is still to be answered, by unicast.
    pub(crate) fn join_group(
        &mut self,
        now: Instant,
        reply: &Reply,
        wants: &Wants,
        url: &str,
        etag: ETag,
    ) -> bool {
        let Some(lacks) = &wants.lacks else { return false };
        // Nobody begins a stream in the name of others.
        if reply.room.is_some() {
            return false;
        }
        // A body of unknown length is streamed when it is complete.
        let stored = self.store.image(etag).map(|image| image.body.len());
        let total = stored.or_else(|| self.length_of(url, etag));
        let Some(total) = total.filter(|&total| total > 0) else { return false };
        if lacks.szx.min(self.config.block_size) < SMALLEST {
            return false;
        }
        let Path { interface, socket, local, peer, .. } = reply.path;
        let key = Key { interface, socket, local, etag };
        let Some((place, fanout)) = self.group(now, key, url, total) else { return false };
        let (Some(group), Some(paced)) =
            (self.streams.groups.get_mut(place), self.links.paced_mut(interface))
        else {
            return false;
        };
        let headers = group_headers(&group.key, self.config.port, paced.link.config());
        let limit = fanout.block_size.min(self.config.block_size).min(lacks.szx);
        group.suit(paced.link.config().radio, headers, limit, &paced.loss);
        let interval = paced.link.interval(headers, group.szx().size() + AROUND_BLOCK);
        let asked = Asked { peer, lacks, parity: fanout.repair == Repair::Parity, interval };
        let verdict = group.heard(now, &asked, &mut paced.loss);
        let left = interval.saturating_mul(group.left());
        self.event(Event::Fanout(verdict.event()));
        match verdict {
            Verdict::Alone => false,
            Verdict::Silenced => true,
            Verdict::Started(_) | Verdict::Merged | Verdict::Ignored => {
                let here = fanout::here(lacks, total);
                let (is_protected, offered) = (reply.bound.is_some(), lacks.szx);
                let sent = Sent { etag, is_protected, start: here.min(1), end: here, last: false, offered };
                self.advance(now, peer, url, sent, true);
                self.tell_to_listen(now, reply, wants, left);
                true
            }
        }
    }

    /// Tells a member to listen, and to ask again when the stream has ended, `left` from now.
    fn tell_to_listen(&mut self, now: Instant, reply: &Reply, wants: &Wants, left: Duration) {
        self.leave_link(reply.path.interface, reply.path.peer);
        let max_age = seconds(left).clamp(*MAX_AGE_S.start(), *MAX_AGE_S.end());
        let refusal = Refusal::new(Code::SERVICE_UNAVAILABLE, "");
        self.respond(now, *reply, wants, Response::refusal(refusal, Some(max_age)));
    }

    /// Like [`Engine::join_group`], for the version that is being fetched from the origin.
    pub(crate) fn join_group_of_fetch(
        &mut self,
        now: Instant,
        reply: &Reply,
        wants: &Wants,
        url: &str,
    ) -> bool {
        let fetch = self.resources.peek(url).and_then(|resource| resource.fetch);
        let partial = fetch.and_then(|id| self.fetches.get(id)?.partial.as_ref());
        partial.map(|partial| partial.etag).is_some_and(|etag| self.join_group(now, reply, wants, url, etag))
    }

    /// The group of this key, made if need be; `None` where the link does not fan out, or there are too many.
    fn group(&mut self, now: Instant, key: Key, url: &str, total: usize) -> Option<(usize, Fanout)> {
        let fanout = self.links.paced_mut(key.interface)?.link.config().fanout?;
        if let Some(place) = self.streams.position(&key) {
            return Some((place, fanout));
        }
        if self.streams.groups.len() >= MOST_GROUPS {
            return None;
        }
        let url = self.resources.peek(url)?.url.clone();
        let (seed, hasher) = ((self.rng.next_u32() & 0xffff) as u16, self.hasher.clone());
        self.streams.groups.push(Group::new(now, key, url, total, SMALLEST, seed, hasher));
        Some((self.streams.groups.len() - 1, fanout))
    }

    /// Tells a device where the streams of an image go (draft-ietf-core-observe-multicast-notifications §4.2).
    pub(crate) fn inform(
        &mut self,
        now: Instant,
        reply: Reply,
        wants: &Wants,
        url: &str,
        request: &Message<'_>,
    ) -> Result<(), Refusal> {
        const NO: Refusal = Refusal::new(Code::NOT_ACCEPTABLE, "relay: no streams of this here");
        let interface = reply.path.interface;
        let fanout =
            self.links.paced_mut(interface).and_then(|paced| paced.link.config().fanout).ok_or(NO)?;
        let (etag, max_age) =
            self.version(now, &reply, url).filter(|_| wants.observe == Some(0)).ok_or(NO)?;
        // An address that the system chose is not known here; who asked knows it.
        let server = reply.path.local.unwrap_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED));
        let server = SocketAddr::new(server, self.config.port);
        let addresses = Addresses { server, group: fanout.address(interface) };
        self.event(Event::Fanout(FanoutEvent::Informed));
        let response = Response {
            code: Some(Code::SERVICE_UNAVAILABLE),
            content_format: Some(content_format::INFORMATIVE_RESPONSE),
            max_age: Some(max_age),
            payload: fanout::informative(addresses, etag, request),
            ..Response::default()
        };
        self.respond(now, reply, wants, response);
        Ok(())
    }

    /// The version that a device would get, if it is here or arriving, and for how many seconds that is so.
    fn version(&self, now: Instant, reply: &Reply, url: &str) -> Option<(ETag, u32)> {
        let resource = self.resources.peek(url)?;
        let is_protected = reply.bound.is_some();
        let begun = self.peers.peek(&reply.path.peer).and_then(|peer| peer.transfer(url, is_protected));
        let current = resource.current.as_ref();
        let partial = resource.fetch.and_then(|id| self.fetches.get(id)?.partial.as_ref());
        let age =
            |etag| current.filter(|current| current.etag == etag).map_or(0, |current| current.max_age(now));
        let stored = |etag: &ETag| self.store.image(*etag).is_some();
        let begun = begun.map(|transfer| transfer.etag).filter(stored).map(|etag| (etag, age(etag)));
        let arriving = || partial.map(|partial| (partial.etag, partial.representation(now).max_age));
        let held = || current.map(|current| current.etag).filter(stored).map(|etag| (etag, age(etag)));
        begun.or_else(arriving).or_else(held)
    }

    /// Lets the next datagram of a link's streams wait for its turn, if there is one to be sent.
    pub(crate) fn queue_stream(&mut self, interface: u32) {
        if self.streams.groups.is_empty()
            || self.links.paced_mut(interface).is_none_or(|paced| paced.stream_waits)
        {
            return;
        }
        let Some((place, _)) = self.next_group(interface) else { return };
        let Some(group) = self.streams.groups.get(place) else { return };
        let (key, payload, port) = (group.key, group.szx().size(), self.config.port);
        let members = self.streams.on(interface).map(Group::members).sum::<usize>();
        let shares = members.clamp(*SHARES.start(), *SHARES.end());
        let Some(paced) = self.links.paced_mut(interface) else { return };
        let Some(fanout) = paced.link.config().fanout else { return };
        let sign = Sign::Group(group_headers(&key, port, paced.link.config()));
        let parcel = Parcel { bytes: payload + AROUND_BLOCK, payload, sign };
        paced.link.slow_down(paced.loss.slow());
        paced.link.push(fanout.address(interface), Waiting::Stream, parcel);
        paced.link.weigh_stream(fanout.address(interface), shares as u32);
        paced.stream_waits = true;
    }

    /// Sends the next datagram of a link's streams.
    pub(crate) fn stream(&mut self, now: Instant, interface: u32) {
        if let Some(paced) = self.links.paced_mut(interface) {
            paced.stream_waits = false;
        }
        if let Some((place, item)) = self.next_group(interface) {
            self.stream_item(now, place, item);
        }
        self.queue_stream(interface);
    }

    /// The group on a link whose turn it is, and its next datagram. Groups whose bytes are gone are disbanded.
    fn next_group(&mut self, interface: u32) -> Option<(usize, Item)> {
        let mut place = 0;
        while let Some(group) = self.streams.groups.get(place) {
            if group.key.interface != interface || !group.moves() {
                place += 1;
                continue;
            }
            let available = match self.source(group) {
                Some(Source::Whole(image)) => image.body.len(),
                Some(Source::Arriving(id)) => {
                    self.fetches.get(id).and_then(|fetch| fetch.partial.as_ref()).map_or(0, |p| p.body.len())
                }
                None => {
                    self.remove_group(place);
                    continue;
                }
            };
            if let Some(item) = group.next(available) {
                return Some((place, item));
            }
            place += 1;
        }
        None
    }

    /// Where the bytes of a group's version are; `None` when they are gone.
    fn source(&self, group: &Group) -> Option<Source> {
        if let Some(image) = self.store.image(group.key.etag) {
            return Some(Source::Whole(image));
        }
        let id = self.resources.peek(&group.url)?.fetch?;
        let partial = self.fetches.get(id)?.partial.as_ref()?;
        (partial.etag == group.key.etag).then_some(Source::Arriving(id))
    }

    fn stream_item(&mut self, now: Instant, place: usize, item: Item) {
        let Some(group) = self.streams.groups.get(place) else { return };
        let (key, szx) = (group.key, group.szx());
        let message_id = self.streams.message_id.wrapping_add(1);
        let bytes = match self.source(group) {
            Some(Source::Whole(image)) => {
                datagram(key.etag, message_id, &Body::whole(&image.body), szx, item)
            }
            Some(Source::Arriving(id)) => {
                let partial = self.fetches.get(id).and_then(|fetch| fetch.partial.as_ref());
                partial.and_then(|p| datagram(key.etag, message_id, &p.representation(now).body, szx, item))
            }
            None => None,
        };
        let config = self.links.paced_mut(key.interface).and_then(|paced| paced.link.config().fanout);
        let (Some((bytes, of_body)), Some(fanout)) = (bytes, config) else { return };
        self.streams.message_id = message_id;
        self.event(Event::Fanout(match item {
            Item::Block(_) => FanoutEvent::Block(of_body),
            Item::Parity { .. } => FanoutEvent::Parity,
        }));
        let Key { interface, socket, local, .. } = key;
        let path = Path { peer: fanout.address(interface), local, socket, interface, multicast: true };
        self.transmits.push_back(Transmit { path, bytes, hop_limit: Some(fanout.hop_limit) });
        // To the end of the line: groups take turns.
        let mut group = self.streams.groups.remove(place);
        group.sent(now, item);
        if !group.moves() {
            self.event(Event::Fanout(FanoutEvent::Ended));
        }
        self.streams.groups.push(group);
    }

    /// Forgets groups of which nothing was heard for long.
    pub(crate) fn disband_silent(&mut self, now: Instant) {
        while let Some(place) = self.streams.groups.iter().position(|group| group.ends() <= now) {
            self.finish_members(place);
            self.remove_group(place);
        }
    }

    /// What is banned is streamed to nobody.
    pub(crate) fn disband_banned(&mut self) {
        while let Some(place) = self.streams.groups.iter().position(|group| self.bans.cover(&group.url)) {
            self.remove_group(place);
        }
    }

    /// A link is gone, or is another one now.
    pub(crate) fn disband(&mut self, interface: u32) {
        while let Some(place) = self.streams.groups.iter().position(|group| group.key.interface == interface)
        {
            self.remove_group(place);
        }
    }

    fn remove_group(&mut self, place: usize) {
        let group = self.streams.groups.remove(place);
        if group.moves() {
            self.event(Event::Fanout(FanoutEvent::Ended));
        }
        self.event(Event::Fanout(FanoutEvent::Disbanded));
    }

    /// Members that ask for nothing any more have what they came for.
    fn finish_members(&mut self, place: usize) {
        let Some(group) = self.streams.groups.get(place) else { return };
        let (url, etag) = (group.url.clone(), group.key.etag);
        let members: Vec<_> = group.addresses().collect();
        for address in members {
            self.finish_transfer(address, &url, etag);
        }
    }
}

/// A datagram of a stream, and how many bytes of the body it has.
fn datagram(etag: ETag, message_id: u16, body: &Body<'_>, szx: Szx, item: Item) -> Option<(Vec<u8>, usize)> {
    match item {
        Item::Block(num) => fanout::block(etag, message_id, body, num, szx),
        Item::Parity { segment, seed } => {
            fanout::parity(etag, message_id, body, segment, szx, seed).map(|bytes| (bytes, 0))
        }
    }
}

/// How long compressed headers of a stream's datagrams are, when members ask the port that they are told.
fn group_headers(key: &Key, port: u16, link: &LinkConfig) -> usize {
    link.fanout.map_or(0, |fanout| headers(key.local, port, fanout.address(key.interface), link.eui64))
}
