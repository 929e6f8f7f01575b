//! The relay.

pub mod spool;
