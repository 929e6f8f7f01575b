//! The fuzz targets of this crate, without a fuzzer.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "these are tests")]

#[path = "../../../fuzz/src/corpus.rs"]
#[allow(unreachable_pub, reason = "a library of its own for cargo-fuzz")]
mod corpus;
#[path = "../../../fuzz/src/publish.rs"]
#[allow(unreachable_pub, reason = "a library of its own for cargo-fuzz")]
mod targets;

#[test]
fn inspect_file() {
    corpus::replay(env!("CARGO_MANIFEST_DIR"), "inspect_file", 20_000, targets::inspect_file);
}
