//! The origin client against a real HTTPS origin in the same process.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "these are tests")]

#[path = "../support/mod.rs"]
mod support;

mod answers;
mod client;
mod proxy;
mod redirects;
mod resume;
mod spool;
mod trust;
