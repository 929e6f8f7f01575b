//! The device's targets: what a preparation makes of names, and the boot program as a whole.

#[path = "../../../device-client/tests/model/mod.rs"]
mod model;

mod flash_trailer;
mod informative;
mod script;
mod target;
mod world;

pub use flash_trailer::flash_trailer;
pub use informative::informative_response;
pub use script::boot;
pub use target::target_reference;
