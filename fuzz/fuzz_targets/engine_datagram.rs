//! See [`sixfold_fuzz::engine_datagram`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sixfold_fuzz::engine_datagram(data));
