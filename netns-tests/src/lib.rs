//! The proof: namespaces with real peers, architecture tests, benchmarks.

pub mod bench;
