//! What the fuzz targets do with their input. They say nothing and panic when something is wrong.
//!
//! Each module is of one crate, whose `tests/fuzz.rs` includes it and replays the corpus.

pub mod device;
pub mod edhoc;
pub mod firmware;
pub mod ip;
pub mod manifest;
pub mod oscore;
pub mod profile;
pub mod publish;
pub mod relay;
mod serial;
