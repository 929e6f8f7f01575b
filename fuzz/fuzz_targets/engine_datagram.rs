//! See [`sixfold_fuzz::relay::engine_datagram`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sixfold_fuzz::relay::engine_datagram(data));
