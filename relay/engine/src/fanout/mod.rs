//! Fan-out: blocks leave once, for all devices of a link that fetch the same version of an image.
//!
//! Pure, as all of the engine. Who takes part and what they lack comes in with the time; which datagram leaves next comes out,
//! when the link has room (`streams.rs` is where both meet). `docs/fanout.md` tells the whole story.
//!
//! It deliberately keeps no acknowledgements: what a device lacks it says itself, when the stream is silent.

mod bits;
mod config;
mod group;
mod informative;
mod loss;
mod need;
mod parity;
mod plan;
mod size;
mod stream;

pub(crate) use group::{Asked, Group, Key, Verdict};
pub(crate) use informative::{Addresses, informative};
pub(crate) use loss::Loss;
pub(crate) use need::here;
pub(crate) use plan::Item;
pub(crate) use stream::{AROUND_BLOCK, block, parity};

pub use config::{Fanout, Repair};
