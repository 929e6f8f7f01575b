//! When to ask again: exponential back-off with jitter, a bounded number of times.

use super::Retries;
use super::trouble::Retry;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// The attempts that one fetch has made in vain since it last moved on.
#[derive(Debug)]
pub(super) struct Backoff {
    retries: Retries,
    used: u32,
}

impl Backoff {
    pub(super) fn new(retries: Retries) -> Self {
        Self { retries, used: 0 }
    }

    /// The transfer moved on: patience starts anew.
    pub(super) fn reset(&mut self) {
        self.used = 0;
    }

    /// How long to wait before the next attempt; `None` to give up. A Retry-After beyond the longest wait is
    /// a reason to give up: asking sooner would be against the origin's wish.
    pub(super) fn next(&mut self, retry: Retry) -> Option<Duration> {
        if self.used >= self.retries.attempts {
            return None;
        }
        let delay = match retry {
            Retry::Never => return None,
            Retry::After(delay) if delay > self.retries.max_delay => return None,
            Retry::After(delay) => delay,
            Retry::Soon => self.jittered(),
        };
        self.used += 1;
        Some(delay)
    }

    /// Between half of the exponential delay and all of it, so that relays that failed together do not come
    /// back together.
    fn jittered(&self) -> Duration {
        let doubled = self.retries.first_delay.saturating_mul(1 << self.used.min(20));
        let longest = doubled.min(self.retries.max_delay);
        // The standard library keys each hasher at random.
        let random = RandomState::new().hash_one(self.used) as u32;
        longest.mul_f64(0.5 + 0.5 * f64::from(random) / f64::from(u32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RETRIES: Retries = Retries {
        attempts: 4,
        first_delay: Duration::from_millis(100),
        max_delay: Duration::from_millis(300),
    };

    #[test]
    fn delays_double_within_bounds_and_end() {
        let mut backoff = Backoff::new(RETRIES);
        for longest in [100, 200, 300, 300] {
            let delay = backoff.next(Retry::Soon).unwrap();
            let longest = Duration::from_millis(longest);
            assert!(delay >= longest / 2 && delay <= longest, "{delay:?}");
        }
        assert_eq!(backoff.next(Retry::Soon), None);
        backoff.reset();
        assert!(backoff.next(Retry::Soon).unwrap() <= Duration::from_millis(100));
    }

    #[test]
    fn two_relays_do_not_wait_equally_long() {
        let delays: std::collections::HashSet<_> =
            (0..20).map(|_| Backoff::new(RETRIES).next(Retry::Soon)).collect();
        assert!(delays.len() > 10);
    }

    #[test]
    fn the_wish_of_the_origin_counts_within_a_bound() {
        let mut backoff = Backoff::new(RETRIES);
        assert_eq!(backoff.next(Retry::After(Duration::ZERO)), Some(Duration::ZERO));
        assert_eq!(backoff.next(Retry::After(RETRIES.max_delay)), Some(RETRIES.max_delay));
        assert_eq!(backoff.next(Retry::After(RETRIES.max_delay * 2)), None);
        assert_eq!(backoff.next(Retry::Never), None);
    }
}
