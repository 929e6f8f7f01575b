//! What the devices of a soak and those who disturb them share: what there is to get, who has got it, and what went wrong.

use super::ledger::Ledger;
use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What the devices are to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Phase {
    /// Fetch one image after another.
    #[default]
    Trouble,
    /// The same; and it is noted who got one since.
    Settling,
    /// Stop.
    Over,
}

/// How a device gets an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// Block by block.
    Alone,
    /// With what the relay sends to a group.
    Group,
    /// In a session (OSCORE).
    Session,
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Alone => "block by block",
            Self::Group => "with a group",
            Self::Session => "in a session",
        })
    }
}

/// What devices and those who disturb them share.
#[derive(Debug, Default)]
pub(super) struct Shared(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    phase: Phase,
    /// Every version of every image, the newest last.
    versions: BTreeMap<usize, Vec<Vec<u8>>>,
    failures: BTreeMap<String, u64>,
    wrong: Vec<String>,
    finished: BTreeMap<Way, u64>,
    started_over: u64,
    /// Devices without an image since the last trouble.
    waiting: HashSet<usize>,
    devices: usize,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set_phase(&self, phase: Phase) {
        let mut state = self.state();
        if phase == Phase::Settling {
            state.waiting = (0..state.devices).collect();
        }
        state.phase = phase;
    }

    pub(super) fn add_version(&self, image: usize, content: Vec<u8>) {
        self.state().versions.entry(image).or_default().push(content);
    }

    pub(super) fn waiting(&self) -> usize {
        self.state().waiting.len()
    }

    pub(super) fn finished(&self) -> u64 {
        self.state().finished.values().sum()
    }

    pub(super) fn phase(&self) -> Phase {
        self.state().phase
    }

    /// Takes so many devices more; gives the number of the first.
    pub(super) fn enrol(&self, count: usize) -> usize {
        let mut state = self.state();
        state.devices += count;
        state.devices - count
    }

    /// Whether a device has an image to get: when all is well again, one is enough.
    pub(super) fn is_waited_for(&self, device: usize) -> bool {
        let state = self.state();
        state.phase != Phase::Settling || state.waiting.contains(&device)
    }

    pub(super) fn finish(&self, device: usize, way: Way) {
        let mut state = self.state();
        *state.finished.entry(way).or_default() += 1;
        state.waiting.remove(&device);
    }

    pub(super) fn was_published(&self, image: usize, content: &Vec<u8>) -> bool {
        self.state().versions.get(&image).is_some_and(|versions| versions.contains(content))
    }

    pub(super) fn start_over(&self) {
        self.state().started_over += 1;
    }

    pub(super) fn fail(&self, why: String) {
        *self.state().failures.entry(why).or_default() += 1;
    }

    pub(super) fn wrong(&self, what: String) {
        self.state().wrong.push(what);
    }

    /// Writes down what the devices saw.
    pub(super) fn settle(&self, ledger: &mut Ledger) {
        let state = self.state();
        ledger.images = state.finished.clone();
        ledger.started_over = state.started_over;
        ledger.failures = state.failures.clone();
        ledger.wrong = state.wrong.clone();
    }
}
