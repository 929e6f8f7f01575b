//! What a link delivers, as numbers: loss, round trip, rate, and how much of the time the relay sends.

use super::rto::Smoothed;
use sixfold_profile::Instant;
use std::time::Duration;

/// Over how many answers loss is averaged.
const MEMORY: f64 = 64.0;
/// Fewer answers than this prove nothing: the first one that is lost is no loss of all.
const ENOUGH: f64 = 64.0;
/// Over how much time rates are averaged.
const WINDOW: Duration = Duration::from_secs(10);

/// The estimates of one link.
#[derive(Clone, Debug, Default)]
pub(crate) struct Estimate {
    /// Answers that arrived and that were lost, and the frames of both; the old ones count less and less.
    delivered: f64,
    lost: f64,
    frames: f64,
    round_trip: Option<Smoothed>,
    bytes: Rate,
    airtime: Rate,
}

/// Something for each second, averaged over [`WINDOW`].
#[derive(Clone, Copy, Debug, Default)]
struct Rate {
    sum: f64,
    at: Instant,
}

impl Estimate {
    /// An answer arrived, which had this many `frames` and bytes of `payload`.
    pub(crate) fn delivered(&mut self, now: Instant, frames: usize, payload: usize, round_trip: Duration) {
        self.forget();
        self.delivered += 1.0;
        self.frames += frames as f64;
        self.bytes.add(now, payload as f64);
        Smoothed::take(&mut self.round_trip, round_trip);
    }

    /// An answer was lost, which had this many `frames`.
    pub(crate) fn lost(&mut self, frames: usize) {
        self.forget();
        self.lost += 1.0;
        self.frames += frames as f64;
    }

    /// The relay keeps the channel from others for so long.
    pub(crate) fn sent(&mut self, now: Instant, airtime: Duration) {
        self.airtime.add(now, airtime.as_secs_f64());
    }

    /// The share of answers that are lost, 0 to 1.
    pub(crate) fn loss(&self) -> f64 {
        self.lost / (self.delivered + self.lost).max(ENOUGH)
    }

    /// The share of frames that are lost, if each frame of an answer has the same fate.
    pub(crate) fn frame_loss(&self) -> f64 {
        let frames = self.frames / (self.delivered + self.lost).max(1.0);
        1.0 - (1.0 - self.loss()).powf(1.0 / frames.max(1.0))
    }

    /// From an answer's departure to the next request, smoothed.
    pub(crate) fn round_trip(&self) -> Option<Duration> {
        self.round_trip.map(|smoothed| smoothed.srtt())
    }

    /// Payload delivered, in bytes a second.
    pub(crate) fn rate(&self, now: Instant) -> f64 {
        self.bytes.per_second(now)
    }

    /// The share of time in which the relay sends, 0 to 1.
    pub(crate) fn busy(&self, now: Instant) -> f64 {
        self.airtime.per_second(now).min(1.0)
    }

    fn forget(&mut self) {
        for count in [&mut self.delivered, &mut self.lost, &mut self.frames] {
            *count *= 1.0 - 1.0 / MEMORY;
        }
    }
}

impl Rate {
    fn add(&mut self, now: Instant, amount: f64) {
        self.sum = self.left(now) + amount;
        self.at = self.at.max(now);
    }

    fn per_second(&self, now: Instant) -> f64 {
        self.left(now) / WINDOW.as_secs_f64()
    }

    fn left(&self, now: Instant) -> f64 {
        self.sum * (-now.since(self.at).as_secs_f64() / WINDOW.as_secs_f64()).exp()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn loss_is_that_of_late() {
        let mut estimate = Estimate::default();
        assert_eq!((estimate.loss(), estimate.frame_loss()), (0.0, 0.0));
        for number in 0..1000 {
            match number % 5 {
                0 => estimate.lost(12),
                _ => estimate.delivered(Instant::ZERO, 12, 1024, MS * 80),
            }
        }
        assert!((estimate.loss() - 0.2).abs() < 0.02, "{}", estimate.loss());
        // 1 − 0.8^(1/12)
        assert!((estimate.frame_loss() - 0.0184).abs() < 0.002, "{}", estimate.frame_loss());
        (0..300).for_each(|_| estimate.delivered(Instant::ZERO, 12, 1024, MS * 80));
        assert!(estimate.loss() < 0.01, "forgotten");
        let mut first = Estimate::default();
        first.lost(12);
        assert!(first.loss() < 0.1, "one is no proof: {}", first.loss());
    }

    #[test]
    fn rates_rise_to_what_is_delivered_and_fall_in_silence() {
        let mut estimate = Estimate::default();
        let mut now = Instant::ZERO;
        for _ in 0..1000 {
            now += MS * 100;
            estimate.delivered(now, 2, 64, MS * 15);
            estimate.sent(now, MS * 11);
        }
        assert!((estimate.rate(now) - 640.0).abs() < 10.0, "{}", estimate.rate(now));
        assert!((estimate.busy(now) - 0.11).abs() < 0.01, "{}", estimate.busy(now));
        assert_eq!(estimate.round_trip(), Some(MS * 15));
        assert!(estimate.rate(now + MS * 60_000) < 5.0);
    }
}
