//! What a link remembers of one device.

use super::rto::Rto;
use sixfold_profile::Instant;
use std::time::Duration;

/// A device is refused something once in this time (less than ACK_TIMEOUT, so that a repetition is heard), after a few at once:
/// otherwise refusals would be a way to fill the link.
const REFUSAL_EVERY: Duration = Duration::from_secs(1);
const REFUSALS_AT_ONCE: u32 = 3;
/// Requests that are not even refused put the next refusal off, up to this many times as long. A device that always asks more
/// often than that is refused no more.
const LONGEST_SILENCE: u32 = 10;

/// How many times in a row a device is missed at most.
const MOST_MISSED: u8 = 3;

/// One device of a link.
#[derive(Debug)]
pub(super) struct Device {
    pub(super) estimator: Box<dyn Rto>,
    /// The block that was asked for last, and the one that was answered last, and when.
    pub(super) asked: u32,
    pub(super) answered: Option<(u32, Instant)>,
    /// It was answered more than once: nobody knows which answer the next request follows (Karn's rule, RFC 6298 §3).
    pub(super) again: bool,
    /// The answer to it, and its payload, in bytes.
    pub(super) size: usize,
    pub(super) payload: usize,
    pub(super) member: bool,
    pub(super) appointment: Option<Instant>,
    pub(super) missing: Option<Instant>,
    /// How often it may be missed: once for each time that it asked for the next block as soon as it had the one before, as a
    /// client does that fetches a body. One that asks for a block and goes, or for whatever it likes, is not missed.
    follows: u8,
    /// When all its refusals so far would have been due, one in each [`REFUSAL_EVERY`].
    refusals_until: Instant,
}

impl Device {
    /// A device of which nothing is known but what an estimator has learned of others.
    pub(super) fn new(estimator: Box<dyn Rto>) -> Self {
        Self {
            estimator,
            asked: 0,
            answered: None,
            again: false,
            size: 0,
            payload: 0,
            member: false,
            appointment: None,
            missing: None,
            follows: 0,
            refusals_until: Instant::ZERO,
        }
    }

    /// It asked for block `num` after the one that was `answered`, while it was waited for.
    pub(super) fn followed(&mut self, answered: u32, num: u32) {
        if num == answered.wrapping_add(1) {
            self.follows = (self.follows + 1).min(MOST_MISSED);
        }
    }

    /// It was waited for, and did not ask: says whether it is missed.
    pub(super) fn is_missed(&mut self) -> bool {
        let missed = self.member && self.follows > 0;
        self.follows = self.follows.saturating_sub(1);
        missed
    }

    /// Whether it may be told once more that it is not served.
    pub(super) fn may_refuse(&mut self, now: Instant) -> bool {
        let until = self.refusals_until.max(now) + REFUSAL_EVERY;
        self.refusals_until = until.min(now + REFUSAL_EVERY * LONGEST_SILENCE);
        until.since(now) <= REFUSAL_EVERY * REFUSALS_AT_ONCE
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pacing::rto::Algorithm;

    #[test]
    fn only_who_fetches_block_after_block_is_missed() {
        let mut device = Device::new(Algorithm::default().estimator());
        assert!(!device.is_missed(), "a stranger");
        device.member = true;
        device.followed(0, 700);
        assert!(!device.is_missed(), "any block is not the next");
        (0..10).for_each(|num| device.followed(num, num + 1));
        assert_eq!([(); 5].map(|()| device.is_missed()), [true, true, true, false, false], "it is gone");
        device.followed(10, 11);
        assert_eq!([device.is_missed(), device.is_missed()], [true, false]);
    }

    #[test]
    fn who_asks_on_is_refused_less_often() {
        let mut device = Device::new(Algorithm::default().estimator());
        let mut now = Instant::from_micros(1_000_000);
        let mut refused_of_100 = |every: Duration| {
            let refused = (0..100).filter(|_| {
                now += every;
                device.may_refuse(now)
            });
            refused.count()
        };
        assert_eq!(refused_of_100(Duration::from_secs(1)), 100, "once a second is heard");
        assert_eq!(
            refused_of_100(Duration::from_millis(200)),
            2,
            "what is left of those at once, and no more"
        );
        assert_eq!(refused_of_100(Duration::from_secs(2)), 94, "soon after it asks less often");
    }
}
