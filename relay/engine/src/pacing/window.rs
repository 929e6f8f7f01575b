//! How much may be on its way at once on a link, in airtime: additive increase, multiplicative decrease, and a ceiling
//! by what the link delivers.
//!
//! The ceiling matters most. A shared channel carries one frame at a time, so that a second answer on its way helps only
//! where a round trip takes longer than its own frames do: over several hops. Anywhere else it only collides. So round
//! trips are measured while nothing else is on its way: at first, and then now and again for a few answers.

use sixfold_profile::Instant;
use std::time::Duration;

/// What is left of the window after a loss (CUBIC's factor, RFC 9438 §4.6).
const DECREASE: f64 = 0.7;
/// The share of time in which a link carries answers, until there is a measurement.
const FIRST_SHARE: f64 = 0.6;
const LEAST_SHARE: f64 = 0.002;
/// How many answers the delivered share is averaged over.
const MEMORY: f64 = 32.0;
/// How much the window grows in the time in which one window is delivered: slowly, because what a fleet asks for
/// lasts, and every step too far costs a loss.
const INCREASE: f64 = 1.0 / 16.0;
/// Nodes that hear each other share the channel: only from three hops on another answer has room beside the first.
const REUSE: f64 = 1.5;
/// How many round trips are measured in a row, and when the measurement is old.
const PROBES: u8 = 8;
const PROBE_EVERY: Duration = Duration::from_secs(10);

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
    /// More than this share the duty cycle does not allow.
    most: f64,
    probe: Probe,
    /// The shortest round trip in multiples of its airtime, when it was measured last.
    stretch: f64,
}

/// A measurement of round trips under way; without answers to go it waits for its time.
#[derive(Clone, Copy, Debug)]
struct Probe {
    to_go: u8,
    least: f64,
    at: Instant,
}

impl Window {
    /// `most`: the share of time in which the relay may send, 0 to 1.
    pub(crate) const fn new(most: f64) -> Self {
        Self {
            size: 1.0,
            longest: Duration::ZERO,
            in_flight: Duration::ZERO,
            last_cut: Instant::ZERO,
            busy_since: Instant::ZERO,
            share: FIRST_SHARE.min(most),
            most,
            probe: Probe { to_go: PROBES, least: f64::MAX, at: Instant::ZERO },
            stretch: 1.0,
        }
    }

    /// The shortest round trip, in multiples of its airtime.
    pub(crate) const fn stretch(&self) -> f64 {
        self.stretch
    }

    /// The window, in airtime.
    pub(crate) fn size(&self) -> Duration {
        self.longest.mul_f64(self.size)
    }

    /// Airtime on its way.
    pub(crate) const fn in_flight(&self) -> Duration {
        self.in_flight
    }

    /// Another answer may leave. One at a time always may.
    pub(crate) fn has_room(&self, cost: Duration) -> bool {
        self.in_flight.is_zero() || self.probe.to_go == 0 && self.in_flight + cost <= self.size()
    }

    /// How long the link takes for so much airtime.
    pub(crate) fn time_for(&self, airtime: Duration) -> Duration {
        airtime.div_f64(self.share)
    }

    /// How much airtime the link has in so much time.
    pub(crate) fn airtime_in(&self, time: Duration) -> Duration {
        time.mul_f64(self.share)
    }

    /// An answer leaves; says whether it does so alone. `backlog`: others wait, so that time in which nothing was on its way
    /// was lost, not spare.
    pub(crate) fn sent(&mut self, now: Instant, cost: Duration, backlog: bool) -> bool {
        let alone = self.in_flight.is_zero();
        if alone && !backlog {
            self.busy_since = now;
        }
        if self.probe.to_go == 0 && now >= self.probe.at {
            self.probe = Probe { to_go: PROBES, least: f64::MAX, ..self.probe };
        }
        self.longest = self.longest.max(cost);
        self.in_flight += cost;
        alone
    }

    /// An answer is no longer counted: nobody knows what became of it.
    pub(crate) fn ended(&mut self, cost: Duration) {
        self.in_flight = self.in_flight.saturating_sub(cost);
    }

    /// An answer on its way takes another airtime than was counted.
    pub(crate) fn resized(&mut self, before: Duration, cost: Duration) {
        self.in_flight = self.in_flight.saturating_sub(before) + cost;
    }

    /// An answer arrived. `stretch` is its round trip in multiples of the airtime in it, if it left alone. `wanted`:
    /// more was waiting, so that a larger window would be used.
    pub(crate) fn delivered(&mut self, now: Instant, cost: Duration, stretch: Option<f64>, wanted: bool) {
        let busy = now.since(self.busy_since).as_secs_f64();
        let share = (cost.as_secs_f64() / busy.max(1e-6)).min(self.most);
        self.share = (self.share + (share - self.share) / MEMORY).max(LEAST_SHARE);
        self.busy_since = now;
        self.ended(cost);
        if let Some(stretch) = stretch {
            self.measured(now, stretch);
        }
        if wanted {
            let part = cost.as_secs_f64() / self.longest.as_secs_f64().max(1e-6);
            self.resize(self.size + INCREASE * part / self.size);
        }
    }

    fn measured(&mut self, now: Instant, stretch: f64) {
        self.probe.least = self.probe.least.min(stretch);
        self.probe.to_go = self.probe.to_go.saturating_sub(1);
        if self.probe.to_go == 0 {
            self.stretch = self.probe.least;
            self.probe.at = now + PROBE_EVERY;
            self.resize(self.size);
        }
    }

    fn resize(&mut self, size: f64) {
        self.size = size.min(self.stretch / REUSE).max(1.0);
    }

    /// An answer was lost: at most one cut in a round trip, since the answers of one round trip share one fate.
    /// Says whether this was one.
    pub(crate) fn lost(&mut self, now: Instant) -> bool {
        let cuts = now.since(self.last_cut) > self.longest.mul_f64(self.stretch);
        if cuts {
            self.last_cut = now;
            self.resize(self.size * DECREASE);
        }
        cuts
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MS: Duration = Duration::from_millis(1);

    fn at(ms: u64) -> Instant {
        Instant::from_micros(ms * 1000)
    }

    /// Delivers `count` answers of 10 ms one by one, each `stretch` times as long on its way; returns the time.
    fn deliver(window: &mut Window, from: u64, count: u64, stretch: f64) -> u64 {
        let each = (10.0 * stretch) as u64;
        for n in 0..count {
            let alone = window.sent(at(from + n * each), MS * 10, false);
            window.delivered(at(from + (n + 1) * each), MS * 10, alone.then_some(stretch), true);
        }
        from + count * each
    }

    #[test]
    fn over_one_hop_there_is_one_answer_at_a_time() {
        let mut window = Window::new(1.0);
        let end = deliver(&mut window, 0, 500, 1.2);
        assert_eq!(window.size(), MS * 10);
        window.sent(at(end), MS * 10, false);
        assert!(!window.has_room(MS), "not even a small one");
        window.ended(MS * 10);
        assert!(window.has_room(MS * 1000), "one always goes");
    }

    #[test]
    fn over_many_hops_it_grows_and_a_loss_cuts_it() {
        let mut window = Window::new(1.0);
        let end = deliver(&mut window, 0, 500, 6.0);
        assert_eq!(window.size(), MS * 40, "six times the airtime, of which every third hop is free");
        window.lost(at(end));
        assert_eq!(window.size(), MS * 28);
        window.lost(at(end + 1));
        assert_eq!(window.size(), MS * 28, "the same round trip");
        window.lost(at(end + 1000));
        assert!(window.size() < MS * 20);
    }

    #[test]
    fn round_trips_are_measured_alone_now_and_again() {
        let mut window = Window::new(1.0);
        let end = deliver(&mut window, 0, 500, 6.0) + 20_000;
        window.sent(at(end), MS * 10, false);
        assert!(!window.has_room(MS * 10), "measuring");
        window.ended(MS * 10);
        deliver(&mut window, end, u64::from(PROBES), 1.5);
        assert_eq!(window.size(), MS * 10, "the route became shorter");
    }

    #[test]
    fn the_share_of_time_is_learned() {
        let mut window = Window::new(1.0);
        deliver(&mut window, 0, 500, 4.0);
        let time = window.time_for(MS * 100);
        assert!(time > MS * 390 && time < MS * 410, "{time:?}");
    }

    #[test]
    fn an_answer_that_shrank_is_counted_as_it_left() {
        let mut window = Window::new(1.0);
        window.sent(at(0), MS * 80, true);
        window.resized(MS * 80, MS * 40);
        assert_eq!(window.in_flight(), MS * 40);
        window.ended(MS * 40);
        assert_eq!(window.in_flight(), Duration::ZERO);
    }

    #[test]
    fn a_duty_cycle_is_known_from_the_start() {
        assert_eq!(Window::new(0.01).time_for(MS * 10), MS * 1000);
    }

    proptest! {
        #[test]
        fn it_stays_within_bounds(steps in proptest::collection::vec((0_u8..4, 1_u32..100, 0_u32..1000), 1..300)) {
            let mut window = Window::new(1.0);
            let (mut flying, mut now) = (Vec::new(), Instant::ZERO);
            for (step, cost, wait) in steps {
                now += MS * wait;
                match step {
                    0 if window.has_room(MS * cost) => {
                        window.sent(now, MS * cost, true);
                        flying.push(MS * cost);
                    }
                    1 => if let Some(cost) = flying.pop() {
                        window.delivered(now, cost, Some(f64::from(wait) / 10.0), true);
                    },
                    2 => if let Some(cost) = flying.pop() { window.ended(cost); },
                    _ => { window.lost(now); }
                }
                prop_assert_eq!(window.in_flight, flying.iter().sum::<Duration>());
                prop_assert!(window.size >= 1.0 && window.size.is_finite() && window.share > 0.0);
            }
        }
    }
}
