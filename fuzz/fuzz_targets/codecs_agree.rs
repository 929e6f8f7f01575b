//! See [`sixfold_fuzz::relay::codecs_agree`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sixfold_fuzz::relay::codecs_agree(data));
