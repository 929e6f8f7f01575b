//! See [`sixfold_fuzz::manifest::cms_signed_data`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sixfold_fuzz::manifest::cms_signed_data(data));
