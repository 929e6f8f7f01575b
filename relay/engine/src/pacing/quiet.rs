//! Quiet moments: when an answer leaves later than it could, so that a device can be heard.
//!
//! CSMA/CA gives a frame up after five busy assessments, and a link in full use is busy most of the time. A client whose request
//! was given up five times gives up for good. So there are pauses between answers while somebody is known to try, or while it
//! is likely.

use sixfold_profile::Instant;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

/// For how long a device counts as missing: as long as most clients repeat a request (RFC 7252 §4.2: up to 45 s after the
/// first transmission), when its first repetition did not arrive either, and when its second did not.
const MISSING: Duration = Duration::from_secs(45);
const MISSED_TWICE: Duration = Duration::from_secs(4);
const MISSED_OFTEN: Duration = Duration::from_secs(10);
/// Newcomers that follow each other within this time are a crowd if they are so many. It is listened to until it ends, for so
/// long at most.
const NEXT: Duration = Duration::from_millis(100);
const CROWD: u32 = 8;
const LISTEN: Duration = Duration::from_millis(1200);

/// Who is waited for on one link.
#[derive(Clone, Debug)]
pub(crate) struct Quiet {
    /// Devices that should have asked again, and since when they are missed.
    missing: BTreeSet<(Instant, SocketAddr)>,
    /// How many newcomers followed each other, from when to when.
    newcomers: u32,
    first: Instant,
    last: Instant,
    until: Instant,
}

impl Quiet {
    pub(crate) const fn new() -> Self {
        Self {
            missing: BTreeSet::new(),
            newcomers: 0,
            first: Instant::ZERO,
            last: Instant::ZERO,
            until: Instant::ZERO,
        }
    }

    /// How many devices are missing.
    pub(crate) fn missing(&self) -> usize {
        self.missing.len()
    }

    /// When the quiet moment ends.
    pub(crate) const fn until(&self) -> Instant {
        self.until
    }

    /// A device should have asked again, and has not.
    pub(crate) fn miss(&mut self, since: Instant, device: SocketAddr) {
        self.missing.insert((since, device));
    }

    /// A device that was missed is here again, or forgotten.
    pub(crate) fn found(&mut self, since: Instant, device: SocketAddr) {
        self.missing.remove(&(since, device));
    }

    /// A device is heard for the first time. Of a crowd that powers on at once everybody tries at once: while answers use the link
    /// many requests are not heard, and nobody can be missed who never was heard. So it is the crowd's turn first. Says whether
    /// a quiet moment begins.
    pub(crate) fn arrived(&mut self, now: Instant) -> bool {
        if now.since(self.last) > NEXT {
            (self.newcomers, self.first) = (0, now);
        }
        self.last = now;
        self.newcomers = self.newcomers.saturating_add(1);
        if self.newcomers < CROWD {
            return false;
        }
        self.until = self.until.max((now + NEXT).min(self.first + LISTEN));
        self.newcomers == CROWD
    }

    /// An answer leaves, and with the request that follows it takes `exchange`: says whether a quiet moment comes then, of a
    /// `frame` or more.
    pub(crate) fn after(&mut self, now: Instant, exchange: Duration, frame: Duration) -> bool {
        let Some(missing_for) = self.longest_missing(now) else { return false };
        let pause = match missing_for {
            time if time > MISSED_OFTEN => exchange,
            time if time > MISSED_TWICE || self.missing.len() > 1 => exchange / 2,
            _ => Duration::ZERO,
        };
        self.until = self.until.max(now + exchange + pause + frame);
        true
    }

    /// For how long a device has been missing.
    fn longest_missing(&mut self, now: Instant) -> Option<Duration> {
        while let Some(&(since, _)) = self.missing.first() {
            if now.since(since) < MISSING {
                return Some(now.since(since));
            }
            self.missing.pop_first();
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);
    const NOW: Instant = Instant::from_micros(1_000_000);

    fn device(n: u16) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], n))
    }

    /// How long the pause is after an exchange of 20 ms with frames of 7 ms.
    fn pause(quiet: &mut Quiet, now: Instant) -> Option<Duration> {
        quiet.after(now, MS * 20, MS * 7).then(|| quiet.until().since(now + MS * 20))
    }

    #[test]
    fn the_longer_and_the_more_are_missing_the_longer_is_the_pause() {
        let mut quiet = Quiet::new();
        assert_eq!(pause(&mut quiet, NOW), None);
        quiet.miss(NOW, device(1));
        assert_eq!(pause(&mut quiet, NOW + MS * 100), Some(MS * 7));
        assert_eq!(pause(&mut quiet, NOW + MS * 4100), Some(MS * 17), "its first repetition was not heard");
        assert_eq!(pause(&mut quiet, NOW + MS * 10_100), Some(MS * 27), "nor its second");
        assert_eq!(pause(&mut quiet, NOW + MISSING), None, "it is gone");
        quiet.miss(NOW + MISSING, device(1));
        quiet.miss(NOW + MISSING, device(2));
        assert_eq!(pause(&mut quiet, NOW + MISSING + MS * 100), Some(MS * 17));
        quiet.found(NOW + MISSING, device(1));
        quiet.found(NOW + MISSING, device(2));
        assert_eq!((pause(&mut quiet, NOW + MISSING + MS * 200), quiet.missing()), (None, 0));
    }

    #[test]
    fn a_crowd_is_listened_to_until_it_ends() {
        let mut quiet = Quiet::new();
        let arrivals = |quiet: &mut Quiet, from: u32, every: u32, count: u32| -> Vec<bool> {
            (0..count).map(|n| quiet.arrived(NOW + MS * (from + n * every))).collect()
        };
        assert_eq!(arrivals(&mut quiet, 0, 10, CROWD - 1), [false; CROWD as usize - 1]);
        assert_eq!(quiet.until(), Instant::ZERO, "a few are no crowd");
        assert_eq!(arrivals(&mut quiet, 70, 10, 2), [true, false]);
        assert_eq!(quiet.until(), NOW + MS * 80 + NEXT);
        arrivals(&mut quiet, 90, 10, 500);
        assert_eq!(quiet.until(), NOW + LISTEN, "an endless one is answered, too");
        let mut slow = Quiet::new();
        arrivals(&mut slow, 0, 101, 100);
        assert_eq!(slow.until(), Instant::ZERO, "one after another");
    }
}
