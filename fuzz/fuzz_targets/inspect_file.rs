//! See [`sixfold_fuzz::publish::inspect_file`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sixfold_fuzz::publish::inspect_file(data));
