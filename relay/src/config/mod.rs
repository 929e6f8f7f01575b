//! The configuration: one TOML file, read into types that cannot be wrong, with all mistakes reported at once.
//!
//! `config/relay.toml` is the reference manual: a test compares it with the defaults here.

mod mistakes;
mod reader;
mod schema;
mod sessions;
mod values;

pub use mistakes::{Mistake, Mistakes};
use schema::Files;
pub use sessions::{EdhocFiles, Handshakes, Port, Sessions};

use crate::confine;
use crate::directory;
use crate::origin::{self, OriginSettings, Retries, Settings, Timeouts};
use crate::refused::Refused;
use crate::spool::Spool;
use nix::unistd::User;
use sixfold_engine::EchoPolicy;
use sixfold_profile::coap::{Szx, params};
use std::collections::BTreeSet;
use std::net::{Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Ports that 6LoWPAN writes in half a byte (RFC 6282 §4.3.1), which CoAP servers on such links should have too (RFC 7252 §7.1).
const SHORT_PORTS: std::ops::RangeInclusive<u16> = 61_616..=61_631;

/// How the relay is to work.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Config {
    /// `[listen]`
    pub listen: Listen,
    /// `[[route]]`
    pub routes: Vec<Route>,
    /// `[[link]]`
    pub link: Vec<Link>,
    /// `[proxy]`
    pub proxy: Proxy,
    /// `[cache]`
    pub cache: Cache,
    /// `[origin]`
    pub origin: Origin,
    /// `[limits]`
    pub limits: Limits,
    /// `[resource_directory]`
    pub directory: ResourceDirectory,
    /// `[sessions]`
    pub sessions: Sessions,
    /// `[security]`
    pub security: Security,
    /// `[admin]`
    pub admin: Admin,
    /// `[log]`
    pub log: Log,
    /// `[process]`
    pub process: Process,
}

/// Where devices find the relay.
#[derive(Clone, Debug, PartialEq)]
pub struct Listen {
    /// Addresses and ports.
    pub coap: Vec<SocketAddr>,
    /// The only interface to serve, which may appear later.
    pub interface: Option<String>,
    /// The largest block that is offered.
    pub block_size: Szx,
}

/// How one interface is paced.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Link {
    /// Its name. It may appear later.
    pub interface: String,
    /// Its radio and the rest.
    pub pacing: sixfold_engine::LinkConfig,
}

/// A reverse proxy for one path prefix.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Route {
    /// The segments of the Uri-Path prefix.
    pub path: Vec<String>,
    /// The origin behind it.
    pub origin: OriginSettings,
    /// Only devices with a session are served; `None`: as `sessions.allow_plain` says.
    pub require_session: Option<bool>,
}

/// The forward proxy.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Proxy {
    /// URL prefixes that Proxy-Uri and Proxy-Scheme may reach, in canonical spelling.
    pub forward: Vec<String>,
    /// Allows prefixes that begin with `http://`.
    pub allow_http: bool,
}

/// What is kept, and where.
#[derive(Clone, Debug, PartialEq)]
pub struct Cache {
    /// Bytes of images in memory.
    pub memory: u64,
    /// The largest image that is accepted, in bytes.
    pub max_object: u64,
    /// How long a failure is remembered.
    pub negative_ttl: Duration,
    /// The spool; off by default.
    pub disk: Option<Disk>,
}

/// The spool on disk.
#[derive(Clone, Debug, PartialEq)]
pub struct Disk {
    /// A directory of its own.
    pub path: PathBuf,
    /// Bytes that may be used.
    pub limit: u64,
}

/// Patience with origins.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Origin {
    /// How long to wait.
    pub timeouts: Timeouts,
    /// How often to try again.
    pub retries: Retries,
}

/// What one client, or all of them, may use.
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// Requests a second from one address; 0 for no limit.
    pub client_rate: u32,
    /// Requests at once from one address.
    pub client_burst: u32,
    /// The engine's own.
    pub engine: sixfold_engine::Limits,
}

/// Where the relay registers itself (RFC 9176).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourceDirectory {
    /// Host, port and path of the directory; `None` for no registration.
    pub uri: Option<DirectoryUri>,
    /// The relay's name there; empty for that of the machine.
    pub endpoint: String,
    /// How long the directory remembers it.
    pub lifetime: Duration,
    /// Where devices reach the relay; empty for an address that it has itself.
    pub base: String,
}

/// A `coap` URI without query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectoryUri {
    /// A name or an address.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The path, without its first slash.
    pub path: String,
}

/// What the relay does for others than its devices.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Security {
    /// Which addresses have to be shown to be live before long answers go there.
    pub echo: EchoPolicy,
}

/// The admin address.
#[derive(Clone, Debug, PartialEq)]
pub struct Admin {
    /// `None` turns it off.
    pub listen: Option<SocketAddr>,
    /// The names by which it may be asked, beside `localhost` and addresses.
    pub hosts: Vec<String>,
}

/// The log.
#[derive(Clone, Debug, PartialEq)]
pub struct Log {
    /// The least important level that is written.
    pub level: &'static str,
    /// JSON lines instead of text.
    pub json: bool,
}

impl Listen {
    /// The port that members of groups are told: that of the first address, or a short one that is served at the same address.
    fn stream_port(&self) -> u16 {
        let Some(first) = self.coap.first() else { return params::PORT };
        let short = |other: &&SocketAddr| other.ip() == first.ip() && SHORT_PORTS.contains(&other.port());
        self.coap.iter().find(short).unwrap_or(first).port()
    }
}

/// What the process gives up before it serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Whom it becomes when it was started as root.
    pub user: Option<String>,
    /// Landlock and seccomp.
    pub sandbox: bool,
}

impl Default for Process {
    fn default() -> Self {
        Self { user: None, sandbox: true }
    }
}

impl Default for Listen {
    fn default() -> Self {
        let coap = [params::PORT, *SHORT_PORTS.start()];
        let coap = coap.map(|port| SocketAddr::from(([0u16; 8], port)));
        Self { coap: coap.into(), interface: None, block_size: Szx::MAX }
    }
}

impl Default for Cache {
    fn default() -> Self {
        let negative_ttl = sixfold_engine::Limits::default().negative_ttl;
        Self { memory: 16 << 20, max_object: 8 << 20, negative_ttl, disk: None }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self { client_rate: 1000, client_burst: 2000, engine: sixfold_engine::Limits::default() }
    }
}

impl Default for ResourceDirectory {
    fn default() -> Self {
        let lifetime = Duration::from_secs(3600);
        Self { uri: None, endpoint: String::new(), lifetime, base: String::new() }
    }
}

impl Default for Admin {
    fn default() -> Self {
        Self { listen: Some(SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1u16], 9683))), hosts: Vec::new() }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self { level: "info", json: false }
    }
}

impl Config {
    /// The interfaces that it names, in `listen.interface` and `[[link]]`. They need not be there.
    pub fn interfaces(&self) -> BTreeSet<&str> {
        let linked = self.link.iter().map(|link| link.interface.as_str());
        self.listen.interface.as_deref().into_iter().chain(linked).collect()
    }

    /// Reads a file, and the certificates that it names. Paths in it are relative to its directory.
    ///
    /// # Errors
    /// Every mistake in it.
    pub fn load(file: &Path) -> Result<Self, Mistakes> {
        let text = std::fs::read_to_string(file).map_err(|error| Mistakes {
            file: file.display().to_string(),
            list: vec![Mistake { line: 0, key: String::new(), message: format!("cannot be read: {error}") }],
        })?;
        let files = Files {
            origin: origin::mistakes,
            port: crate::sessions::file_mistakes,
            edhoc: crate::sessions::edhoc::file_mistakes,
            contexts: crate::secret::guarded,
            store: crate::sessions::store::guarded,
        };
        let config = schema::read(&text, file, files)?;
        match confine::successor(&config.process) {
            Some(user) => config.readable_for(&user, &text, file, files),
            None => Ok(config),
        }
    }

    /// Root reads everything; the user that it becomes may not. (What the relay writes is given to that user when it starts.)
    fn readable_for(self, user: &User, text: &str, file: &Path, files: Files) -> Result<Self, Mistakes> {
        let files = Files { contexts: crate::secret::readable, store: |_| Ok(()), ..files };
        let read = confine::with_access_of(user, || schema::read(text, file, files).map(drop));
        let Some(Err(mut mistakes)) = read else { return Ok(self) };
        for mistake in &mut mistakes.list {
            mistake.message = format!(
                "operator: as {}, whom the relay becomes (process.user): {}",
                user.name, mistake.message
            );
        }
        Err(mistakes)
    }

    /// Reads a text as if it were the content of `file`; files that it names are not looked at.
    ///
    /// # Errors
    /// Every mistake in it.
    pub fn parse(text: &str, file: &Path) -> Result<Self, Mistakes> {
        schema::read(text, file, Files::NONE)
    }

    /// The engine's part.
    pub fn engine(&self) -> sixfold_engine::Config {
        let route = |route: &Route| sixfold_engine::Route {
            path: route.path.clone(),
            origin: route.origin.prefix.clone(),
            require_session: route.require_session,
        };
        sixfold_engine::Config {
            routes: self.routes.iter().map(route).collect(),
            forward: self.proxy.forward.clone(),
            block_size: self.listen.block_size,
            max_object: self.cache.max_object,
            port: self.listen.stream_port(),
            allow_plain: self.sessions.allow_plain,
            edhoc: self.sessions.edhoc.is_some(),
            echo: self.security.echo,
            limits: sixfold_engine::Limits {
                negative_ttl: self.cache.negative_ttl,
                sessions: self.sessions.limit,
                ..self.limits.engine
            },
        }
    }

    /// What is registered with a resource directory, and where; `None` if nothing is.
    pub fn directory(&self) -> Option<directory::Settings> {
        let ResourceDirectory { uri, endpoint, lifetime, base } = self.directory.clone();
        let DirectoryUri { host, port, path } = uri?;
        let machine =
            || std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_owned();
        let endpoint = if endpoint.is_empty() { machine() } else { endpoint };
        let any = SocketAddr::from((Ipv6Addr::UNSPECIFIED, params::PORT));
        let server = self.listen.coap.first().copied().unwrap_or(any);
        let interface = self.listen.interface.clone();
        let links = sixfold_engine::route_links(&self.engine().routes);
        Some(directory::Settings { host, port, path, endpoint, lifetime, base, server, interface, links })
    }

    /// Opens the spool, if there is to be one. If it cannot be opened the relay works on, with a warning.
    ///
    /// # Errors
    /// If another relay has it open: the two would remove each other's images.
    pub fn open_spool(&self) -> anyhow::Result<Option<Arc<Spool>>> {
        let Some(disk) = &self.cache.disk else { return Ok(None) };
        let error = match Spool::open(&disk.path, disk.limit) {
            Ok(spool) => return Ok(Some(Arc::new(spool))),
            Err(error) => error,
        };
        if Refused::is_behind(&error) {
            return Err(error);
        }
        let path = disk.path.display();
        tracing::warn!(
            "operator: no spool in {path}: {error:#}; images will not outlive a restart, see cache.disk"
        );
        Ok(None)
    }

    /// The origin client's part.
    pub fn origin_settings(&self, spool: Option<Arc<Spool>>) -> Settings {
        let forward = |prefix: &String| OriginSettings {
            prefix: prefix.clone(),
            allow_http: self.proxy.allow_http,
            ..OriginSettings::default()
        };
        let routes = self.routes.iter().map(|route| route.origin.clone());
        let covered = |prefix: &&String| self.routes.iter().all(|route| route.origin.prefix != **prefix);
        Settings {
            origins: routes.chain(self.proxy.forward.iter().filter(covered).map(forward)).collect(),
            max_object: self.cache.max_object,
            timeouts: self.origin.timeouts,
            retries: self.origin.retries,
            spool,
            ..Settings::default()
        }
    }
}
