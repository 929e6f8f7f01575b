//! What Sixfold's firmware images share: framing ([`slip`]), [`packet`]s, the [`console`], the [`update`] loop, [`register`]s, and what a
//! panic does. No board is known here.
#![no_std]

#[cfg(test)]
extern crate std;

pub mod console;
pub mod digest;
#[cfg(target_os = "none")]
pub mod memory;
pub mod packet;
#[cfg(all(target_os = "none", feature = "restart"))]
mod panic;
pub mod register;
pub mod slip;
pub mod update;
