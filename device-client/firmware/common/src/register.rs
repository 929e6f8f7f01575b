//! Registers of peripherals.
#![allow(unsafe_code)] // memory-mapped registers are addresses

use core::ptr;

/// A 32-bit register of a peripheral.
#[derive(Clone, Copy, Debug)]
pub struct Register(usize);

impl Register {
    /// The register at `address`.
    ///
    /// # Safety
    /// There must be one, of 32 bits; reading and writing it must not break anything that Rust relies on.
    pub const unsafe fn new(address: usize) -> Self {
        Self(address)
    }

    /// Reads it.
    pub fn read(self) -> u32 {
        // SAFETY: promised to `new`.
        unsafe { ptr::read_volatile(ptr::with_exposed_provenance(self.0)) }
    }

    /// Writes it.
    pub fn write(self, value: u32) {
        // SAFETY: promised to `new`.
        unsafe { ptr::write_volatile(ptr::with_exposed_provenance_mut(self.0), value) }
    }
}
