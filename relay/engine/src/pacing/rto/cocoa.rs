//! CoCoA (draft-ietf-core-cocoa-03): a strong estimator for answers that arrived at once, a weak one for those that
//! were sent again, and a time-out that both move.
//!
//! Left out: the aging of time-outs, since a device that says nothing is forgotten.

use super::{Rto, Smoothed};
use sixfold_profile::coap::params::ACK_TIMEOUT;
use std::time::Duration;

/// Weak samples after more retransmissions than this are of no use.
const MAX_WEAK_REPEATS: u8 = 2;
/// K: variations in the time-out of the strong and the weak estimator.
const STRONG_K: u32 = 4;
const WEAK_K: u32 = 1;
/// Where the backoff factor changes.
const SHORT: Duration = Duration::from_secs(1);
const LONG: Duration = Duration::from_secs(3);
/// The longest time-out (32 s).
const MAX: Duration = Duration::from_secs(32);
const MIN: Duration = Duration::from_millis(10);

/// Both estimators and the overall time-out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cocoa {
    strong: Option<Smoothed>,
    weak: Option<Smoothed>,
    rto: Duration,
}

impl Default for Cocoa {
    fn default() -> Self {
        Self { strong: None, weak: None, rto: ACK_TIMEOUT }
    }
}

impl Rto for Cocoa {
    /// A strong sample moves the time-out by half, a weak one by a quarter.
    fn sample(&mut self, rtt: Duration, repeats: u8) {
        let rto = match repeats {
            0 => (self.rto + Smoothed::take(&mut self.strong, rtt).rto(STRONG_K)) / 2,
            1..=MAX_WEAK_REPEATS => (self.rto * 3 + Smoothed::take(&mut self.weak, rtt).rto(WEAK_K)) / 4,
            _ => return,
        };
        self.rto = rto.clamp(MIN, MAX);
    }

    fn timeout(&self) -> Duration {
        self.rto
    }

    /// Short time-outs grow by three, long ones by one and a half.
    fn after(&self, repeats: u8) -> Duration {
        let (up, down) = match self.rto {
            rto if rto < SHORT => (3, 1),
            rto if rto > LONG => (3, 2),
            _ => (2, 1),
        };
        (0..repeats).fold(self.rto, |rto, _| (rto * up / down).min(MAX))
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
    fn strong_samples_weigh_more_than_weak_ones() {
        let mut strong = Cocoa::default();
        strong.sample(MS * 100, 0);
        // (2000 + 100 + 4 · 50) / 2
        assert_eq!(strong.timeout(), MS * 1150);
        let mut weak = Cocoa::default();
        weak.sample(MS * 100, 1);
        // (3 · 2000 + 100 + 50) / 4
        assert_eq!(weak.timeout(), MS * 1537 + MS / 2);
        weak.sample(MS * 100, 3);
        assert_eq!(weak.timeout(), MS * 1537 + MS / 2, "ambiguous beyond use");
    }

    #[test]
    fn the_backoff_factor_depends_on_the_time_out() {
        let after = |rto| Cocoa { rto, ..Cocoa::default() }.after(1);
        assert_eq!([after(MS * 500), after(MS * 2000), after(MS * 4000)], [MS * 1500, MS * 4000, MS * 6000]);
    }
}
