//! The micro:bit's nRF51822 (nRF51 Series Reference Manual, version 3.0) as far as Sixfold needs it and QEMU emulates
//! it: [`Nvmc`], [`Uart`], [`Timer`], [`random_bits`](rng::random_bits), and where everything is in flash ([`layout`]).
//!
//! No interrupts: everything is polled, so that an image at another address than 0 needs no vector table of its own on
//! a core that cannot move it. No protocol.
#![no_std]

pub mod layout;
pub mod nvmc;
pub mod rng;
pub mod timer;
pub mod uart;

pub use nvmc::Nvmc;
pub use timer::Timer;
pub use uart::Uart;
