//! The device side of Sixfold: fetches a body block by block over CoAP (RFC 7252, RFC 7959).
//!
//! [`Fetch`] is a state machine: datagrams and the time go in; datagrams, blocks to be written and the next
//! deadline come out. Below it, [`Exchange`] carries one Confirmable request at a time. The same code runs in
//! a boot program, in `sixfold-device` on Linux and, a thousand at a time, in simulations.
//!
//! This library deliberately has no standard library, no allocator, no sockets, no clock, no source of
//! randomness (a seed is passed in) and no buffer for a body: whoever drives it owns those. It does not check
//! that a body is authentic either. The program for Linux is in `src/bin/sixfold-device`.
#![no_std]
#![forbid(unsafe_code)]

#[allow(unused_imports, reason = "its macros are for the main program and for tests")]
#[macro_use]
#[cfg(any(test, feature = "std"))]
extern crate std;

#[cfg(feature = "agree")]
pub mod agree;
pub mod blocks;
pub mod boot;
#[cfg(feature = "std")]
pub mod cli;
mod etag;
pub mod exchange;
pub mod fetch;
#[cfg(feature = "std")]
pub mod flash_file;
#[cfg(feature = "std")]
pub mod prepare;
mod random;
#[cfg(feature = "std")]
pub mod uri;

pub use boot::Boot;
pub use etag::ETag;
pub use exchange::Exchange;
pub use fetch::{Event, Fetch};
