//! What the devices of a soak and those who disturb them share: what there is to get, who has got it, and what went wrong.

use super::ledger::Ledger;
use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// After the last trouble, and `max_age` of the route (3 s), with what asking the origin may take: who begins later gets what is newest.
pub(super) const NEWEST_AFTER: Duration = Duration::from_secs(10);

/// What the devices are to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Phase {
    /// Fetch one image after another.
    #[default]
    Trouble,
    /// The same; and it is noted who got one that it began long enough after the last trouble.
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
    /// When the last trouble was over.
    settles: Option<Instant>,
    /// Devices without the newest image since then.
    waiting: HashSet<usize>,
    /// When each device got its latest image, or began.
    latest: Vec<Instant>,
    /// The longest that one was without another.
    longest: Duration,
}

impl State {
    /// Whether a device that begins then has to get what is newest.
    fn is_late(&self, began: Instant) -> bool {
        self.settles.is_some_and(|settles| began >= settles + NEWEST_AFTER)
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set_phase(&self, phase: Phase) {
        let mut state = self.state();
        if phase == Phase::Settling {
            state.settles = Some(Instant::now());
            state.waiting = (0..state.latest.len()).collect();
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
        let first = state.latest.len();
        state.latest.resize(first + count, Instant::now());
        first
    }

    /// Whether a device has an image to get: when all is well again, one is enough.
    pub(super) fn is_waited_for(&self, device: usize) -> bool {
        let state = self.state();
        state.phase != Phase::Settling || state.waiting.contains(&device)
    }

    /// A device has an image, which it began to ask for then.
    pub(super) fn finish(&self, device: usize, way: Way, began: Instant) {
        let mut state = self.state();
        *state.finished.entry(way).or_default() += 1;
        let now = Instant::now();
        state.longest = state.longest.max(now - state.latest[device]);
        state.latest[device] = now;
        if state.is_late(began) {
            state.waiting.remove(&device);
        }
    }

    /// Whether a device that began then may have got this: what was published at any time, and when all is well again what is newest.
    pub(super) fn is_right(&self, image: usize, content: &[u8], began: Instant) -> bool {
        let state = self.state();
        let mut versions = state.versions.get(&image).into_iter().flatten();
        match state.is_late(began) {
            true => versions.next_back().is_some_and(|newest| newest == content),
            false => versions.any(|version| version == content),
        }
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
        ledger.longest = state.longest;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn when_all_is_well_again_only_the_newest_is_right_and_counts() {
        let shared = Shared::default();
        let device = shared.enrol(1);
        let begins = Instant::now();
        for content in [b"old", b"new"] {
            shared.add_version(0, content.to_vec());
        }
        assert!(shared.is_right(0, b"old", begins) && !shared.is_right(0, b"never", begins));
        shared.set_phase(Phase::Settling);
        assert!(shared.is_right(0, b"old", begins), "it began before");
        shared.finish(device, Way::Alone, begins);
        assert!(shared.is_waited_for(device));
        let late = Instant::now() + NEWEST_AFTER;
        assert!(shared.is_right(0, b"new", late) && !shared.is_right(0, b"old", late));
        shared.finish(device, Way::Alone, late);
        assert_eq!(shared.waiting(), 0);
    }
}
