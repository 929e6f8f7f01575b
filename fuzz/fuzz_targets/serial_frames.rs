//! See [`sixfold_fuzz::firmware::serial_frames`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sixfold_fuzz::firmware::serial_frames(data));
