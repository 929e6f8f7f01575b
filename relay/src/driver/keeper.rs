//! Sessions over a restart: read before the first datagram, written when they have changed.
//!
//! Writing is left to another thread: flash is slow. What is not written when the power goes is a session more or less, and no number
//! that was used: the engine uses none before it hears that it was written.

use crate::config::Sessions;
use crate::sessions::preshared;
use crate::sessions::store::{Contents, SessionStore};
use crate::store::MemoryStore;
use sixfold_engine::{Engine, Id, IdContext, Instant, KeptSession, NewSession};
use std::path::Path;
use tokio::task::{JoinHandle, spawn_blocking};

type Name = (Id, Option<IdContext>);

/// Keeps the sessions of one relay.
pub(super) struct Keeper {
    store: SessionStore,
    /// Pre-shared contexts that were in use in this run or before.
    preshared: Vec<Name>,
    spent: Vec<Name>,
    writing: Option<JoinHandle<Option<Vec<KeptSession>>>>,
    /// The last attempt failed.
    is_behind: bool,
}

impl Keeper {
    /// Brings back what is kept, if there is a store. What is in the way is logged, and the relay serves without.
    pub(super) fn open(config: &Sessions, engine: &mut Engine<MemoryStore>, now: Instant) -> Option<Self> {
        let file = config.store.as_ref()?;
        let opened = SessionStore::open(file);
        let (store, Contents { sessions, spent }) = opened
            .inspect_err(|error| {
                tracing::error!("{error:#}: no sessions are brought back or kept, see sessions.store");
            })
            .ok()?;
        let mut keeper = Self { store, preshared: Vec::new(), spent, writing: None, is_behind: false };
        let (count, mut known) = (sessions.len(), Vec::new());
        for session in sessions {
            known.push((session.keys.recipient_id, session.keys.id_context));
            if let Err(error) = engine.restore_session(now, session) {
                tracing::warn!("a session was not brought back: {error}");
            }
        }
        if let Some(file) = &config.contexts {
            keeper.add_preshared(file, engine, now, &known);
        }
        tracing::info!(count, "sessions brought back");
        keeper.write_now(engine, now);
        Some(keeper)
    }

    /// Contexts that are new to this relay. Those that it knew before, and has no numbers of any more, must not be used again.
    fn add_preshared(&mut self, file: &Path, engine: &mut Engine<MemoryStore>, now: Instant, known: &[Name]) {
        let sessions = match preshared::read(file) {
            Ok(sessions) => sessions,
            Err(error) => return tracing::error!("{error:#}"),
        };
        for session in sessions {
            let NewSession { name, recipient_id, master, .. } = &session;
            let (name, found_by) = (name.clone(), (*recipient_id, master.id_context));
            if self.spent.contains(&found_by) {
                tracing::error!(
                    name = &*name,
                    "operator: this context was used and revoked; give it another secret, and another recipient_id"
                );
                continue;
            }
            self.preshared.push(found_by);
            if known.contains(&found_by) {
                continue;
            }
            if let Err(error) = engine.add_session(now, session) {
                tracing::error!(name = &*name, "operator: a context was not taken: {error}");
            }
        }
    }

    /// Writes if there is something to be written; call it about once a second.
    pub(super) async fn look(&mut self, engine: &mut Engine<MemoryStore>, now: Instant) {
        if let Some(writing) = self.writing.take_if(|writing| writing.is_finished()) {
            self.end(engine, writing.await.ok().flatten());
        }
        if self.writing.is_none() && (engine.sessions_changed() || self.is_behind) {
            let contents = self.contents(engine, now);
            let store = self.store.clone();
            self.writing = Some(spawn_blocking(move || written(&store, contents)));
        }
    }

    /// Writes the last state.
    pub(super) async fn close(mut self, engine: &mut Engine<MemoryStore>, now: Instant) {
        if let Some(writing) = self.writing.take() {
            self.end(engine, writing.await.ok().flatten());
        }
        if engine.sessions_changed() || self.is_behind {
            self.write_now(engine, now);
        }
    }

    fn write_now(&mut self, engine: &mut Engine<MemoryStore>, now: Instant) {
        let contents = self.contents(engine, now);
        let outcome = written(&self.store, contents);
        self.end(engine, outcome);
    }

    fn contents(&mut self, engine: &mut Engine<MemoryStore>, now: Instant) -> Contents {
        let sessions = engine.keep_sessions(now);
        let is_there =
            |name: &Name| sessions.iter().any(|kept| (kept.keys.recipient_id, kept.keys.id_context) == *name);
        let (still, gone): (Vec<_>, Vec<_>) = self.preshared.drain(..).partition(is_there);
        self.preshared = still;
        self.spent.extend(gone);
        Contents { spent: self.spent.clone(), sessions }
    }

    fn end(&mut self, engine: &mut Engine<MemoryStore>, kept: Option<Vec<KeptSession>>) {
        self.is_behind = kept.is_none();
        if let Some(kept) = kept {
            engine.sessions_kept(&kept);
        }
    }
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
