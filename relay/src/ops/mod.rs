//! What the operator sees: metrics, status, health, and the log.
//!
//! Events of the engine become numbers and lines here, and nowhere else. What an operator
//! tells a running relay passes through here ([`order`]) and is done elsewhere.

mod admin;
mod hosts;
mod http;
pub mod logging;
mod metrics;
pub mod order;
mod page;
pub mod status;
pub mod supervisor;

pub use admin::{Admin, Readiness, StatusSource};
pub use http::admin_url;
pub use metrics::Metrics;
pub use order::{Order, Report};
pub use status::Status;
