//! The relay: a caching CoAP-to-HTTPS proxy for border routers.
//!
//! The protocol is decided by `sixfold-engine`; this crate gives it sockets ([`udp`]), an HTTPS client
//! ([`origin`]), memory ([`store`]), a disk ([`spool`]), a port for key agreement ([`sessions`]), an event loop ([`driver`])
//! and an operator ([`config`], [`ops`], [`doctor`], [`pacing`], [`cli`], [`output`]). A resource directory hears of it by [`directory`].

pub mod app;
pub mod cli;
pub mod config;
pub mod confine;
pub mod directory;
pub mod doctor;
pub mod driver;
mod guests;
mod lock;
pub mod ops;
pub mod origin;
pub mod output;
pub mod pacing;
mod pem;
pub mod refused;
mod secret;
pub mod sessions;
pub mod spool;
pub mod store;
pub mod udp;
