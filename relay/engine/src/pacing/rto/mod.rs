//! How long to wait for a sign of life from a device: retransmission time-outs, one algorithm a file.
//!
//! A sample is the time from an answer's departure to the first sign that it arrived: the next request, or the
//! acknowledgement of a separate response.

mod cocoa;
mod fasor;
mod rfc7252;

use cocoa::Cocoa;
use fasor::Fasor;
use rfc7252::Rfc7252;
use std::fmt;
use std::time::Duration;

/// A retransmission time-out estimator for one device.
pub(crate) trait Rto: fmt::Debug + Send + Sync {
    /// Takes a sample; `repeats` transmissions after the first were made before the sign came.
    fn sample(&mut self, rtt: Duration, repeats: u8);

    /// How long to wait after the first transmission.
    fn timeout(&self) -> Duration;

    /// How long to wait after the `repeats`-th retransmission.
    fn after(&self, repeats: u8) -> Duration;

    /// The same with all that it has learned: what a new device of a link begins with.
    fn copy(&self) -> Box<dyn Rto>;
}

/// Which estimator a link uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Algorithm {
    /// RFC 7252 §4.2: fixed.
    Rfc7252,
    /// CoCoA: strong and weak estimators.
    #[default]
    Cocoa,
    /// FASOR: fast and slow time-outs.
    Fasor,
}

impl Algorithm {
    /// Every algorithm.
    pub const ALL: [Self; 3] = [Self::Rfc7252, Self::Cocoa, Self::Fasor];

    /// The name in the configuration.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Rfc7252 => "rfc7252",
            Self::Cocoa => "cocoa",
            Self::Fasor => "fasor",
        }
    }

    /// An estimator without samples.
    pub(crate) fn estimator(self) -> Box<dyn Rto> {
        match self {
            Self::Rfc7252 => Box::new(Rfc7252),
            Self::Cocoa => Box::new(Cocoa::default()),
            Self::Fasor => Box::new(Fasor::default()),
        }
    }
}

/// Smoothed round-trip time and its variation (RFC 6298 §2).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Smoothed {
    srtt: Duration,
    rttvar: Duration,
}

impl Smoothed {
    /// After the first sample (RFC 6298 §2.2).
    fn first(rtt: Duration) -> Self {
        Self { srtt: rtt, rttvar: rtt / 2 }
    }

    /// After another (RFC 6298 §2.3): alpha is 1/8, beta 1/4.
    fn update(&mut self, rtt: Duration) {
        self.rttvar = (self.rttvar * 3 + self.srtt.abs_diff(rtt)) / 4;
        self.srtt = (self.srtt * 7 + rtt) / 8;
    }

    /// The smoothed round-trip time.
    pub(crate) const fn srtt(&self) -> Duration {
        self.srtt
    }

    pub(crate) fn take(slot: &mut Option<Self>, rtt: Duration) -> Self {
        match slot {
            Some(smoothed) => smoothed.update(rtt),
            None => *slot = Some(Self::first(rtt)),
        }
        slot.unwrap_or(Self::first(rtt))
    }

    /// The time-out with `k` variations.
    fn rto(&self, k: u32) -> Duration {
        self.srtt + self.rttvar * k
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn fed(algorithm: Algorithm, samples: &[(u32, u8)]) -> Box<dyn Rto> {
        let mut estimator = algorithm.estimator();
        samples.iter().for_each(|&(ms, repeats)| estimator.sample(MS * ms, repeats));
        estimator
    }

    #[test]
    fn all_begin_with_ack_timeout_and_stay_within_bounds() {
        for algorithm in Algorithm::ALL {
            assert_eq!(algorithm.estimator().timeout(), MS * 2000, "{algorithm:?}");
            for sample in [0, 1, 100, 1_000_000] {
                for repeats in [0, 1, 4] {
                    let timeout = fed(algorithm, &[(sample, repeats); 50]).timeout();
                    assert!(timeout >= MS && timeout <= MS * 60_000, "{algorithm:?} {sample} {timeout:?}");
                }
            }
        }
    }

    #[test]
    fn adaptive_ones_follow_the_link() {
        for algorithm in [Algorithm::Cocoa, Algorithm::Fasor] {
            let fast = fed(algorithm, &[(80, 0); 50]).timeout();
            assert!(fast > MS * 80 && fast < MS * 400, "{algorithm:?} {fast:?}");
            let slow = fed(algorithm, &[(3000, 0); 50]).timeout();
            assert!(slow > MS * 3000, "{algorithm:?} {slow:?}");
        }
        assert_eq!(fed(Algorithm::Rfc7252, &[(80, 0); 50]).timeout(), MS * 2000);
    }

    #[test]
    fn waiting_grows_with_every_repetition() {
        for algorithm in Algorithm::ALL {
            let estimator = fed(algorithm, &[(80, 0), (500, 1)]);
            let waits: Vec<_> = (0..5).map(|repeats| estimator.after(repeats)).collect();
            assert!(waits.is_sorted() && waits[4] > waits[0], "{algorithm:?} {waits:?}");
        }
    }
}
