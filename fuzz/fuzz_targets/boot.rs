//! See [`sixfold_fuzz::device::boot`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sixfold_fuzz::device::boot(data));
