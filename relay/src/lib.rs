//! The relay: a caching CoAP-to-HTTPS proxy for border routers.
//!
//! The protocol is decided by `sixfold-engine`; this crate gives it sockets ([`udp`]), an HTTPS client
//! ([`origin`]), memory ([`store`]), a disk ([`spool`]) and an operator.

pub mod origin;
pub mod spool;
pub mod store;
pub mod udp;

pub mod config;
