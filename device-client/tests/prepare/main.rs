//! The main program's part against whatever can be in its way: a ticket is left whole, or flash stays as it was.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "these are tests")]

#[path = "../model/mod.rs"]
mod model;
#[path = "../../../profile/manifest/tests/cms/pki.rs"]
#[allow(dead_code, unreachable_pub, reason = "the tests of signatures use the rest")]
mod pki;

mod encrypted;
mod groups;
mod power_cuts;
mod refusals;
mod world;
