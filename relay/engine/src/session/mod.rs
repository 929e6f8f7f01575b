//! Sessions: what devices and this relay have agreed on, however they did, and what OSCORE (RFC 8613) does to their messages.
//!
//! | module | section | |
//! |---|---|---|
//! | `id` | §3.1 | identifiers |
//! | `agreed` | §3.2 | what comes in: from an agreement, from a file |
//! | `table` | §8.2 | which context a request is of; expiry, limit, revocation |
//! | `open` | §8.2 | requests; what is answered to those that cannot be opened |
//! | `refusals` | | how often such an answer leaves |
//! | `seal` | §8.3 | answers and notifications |
//! | `echo` | RFC 9175 | values that show that a request is fresh, or its address live |
//!
//! It does not agree on keys, and does not read or write files: who owns the engine does.

mod agreed;
mod echo;
mod id;
mod open;
mod refusals;
mod seal;
mod table;

pub use agreed::{KeptSession, Keys, Master, NewSession, SessionError};
pub(crate) use echo::{ECHO, Echo};
pub use id::{Id, IdContext, ShortBytes};
pub(crate) use open::Bound;
pub(crate) use refusals::Refusals;
pub(crate) use seal::AROUND_PROTECTED;
pub use table::SessionStatus;
pub(crate) use table::{Serial, Sessions};

use crate::engine::{Engine, Timer};
use crate::event::{Event, SessionEvent};
use crate::store::Store;
use sixfold_profile::Instant;

impl<S: Store> Engine<S> {
    /// A Recipient ID that no session has: for a new one, which the device will be found by (its Sender ID, `kid`). `random` are
    /// 8 bytes that nobody can predict. `None`: all that were tried are taken. Whether there is room for a session shows when it is
    /// added, because it may end one of its own device.
    pub fn fresh_recipient_id(&self, random: [u8; 8]) -> Option<Id> {
        self.sessions.fresh_id(random)
    }

    /// Takes a session into use. One with the same name stays in force, because a boot program may still use it; of three that
    /// expire goes one that was never used, or the oldest.
    ///
    /// # Errors
    /// [`SessionError`]; nothing has changed then.
    pub fn add_session(&mut self, now: Instant, new: NewSession) -> Result<(), SessionError> {
        let session = table::Session::agreed(now, new)?;
        self.take_session(session)
    }

    /// Takes a session into use that an earlier run of this relay had: numbers go on behind those that were reserved, and the first
    /// request has to be shown to be fresh, because the replay window is lost (RFC 8613 Appendix B.1).
    ///
    /// # Errors
    /// [`SessionError`]; nothing has changed then.
    pub fn restore_session(&mut self, now: Instant, kept: KeptSession) -> Result<(), SessionError> {
        let session = table::Session::kept(now, kept)?;
        self.take_session(session)
    }

    /// Ends all sessions of a device; how many there were. Requests under way are refused as those of unknown contexts.
    pub fn revoke(&mut self, name: &str) -> usize {
        let serials = self.sessions.of_name(name);
        self.end_sessions(&serials, SessionEvent::Revoked)
    }

    /// Ends all sessions; how many there were.
    pub fn revoke_all(&mut self) -> usize {
        let serials = self.sessions.serials();
        self.end_sessions(&serials, SessionEvent::Revoked)
    }

    /// Ends a session that its device was never told of, which cannot have been used; whether there was one.
    pub fn withdraw_session(&mut self, recipient_id: Id) -> bool {
        let Some((serial, _)) = self.sessions.find((recipient_id, None)) else { return false };
        self.end_sessions(&[serial], SessionEvent::Withdrawn) > 0
    }

    /// A page of the sessions, in the order in which they were agreed on.
    pub fn sessions(&self, now: Instant, skip: usize, limit: usize) -> Vec<SessionStatus> {
        self.sessions.describe(now, skip, limit)
    }

    /// All sessions, as they are to be kept for a restart. When they are in lasting memory, [`Engine::sessions_kept`] says so.
    pub fn keep_sessions(&mut self, now: Instant) -> Vec<KeptSession> {
        self.sessions.keep(now)
    }

    /// What [`Engine::keep_sessions`] gave last is in lasting memory: the numbers in it may be used.
    pub fn sessions_kept(&mut self, kept: &[KeptSession]) {
        self.sessions.reserve(kept);
    }

    /// Whether the sessions have changed since they were kept, or will soon need more numbers than were reserved.
    pub fn sessions_changed(&self) -> bool {
        self.sessions.changed()
    }

    fn take_session(&mut self, session: table::Session) -> Result<(), SessionError> {
        let (ends, name) = (session.expires, session.name.clone());
        let (serial, superseded) = self.sessions.add(session, self.config.limits.sessions)?;
        if let Some(timer) = ends.map(|at| self.timers.set(at, Timer::EndSession(serial))) {
            self.sessions.set_timer(serial, timer);
        }
        self.event(Event::Session { name, event: SessionEvent::Added });
        self.end_sessions(&superseded, SessionEvent::Replaced);
        Ok(())
    }

    pub(crate) fn end_sessions(&mut self, serials: &[Serial], event: SessionEvent) -> usize {
        let mut ended = 0;
        for &serial in serials {
            let Some(session) = self.sessions.remove(serial) else { continue };
            if let Some(timer) = session.timer {
                self.timers.cancel(timer);
            }
            self.event(Event::Session { name: session.name, event });
            ended += 1;
        }
        ended
    }
}
