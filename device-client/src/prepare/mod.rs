//! The main program's part of an update: from the name of a manifest to a ticket in flash.
//!
//! [`prepare`] fetches the manifest through the relay, has its signature verified, checks that it is for this device and
//! newer than what was accepted before, fetches the chunk index, asks where a stream for many devices can be heard
//! ([`Inquiry`]), agrees on a session with the relay if it is to ([`Agreed`]), and leaves it all in a ticket where the boot program finds it.
//!
//! It needs the standard library, but brings no sockets and no clock: whoever calls it fetches ([`Source`]) and verifies.

mod agreed;
pub mod discover;
pub mod informative;
mod inquiry;
mod interface_identifier;
mod steps;
mod target;

pub use agreed::{Agreed, InTicket};
pub use informative::{Nonsense, Told};
pub use inquiry::{Inquiry, NoGroup};
pub use interface_identifier::{Origin, SHORTEST_SECRET, interface_identifier};
pub use steps::{PrepareError, Prepared, Probe, Request, Source, prepare};
pub use target::{Target, TargetError};
