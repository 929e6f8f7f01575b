//! See [`sixfold_fuzz::relay::profile_message`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sixfold_fuzz::relay::profile_message(data));
