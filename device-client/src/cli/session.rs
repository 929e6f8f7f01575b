//! What `prepare` and `update` are told of a session with the relay.

use clap::Args;
use std::path::PathBuf;
use std::string::String;
use std::time::Duration;

/// A session with the relay.
#[derive(Args, Debug)]
pub struct Session {
    /// Agree on a session with the relay, which protects what the boot program asks and hears: over TLS at its session port,
    /// tls://HOST:PORT, or by EDHOC at its CoAP port, coap://HOST[:PORT].
    #[arg(long, value_name = "URI", requires = "session_key")]
    pub session: Option<String>,
    /// This device's private key (PEM): that of its certificate, or of its credential.
    #[arg(long, value_name = "FILE", requires = "session")]
    pub session_key: Option<PathBuf>,
    /// With TLS: trust a relay whose certificate this authority issued (PEM).
    #[arg(long, value_name = "FILE", requires = "session", conflicts_with_all = ["session_credential", "session_relay"])]
    pub session_ca: Option<PathBuf>,
    /// With TLS: this device's certificate chain (PEM).
    #[arg(long, value_name = "FILE", requires = "session", conflicts_with_all = ["session_credential", "session_relay"])]
    pub session_certificate: Option<PathBuf>,
    /// With EDHOC: this device's credential, as `sixfold-publish keygen --algorithm edhoc` makes it.
    #[arg(long, value_name = "FILE", requires = "session")]
    pub session_credential: Option<PathBuf>,
    /// With EDHOC: the relay's credential, which `sixfold-relay check` prints.
    #[arg(long, value_name = "FILE", requires = "session")]
    pub session_relay: Option<PathBuf>,
    /// With TLS: the name in the relay's certificate, if it is not the host in the URI: a DNS name or an address.
    #[arg(long, value_name = "NAME", requires = "session_ca")]
    pub session_name: Option<String>,
    /// With TLS: how long the session is wanted, in seconds. The relay may say less; without this it decides.
    #[arg(long, value_name = "SECONDS", value_parser = super::seconds, requires = "session")]
    pub session_lifetime: Option<Duration>,
    /// Let the boot program go on without protection when the relay does not know the session any more.
    #[arg(long, requires = "session")]
    pub allow_plain: bool,
}
