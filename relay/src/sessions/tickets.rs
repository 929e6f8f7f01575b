//! What the relay remembers of handshakes, so that a device's next one needs neither certificates nor signatures (RFC 8446
//! §2.2).
//!
//! Tickets are only names of what is here: short on a slow link, good for one handshake each, and gone with the relay. What is
//! remembered includes the device's certificates; whoever resumes has them verified anew, so that no ticket makes a certificate
//! live longer.

use moka::sync::Cache;
use rustls::server::StoresServerSessions;
use std::time::Duration;

/// Handshakes that are remembered: about 2 KB each.
const LIMIT: u64 = 1024;

/// As long as rustls says in the ticket.
const LIFETIME: Duration = Duration::from_secs(24 * 3600);

/// Handshakes that may be resumed.
#[derive(Debug)]
pub(super) struct Tickets(Cache<Vec<u8>, Vec<u8>>);

impl Tickets {
    pub(super) fn new() -> Self {
        Self(Cache::builder().max_capacity(LIMIT).time_to_live(LIFETIME).build())
    }
}

impl StoresServerSessions for Tickets {
    fn put(&self, key: Vec<u8>, value: Vec<u8>) -> bool {
        self.0.insert(key, value);
        true
    }

    /// For TLS 1.2, which is not spoken.
    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.0.get(key)
    }

    fn take(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.0.remove(key)
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
        for n in 0..4 * LIMIT {
            tickets.put(n.to_be_bytes().to_vec(), vec![0; 8]);
        }
        tickets.0.run_pending_tasks();
        assert!(tickets.0.entry_count() <= LIMIT, "{}", tickets.0.entry_count());
    }
}
