//! The fuzz target of this crate, without a fuzzer.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "these are tests")]

#[path = "../../../fuzz/src/corpus.rs"]
#[allow(unreachable_pub, reason = "a library of its own for cargo-fuzz")]
mod corpus;
#[path = "../../../fuzz/src/ip.rs"]
#[allow(unreachable_pub, reason = "a library of its own for cargo-fuzz")]
mod targets;

#[test]
fn ip_frames() {
    corpus::replay(env!("CARGO_MANIFEST_DIR"), "ip_frames", 20_000, targets::ip_frames);
}
