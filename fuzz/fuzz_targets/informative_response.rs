//! See [`sixfold_fuzz::device::informative_response`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sixfold_fuzz::device::informative_response(data));
