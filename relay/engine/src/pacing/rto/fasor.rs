//! FASOR (draft-ietf-core-fasor): a fast time-out from unambiguous samples, and a slow one, the whole time that an
//! exchange with retransmissions took, so that a link that is merely slow is not flooded.
//!
//! Left out: the counter in an option that tells original and retransmission apart. Devices do not know it.

use super::{Rto, Smoothed};
use sixfold_profile::coap::params::ACK_TIMEOUT;
use std::time::Duration;

/// The slow time-out is this much longer than what an exchange took (a factor of 1.5).
const SLOW_FACTOR: (u32, u32) = (3, 2);
const K: u32 = 4;
/// The longest time-out (60 s).
const MAX: Duration = Duration::from_secs(60);
/// The granularity of the clock in RFC 6298 §2.3's sense: variations below it do not count.
const GRANULARITY: Duration = Duration::from_millis(10);

/// Both time-outs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fasor {
    smoothed: Option<Smoothed>,
    fast: Duration,
    /// Set by an ambiguous sample, until an unambiguous one comes.
    slow: Option<Duration>,
}

impl Default for Fasor {
    fn default() -> Self {
        Self { smoothed: None, fast: ACK_TIMEOUT, slow: None }
    }
}

impl Rto for Fasor {
    fn sample(&mut self, rtt: Duration, repeats: u8) {
        if repeats > 0 {
            self.slow = Some((rtt.min(MAX) * SLOW_FACTOR.0 / SLOW_FACTOR.1).min(MAX));
            return;
        }
        let smoothed = Smoothed::take(&mut self.smoothed, rtt);
        self.fast = (smoothed.srtt + (smoothed.rttvar * K).max(GRANULARITY)).min(MAX);
        self.slow = None;
    }

    /// The fast one first, even when the last exchange was ambiguous: then the slow one follows.
    fn timeout(&self) -> Duration {
        self.fast
    }

    fn after(&self, repeats: u8) -> Duration {
        match (repeats, self.slow) {
            (0, _) => self.fast,
            (repeats, Some(slow)) => (slow.max(self.fast) * (1 << (repeats - 1).min(5))).min(MAX),
            (repeats, None) => (self.fast * (1 << repeats.min(5))).min(MAX),
        }
    }

    fn copy(&self) -> Box<dyn Rto> {
        Box::new(*self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn an_ambiguous_sample_makes_repetitions_slow_until_a_clear_one() {
        let mut fasor = Fasor::default();
        fasor.sample(MS * 100, 0);
        assert_eq!([fasor.after(0), fasor.after(1)], [MS * 300, MS * 600]);
        fasor.sample(MS * 4000, 1);
        assert_eq!([fasor.after(0), fasor.after(1), fasor.after(2)], [MS * 300, MS * 6000, MS * 12_000]);
        fasor.sample(MS * 100, 0);
        assert!(fasor.after(1) < MS * 600);
    }
}
