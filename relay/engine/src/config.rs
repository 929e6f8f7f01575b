//! What the engine needs to know of the configuration: already checked, nothing optional that matters.

use crate::liveness::EchoPolicy;
use sixfold_profile::coap::{Szx, params};
use std::time::Duration;

/// The engine's configuration. `Default` has the values of `config/relay.toml` and no routes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Reverse proxy: CoAP path prefixes and the origins behind them.
    pub routes: Vec<Route>,
    /// Forward proxy: URL prefixes that Proxy-Uri and Proxy-Scheme may reach, each ending in `/`.
    pub forward: Vec<String>,
    /// Whether requests without a session are answered, where a route does not say otherwise.
    pub allow_plain: bool,
    /// Whether somebody answers EDHOC messages (RFC 9528): see [`crate::Engine::poll_edhoc`].
    pub edhoc: bool,
    /// Which addresses have to be shown to be live.
    pub echo: EchoPolicy,
    /// The largest block that is offered; devices may ask for less.
    pub block_size: Szx,
    /// The longest body that is accepted from an origin, in bytes.
    pub max_object: u64,
    /// The port that members of groups are told to ask, and that streams come from then.
    pub port: u16,
    /// Limits that keep one client, or many, from using up the relay.
    pub limits: Limits,
}

/// One reverse-proxy route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The Uri-Path segments of the prefix; empty for all paths.
    pub path: Vec<String>,
    /// The URL that takes the place of the prefix, ending in `/`.
    pub origin: String,
    /// Only requests in sessions (RFC 8613) are answered; `None`: as [`Config::allow_plain`] says.
    pub require_session: Option<bool>,
}

/// Bounds on what the engine remembers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Requests that wait for the origin at the same time; more are answered 5.03.
    pub exchanges: usize,
    /// Requests of one client that wait for the origin at the same time; more are answered 4.29 (RFC 8516).
    pub exchanges_per_client: usize,
    /// Observers of all resources (RFC 7641); more are served without being registered.
    pub observers: usize,
    /// Origin fetches at the same time; more are answered 5.03.
    pub fetches: usize,
    /// Resources remembered, present or absent; the least recently used is forgotten first.
    pub resources: usize,
    /// Devices whose transfer is remembered; the least recently active is forgotten first.
    pub transfers: usize,
    /// Sessions with devices (RFC 8613); no more are agreed on.
    pub sessions: usize,
    /// How long the absence of a resource is remembered.
    pub negative_ttl: Duration,
    /// How long a request waits for its bytes before it is answered 5.04.
    pub patience: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            exchanges: 4096,
            exchanges_per_client: 16,
            observers: 1024,
            fetches: 16,
            resources: 1024,
            transfers: 16_384,
            sessions: 4096,
            negative_ttl: Duration::from_secs(10),
            patience: Duration::from_secs(90),
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            routes: Vec::new(),
            forward: Vec::new(),
            allow_plain: true,
            edhoc: false,
            echo: EchoPolicy::default(),
            block_size: Szx::MAX,
            max_object: 8 << 20,
            port: params::PORT,
            limits: Limits::default(),
        }
    }
}
