//! See [`sixfold_fuzz::manifest::chunk_index`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sixfold_fuzz::manifest::chunk_index(data));
