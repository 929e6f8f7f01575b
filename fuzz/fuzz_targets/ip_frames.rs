//! See [`sixfold_fuzz::ip::ip_frames`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sixfold_fuzz::ip::ip_frames(data));
