//! See [`sixfold_fuzz::device::target_reference`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sixfold_fuzz::device::target_reference(data));
