//! The fuzz target of this crate, without a fuzzer.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "these are tests")]

#[path = "../../../fuzz/src/corpus.rs"]
#[allow(unreachable_pub, reason = "a library of its own for cargo-fuzz")]
mod corpus;
#[path = "../../../fuzz/src/edhoc.rs"]
#[allow(unreachable_pub, reason = "a library of its own for cargo-fuzz")]
mod targets;

#[test]
fn edhoc() {
    corpus::replay(env!("CARGO_MANIFEST_DIR"), "edhoc", 300, targets::edhoc);
}
