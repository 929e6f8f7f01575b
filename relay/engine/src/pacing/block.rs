//! Which block size suits a link: a block is several frames, and lost when one of them is.
//!
//! Large blocks carry their headers better; small ones arrive more often. The largest is best until several frames of
//! a hundred are lost for good, that is, after the repetitions of the MAC layer.

use super::airtime::Radio;
use super::parcel::{AROUND_PAYLOAD, REQUEST};
use sixfold_profile::coap::Szx;

/// IPv6 and UDP headers, in bytes.
const HEADERS: usize = 40 + 8;
/// All options that a response can have, at their longest, with header and Token, in bytes.
const LONGEST_AROUND: usize = 57;
/// Clients give up after five attempts (RFC 7252 §4.8: MAX_RETRANSMIT is 4). With more loss than this
/// more than one block of a hundred thousand ends its transfer that way.
const MOST_LOST: f64 = 0.1;
/// Blocks become larger again only when they would be best with this much more loss, too.
const HYSTERESIS: f64 = 2.0;

/// The block size of one link.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BlockSize {
    radio: Radio,
    /// What fits the MTU.
    largest: Szx,
    now: Szx,
}

/// How the block size changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Smaller,
    Larger,
}

impl BlockSize {
    /// The largest blocks that fit IPv6 packets of `mtu` bytes.
    pub(crate) fn new(radio: Radio, mtu: usize) -> Self {
        let fits = |szx: &Szx| HEADERS + LONGEST_AROUND + szx.size() <= mtu;
        let largest = sizes().filter(fits).last().unwrap_or(Szx::MIN);
        Self { radio, largest, now: largest }
    }

    /// The largest block that is offered now.
    pub(crate) const fn now(&self) -> Szx {
        self.now
    }

    /// Takes how often frames are lost, 0 to 1.
    pub(crate) fn update(&mut self, frame_loss: f64) -> Option<Change> {
        let smaller = self.best(frame_loss);
        if smaller < self.now {
            self.now = smaller;
            return Some(Change::Smaller);
        }
        let larger = self.best((frame_loss * HYSTERESIS).min(1.0));
        (larger > self.now).then(|| {
            self.now = larger;
            Change::Larger
        })
    }

    fn best(&self, frame_loss: f64) -> Szx {
        let loss = |szx: Szx| 1.0 - (1.0 - frame_loss).powi(self.frames(szx));
        let goodput = |szx: Szx| {
            let airtime = self.radio.airtime(szx.size() + AROUND_PAYLOAD) + self.radio.airtime(REQUEST);
            szx.size() as f64 * (1.0 - loss(szx)) / airtime.as_secs_f64()
        };
        let allowed = sizes().filter(|&szx| szx <= self.largest && loss(szx) <= MOST_LOST);
        let best = allowed.max_by(|&a, &b| goodput(a).total_cmp(&goodput(b)));
        // Nothing arrives often enough: then what fits the fewest frames, and of that the most.
        best.unwrap_or_else(|| {
            let fewest = |szx: &Szx| *szx <= self.largest && self.frames(*szx) == self.frames(Szx::MIN);
            sizes().filter(fewest).last().unwrap_or(Szx::MIN)
        })
    }

    fn frames(&self, szx: Szx) -> i32 {
        i32::try_from(self.radio.frames(szx.size() + AROUND_PAYLOAD)).unwrap_or(i32::MAX)
    }
}

fn sizes() -> impl Iterator<Item = Szx> {
    (Szx::MIN.exponent()..=Szx::MAX.exponent()).filter_map(Szx::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_more_is_lost_the_smaller_the_block() {
        let after = |loss| {
            let mut size = BlockSize::new(Radio::default(), 1280);
            size.update(loss);
            size.now().size()
        };
        let sizes: Vec<_> = [0.0, 0.005, 0.012, 0.03, 0.06, 0.5].map(after).into();
        assert_eq!(sizes, [1024, 1024, 512, 128, 32, 32]);
        assert!((0..100).map(|loss| after(f64::from(loss) / 100.0)).is_sorted_by(|a, b| a >= b));
    }

    #[test]
    fn larger_again_only_when_it_is_safe() {
        let mut size = BlockSize::new(Radio::default(), 1280);
        assert_eq!(size.update(0.012), Some(Change::Smaller));
        assert_eq!(size.update(0.008), None, "best now, but not with twice the loss");
        assert_eq!(size.update(0.001), Some(Change::Larger));
        assert_eq!((size.now(), size.update(0.001)), (Szx::MAX, None));
    }

    #[test]
    fn no_block_is_larger_than_the_mtu() {
        let largest = |mtu| BlockSize::new(Radio::default(), mtu).now().size();
        assert_eq!([1280, 1128, 640, 232, 0].map(largest), [1024, 512, 512, 64, 16]);
    }
}
