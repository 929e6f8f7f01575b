//! What `sixfold-publish inspect` says of a file; the rest of that program is its own.
#![forbid(unsafe_code)]

pub mod describe;
