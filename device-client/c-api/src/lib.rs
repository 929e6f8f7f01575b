//! Sixfold for firmware in C: `include/sixfold_boot.h`, and with an operating system `include/sixfold_prepare.h`.
//!
//! Thin: every function checks what C handed over, and calls the Rust function of the same purpose. What a board is, how
//! datagrams travel and how an image is started stays in C.
#![cfg_attr(not(feature = "std"), no_std)]
#![allow(unsafe_code)] // the border to C

mod boot;
#[cfg(feature = "std")]
mod discover;
mod flash;
#[cfg(feature = "listen")]
mod listen;
#[cfg(feature = "std")]
mod prepare;
mod session;
mod status;

pub use boot::*;
#[cfg(feature = "std")]
pub use discover::*;
pub use flash::*;
#[cfg(feature = "listen")]
pub use listen::*;
#[cfg(feature = "std")]
pub use prepare::*;
pub use session::*;
pub use status::*;

/// The core does not panic; this is what the compiler asks for.
#[cfg(all(not(feature = "std"), not(test)))]
#[panic_handler]
fn halt(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {
        core::hint::spin_loop();
    }
}
