//! The session port: devices with a certificate agree on an OSCORE session here, over TLS 1.3 (RFC 8446), so that their boot
//! programs need neither certificates nor public keys.
//!
//! | module | job |
//! |---|---|
//! | [`credentials`] | who the relay is, and whose devices it trusts: files into TLS settings |
//! | [`certificate`] | a device's name, and until when a certificate is valid |
//! | `tickets` | what makes the second handshake of a device cheap |
//! | [`port`] | the listener, and what it is told |
//! | [`edhoc`] | the same without TCP and certificates: EDHOC (RFC 9528) |
//! | `exchange` | one connection, from its first byte to its last |
//! | [`outcome`] | what became of it |
//! | [`store`] | sessions on disk, sealed |
//! | [`preshared`] | contexts that were agreed on elsewhere |
//!
//! Sessions are the engine's, with their limit, their end, and OSCORE itself. The port is closed unless the
//! configuration opens it, and a mistake on it never stops the relay from serving.

pub mod certificate;
pub mod credentials;
pub mod edhoc;
mod exchange;
pub mod outcome;
pub mod port;
pub mod preshared;
pub mod store;
mod tickets;

pub use credentials::{Credentials, file_mistakes, validity};
pub use outcome::Outcome;
pub use port::{Prepared, SessionPort};
