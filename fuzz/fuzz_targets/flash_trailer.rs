//! See [`sixfold_fuzz::device::flash_trailer`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sixfold_fuzz::device::flash_trailer(data));
