//! Sessions over a restart: read before the first datagram, written when they have changed.
//!
//! Writing is left to another thread: flash is slow. A power cut can lose or revive a session, but never reuse a sequence
//! number: the engine uses a number only after it was written.

use crate::config::Sessions;
use crate::lock::Lock;
use crate::refused::Refused;
use crate::sessions::preshared;
use crate::sessions::store::{Contents, Fingerprint, SessionStore, fingerprints};
use crate::store::MemoryStore;
use sixfold_engine::{Engine, Id, IdContext, Instant, KeptSession, Keys, NewSession};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::task::{JoinHandle, spawn_blocking};

type Name = (Id, Option<IdContext>);

/// What is not to be used again when its session has ended.
type Used = (Name, [Fingerprint; 2]);

/// How far wall clock and engine clock may come apart before what is written says a wrong time.
const CLOCK_SET: Duration = Duration::from_secs(60);

/// Keeps the sessions of one relay.
pub(super) struct Keeper {
    store: SessionStore,
    /// Two relays with one store would use the same numbers.
    _lock: Lock,
    /// Pre-shared contexts that were in use in this run or before.
    preshared: Vec<Used>,
    spent: Vec<Name>,
    spent_keys: Vec<Fingerprint>,
    writing: Option<JoinHandle<Option<Vec<KeptSession>>>>,
    /// The last attempt failed.
    is_behind: bool,
    /// When the engine's time began, since 1970, by the wall clock of the last record.
    epoch: Duration,
}

impl Keeper {
    /// Brings back what is kept, if there is a store. What is in the way is logged, and the relay serves without.
    ///
    /// # Errors
    /// If another relay uses the store.
    pub(super) fn open(
        config: &Sessions,
        engine: &mut Engine<MemoryStore>,
        now: Instant,
    ) -> anyhow::Result<Option<Self>> {
        let Some(file) = &config.store else { return Ok(None) };
        let (store, contents, lock) = match SessionStore::open_alone(file) {
            Ok(opened) => opened,
            Err(error) if Refused::is_behind(&error) => return Err(error),
            Err(error) => {
                tracing::error!("{error:#}: no sessions are brought back or kept, see sessions.store");
                return Ok(None);
            }
        };
        let Contents { sessions, spent, spent_keys } = contents;
        let mut keeper = Self {
            store,
            _lock: lock,
            preshared: Vec::new(),
            spent,
            spent_keys,
            writing: None,
            is_behind: false,
            epoch: epoch(now, SystemTime::now()),
        };
        // If the contexts file cannot be read, keep the contexts in use.
        let named = match &config.contexts {
            Some(file) => preshared::read(file).inspect_err(|error| tracing::error!("{error:#}")).ok(),
            None => Some(Vec::new()),
        };
        let count = sessions.len();
        for session in sessions {
            keeper.restore(session, named.as_deref(), engine, now);
        }
        for session in named.unwrap_or_default() {
            keeper.add_preshared(session, engine, now);
        }
        tracing::info!(count, "sessions brought back");
        keeper.write_now(engine, now);
        Ok(Some(keeper))
    }

    /// Brings one session back. A pre-shared context, which alone does not expire, ends when the operator took it out of its file, or
    /// gave it other keys.
    fn restore(
        &mut self,
        session: KeptSession,
        named: Option<&[NewSession]>,
        engine: &mut Engine<MemoryStore>,
        now: Instant,
    ) {
        if session.left.is_none() {
            let used = (name_of(&session.keys), fingerprints(&session.keys));
            let is_named = |new: &NewSession| new.keys().is_ok_and(|keys| keys == session.keys);
            if named.is_some_and(|named| !named.iter().any(is_named)) {
                tracing::error!(
                    name = &*session.name,
                    "operator: this context is not in sessions.contexts any more, or has other keys there; it has ended"
                );
                return self.spend(used);
            }
            self.preshared.push(used);
        }
        if let Err(error) = engine.restore_session(now, session) {
            tracing::warn!("a session was not brought back: {error}");
        }
    }

    /// Takes a context that is new to this relay. One that it knew before, and has no numbers of any more, must not be used again.
    fn add_preshared(&mut self, session: NewSession, engine: &mut Engine<MemoryStore>, now: Instant) {
        let name = session.name.clone();
        let keys = match session.keys() {
            Ok(keys) => keys,
            Err(error) => {
                return tracing::error!(name = &*name, "operator: a context was not taken: {error}");
            }
        };
        let used = (name_of(&keys), fingerprints(&keys));
        if self.spent.contains(&used.0) || used.1.iter().any(|key| self.spent_keys.contains(key)) {
            return tracing::error!(
                name = &*name,
                "operator: this context was used and has ended; give it another secret, and another recipient_id"
            );
        }
        if self.preshared.contains(&used) {
            return;
        }
        match engine.add_session(now, session) {
            Ok(()) => self.preshared.push(used),
            Err(error) => tracing::error!(name = &*name, "operator: a context was not taken: {error}"),
        }
    }

    fn spend(&mut self, (name, keys): Used) {
        self.spent.push(name);
        self.spent_keys.extend(keys);
    }

    /// Writes if there is something to be written; call it about once a second.
    pub(super) async fn look(&mut self, engine: &mut Engine<MemoryStore>, now: Instant) {
        if let Some(writing) = self.writing.take_if(|writing| writing.is_finished()) {
            self.end(engine, writing.await.ok().flatten());
        }
        if self.writing.is_none()
            && (engine.sessions_changed() || self.is_behind || self.clock_was_set(now, SystemTime::now()))
        {
            let contents = self.contents(engine, now);
            let store = self.store.clone();
            self.writing = Some(spawn_blocking(move || written(&store, contents)));
        }
    }

    /// Writes what is so now, with its time, and waits for it. False when that failed.
    pub(super) async fn keep(&mut self, engine: &mut Engine<MemoryStore>, now: Instant) -> bool {
        if let Some(writing) = self.writing.take() {
            self.end(engine, writing.await.ok().flatten());
        }
        self.write_now(engine, now);
        !self.is_behind
    }

    /// The wall clock was set, as after the boot of a router: the next start would take the step for time that has passed, and end all
    /// sessions.
    fn clock_was_set(&mut self, now: Instant, wall: SystemTime) -> bool {
        let epoch = epoch(now, wall);
        let was_set = epoch.abs_diff(self.epoch) > CLOCK_SET;
        if was_set {
            self.epoch = epoch;
        }
        was_set
    }

    fn write_now(&mut self, engine: &mut Engine<MemoryStore>, now: Instant) {
        let contents = self.contents(engine, now);
        let outcome = written(&self.store, contents);
        self.end(engine, outcome);
    }

    fn contents(&mut self, engine: &mut Engine<MemoryStore>, now: Instant) -> Contents {
        let sessions = engine.keep_sessions(now);
        let is_there = |(name, _): &Used| sessions.iter().any(|kept| name_of(&kept.keys) == *name);
        let (still, gone): (Vec<_>, Vec<_>) = self.preshared.drain(..).partition(is_there);
        self.preshared = still;
        gone.into_iter().for_each(|used| self.spend(used));
        Contents { spent: self.spent.clone(), spent_keys: self.spent_keys.clone(), sessions }
    }

    fn end(&mut self, engine: &mut Engine<MemoryStore>, kept: Option<Vec<KeptSession>>) {
        self.is_behind = kept.is_none();
        if let Some(kept) = kept {
            engine.sessions_kept(&kept);
        }
    }
}

fn name_of(keys: &Keys) -> Name {
    (keys.recipient_id, keys.id_context)
}

/// When the engine's time began, since 1970.
fn epoch(now: Instant, wall: SystemTime) -> Duration {
    let wall = wall.duration_since(UNIX_EPOCH).unwrap_or_default();
    wall.saturating_sub(now.since(Instant::ZERO))
}

/// What was written; `None` if it was not.
fn written(store: &SessionStore, contents: Contents) -> Option<Vec<KeptSession>> {
    let outcome = store.write(&contents);
    outcome
        .inspect_err(|error| {
            tracing::error!("operator: sessions cannot be kept ({error:#}); see sessions.store");
        })
        .ok()
        .map(|()| contents.sessions)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret;
    use sixfold_engine::{Config, Limits};
    use std::path::Path;

    const SECRET: &str = "0102030405060708090a0b0c0d0e0f10";
    const OTHER: &str = "ff02030405060708090a0b0c0d0e0f10";

    fn context(recipient_id: &str, secret: &str) -> String {
        format!(
            "[[context]]\nname = \"m\"\nrecipient_id = \"{recipient_id}\"\nmaster_secret = \"{secret}\"\n"
        )
    }

    /// A relay that starts: its sessions.
    fn start(directory: &Path, limit: usize) -> (Keeper, Engine<MemoryStore>) {
        let config = Sessions {
            store: Some(directory.join("sessions")),
            contexts: Some(directory.join("contexts")),
            ..Sessions::default()
        };
        let limits = Limits { sessions: limit, ..Limits::default() };
        let mut engine = Engine::new(Config { limits, ..Config::default() }, MemoryStore::new(1000), [1; 32]);
        let keeper = Keeper::open(&config, &mut engine, Instant::ZERO).unwrap().unwrap();
        (keeper, engine)
    }

    /// How many sessions there are after a start with each of these files of contexts.
    fn starts(files: &[&str]) -> Vec<usize> {
        let directory = tempfile::tempdir().unwrap();
        let start = |text: &&str| {
            secret::write(&directory.path().join("contexts"), text.as_bytes()).unwrap();
            start(directory.path(), 10).1.load().sessions
        };
        files.iter().map(start).collect()
    }

    #[test]
    fn a_context_that_left_its_file_never_comes_back() {
        let x = &*context("6d", SECRET);
        assert_eq!(starts(&[x, x, "", x]), [1, 1, 0, 0]);
        assert_eq!(starts(&[x, "no file of contexts", x]), [1, 1, 1], "nobody took it out");
    }

    #[test]
    fn a_secret_that_was_used_does_not_come_back_under_another_name() {
        let (x, renamed) = (&*context("6d", SECRET), &*context("6e", SECRET));
        assert_eq!(starts(&[x, renamed]), [1, 0]);
        assert_eq!(starts(&[x, "", renamed]), [1, 0, 0]);
        assert_eq!(starts(&[x, "", &context("6e", OTHER)]), [1, 0, 1]);
    }

    /// The relay would seal with what the device sealed with, or the other way round.
    #[test]
    fn a_secret_that_was_used_does_not_come_back_with_its_identifiers_exchanged() {
        let of = |recipient: &str, sender: &str, secret: &str| {
            format!("{}sender_id = \"{sender}\"\n", context(recipient, secret))
        };
        let x = &*of("6d", "01", SECRET);
        for (recipient, sender) in [("01", "6d"), ("01", "6e"), ("6e", "6d"), ("6e", "01")] {
            let back = &*of(recipient, sender, SECRET);
            assert_eq!(starts(&[x, "", back]), [1, 0, 0], "{recipient} {sender}");
            assert_eq!(starts(&[x, back]), [1, 0], "{recipient} {sender}");
        }
        assert_eq!(starts(&[x, "", &of("01", "6d", OTHER)]), [1, 0, 1]);
    }

    #[test]
    fn a_context_with_other_keys_ends_the_one_before() {
        let (x, changed) = (&*context("6d", SECRET), &*context("6d", OTHER));
        assert_eq!(starts(&[x, changed, x]), [1, 0, 0]);
    }

    #[test]
    fn a_context_that_was_never_taken_is_not_spent() {
        let directory = tempfile::tempdir().unwrap();
        let both = context("6d", SECRET) + &context("6e", OTHER);
        secret::write(&directory.path().join("contexts"), both.as_bytes()).unwrap();
        for (limit, count) in [(1, 1), (2, 2)] {
            assert_eq!(start(directory.path(), limit).1.load().sessions, count);
        }
    }

    #[tokio::test]
    async fn a_clock_that_was_set_is_written() {
        let directory = tempfile::tempdir().unwrap();
        secret::write(&directory.path().join("contexts"), b"").unwrap();
        let (mut keeper, mut engine) = start(directory.path(), 1);
        let now = Instant::ZERO + Duration::from_secs(1000);
        let wall = UNIX_EPOCH + keeper.epoch + Duration::from_secs(1000);
        let year = Duration::from_secs(365 * 24 * 3600);
        assert!(!keeper.clock_was_set(now, wall + Duration::from_secs(59)), "no more than drift");
        for (wall, was_set) in [(wall + year, true), (wall + year, false), (wall, true)] {
            assert_eq!(keeper.clock_was_set(now, wall), was_set);
        }
        // However little has changed: the last record is of the end.
        let file = directory.path().join("sessions");
        let before = std::fs::read(&file).unwrap();
        keeper.epoch += year;
        keeper.look(&mut engine, Instant::ZERO).await;
        assert!(keeper.writing.is_some());
        keeper.keep(&mut engine, Instant::ZERO).await;
        drop(keeper);
        let (mut keeper, mut engine) = start(directory.path(), 1);
        let looked = std::fs::read(&file).unwrap();
        assert_ne!(looked, before);
        keeper.keep(&mut engine, Instant::ZERO).await;
        assert_ne!(std::fs::read(&file).unwrap(), looked, "what is kept is written always");
    }

    #[tokio::test]
    async fn what_was_revoked_is_kept_or_said_not_to_be() {
        let directory = tempfile::tempdir().unwrap();
        secret::write(&directory.path().join("contexts"), context("01", SECRET).as_bytes()).unwrap();
        let (mut keeper, mut engine) = start(directory.path(), 1);
        assert_eq!(engine.revoke_all(), 1);
        assert!(keeper.keep(&mut engine, Instant::ZERO).await);
        // As a power cut would find it.
        drop(keeper);
        let (mut keeper, mut engine) = start(directory.path(), 1);
        assert_eq!(engine.load().sessions, 0);
        directory.close().unwrap();
        assert!(!keeper.keep(&mut engine, Instant::ZERO).await);
    }

    /// Both would protect with the same numbers.
    #[test]
    fn a_store_is_for_one_relay() {
        let directory = tempfile::tempdir().unwrap();
        secret::write(&directory.path().join("contexts"), b"").unwrap();
        let first = start(directory.path(), 1);
        let config = Sessions { store: Some(directory.path().join("sessions")), ..Sessions::default() };
        let mut engine = Engine::new(Config::default(), MemoryStore::new(1000), [1; 32]);
        let refused = Keeper::open(&config, &mut engine, Instant::ZERO).err().unwrap();
        assert!(Refused::is_behind(&refused), "{refused:#}");
        drop(first);
        assert!(Keeper::open(&config, &mut engine, Instant::ZERO).unwrap().is_some());
    }
}
