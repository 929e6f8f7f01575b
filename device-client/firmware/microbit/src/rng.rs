//! The random number generator (reference manual §22).
#![allow(unsafe_code)] // names the registers

use sixfold_firmware::register::Register;

// SAFETY: the reference manual's registers of the RNG.
const START: Register = unsafe { Register::new(0x4000_d000) };
const STOP: Register = unsafe { Register::new(0x4000_d004) };
const VALUE_READY: Register = unsafe { Register::new(0x4000_d100) };
const VALUE: Register = unsafe { Register::new(0x4000_d508) };

/// 32 random bits.
pub fn random_bits() -> u32 {
    START.write(1);
    let bits = (0..4).fold(0, |bits, _| bits << 8 | u32::from(random_byte()));
    STOP.write(1);
    bits
}

fn random_byte() -> u8 {
    VALUE_READY.write(0);
    while VALUE_READY.read() == 0 {}
    VALUE.read() as u8
}
