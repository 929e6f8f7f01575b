//! The relay.

pub mod origin;
pub mod spool;
