//! How many fetches from each origin failed in a row.
//!
//! Counters of failures say nothing of an origin that is away while few devices ask: they rise by a few, and then by nothing. Why a
//! fetch failed is in the complaints.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Failures since the latest answer, by the origin's authority: `updates.example.com`, `[2001:db8::1]:8443`. Only origins that the
/// configuration names are asked, so there are no more than those.
#[derive(Debug, Default)]
pub struct Streaks(Mutex<BTreeMap<String, i64>>);

impl Streaks {
    /// Those of all origins that were asked.
    pub fn all(&self) -> Vec<(String, i64)> {
        self.known().iter().map(|(authority, count)| (authority.clone(), *count)).collect()
    }

    /// A fetch from this origin has failed, with all its retries.
    pub(crate) fn failed(&self, authority: &str) {
        let mut known = self.known();
        let count = known.entry(authority.to_owned()).or_default();
        *count = count.saturating_add(1);
    }

    /// This origin has answered.
    pub(super) fn answered(&self, authority: &str) {
        self.known().insert(authority.to_owned(), 0);
    }

    /// Forgets those of origins that are not wanted any more.
    pub(super) fn retain(&self, is_wanted: impl Fn(&str) -> bool) {
        self.known().retain(|authority, _| is_wanted(authority));
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<String, i64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
