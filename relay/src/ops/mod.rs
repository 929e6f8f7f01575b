//! What the operator sees: metrics, status, health, and the log.
//!
//! Events of the engine become numbers and lines here, and nowhere else. Nothing here changes what the relay
//! does: the admin address only answers questions.

mod admin;
pub mod logging;
mod metrics;
mod page;
pub mod status;
pub mod supervisor;

pub use admin::{Admin, Readiness, StatusSource};
pub use metrics::Metrics;
pub use status::Status;
