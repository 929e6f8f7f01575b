//! The MAC sublayer in numbers: unslotted CSMA/CA without beacons. Clauses are those of IEEE Std 802.15.4-2015.

use crate::phy::{self, SYMBOL};
use crate::random::Random;
use std::time::Duration;

/// `aUnitBackoffPeriod`: 20 symbols (clause 8.4.2).
pub const UNIT_BACKOFF: Duration = Duration::from_micros(20 * 16);
/// `macMinBe`: the first backoff exponent (clause 8.4.3).
pub const MIN_BE: u32 = 3;
/// `macMaxBe`: the largest backoff exponent (clause 8.4.3).
pub const MAX_BE: u32 = 5;
/// `macMaxCsmaBackoffs`: how often a busy channel is tried again before the frame is given up (clause 8.4.3).
pub const MAX_CSMA_BACKOFFS: u32 = 4;
/// `macMaxFrameRetries`: how often a frame is sent again without an acknowledgement (clause 8.4.3).
pub const MAX_FRAME_RETRIES: u32 = 3;
/// `macSifsPeriod`: the pause after a frame of up to [`MAX_SIFS_FRAME`] octets, 12 symbols (clause 8.4.3).
pub const SIFS: Duration = Duration::from_micros(12 * 16);
/// `macLifsPeriod`: the pause after a longer frame, 40 symbols (clause 8.4.3).
pub const LIFS: Duration = Duration::from_micros(40 * 16);
/// `aMaxSifsFrameSize` in octets (clause 8.4.2).
pub const MAX_SIFS_FRAME: usize = 18;
/// An immediate acknowledgement: frame control, sequence number, FCS (clause 7.3.3), in octets.
pub const ACK_FRAME: usize = 5;
/// How long a sender waits for the whole acknowledgement (clause 6.7.4.3): a unit backoff period, a turnaround, and an
/// acknowledgement's SHR and 6 octets.
pub const ACK_WAIT: Duration = Duration::from_micros((20 + 12 + 10 + 6 * 2) * 16);

/// The pause after a frame of `octets` (clause 6.2.4).
pub const fn interframe_space(octets: usize) -> Duration {
    if octets <= MAX_SIFS_FRAME { SIFS } else { LIFS }
}

/// The random part of CSMA/CA for one frame (clause 6.2.5.1): `NB` and `BE`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Backoff {
    tries: u32,
    exponent: u32,
}

impl Backoff {
    pub(crate) const fn new(min_be: u32) -> Self {
        Self { tries: 0, exponent: min_be }
    }

    /// How long to wait before the channel is sensed.
    pub(crate) fn delay(self, random: &mut Random) -> Duration {
        UNIT_BACKOFF * random.below(1 << self.exponent)
    }

    /// After a busy channel; `None` when that was once too often.
    pub(crate) fn busy(self) -> Option<Self> {
        let tries = self.tries + 1;
        (tries <= MAX_CSMA_BACKOFFS).then(|| Self { tries, exponent: (self.exponent + 1).min(MAX_BE) })
    }
}

/// How long one maximal frame of `psdu` octets takes a lone sender on average, from one frame to the next: backoff,
/// assessment, turnaround, frame, turnaround, acknowledgement, interframe space. What one link can carry follows
/// from it.
pub fn mean_cycle(psdu: usize, acknowledged: bool) -> Duration {
    let mean_backoff = UNIT_BACKOFF * ((1 << MIN_BE) - 1) / 2;
    let acknowledgement =
        if acknowledged { phy::TURNAROUND + phy::airtime(ACK_FRAME) } else { Duration::ZERO };
    mean_backoff + phy::CCA + phy::TURNAROUND + phy::airtime(psdu) + acknowledgement + interframe_space(psdu)
}

const _: () = assert!(UNIT_BACKOFF.as_micros() == phy::TURNAROUND.as_micros() + phy::CCA.as_micros());
const _: () = assert!(ACK_WAIT.as_micros() == 54 * SYMBOL.as_micros());
