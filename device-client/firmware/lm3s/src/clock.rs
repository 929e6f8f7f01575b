//! The core's SysTick timer as a clock.

use cortex_m::peripheral::SYST;
use cortex_m::peripheral::syst::SystClkSource;
use sixfold_profile::Instant;

const BITS_24: u32 = 0x00ff_ffff;
/// The system clock as QEMU has it after a reset: a tick lasts 80 ns.
const TICK_NANOS: u64 = 80;

/// Time since it was started. It counts on as long as it is asked at least once in 1.3 seconds.
pub(crate) struct Clock {
    last: u32,
    ticks: u64,
}

impl Clock {
    /// Starts it.
    pub(crate) fn new(mut timer: SYST) -> Self {
        timer.set_clock_source(SystClkSource::Core);
        timer.set_reload(BITS_24);
        timer.clear_current();
        timer.enable_counter();
        Self { last: 0, ticks: 0 }
    }

    /// Now.
    pub(crate) fn now(&mut self) -> Instant {
        // It counts down.
        let count = SYST::get_current();
        self.ticks = self.ticks.saturating_add(u64::from(self.last.wrapping_sub(count) & BITS_24));
        self.last = count;
        Instant::from_micros(self.ticks.saturating_mul(TICK_NANOS) / 1000)
    }
}
