//! What an operator sees: metrics, health, status, logs. Nothing here decides anything.

mod admin;
pub mod logging;
mod metrics;
pub mod status;

pub use admin::{Admin, Readiness, StatusSource};
pub use metrics::Metrics;
pub use status::Status;
