//! What the fuzz targets do with their input. They say nothing and panic when something is wrong.

mod codec;
mod script;
pub mod world;

pub use codec::{codecs_agree, profile_message};
pub use script::engine_datagram;
