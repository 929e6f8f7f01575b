//! The device's targets: what a preparation makes of names, and the boot program as a whole.

#[path = "../../../device-client/tests/model/mod.rs"]
mod model;

mod informative;
mod script;
mod target;
mod world;

pub use informative::informative_response;
pub use script::boot;
pub use target::target_reference;
