//! All sessions: found by what a request says, ended when their time is over.

use super::agreed::{KeptSession, Keys, NewSession, SessionError};
use super::id::{Id, IdContext};
use super::refusals::Questions;
use crate::exchanges::Reply;
use crate::timers::TimerId;
use foldhash::quality::FixedState;
use sixfold_oscore::{LAST, Received, ReplayWindow, SenderSequence};
use sixfold_profile::Instant;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

/// Sessions of one name that are in force at the same time: the one that a boot program may still use, and its successor.
const PER_NAME: usize = 2;

/// How many numbers are reserved ahead where sessions are kept: responses to repeated requests and notifications take one each, so
/// that lasting memory is seldom written for them.
const RESERVE: u64 = 1 << 16;

/// The length of this relay's Recipient IDs, in bytes: it leaves room for the path in a request of one 802.15.4 frame.
const FRESH_ID: usize = 5;

/// Requests of one session that are remembered: NSTART is 1 (RFC 7252 §4.7), so a few are enough. Answers to older ones take a
/// number.
const MOST_RECENT: usize = 8;

/// How often a random Recipient ID may turn out to be taken.
const TRIES: u8 = 16;

/// Names a session for as long as this relay runs: never used again for another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Serial(u64);

impl Serial {
    pub(crate) const fn to_bytes(self) -> [u8; 8] {
        self.0.to_be_bytes()
    }
}

/// How a request names its context.
type Name = (Id, Option<IdContext>);

/// One session.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) name: Arc<str>,
    pub(crate) keys: Keys,
    pub(crate) window: ReplayWindow,
    pub(crate) numbers: SenderSequence,
    /// The latest requests, the newest first.
    recent: VecDeque<Recent>,
    /// The first number that is not reserved.
    reserved: u64,
    pub(crate) expires: Option<Instant>,
    pub(crate) timer: Option<TimerId>,
    /// When and where its latest request came from.
    pub(crate) heard: Option<(Instant, SocketAddr)>,
    /// What it was asked to show.
    pub(crate) questions: Questions,
}

/// A request of a session.
#[derive(Debug)]
struct Recent {
    number: u64,
    peer: SocketAddr,
    message_id: u16,
    /// Its nonce, which has made no answer yet.
    nonce: Option<Received>,
}

/// One session, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionStatus {
    /// What the device is called.
    pub name: Arc<str>,
    /// Its Sender ID.
    pub recipient_id: Id,
    /// The ID Context, if there is one.
    pub id_context: Option<IdContext>,
    /// How long it may still be used; `None` for one that does not expire.
    pub left: Option<Duration>,
    /// How long ago its latest request came, and where from.
    pub heard: Option<(Duration, SocketAddr)>,
}

impl Session {
    pub(crate) fn agreed(now: Instant, new: NewSession) -> Result<Self, SessionError> {
        let keys = new.keys()?;
        Ok(Self::new(now, new.name, keys, ReplayWindow::new(), 0..LAST + 1, new.lifetime))
    }

    /// It has no numbers before they are kept again: lasting memory still says that these are free.
    pub(crate) fn kept(now: Instant, kept: KeptSession) -> Result<Self, SessionError> {
        let KeptSession { name, left, first_number, keys } = kept;
        keys.context()?;
        Ok(Self::new(now, name, keys, ReplayWindow::lost(), first_number..first_number, left))
    }

    fn new(
        now: Instant,
        name: Arc<str>,
        keys: Keys,
        window: ReplayWindow,
        numbers: Range<u64>,
        lifetime: Option<Duration>,
    ) -> Self {
        let (reserved, numbers) = (numbers.end, SenderSequence::new(numbers));
        let expires = lifetime.map(|lifetime| now + lifetime);
        let (recent, questions) = (VecDeque::new(), Questions::default());
        Self { name, keys, window, numbers, recent, reserved, expires, timer: None, heard: None, questions }
    }

    /// The replay window was lost.
    pub(crate) fn is_lost(&self) -> bool {
        self.window == ReplayWindow::lost()
    }

    /// Whether the same message was received lately: then it is a retransmission, which is answered again, because no answers are
    /// kept. The same number in another message, or from another address, is a replay.
    pub(crate) fn is_recent(&self, number: u64, reply: &Reply) -> bool {
        let same = |recent: &Recent| {
            (recent.number, recent.peer, recent.message_id) == (number, reply.path.peer, reply.message_id)
        };
        self.recent.iter().any(same)
    }

    /// Notes a request, and its nonce if that may be used.
    pub(crate) fn remember(&mut self, number: u64, reply: &Reply, nonce: Option<Received>) {
        self.recent.truncate(MOST_RECENT - 1);
        let (peer, message_id) = (reply.path.peer, reply.message_id);
        self.recent.push_front(Recent { number, peer, message_id, nonce });
    }

    /// The nonce of a request, for one answer; `None` when it was taken already, or is not remembered.
    pub(crate) fn take_nonce(&mut self, number: u64) -> Option<Received> {
        self.recent.iter_mut().find(|recent| recent.number == number)?.nonce.take()
    }

    fn reserve(&mut self, end: u64) {
        self.numbers.reserve(end);
        self.reserved = end;
    }

    fn found_by(&self) -> Name {
        (self.keys.recipient_id, self.keys.id_context)
    }
}

/// All sessions.
pub(crate) struct Sessions {
    /// In the order in which they came.
    by_serial: BTreeMap<Serial, Session>,
    by_name: HashMap<Name, Serial, FixedState>,
    next: u64,
    changed: bool,
}

impl Sessions {
    pub(crate) fn new(hasher: FixedState) -> Self {
        Self { by_serial: BTreeMap::new(), by_name: HashMap::with_hasher(hasher), next: 0, changed: false }
    }

    pub(crate) fn len(&self) -> usize {
        self.by_serial.len()
    }

    pub(crate) fn fresh_id(&self, random: [u8; 8]) -> Option<Id> {
        (0..TRIES).find_map(|turn| {
            let mut bytes = random;
            bytes[0] = bytes[0].wrapping_add(turn);
            let id = Id::new(bytes.get(..FRESH_ID)?)?;
            (!self.by_name.contains_key(&(id, None))).then_some(id)
        })
    }

    /// Adds a session, if there is room when those have ended that it supersedes: which these are, for the owner to end.
    pub(crate) fn add(
        &mut self,
        session: Session,
        limit: usize,
    ) -> Result<(Serial, Vec<Serial>), SessionError> {
        let found_by = session.found_by();
        if self.by_name.contains_key(&found_by) {
            return Err(SessionError::Taken);
        }
        let superseded = self.superseded(&session);
        if self.len() - superseded.len() >= limit {
            return Err(SessionError::Full);
        }
        let serial = Serial(self.next);
        self.next += 1;
        self.by_name.insert(found_by, serial);
        self.by_serial.insert(serial, session);
        self.changed = true;
        Ok((serial, superseded))
    }

    pub(crate) fn remove(&mut self, serial: Serial) -> Option<Session> {
        let session = self.by_serial.remove(&serial)?;
        self.by_name.remove(&session.found_by());
        self.changed = true;
        Some(session)
    }

    /// The session that a request names.
    pub(crate) fn find(&mut self, name: Name) -> Option<(Serial, &mut Session)> {
        let serial = *self.by_name.get(&name)?;
        Some((serial, self.by_serial.get_mut(&serial)?))
    }

    pub(crate) fn get_mut(&mut self, serial: Serial) -> Option<&mut Session> {
        self.by_serial.get_mut(&serial)
    }

    pub(crate) fn set_timer(&mut self, serial: Serial, timer: TimerId) {
        if let Some(session) = self.by_serial.get_mut(&serial) {
            session.timer = Some(timer);
        }
    }

    pub(crate) fn of_name(&self, name: &str) -> Vec<Serial> {
        self.by_serial
            .iter()
            .filter(|(_, session)| &*session.name == name)
            .map(|(&serial, _)| serial)
            .collect()
    }

    pub(crate) fn serials(&self) -> Vec<Serial> {
        self.by_serial.keys().copied().collect()
    }

    /// The sessions of a name that are too many with a new one: those first in which no request came, because their device may never
    /// have got the answer, then the oldest. What does not expire was agreed on elsewhere, and no device gets it a second time: it
    /// stays.
    fn superseded(&self, new: &Session) -> Vec<Serial> {
        let was_used = |session: &Session| session.heard.is_some() || session.is_lost();
        let mut sessions: Vec<_> = self
            .by_serial
            .iter()
            .filter(|(_, session)| session.name == new.name && session.expires.is_some())
            .map(|(&serial, session)| (was_used(session), serial))
            .collect();
        sessions.sort_unstable();
        let stay = PER_NAME - usize::from(new.expires.is_some());
        sessions.truncate(sessions.len().saturating_sub(stay));
        sessions.into_iter().map(|(_, serial)| serial).collect()
    }

    pub(crate) fn describe(&self, now: Instant, skip: usize, limit: usize) -> Vec<SessionStatus> {
        let status = |session: &Session| SessionStatus {
            name: session.name.clone(),
            recipient_id: session.keys.recipient_id,
            id_context: session.keys.id_context,
            left: session.expires.map(|at| at.since(now)),
            heard: session.heard.map(|(at, peer)| (now.since(at), peer)),
        };
        self.by_serial.values().skip(skip).take(limit).map(status).collect()
    }

    pub(crate) fn keep(&mut self, now: Instant) -> Vec<KeptSession> {
        self.changed = false;
        let keep = |session: &mut Session| {
            let first_number = session.numbers.next().saturating_add(RESERVE).min(LAST + 1);
            // Fewer from now on, more only when the record is in its place.
            session.reserve(session.reserved.min(first_number));
            let left = session.expires.map(|at| at.since(now));
            KeptSession { name: session.name.clone(), left, first_number, keys: session.keys.clone() }
        };
        self.by_serial.values_mut().map(keep).collect()
    }

    pub(crate) fn reserve(&mut self, kept: &[KeptSession]) {
        for record in kept {
            let found_by = (record.keys.recipient_id, record.keys.id_context);
            let serial = self.by_name.get(&found_by);
            if let Some(session) = serial.and_then(|serial| self.by_serial.get_mut(serial)) {
                session.reserve(record.first_number);
            }
        }
    }

    pub(crate) fn changed(&self) -> bool {
        let is_short = |session: &Session| {
            session.reserved <= LAST && session.reserved.saturating_sub(session.numbers.next()) < RESERVE / 2
        };
        self.changed || self.by_serial.values().any(is_short)
    }
}
