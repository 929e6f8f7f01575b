//! See [`sixfold_fuzz::manifest::suit_envelope`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sixfold_fuzz::manifest::suit_envelope(data));
