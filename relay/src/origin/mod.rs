//! The HTTPS side: fetches representations from origin servers and tells the engine about them.
//!
//! One fetch is one tokio task. It asks conditionally if a version is at hand, follows redirects, checks that
//! the answer fits the question, streams the body, and after a broken transfer goes on where it stopped, as
//! often as [`Retries`] allows. The channel of events is bounded; when it is full, the task stops reading
//! and TCP or HTTP/2 flow control slows the origin down.
//!
//! It deliberately decides nothing about *what* to fetch or when to ask again later, keeps no images in memory,
//! and trusts no origin that the configuration does not name: also not after a redirect.

mod certificates;
mod complaints;
mod connect;
mod delivery;
mod distrust;
mod fetch;
mod fields;
mod freshness;
mod probe;
mod retry;
mod streaks;
mod target;
mod tls;
mod traffic;
mod trouble;

pub use certificates::Certificates;
pub use complaints::Complaints;
pub use probe::{Answer, Probe, REDIRECT_ADVICE, RESOLVE_ADVICE, probe};
pub use traffic::{Outcome, Traffic};

use crate::spool::Spool;
use connect::HttpClient;
use fetch::Fetch;
use freshness::Overrides;
use http::{HeaderValue, Uri};
use hyper_util::client::proxy::matcher::Matcher;
use sixfold_engine::{FetchCommand, FetchId, OriginEvent};
use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use target::Prefix;
use tls::Credentials;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

/// How origins are asked.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The origins that may be asked; the one with the longest prefix of a URL applies to it.
    pub origins: Vec<OriginSettings>,
    /// The longest body that is accepted, in bytes.
    pub max_object: u64,
    /// How long to wait.
    pub timeouts: Timeouts,
    /// How often to ask again.
    pub retries: Retries,
    /// Where complete representations outlive the process.
    pub spool: Option<Arc<Spool>>,
    /// The User-Agent header.
    pub user_agent: String,
    /// HTTP proxies; by default those that the environment names (`HTTPS_PROXY`, `HTTP_PROXY`, `NO_PROXY`).
    pub proxy: Arc<Matcher>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            origins: Vec::new(),
            max_object: 8 << 20,
            timeouts: Timeouts::default(),
            retries: Retries::default(),
            spool: None,
            user_agent: concat!("sixfold-relay/", env!("CARGO_PKG_VERSION")).to_owned(),
            proxy: Arc::new(Matcher::from_env()),
        }
    }
}

/// What applies to the URLs below a prefix.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OriginSettings {
    /// `https://host[:port]/base/`, ending in `/`.
    pub prefix: String,
    /// Exactly these roots are trusted (PEM); without it, those of the system.
    pub ca_file: Option<PathBuf>,
    /// The relay's own certificate chain (PEM), together with `client_key_file`.
    pub client_cert_file: Option<PathBuf>,
    /// The key of `client_cert_file` (PEM; PKCS #8, SEC 1 or PKCS #1).
    pub client_key_file: Option<PathBuf>,
    /// Freshness in place of what the origin says.
    pub max_age: Option<Duration>,
    /// How long a stale copy may stand in if the origin fails, in place of what the origin says.
    pub stale_if_error: Option<Duration>,
    /// Allows a prefix that begins with `http://`.
    pub allow_http: bool,
}

/// How long to wait for an origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// For name resolution, TCP and TLS together.
    pub connect: Duration,
    /// For the header of the answer, once connected.
    pub headers: Duration,
    /// For the next byte of the body.
    pub idle: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self { connect: seconds(10), headers: seconds(30), idle: seconds(30) }
    }
}

/// How often a failed request is made again. Failures that do not pass by themselves, such as a certificate
/// that is not trusted or a 404, are final at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retries {
    /// Attempts after the first. A transfer that moves on between interruptions gets them anew.
    pub attempts: u32,
    /// The longest wait before the first of them; doubled for each further one, and shortened at random to
    /// no less than half.
    pub first_delay: Duration,
    /// The longest wait before any of them, and the longest Retry-After that is waited for.
    pub max_delay: Duration,
}

impl Default for Retries {
    fn default() -> Self {
        Self { attempts: 4, first_delay: Duration::from_millis(500), max_delay: Duration::from_secs(15) }
    }
}

/// Runs fetches. To be used within a tokio runtime.
#[derive(Debug)]
pub struct OriginClient {
    origins: Arc<Origins>,
    events: mpsc::Sender<(FetchId, OriginEvent)>,
    traffic: Arc<Traffic>,
    running: HashMap<FetchId, AbortHandle>,
}

impl OriginClient {
    /// Reads the certificates that the settings name. What happens to fetches goes to `events`.
    pub fn new(
        settings: Settings,
        events: mpsc::Sender<(FetchId, OriginEvent)>,
    ) -> Result<Self, OriginSetupError> {
        let traffic = Arc::default();
        let origins = Arc::new(Origins::new(settings, &traffic)?);
        Ok(Self { origins, events, traffic, running: HashMap::new() })
    }

    /// Applies new settings to fetches that start from now on, and reads the certificates again. Those that are
    /// under way go on with the old ones. On an error nothing changes.
    pub fn reconfigure(&mut self, settings: Settings) -> Result<(), OriginSetupError> {
        let before = std::mem::replace(&mut self.origins, Arc::new(Origins::new(settings, &self.traffic)?));
        before.is_replaced.store(true, Ordering::Relaxed);
        self.traffic.certificates().retain(|authority| self.origins.has(authority));
        self.traffic.streaks().retain(|authority| self.origins.has(authority));
        Ok(())
    }

    /// Starts or cancels a fetch. Never blocks.
    pub fn execute(&mut self, command: FetchCommand) {
        self.running.retain(|_, task| !task.is_finished());
        match command {
            FetchCommand::Start { id, url, have } => {
                let (origins, traffic) = (Arc::clone(&self.origins), Arc::clone(&self.traffic));
                let fetch = Fetch::new(id, url, have, origins, self.events.clone(), traffic);
                self.running.insert(id, tokio::spawn(fetch.run()).abort_handle());
            }
            FetchCommand::Cancel(id) => {
                if let Some(task) = self.running.remove(&id) {
                    task.abort();
                }
            }
        }
    }

    /// The counters, which go on counting after this client is gone.
    pub fn traffic(&self) -> Arc<Traffic> {
        Arc::clone(&self.traffic)
    }
}

/// What is wrong with the settings of an origin, by configuration key: every file that cannot be used, and what else
/// stands in the way of a client. An empty prefix, and one of certificate and key without the other, are mistakes that somebody
/// else has found.
pub fn mistakes(origin: &OriginSettings) -> Vec<(&'static str, String)> {
    let mut found = tls::file_mistakes(origin);
    if origin.prefix.is_empty() {
        return found;
    }
    let is_half = origin.client_cert_file.is_some() != origin.client_key_file.is_some();
    if is_half || !found.is_empty() {
        let wrong = checked_prefix(origin, &Settings::default().proxy).err();
        found.extend(wrong.map(|error| (error.key, error.message)));
        return found;
    }
    let settings = Settings { origins: vec![origin.clone()], ..Settings::default() };
    Origins::new(settings, &Arc::default())
        .err()
        .map(|error| (error.key, error.message))
        .into_iter()
        .collect()
}

impl Drop for OriginClient {
    fn drop(&mut self) {
        self.running.values().for_each(AbortHandle::abort);
    }
}

/// The settings do not work: says which origin, which file, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OriginSetupError {
    origin: String,
    key: &'static str,
    message: String,
}

impl OriginSetupError {
    fn new(origin: &str, message: impl Into<String>) -> Self {
        Self { origin: origin.to_owned(), key: "origin", message: message.into() }
    }

    /// The same, with the configuration key at fault.
    fn about(self, key: &'static str) -> Self {
        Self { key, ..self }
    }

    /// The prefix of the origin whose settings are at fault.
    pub fn origin(&self) -> &str {
        &self.origin
    }
}

impl fmt::Display for OriginSetupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "operator: origin {}: {}", self.origin, self.message)
    }
}

impl std::error::Error for OriginSetupError {}

/// Settings that were checked, with their clients.
#[derive(Debug)]
struct Origins {
    origins: Vec<Origin>,
    max_object: u64,
    timeouts: Timeouts,
    retries: Retries,
    spool: Option<Arc<Spool>>,
    user_agent: HeaderValue,
    proxy: Arc<Matcher>,
    /// A newer configuration may name others.
    is_replaced: AtomicBool,
}

/// One origin and the client that knows its certificates.
#[derive(Debug)]
struct Origin {
    prefix: Prefix,
    authority: Option<String>,
    client: HttpClient,
    overrides: Overrides,
}

impl Origins {
    fn new(settings: Settings, traffic: &Arc<Traffic>) -> Result<Self, OriginSetupError> {
        let user_agent = HeaderValue::from_str(&settings.user_agent).map_err(|_| {
            OriginSetupError::new("*", "the user agent holds characters that HTTP does not allow")
        })?;
        let mut clients: Vec<(Credentials, HttpClient)> = Vec::new();
        let mut origins = Vec::new();
        for origin in &settings.origins {
            let prefix = checked_prefix(origin, &settings.proxy)?;
            let credentials = Credentials::of(origin)?;
            let client = match clients.iter().find(|(known, _)| *known == credentials) {
                Some((_, client)) => client.clone(),
                None => {
                    let tls = credentials.load(&origin.prefix)?;
                    let client = connect::client(tls, &settings.proxy, settings.timeouts, traffic);
                    clients.push((credentials, client.clone()));
                    client
                }
            };
            let overrides = Overrides { max_age: origin.max_age, stale_if_error: origin.stale_if_error };
            let authority = origin.prefix.parse().ok().and_then(|uri| target::authority(&uri));
            origins.push(Origin { prefix, authority, client, overrides });
        }
        origins.sort_by_key(|origin| std::cmp::Reverse(origin.prefix.length()));
        let Settings { max_object, timeouts, retries, spool, proxy, .. } = settings;
        Ok(Self {
            origins,
            max_object,
            timeouts,
            retries,
            spool,
            user_agent,
            proxy,
            is_replaced: AtomicBool::new(false),
        })
    }

    /// Whether one of them has this authority.
    fn has(&self, authority: &str) -> bool {
        self.origins.iter().any(|origin| origin.authority.as_deref() == Some(authority))
    }

    /// The origin with the longest prefix of this URL.
    fn covering(&self, uri: &Uri) -> Option<&Origin> {
        self.origins.iter().find(|origin| origin.prefix.covers(uri))
    }
}

fn checked_prefix(origin: &OriginSettings, proxy: &Matcher) -> Result<Prefix, OriginSetupError> {
    let failed = |message: String| OriginSetupError::new(&origin.prefix, message);
    let prefix = Prefix::parse(&origin.prefix).map_err(|what| failed(format!("the URL {what}")))?;
    if !prefix.is_encrypted() && !origin.allow_http {
        return Err(failed("it is not encrypted: use https://, or set allow_http = true".to_owned()));
    }
    let proxy = origin.prefix.parse().ok().and_then(|uri| proxy.intercept(&uri));
    match proxy {
        Some(proxy) if proxy.uri().scheme_str() != Some("http") => Err(failed(format!(
            "the proxy {} that the environment (HTTPS_PROXY, HTTP_PROXY) names is not supported: \
             give an http:// URL, or name this origin in NO_PROXY",
            proxy.uri()
        ))),
        _ => Ok(prefix),
    }
}
