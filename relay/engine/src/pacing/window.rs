//! How much may be on its way at once on a link, in airtime: additive increase, multiplicative decrease, and a ceiling
//! by what the link delivers.
//!
//! The ceiling matters most. A channel that is shared carries one answer at a time, so that a second of airtime in
//! flight is too much for any link on which a round trip takes a second when nothing else is on its way: more than
//! that only collides. Over one hop that is one answer at a time, over several hops a few.

use sixfold_profile::Instant;
use std::time::Duration;

/// What is left of the window after a loss (CUBIC's factor, RFC 9438 §4.6).
const DECREASE: f64 = 0.7;
/// The share of time in which a link carries answers, until there is a measurement.
const FIRST_SHARE: f64 = 0.6;
/// How many answers the averages go over.
const MEMORY: f64 = 32.0;

/// The window of one link.
#[derive(Clone, Debug)]
pub(crate) struct Window {
    /// In answers of the longest kind.
    size: f64,
    longest: Duration,
    in_flight: Duration,
    last_cut: Instant,
    /// Since when the link has been busy with what comes next.
    busy_since: Instant,
    /// Airtime delivered for each second in which something was on its way.
    share: f64,
    /// Round trips of answers that left alone, in multiples of their airtime.
    stretch: Option<f64>,
}

impl Window {
    pub(crate) const fn new() -> Self {
        Self {
            size: 1.0,
            longest: Duration::ZERO,
            in_flight: Duration::ZERO,
            last_cut: Instant::ZERO,
            busy_since: Instant::ZERO,
            share: FIRST_SHARE,
            stretch: None,
        }
    }

    /// The window, in airtime.
    pub(crate) fn size(&self) -> Duration {
        self.longest.mul_f64(self.size)
    }

    /// What is on its way, in airtime.
    pub(crate) const fn in_flight(&self) -> Duration {
        self.in_flight
    }

    /// Another answer may leave. One at a time always may.
    pub(crate) fn has_room(&self, cost: Duration) -> bool {
        self.in_flight.is_zero() || self.in_flight + cost <= self.size()
    }

    /// How long the link takes for so much airtime.
    pub(crate) fn time_for(&self, airtime: Duration) -> Duration {
        airtime.div_f64(self.share)
    }

    /// How much airtime the link has in so much time.
    pub(crate) fn airtime_in(&self, time: Duration) -> Duration {
        time.mul_f64(self.share)
    }

    /// An answer leaves; says whether it does so alone.
    pub(crate) fn sent(&mut self, now: Instant, cost: Duration) -> bool {
        let alone = self.in_flight.is_zero();
        if alone {
            self.busy_since = now;
        }
        self.longest = self.longest.max(cost);
        self.in_flight += cost;
        alone
    }

    /// An answer is no longer counted: nobody knows what became of it.
    pub(crate) fn ended(&mut self, cost: Duration) {
        self.in_flight = self.in_flight.saturating_sub(cost);
    }

    /// An answer arrived, `round_trip` after it left. `wanted`: more was waiting, so that a larger window would be
    /// used.
    pub(crate) fn delivered(
        &mut self,
        now: Instant,
        cost: Duration,
        round_trip: Duration,
        alone: bool,
        wanted: bool,
    ) {
        let busy = now.since(self.busy_since).as_secs_f64();
        let share = (cost.as_secs_f64() / busy.max(1e-6)).min(1.0);
        self.share = (self.share + (share - self.share) / MEMORY).max(0.01);
        self.busy_since = now;
        self.ended(cost);
        if alone {
            let stretch = round_trip.as_secs_f64() / cost.as_secs_f64().max(1e-6);
            let before = self.stretch.unwrap_or(stretch);
            self.stretch = Some(before + (stretch - before) / MEMORY);
        }
        if wanted {
            let part = cost.as_secs_f64() / self.longest.as_secs_f64().max(1e-6);
            self.size = (self.size + part / self.size).min(self.stretch.unwrap_or(1.0)).max(1.0);
        }
    }

    /// An answer was lost: at most one cut in a round trip, since the answers of one round trip share one fate.
    pub(crate) fn lost(&mut self, now: Instant) {
        if now.since(self.last_cut) > self.longest.mul_f64(self.stretch.unwrap_or(1.0)) {
            self.last_cut = now;
            self.size = (self.size * DECREASE).max(1.0);
        }
    }
}
