//! The fuzz targets of this crate, without a fuzzer.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "these are tests")]

#[path = "../../fuzz/src/corpus.rs"]
#[allow(unreachable_pub, reason = "a library of its own for cargo-fuzz")]
mod corpus;
#[path = "../../fuzz/src/device/mod.rs"]
#[allow(unreachable_pub, reason = "a library of its own for cargo-fuzz")]
mod targets;

const HERE: &str = env!("CARGO_MANIFEST_DIR");

#[test]
fn boot() {
    corpus::replay(HERE, "boot", 15_000, targets::boot);
}

#[test]
fn flash_trailer() {
    corpus::replay(HERE, "flash_trailer", 100_000, targets::flash_trailer);
}

#[test]
fn target_reference() {
    corpus::replay(HERE, "target_reference", 100_000, targets::target_reference);
}

#[test]
fn informative_response() {
    corpus::replay(HERE, "informative_response", 100_000, targets::informative_response);
}
