//! CoAP messages (RFC 7252) and block-wise transfer options (RFC 7959), without allocation.
//!
//! A received datagram is read through [`Message`], a checked view that borrows it. A message to be sent is
//! written by [`Writer`] into a buffer of the caller. Registries have a file each: [`Code`],
//! [`option`], [`content_format`], transmission parameters in [`params`].

mod block;
mod code;
pub mod content_format;
mod message;
pub mod option;
pub mod params;
mod writer;

pub use block::{Block, BlockError, MAX_NUM, Szx};
pub use code::Code;
pub use message::{Malformed, Message, Opt, Options, Type};
pub use writer::{Full, Writer};
