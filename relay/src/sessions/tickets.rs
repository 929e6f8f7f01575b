//! What the relay remembers of handshakes, so that a device's next one needs neither certificates nor signatures (RFC 8446
//! §2.2).
//!
//! Tickets are only names of what is here: short on a slow link, good for one handshake each, and gone with the relay. What is
//! remembered includes the device's certificates; whoever resumes has them verified anew, so that no ticket makes a certificate
//! live longer.

use lru::LruCache;
use rustls::server::StoresServerSessions;
use std::fmt;
use std::num::NonZeroUsize;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Handshakes that are remembered: about 2 KB each.
const LIMIT: NonZeroUsize = NonZeroUsize::new(1024).unwrap();

/// As long as rustls says in the ticket.
const LIFETIME: Duration = Duration::from_secs(24 * 3600);

/// Handshakes that may be resumed, and when they were made.
pub(super) struct Tickets(Mutex<LruCache<Vec<u8>, (Instant, Vec<u8>)>>);

impl Tickets {
    pub(super) fn new() -> Self {
        Self(Mutex::new(LruCache::new(LIMIT)))
    }

    /// Whoever panicked left it whole.
    fn handshakes(&self) -> MutexGuard<'_, LruCache<Vec<u8>, (Instant, Vec<u8>)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put_at(&self, now: Instant, key: Vec<u8>, value: Vec<u8>) {
        self.handshakes().put(key, (now, value));
    }

    fn take_at(&self, now: Instant, key: &[u8]) -> Option<Vec<u8>> {
        let (made, value) = self.handshakes().pop(key)?;
        (now.duration_since(made) < LIFETIME).then_some(value)
    }
}

/// Without the secrets.
impl fmt::Debug for Tickets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tickets").finish_non_exhaustive()
    }
}

impl StoresServerSessions for Tickets {
    fn put(&self, key: Vec<u8>, value: Vec<u8>) -> bool {
        self.put_at(Instant::now(), key, value);
        true
    }

    /// For TLS 1.2, which is not spoken.
    fn get(&self, _: &[u8]) -> Option<Vec<u8>> {
        None
    }

    fn take(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.take_at(Instant::now(), key)
    }

    fn can_cache(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_is_good_once_and_there_are_not_too_many() {
        let tickets = Tickets::new();
        assert!(tickets.put(b"a".to_vec(), b"secret".to_vec()));
        assert_eq!(tickets.take(b"a").as_deref(), Some(&b"secret"[..]));
        assert_eq!(tickets.take(b"a"), None);
        for n in 0..4 * LIMIT.get() {
            tickets.put(n.to_be_bytes().to_vec(), vec![0; 8]);
        }
        assert_eq!(tickets.handshakes().len(), LIMIT.get());
    }

    #[test]
    fn a_ticket_ends_with_its_lifetime() {
        let (tickets, now) = (Tickets::new(), Instant::now());
        for key in [b"a", b"b"] {
            tickets.put_at(now, key.to_vec(), b"secret".to_vec());
        }
        assert!(tickets.take_at(now + LIFETIME - Duration::from_secs(1), b"a").is_some());
        assert_eq!(tickets.take_at(now + LIFETIME, b"b"), None);
    }
}
