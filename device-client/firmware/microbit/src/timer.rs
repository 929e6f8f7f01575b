//! TIMER0 (reference manual §18) as a clock of microseconds.
#![allow(unsafe_code)] // names the registers

use sixfold_firmware::register::Register;
use sixfold_profile::Instant;

// SAFETY: the reference manual's registers of TIMER0.
const START: Register = unsafe { Register::new(0x4000_8000) };
const CAPTURE: Register = unsafe { Register::new(0x4000_8040) };
const BIT_MODE: Register = unsafe { Register::new(0x4000_8508) };
const PRESCALER: Register = unsafe { Register::new(0x4000_8510) };
const CAPTURED: Register = unsafe { Register::new(0x4000_8540) };

const BITS_32: u32 = 3;
/// 16 MHz / 2⁴.
const ONE_MEGAHERTZ: u32 = 4;

/// Time since it was started. It counts on as long as it is asked at least once in 71 minutes.
#[derive(Debug)]
pub struct Timer {
    last: u32,
    micros: u64,
}

impl Timer {
    /// Starts it.
    pub fn new() -> Self {
        BIT_MODE.write(BITS_32);
        PRESCALER.write(ONE_MEGAHERTZ);
        START.write(1);
        Self { last: 0, micros: 0 }
    }

    /// Now.
    pub fn now(&mut self) -> Instant {
        CAPTURE.write(1);
        let count = CAPTURED.read();
        self.micros = self.micros.saturating_add(u64::from(count.wrapping_sub(self.last)));
        self.last = count;
        Instant::from_micros(self.micros)
    }
}

impl Default for Timer {
    fn default() -> Self {
        Self::new()
    }
}
