//! How much of what goes to all is lost, and whether it helps to send less of it.

use sixfold_profile::Instant;
use std::time::Duration;

/// Before anything is known.
const FIRST: f64 = 0.1;
/// The weight of the newest sample.
const WEIGHT: f64 = 0.25;
/// More than this is never planned for: nobody lacks ten times what was sent.
const MOST: f64 = 0.6;
/// A radio link loses a tenth without anybody being at fault. Above this the channel may be too full.
const HIGH: f64 = 0.25;
/// Multiplicative decrease of the rate, additive increase, and where it ends.
const SLOWER: f64 = 1.5;
const FASTER: f64 = 0.25;
const SLOWEST: f64 = 32.0;
/// How many times slower a stream begins where it goes over several hops: forwarders send it on over the same channel, and
/// nobody here knows how many there are.
const SEVERAL_HOPS: f64 = 8.0;
/// A slower stream must lose this much less, or it was not the stream's fault.
const HELPED: f64 = 0.8;
/// For how long the stream is not blamed again then.
const ACQUITTED: Duration = Duration::from_secs(60);
/// Members of one plan tell the same story.
const APART: Duration = Duration::from_secs(1);

/// The loss of one link, as its members report it.
#[derive(Clone, Debug)]
pub(crate) struct Loss {
    estimate: f64,
    sampled: Option<Instant>,
    /// How many times longer than needed datagrams are apart.
    slow: f64,
    /// The loss, and how slow the stream was, before it became slower.
    before: Option<(f64, f64)>,
    acquitted_until: Instant,
}

impl Default for Loss {
    fn default() -> Self {
        Self { estimate: FIRST, sampled: None, slow: 1.0, before: None, acquitted_until: Instant::ZERO }
    }
}

impl Loss {
    /// The losses of a link, not known yet. `hop_limit` is how many hops its streams go at most.
    pub(crate) fn new(hop_limit: u8) -> Self {
        Self { slow: if hop_limit > 1 { SEVERAL_HOPS } else { 1.0 }, ..Self::default() }
    }

    /// The share that is lost.
    pub(crate) const fn estimate(&self) -> f64 {
        self.estimate
    }

    /// How many times longer than needed datagrams are to be apart.
    pub(crate) const fn slow(&self) -> f64 {
        self.slow
    }

    /// A member got `got` of `sent` datagrams that it could use.
    pub(crate) fn sample(&mut self, now: Instant, got: u32, sent: u32) {
        let lost = (1.0 - f64::from(got) / f64::from(sent.max(1))).clamp(0.0, 1.0);
        let first = self.sampled.is_none();
        let apart = self.sampled.is_none_or(|at| now.since(at) >= APART);
        self.estimate += if first { 1.0 } else { WEIGHT } * (lost.min(MOST) - self.estimate);
        if apart {
            self.sampled = Some(now);
            self.pace(now, lost);
        }
    }

    fn pace(&mut self, now: Instant, lost: f64) {
        if lost <= HIGH {
            self.before = None;
            self.slow = (self.slow - FASTER).max(1.0);
        } else if let Some((_, slow)) = self.before.filter(|(before, _)| lost > before * HELPED) {
            self.before = None;
            self.slow = slow;
            self.acquitted_until = now + ACQUITTED;
        } else if now >= self.acquitted_until {
            self.before.get_or_insert((lost, self.slow));
            self.slow = (self.slow * SLOWER).min(SLOWEST);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Instant {
        Instant::from_micros(seconds * 1_000_000)
    }

    #[test]
    fn the_first_report_counts_and_later_ones_are_averaged() {
        let mut loss = Loss::default();
        loss.sample(at(1), 80, 100);
        assert!((loss.estimate() - 0.2).abs() < 1e-9);
        loss.sample(at(1), 100, 100);
        assert!((loss.estimate() - 0.15).abs() < 1e-9);
        (0..100).for_each(|_| loss.sample(at(1), 0, 100));
        assert!(loss.estimate() <= MOST);
    }

    #[test]
    fn a_stream_that_loses_less_when_slower_stays_slower_and_recovers() {
        let mut loss = Loss::default();
        loss.sample(at(1), 50, 100);
        assert!((loss.slow() - 1.5).abs() < 1e-9);
        loss.sample(at(1), 50, 100);
        assert!((loss.slow() - 1.5).abs() < 1e-9, "the same plan");
        loss.sample(at(3), 65, 100);
        assert!(loss.slow() > 2.0, "it helped");
        (4..12).for_each(|second| loss.sample(at(second), 90, 100));
        assert!((loss.slow() - 1.0).abs() < 1e-9);
    }

    #[test]
    fn over_several_hops_a_stream_begins_slowly_and_becomes_faster_while_nothing_is_lost() {
        let mut loss = Loss::new(4);
        assert!((loss.slow() - SEVERAL_HOPS).abs() < 1e-9 && (Loss::new(1).slow() - 1.0).abs() < 1e-9);
        loss.sample(at(1), 90, 100);
        assert!(loss.slow() < SEVERAL_HOPS);
        let before = loss.slow();
        (2..4).for_each(|second| loss.sample(at(second), 60, 100));
        assert!((loss.slow() - before).abs() < 1e-9, "to be slower still did not help: back to where it was");
    }

    #[test]
    fn a_stream_is_not_slowed_for_losses_that_are_not_its_fault() {
        let mut loss = Loss::default();
        (1..60).for_each(|second| loss.sample(at(second), 60, 100));
        assert!((loss.slow() - 1.0).abs() < 1e-9);
        loss.sample(at(70), 60, 100);
        assert!(loss.slow() > 1.0, "but once a minute it is tried");
    }
}
