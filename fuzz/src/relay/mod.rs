//! The relay's targets: its codec beside another one, and its engine.

mod codec;
mod script;
pub mod world;

pub use codec::{codecs_agree, profile_message};
pub use script::engine_datagram;
