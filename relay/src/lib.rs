//! The relay.
#[allow(missing_docs)]
pub mod store;
