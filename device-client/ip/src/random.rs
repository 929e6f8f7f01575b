//! Delays that differ from device to device, so that a street that gets its power back does not speak at once.

use core::time::Duration;

/// A counter behind a mixing function: every seed is good. Not for keys.
#[derive(Debug)]
pub(crate) struct Random(u32);

impl Random {
    pub(crate) const fn new(seed: u32) -> Self {
        Self(seed)
    }

    pub(crate) const fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9);
        let x = (self.0 ^ self.0 >> 16).wrapping_mul(0x7feb_352d);
        let x = (x ^ x >> 15).wrapping_mul(0x846c_a68b);
        x ^ x >> 16
    }

    /// From nothing to almost `longest`, evenly. Durations above an hour are cut.
    pub(crate) const fn up_to(&mut self, longest: Duration) -> Duration {
        let hour = Duration::from_secs(3600).as_micros() as u64;
        let micros = longest.as_micros() as u64;
        let micros = if micros > hour { hour } else { micros };
        Duration::from_micros((micros * self.next() as u64) >> 32)
    }
}
