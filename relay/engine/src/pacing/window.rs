//! How much may be on its way at once on a link, in airtime: additive increase, multiplicative decrease, and no more
//! than what the link delivers in the time of a round trip.

use sixfold_profile::Instant;
use std::time::Duration;

/// What is left of the window after a loss, in tenths (CUBIC's factor, RFC 9438 §4.6).
const DECREASE_TENTHS: u32 = 7;
/// The share of time in which a link carries answers, until there is a measurement, in percent.
const FIRST_RATE: u32 = 60;
/// How many answers the delivery rate is averaged over.
const RATE_MEMORY: u32 = 32;

/// The window of one link.
#[derive(Clone, Debug)]
pub(crate) struct Window {
    size: Duration,
    /// Never less than this: one answer at a time always goes.
    floor: Duration,
    in_flight: Duration,
    last_cut: Instant,
    last_delivery: Option<Instant>,
    rate: Rate,
    /// The shortest round trip seen.
    round_trip: Option<Duration>,
}

/// Answers' airtime delivered per time, while there was something on its way.
#[derive(Clone, Copy, Debug)]
struct Rate {
    carried: Duration,
    elapsed: Duration,
}

impl Rate {
    fn add(&mut self, carried: Duration, elapsed: Duration) {
        self.carried = self.carried * (RATE_MEMORY - 1) / RATE_MEMORY + carried;
        self.elapsed = self.elapsed * (RATE_MEMORY - 1) / RATE_MEMORY + elapsed;
    }

    fn share(&self) -> f64 {
        (self.carried.as_secs_f64() / self.elapsed.as_secs_f64().max(1e-6)).clamp(0.01, 1.0)
    }
}

impl Window {
    /// A window for answers of at most `largest` of airtime.
    pub(crate) fn new(largest: Duration) -> Self {
        let rate = Rate { carried: largest * FIRST_RATE / 100, elapsed: largest };
        Self {
            size: largest * 2,
            floor: largest,
            in_flight: Duration::ZERO,
            last_cut: Instant::ZERO,
            last_delivery: None,
            rate,
            round_trip: None,
        }
    }

    /// The window, in airtime.
    pub(crate) const fn size(&self) -> Duration {
        self.size
    }

    /// What is on its way, in airtime.
    pub(crate) const fn in_flight(&self) -> Duration {
        self.in_flight
    }

    /// Another answer may leave: begun is done, so that the last one may be larger than what is left.
    pub(crate) fn has_room(&self) -> bool {
        self.in_flight < self.size
    }

    /// How long the link takes for so much airtime.
    pub(crate) fn time_for(&self, airtime: Duration) -> Duration {
        airtime.div_f64(self.rate.share())
    }

    /// An answer has left.
    pub(crate) fn sent(&mut self, now: Instant, cost: Duration) {
        if self.in_flight.is_zero() {
            self.last_delivery = Some(now);
        }
        self.in_flight += cost;
    }

    /// It is no longer counted: nobody knows what became of it.
    pub(crate) fn ended(&mut self, cost: Duration) {
        self.in_flight = self.in_flight.saturating_sub(cost);
        if self.in_flight.is_zero() {
            self.last_delivery = None;
        }
    }

    /// It arrived, `round_trip` after it left. `wanted`: more was waiting, so that a larger window would be used.
    pub(crate) fn delivered(&mut self, now: Instant, cost: Duration, round_trip: Duration, wanted: bool) {
        if let Some(before) = self.last_delivery.replace(now) {
            self.rate.add(cost, now.since(before));
        }
        self.round_trip = Some(self.round_trip.map_or(round_trip, |least| least.min(round_trip)));
        self.ended(cost);
        if wanted {
            let growth = cost.mul_f64(cost.as_secs_f64() / self.size.as_secs_f64().max(1e-6));
            self.size = (self.size + growth).min(self.ceiling()).max(self.floor);
        }
    }

    /// It was lost: at most one cut in a round trip, since the answers of one round trip share one fate.
    pub(crate) fn lost(&mut self, now: Instant) -> bool {
        if now.since(self.last_cut) < self.round_trip.unwrap_or_default() {
            return false;
        }
        self.last_cut = now;
        let before = self.size;
        self.size = (self.size * DECREASE_TENTHS / 10).max(self.floor);
        self.size < before
    }

    /// Twice what the link delivers in its shortest round trip, and one answer: beyond that queues grow and nothing
    /// else.
    fn ceiling(&self) -> Duration {
        let pipe = self.round_trip.unwrap_or_default().mul_f64(self.rate.share());
        pipe * 2 + self.floor
    }
}
