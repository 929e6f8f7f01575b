//! See [`sixfold_fuzz::codecs_agree`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sixfold_fuzz::codecs_agree(data));
