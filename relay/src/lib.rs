//! The relay.

pub mod udp;
