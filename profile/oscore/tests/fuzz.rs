//! The fuzz target of this crate, without a fuzzer.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "these are tests")]

#[path = "../../../fuzz/src/corpus.rs"]
#[allow(unreachable_pub, reason = "a library of its own for cargo-fuzz")]
mod corpus;
#[path = "../../../fuzz/src/oscore.rs"]
#[allow(unreachable_pub, reason = "a library of its own for cargo-fuzz")]
mod targets;

#[test]
fn oscore() {
    corpus::replay(env!("CARGO_MANIFEST_DIR"), "oscore", 20_000, targets::oscore);
}
