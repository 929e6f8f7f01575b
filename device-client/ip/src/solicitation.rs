//! When to ask again for something that may be lost, or may not be there yet: RFC 7559 §2, which keeps asking for
//! ever, at longer and longer intervals.

use crate::random::Random;
use core::time::Duration;
use sixfold_profile::Instant;

/// IRT (RFC 7559 §2).
const INITIAL: Duration = Duration::from_secs(4);
/// MRT (RFC 7559 §2).
const MAXIMUM: Duration = Duration::from_secs(3600);

/// The intervals between transmissions (RFC 8415 §15, without MRC and MRD).
#[derive(Debug)]
pub(crate) struct Solicitation {
    pub(crate) due: Instant,
    interval: Duration,
}

impl Solicitation {
    /// The first transmission is due at `first`.
    pub(crate) const fn new(first: Instant) -> Self {
        Self { due: first, interval: Duration::ZERO }
    }

    /// One was sent, or failed, just now.
    pub(crate) fn sent(&mut self, now: Instant, random: &mut Random) {
        let base = if self.interval.is_zero() { INITIAL } else { (self.interval * 2).min(MAXIMUM) };
        // RAND is between −0.1 and +0.1 (RFC 8415 §15).
        self.interval = base - base / 10 + random.up_to(base / 5);
        self.due = now + self.interval;
    }
}
