//! See [`sixfold_fuzz::profile::ticket`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sixfold_fuzz::profile::ticket(data));
