//! The fuzz targets of this crate, without a fuzzer.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "these are tests")]

#[path = "../../../../fuzz/src/corpus.rs"]
#[allow(unreachable_pub, reason = "a library of its own for cargo-fuzz")]
mod corpus;
#[path = "../../../../fuzz/src/firmware.rs"]
#[allow(unreachable_pub, reason = "a library of its own for cargo-fuzz")]
mod targets;

use sixfold_firmware as serial;

#[test]
fn serial_frames() {
    corpus::replay(env!("CARGO_MANIFEST_DIR"), "serial_frames", 50_000, targets::serial_frames);
}
