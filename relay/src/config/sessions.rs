//! Where devices agree on sessions, and how long these last.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Sessions of devices (OSCORE, RFC 8613).
#[derive(Clone, Debug, PartialEq)]
pub struct Sessions {
    /// Where devices agree on them over TLS; `None` closes the port.
    pub port: Option<Port>,
    /// How devices without TCP agree on them (EDHOC, RFC 9528); `None` turns it off.
    pub edhoc: Option<EdhocFiles>,
    /// What the port bears.
    pub handshakes: Handshakes,
    /// The longest that one lasts.
    pub lifetime: Duration,
    /// How many there may be.
    pub limit: usize,
    /// Whether devices without one are served, where a route does not say otherwise.
    pub allow_plain: bool,
    /// The file that they are kept in over a restart.
    pub store: Option<PathBuf>,
    /// A file with contexts that were agreed on elsewhere.
    pub contexts: Option<PathBuf>,
}

/// The session port.
#[derive(Clone, Debug, PartialEq)]
pub struct Port {
    /// Address and TCP port.
    pub listen: SocketAddr,
    /// The relay's chain of certificates.
    pub certificate: PathBuf,
    /// The private key of the first of them.
    pub key: PathBuf,
    /// The authorities whose devices are let in.
    pub client_ca: PathBuf,
    /// Certificates that they revoked.
    pub client_crl: Option<PathBuf>,
}

/// Who the relay is in EDHOC, and whom it knows.
#[derive(Clone, Debug, PartialEq)]
pub struct EdhocFiles {
    /// The relay's private key.
    pub key: PathBuf,
    /// The credentials of devices, a line each.
    pub devices: PathBuf,
}

/// What the session port bears.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Handshakes {
    /// Connections at the same time.
    pub total: usize,
    /// Connections of one source at the same time: an address, or off the relay's links a /64.
    pub per_client: usize,
    /// New connections of one source in a second, and at once.
    pub rate: u32,
    /// How long the handshake and what follows it may take together.
    pub timeout: Duration,
}

impl Default for Sessions {
    fn default() -> Self {
        let handshakes = Handshakes { total: 32, per_client: 4, rate: 4, timeout: Duration::from_secs(30) };
        let limit = sixfold_engine::Limits::default().sessions;
        let lifetime = Duration::from_secs(30 * 24 * 3600);
        Self {
            port: None,
            edhoc: None,
            handshakes,
            lifetime,
            limit,
            allow_plain: true,
            store: None,
            contexts: None,
        }
    }
}
