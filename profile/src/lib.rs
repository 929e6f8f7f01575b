//! What both ends of Sixfold must agree on, and nothing else.
//!
//! CoAP messages and their registries ([`coap`]), block arithmetic ([`coap::Block`]), the cutting of images into
//! chunks ([`index`]), the [`ticket`], the [`record`] around it in flash and the [`note`] that outlives it, what a
//! stream for many devices says again ([`parity`]) and a device says that it misses ([`missing`]), how they agree on a session
//! ([`agreement`]), bytes as people read them ([`Hex`]), and the time type that every state machine takes as an
//! argument ([`Instant`]).
//!
//! This crate has no allocator, no standard library, no dependencies, no sockets and no clock, so that a
//! boot program of a few kilobytes can use the same code as the relay. It deliberately holds no protocol
//! state: exchanges, retransmission and caches live in `sixfold-engine` and `sixfold-device`.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

pub mod agreement;
pub mod coap;
mod crc;
mod hex;
pub mod index;
pub mod missing;
pub mod note;
pub mod parity;
pub mod record;
pub mod ticket;
mod time;

pub use crc::crc32;
pub use hex::Hex;
pub use time::Instant;
