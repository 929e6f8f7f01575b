//! The O-QPSK PHY at 2.4 GHz in numbers. Clauses are those of IEEE Std 802.15.4-2015.

use std::time::Duration;

/// One symbol: 62.5 ksymbol/s (clause 12.2.2).
pub const SYMBOL: Duration = Duration::from_micros(16);
/// One octet is two symbols, which makes 250 kbit/s (clause 12.2.2).
pub const OCTET: Duration = Duration::from_micros(2 * 16);
/// Preamble, start-of-frame delimiter and PHY header, in octets (clause 12.1.1): 4 + 1 + 1.
pub const PPDU_OVERHEAD: usize = 6;
/// `aMaxPhyPacketSize`: the longest PSDU, in octets (clause 11.2).
pub const MAX_PSDU: usize = 127;
/// `aTurnaroundTime`: from receiving to sending or back, 12 symbols (clause 11.2).
pub const TURNAROUND: Duration = Duration::from_micros(12 * 16);
/// `aCcaTime`: how long the channel is sensed for one clear channel assessment, 8 symbols (clause 11.2).
pub const CCA: Duration = Duration::from_micros(8 * 16);

/// How long a PSDU of `octets` occupies the air, with what the PHY puts before it.
pub const fn airtime(octets: usize) -> Duration {
    Duration::from_micros((PPDU_OVERHEAD + octets) as u64 * OCTET.as_micros() as u64)
}
