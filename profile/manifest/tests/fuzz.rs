//! The fuzz targets of this crate, without a fuzzer.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "these are tests")]

#[path = "../../../fuzz/src/corpus.rs"]
#[allow(unreachable_pub, reason = "a library of its own for cargo-fuzz")]
mod corpus;
#[path = "../../../fuzz/src/manifest.rs"]
#[allow(unreachable_pub, reason = "a library of its own for cargo-fuzz")]
mod targets;

const HERE: &str = env!("CARGO_MANIFEST_DIR");

#[test]
fn suit_envelope() {
    corpus::replay(HERE, "suit_envelope", 20_000, targets::suit_envelope);
}

#[test]
fn cms_signed_data() {
    corpus::replay(HERE, "cms_signed_data", 20_000, targets::cms_signed_data);
}

#[test]
fn chunk_index() {
    corpus::replay(HERE, "chunk_index", 50_000, targets::chunk_index);
}

#[test]
fn keys() {
    corpus::replay(HERE, "keys", 20_000, targets::keys);
}
