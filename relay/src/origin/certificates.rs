//! Until when the certificates of origins are valid, as the latest handshake with each showed.
//!
//! Whether they are trusted is TLS's business, and was decided before.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

/// The end of each origin's certificate, by its authority: `updates.example.com`, `[2001:db8::1]:8443`. Only origins that the
/// configuration names are connected to, so there are no more than those.
#[derive(Debug, Default)]
pub struct Certificates(Mutex<BTreeMap<String, SystemTime>>);

impl Certificates {
    /// All that are known.
    pub fn all(&self) -> Vec<(String, SystemTime)> {
        self.known().iter().map(|(authority, end)| (authority.clone(), *end)).collect()
    }

    /// That of one origin.
    pub fn of(&self, authority: &str) -> Option<SystemTime> {
        self.known().get(authority).copied()
    }

    /// Takes note of what an origin showed.
    pub(crate) fn note(&self, authority: String, end: SystemTime) {
        self.known().insert(authority, end);
    }

    /// Forgets those of origins that are not wanted any more.
    pub(super) fn retain(&self, is_wanted: impl Fn(&str) -> bool) {
        self.known().retain(|authority, _| is_wanted(authority));
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<String, SystemTime>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
