//! The command line of `sixfold-publish`, and what its `inspect` says of a file; the rest of that program is its own.
#![forbid(unsafe_code)]

pub mod cli;
pub mod describe;
