//! What `prepare` and `update` are told of a session with the relay.

use clap::Args;
use std::path::PathBuf;
use std::time::Duration;

/// A session with the relay.
#[derive(Args, Debug)]
pub(crate) struct Session {
    /// Agree on a session with the relay, which protects what the boot program asks and hears: its session port,
    /// tls://HOST:PORT.
    #[arg(
        long,
        value_name = "URI",
        requires = "session_ca",
        requires = "session_certificate",
        requires = "session_key"
    )]
    pub(crate) session: Option<String>,
    /// Trust a relay whose certificate this authority issued (PEM).
    #[arg(long, value_name = "FILE", requires = "session")]
    pub(crate) session_ca: Option<PathBuf>,
    /// This device's certificate chain (PEM).
    #[arg(long, value_name = "FILE", requires = "session")]
    pub(crate) session_certificate: Option<PathBuf>,
    /// The key of this device's certificate (PEM).
    #[arg(long, value_name = "FILE", requires = "session")]
    pub(crate) session_key: Option<PathBuf>,
    /// The name in the relay's certificate, if it is not the host in the URI: a DNS name or an address.
    #[arg(long, value_name = "NAME", requires = "session")]
    pub(crate) session_name: Option<String>,
    /// How long the session is wanted, in seconds. The relay may say less; without this it decides.
    #[arg(long, value_name = "SECONDS", value_parser = super::seconds, requires = "session")]
    pub(crate) session_lifetime: Option<Duration>,
    /// Let the boot program go on without protection when the relay does not know the session any more.
    #[arg(long, requires = "session")]
    pub(crate) allow_plain: bool,
}
