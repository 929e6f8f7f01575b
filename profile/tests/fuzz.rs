//! The fuzz targets of this crate, without a fuzzer.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "these are tests")]

#[path = "../../fuzz/src/corpus.rs"]
#[allow(unreachable_pub, reason = "a library of its own for cargo-fuzz")]
mod corpus;
#[path = "../../fuzz/src/profile.rs"]
#[allow(unreachable_pub, reason = "a library of its own for cargo-fuzz")]
mod targets;

#[test]
fn ticket() {
    corpus::replay(env!("CARGO_MANIFEST_DIR"), "ticket", 200_000, targets::ticket);
}
