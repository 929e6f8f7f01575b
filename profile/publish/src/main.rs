//! `sixfold-publish`: signs firmware images.
#![forbid(unsafe_code)]

fn main() {}
