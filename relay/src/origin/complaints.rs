//! Why fetches failed lately, in words: for the operator who ordered one, and has no log at hand.
//!
//! The engine, metrics and the status know the kind of a failure; what exactly happened is here, and in the log.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How many URLs are remembered: devices may ask for any number.
const MOST: usize = 64;

/// URLs and what was complained about, the latest last.
#[derive(Debug, Default)]
pub struct Complaints(Mutex<VecDeque<(String, String)>>);

impl Complaints {
    /// What happened at the last fetch of a URL that failed, and what to do; `None` if that is long ago, or none did.
    pub fn about(&self, url: &str) -> Option<String> {
        self.list().iter().find(|(known, _)| known == url).map(|(_, complaint)| complaint.clone())
    }

    pub(super) fn note(&self, url: &str, complaint: String) {
        let mut list = self.list();
        list.retain(|(known, _)| known != url);
        if list.len() >= MOST {
            list.pop_front();
        }
        list.push_back((url.to_owned(), complaint));
    }

    fn list(&self) -> MutexGuard<'_, VecDeque<(String, String)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_of_each_url_and_not_too_many() {
        let complaints = Complaints::default();
        complaints.note("https://h/a", "first".to_owned());
        for n in 1..MOST {
            complaints.note(&format!("https://h/{n}"), String::new());
        }
        complaints.note("https://h/a", "second".to_owned());
        assert_eq!(complaints.about("https://h/a").as_deref(), Some("second"));
        complaints.note("https://h/b", String::new());
        assert_eq!(complaints.about("https://h/1"), None, "made room");
        assert_eq!(complaints.list().len(), MOST);
    }
}
