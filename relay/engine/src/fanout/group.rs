//! One group: a version of an image on a link, the devices that take part, and what they are known to lack.

use super::loss::Loss;
use super::need::{ALL, Need};
use super::plan::{Item, Plan};
use super::size::best;
use crate::coap::Lacks;
use crate::event::{FanoutEvent, PlanKind};
use crate::image::ETag;
use crate::pacing::Radio;
use crate::status::GroupStatus;
use foldhash::quality::FixedState;
use lru::LruCache;
use sixfold_profile::Instant;
use sixfold_profile::coap::Szx;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// A member that was heard of within this time is active: with two of them there is somebody to stream for.
const ACTIVE: Duration = Duration::from_secs(10);
/// A group is forgotten when nothing was heard of it or sent to it for this long.
const SILENCE: Duration = Duration::from_secs(60);
/// When a group has this many members, the one that was silent longest is forgotten. It is a new one when it asks again.
const MOST_MEMBERS: usize = 4096;
/// A member whose need does not become less by this many plans does not hear the stream, or says it does not. Nothing is
/// planned for it any more, and it will ask for unicast.
const MOST_FUTILE: u8 = 3;
/// A member is told to wait once in this time, after a few times at once: otherwise asking would be a way to fill the link.
const ANSWER_EVERY: Duration = Duration::from_millis(250);
const ANSWERS_AT_ONCE: u32 = 8;
/// Devices that get power together do not all listen at once: what a stream sends in this time is missing at the last of them.
const POWER_ON: Duration = Duration::from_millis(500);
/// Fewer datagrams than this say nothing about loss.
const FEW: u32 = 16;

/// What makes a group: messages must come from the address that members asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) interface: u32,
    pub(crate) socket: usize,
    pub(crate) local: Option<IpAddr>,
    pub(crate) etag: ETag,
}

/// What a member asks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'r> {
    pub(crate) peer: SocketAddr,
    pub(crate) lacks: &'r Lacks,
    /// It may be made up for with parity symbols.
    pub(crate) parity: bool,
    /// The time between two datagrams of the stream.
    pub(crate) interval: Duration,
}

/// How a member's request is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// By unicast: nobody else wants the block.
    Alone,
    /// By a stream that begins with it.
    Started(PlanKind),
    /// By the stream that moves.
    Merged,
    /// By nothing new: the stream is not heard there.
    Ignored,
    /// Not at all: it asks too often.
    Silenced,
}

impl Verdict {
    /// What is told of it.
    pub(crate) const fn event(self) -> FanoutEvent {
        match self {
            Self::Alone => FanoutEvent::Alone,
            Self::Started(kind) => FanoutEvent::Started(kind),
            Self::Merged => FanoutEvent::Merged,
            Self::Ignored => FanoutEvent::Ignored,
            Self::Silenced => FanoutEvent::Silenced,
        }
    }
}

/// One group.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) key: Key,
    pub(crate) url: Arc<str>,
    plan: Plan,
    /// The smallest block size that any member asked for.
    limit: Szx,
    members: LruCache<SocketAddr, Member, FixedState>,
    sent: Sent,
    /// When it was last heard of, or sent to.
    last: Instant,
}

/// What a group was sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sent {
    blocks: u32,
    parity: u32,
    plans: u32,
}

#[derive(Clone, Copy, Debug)]
struct Member {
    heard: Instant,
    /// The first block that it asked for.
    first: u32,
    futile: u8,
    /// How many times in a row it could not use parity symbols.
    blind: u8,
    /// When all its answers so far would have been due, one in each [`ANSWER_EVERY`].
    answers_until: Instant,
    report: Report,
}

/// What a member lacked, and what had been sent then.
#[derive(Clone, Copy, Debug)]
struct Report {
    szx: Szx,
    lacking: u32,
    deficit: Option<u32>,
    sent: Sent,
}

impl Group {
    /// A group without members. `seed` is that of its first parity symbol: another one each time, so that a device that kept
    /// some of an earlier group learns something new.
    pub(crate) fn new(
        now: Instant,
        key: Key,
        url: Arc<str>,
        total: usize,
        szx: Szx,
        seed: u16,
        hasher: FixedState,
    ) -> Self {
        Self {
            key,
            url,
            plan: Plan::new(total, szx, seed),
            limit: Szx::MAX,
            members: LruCache::unbounded_with_hasher(hasher),
            sent: Sent::default(),
            last: now,
        }
    }

    /// The size of the blocks of its stream.
    pub(crate) const fn szx(&self) -> Szx {
        self.plan.szx()
    }

    /// There is something to be sent.
    pub(crate) fn moves(&self) -> bool {
        self.plan.left() > 0
    }

    /// How many datagrams are to go.
    pub(crate) fn left(&self) -> u32 {
        self.plan.left()
    }

    /// How it stands, for people.
    pub(crate) fn describe(&self) -> GroupStatus {
        GroupStatus {
            url: self.url.clone(),
            etag: self.key.etag,
            members: self.members.len(),
            planned: self.plan.left(),
            block_size: self.szx(),
            blocks: self.sent.blocks,
            parity: self.sent.parity,
        }
    }

    /// Devices that take part.
    pub(crate) fn members(&self) -> usize {
        self.members.len()
    }

    /// Their addresses.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        self.members.iter().map(|(&address, _)| address)
    }

    /// When it is forgotten.
    pub(crate) fn ends(&self) -> Instant {
        self.last + SILENCE
    }

    /// Chooses the block size of the next stream: the best for a link with these headers and losses, `limit` at most. A stream
    /// that moves keeps its size.
    pub(crate) fn suit(&mut self, radio: Radio, headers: usize, limit: Szx, loss: &Loss) {
        if self.moves() {
            return;
        }
        let szx = best(radio, headers, limit.min(self.limit), self.szx(), loss.estimate());
        if szx != self.szx() {
            self.plan.resize(szx);
        }
    }

    /// A member asks: what it lacks becomes part of what is sent.
    pub(crate) fn heard(&mut self, now: Instant, asked: &Asked<'_>, loss: &mut Loss) -> Verdict {
        let Asked { peer, lacks, parity, interval } = *asked;
        self.last = now;
        self.limit = self.limit.min(lacks.szx);
        if self.szx() > self.limit {
            self.plan.resize(self.limit);
        }
        self.forget_silent(now);
        let (single, moves) = (lacks.from.is_none() && lacks.named.len() == 1, self.moves());
        let newcomer = !self.members.contains(&peer);
        // The first time that a member cannot use parity an eighth of what it lacks is sent as blocks, then twice as much.
        let blind = self.members.peek(&peer).map_or(0, |member| member.blind);
        let share = if parity { ALL.min(1 << blind.min(3)) } else { ALL };
        let need = Need::read(lacks, self.szx(), self.plan.blocks(), parity, share, loss.estimate());
        let futile = self.note(now, peer, lacks, &need, loss);
        if single && !moves && !self.others_are_active(now, peer) {
            return Verdict::Alone;
        }
        if self.is_importunate(now, peer) {
            return Verdict::Silenced;
        }
        if futile >= MOST_FUTILE {
            return Verdict::Ignored;
        }
        // A newcomer that names one block hears what it lacks, as it seems, and will say it.
        if single && newcomer && moves {
            return Verdict::Merged;
        }
        let fresh = single && self.sent.plans == 0;
        let need = if fresh {
            Need::rest(self.first_wanted(now), self.plan.blocks())
        } else if futile > 0 && parity {
            Need::read(lacks, self.szx(), self.plan.blocks(), false, ALL, loss.estimate())
        } else {
            need
        };
        self.plan.merge(&need, loss.estimate());
        if fresh && parity {
            // How many blocks the slowest member may miss when all power on together.
            let late = (POWER_ON.as_micros() / interval.as_micros().max(1)) as u32;
            self.plan.add_expected_losses(loss.estimate(), late);
        }
        if moves || !self.moves() {
            return Verdict::Merged;
        }
        self.sent.plans += 1;
        Verdict::Started(if fresh { PlanKind::Pass } else { self.plan.kind() })
    }

    /// Remembers what a member lacks; says how many times in a row it became no less.
    fn note(&mut self, now: Instant, peer: SocketAddr, lacks: &Lacks, need: &Need, loss: &mut Loss) -> u8 {
        let before = self.members.get(&peer).copied();
        let single = lacks.from.is_none() && lacks.named.len() == 1;
        let first = need.named.first().copied().or(lacks.from).unwrap_or(0);
        // Who names one block before it heard a stream lacks all that follows.
        let lacking = if single && (before.is_none() || self.sent.plans == 0) {
            self.plan.blocks().saturating_sub(first)
        } else {
            need.lacking
        };
        let report = Report { szx: self.szx(), lacking, deficit: need.deficit, sent: self.sent };
        let elsewhere = single && before.is_some_and(|before| before.first != first);
        let futile = match &before {
            Some(before) => self.compare(now, before, &report, loss),
            None => 0,
        };
        let futile = if elsewhere { 0 } else { futile };
        let answers_until = before.map_or(now, |before| before.answers_until);
        let is_blind = lacks.from.is_some() && need.deficit.is_none();
        let blind =
            before.filter(|_| is_blind).map_or(0, |before| before.blind).saturating_add(is_blind.into());
        self.members.put(peer, Member { heard: now, first, futile, blind, answers_until, report });
        futile
    }

    /// A member asks too often to be told to wait each time.
    fn is_importunate(&mut self, now: Instant, peer: SocketAddr) -> bool {
        let Some(member) = self.members.get_mut(&peer) else { return true };
        let until = member.answers_until.max(now) + ANSWER_EVERY;
        let is_importunate = until.since(now) > ANSWER_EVERY * ANSWERS_AT_ONCE;
        if !is_importunate {
            member.answers_until = until;
        }
        is_importunate
    }

    /// Learns from what a member lacks now and lacked before; says how many times in a row it became no less.
    fn compare(&self, now: Instant, before: &Member, report: &Report, loss: &mut Loss) -> u8 {
        let (old, new) = (before.report, report);
        let blocks = self.sent.blocks.saturating_sub(old.sent.blocks);
        let parity = self.sent.parity.saturating_sub(old.sent.parity);
        if old.szx == new.szx {
            match (old.deficit, new.deficit) {
                _ if parity == 0 && blocks >= FEW && blocks <= old.lacking => {
                    loss.sample(now, old.lacking.saturating_sub(new.lacking), blocks);
                }
                (Some(old), Some(new)) if blocks == 0 && parity >= FEW && new > 0 => {
                    loss.sample(now, old.saturating_sub(new), parity);
                }
                _ => {}
            }
        }
        let measure = |report: &Report| report.deficit.unwrap_or(report.lacking);
        let less = measure(new) < measure(&old) || new.lacking < old.lacking;
        match (less, blocks + parity) {
            (true, _) => 0,
            (false, 0) => before.futile,
            (false, _) => before.futile.saturating_add(1),
        }
    }

    /// The next datagram, made of the first `available` bytes of the body.
    pub(crate) fn next(&self, available: usize) -> Option<Item> {
        self.plan.next(available)
    }

    /// It was sent.
    pub(crate) fn sent(&mut self, now: Instant, item: Item) {
        self.last = now;
        self.plan.sent(item);
        match item {
            Item::Block(_) => self.sent.blocks = self.sent.blocks.wrapping_add(1),
            Item::Parity { .. } => self.sent.parity = self.sent.parity.wrapping_add(1),
        }
    }

    /// The first block that an active member asked for.
    fn first_wanted(&self, now: Instant) -> u32 {
        let active = self.members.iter().take_while(|(_, member)| now.since(member.heard) < ACTIVE);
        active.map(|(_, member)| member.first).min().unwrap_or(0)
    }

    fn others_are_active(&self, now: Instant, peer: SocketAddr) -> bool {
        let mut latest = self.members.iter().take(2).filter(|(address, _)| **address != peer);
        latest.any(|(_, member)| now.since(member.heard) < ACTIVE)
    }

    fn forget_silent(&mut self, now: Instant) {
        while let Some((_, member)) = self.members.peek_lru()
            && (now.since(member.heard) >= SILENCE || self.members.len() >= MOST_MEMBERS)
        {
            self.members.pop_lru();
        }
    }
}
