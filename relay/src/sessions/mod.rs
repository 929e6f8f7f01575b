//! The session port: devices with a certificate agree on an OSCORE session here, over TLS 1.3 (RFC 8446), so that their boot
//! programs need neither certificates nor public keys.
//!
//! | module | job |
//! |---|---|
//! | [`credentials`] | who the relay is, and whose devices it trusts: files into TLS settings |
//! | [`certificate`] | a device's name, and until when a certificate is valid |
//! | `tickets` | what makes the second handshake of a device cheap |
//! | `guests` | how many may shake hands at once, from one address and in all |
//! | [`port`] | the listener, and what it is told |
//! | `exchange` | one connection, from its first byte to its last |
//! | [`outcome`] | what became of it |
//!
//! Sessions are the engine's ([`Registrar`]); OSCORE, their limit and their end are too. The port is closed unless the
//! configuration opens it, and a mistake on it never stops the relay from serving.

pub mod certificate;
pub mod credentials;
mod exchange;
mod guests;
pub mod outcome;
pub mod port;
mod tickets;

pub use credentials::{Credentials, file_mistakes};
pub use outcome::Outcome;
pub use port::{Prepared, SessionPort};

use sixfold_profile::agreement::{MASTER_SALT, MASTER_SECRET, Refusal};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// What a device and the relay agreed on.
#[derive(Clone, PartialEq, Eq)]
pub struct Agreed {
    /// What the device's certificate calls it. Printable, at most [`certificate::MAX_NAME`] bytes.
    pub name: Arc<str>,
    /// The device's Sender ID, from [`Registrar::identify`].
    pub device_id: Vec<u8>,
    /// The relay's Sender ID.
    pub relay_id: Vec<u8>,
    /// The OSCORE Master Secret.
    pub master_secret: [u8; MASTER_SECRET],
    /// The OSCORE Master Salt.
    pub master_salt: [u8; MASTER_SALT],
    /// When it ends.
    pub lifetime: Duration,
}

impl fmt::Debug for Agreed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, device_id, relay_id, lifetime, .. } = self;
        f.debug_struct("Agreed")
            .field("name", name)
            .field("device_id", device_id)
            .field("relay_id", relay_id)
            .field("lifetime", lifetime)
            .finish_non_exhaustive()
    }
}

/// Who keeps sessions.
pub trait Registrar: Clone + Send + Sync + 'static {
    /// A Sender ID for a device that no session has.
    ///
    /// # Errors
    /// [`Refusal::Full`], or [`Refusal::Unavailable`] when the relay stops.
    fn identify(&self) -> impl Future<Output = Result<Vec<u8>, Refusal>> + Send;

    /// Takes a session.
    ///
    /// # Errors
    /// As [`Registrar::identify`].
    fn register(&self, session: Agreed) -> impl Future<Output = Result<(), Refusal>> + Send;
}
