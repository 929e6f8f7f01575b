//! Which keys there are, what they mean, and what must fit together.

mod sessions;

use super::reader::{Section, Source};
use super::{Config, Disk, EdhocFiles, Link, Mistakes, Port, ResourceDirectory, Route, values};
use crate::origin::OriginSettings;
use crate::sessions::credentials::FileMistakes;
use sixfold_engine::{Algorithm, EchoPolicy, Fanout, LinkConfig, Repair, canonical_url};
use sixfold_profile::coap::MAX_NUM;
use std::net::Ipv6Addr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use toml::de::DeTable;

/// How far a stream goes in a mesh, if nothing else is said: as far as a packet of RFC 6282 that compresses its hop limit.
const MESH_HOPS: u8 = 64;

/// No registration is renewed more often.
const SHORTEST_LIFETIME: Duration = Duration::from_secs(60);

/// Who looks at the files that a configuration names, and says what is wrong, by key.
#[derive(Clone, Copy)]
pub(super) struct Files {
    /// The settings of an origin, and their files.
    pub(super) origin: fn(&OriginSettings) -> FileMistakes,
    /// The files of the session port.
    pub(super) port: fn(&Port) -> FileMistakes,
    /// The files of EDHOC.
    pub(super) edhoc: fn(&EdhocFiles) -> FileMistakes,
    /// The file with contexts that were agreed on elsewhere.
    pub(super) contexts: fn(&Path) -> Result<(), String>,
    /// The key of the file that sessions are kept in.
    pub(super) store: fn(&Path) -> Result<(), String>,
}

impl Files {
    /// Nobody does.
    pub(super) const NONE: Self = Self {
        origin: |_| Vec::new(),
        port: |_| Vec::new(),
        edhoc: |_| Vec::new(),
        contexts: |_| Ok(()),
        store: |_| Ok(()),
    };
}

/// Reads a whole file.
pub(super) fn read(text: &str, file: &Path, files: Files) -> Result<Config, Mistakes> {
    let source = Source::new(text, file);
    let config = source.parse().map(|table| read_all(&source, table, files));
    match source.into_mistakes() {
        None => Ok(config.unwrap_or_default()),
        Some(mistakes) => Err(mistakes),
    }
}

fn read_all<'t>(source: &Source<'t>, table: DeTable<'t>, files: Files) -> Config {
    let mut config = Config::default();
    let mut top = Section::top(source, table);
    top.section("listen", |section| read_listen(section, &mut config));
    top.sections("route", |section| read_route(section, &mut config, files));
    top.sections("link", |section| read_link(section, &mut config));
    top.section("proxy", |section| read_proxy(section, &mut config, files));
    top.section("cache", |section| read_cache(section, &mut config));
    top.section("origin", |section| read_origin(section, &mut config));
    top.section("limits", |section| read_limits(section, &mut config));
    top.section("resource_directory", |section| read_directory(section, &mut config));
    top.section("sessions", |section| sessions::read(section, &mut config.sessions, files));
    top.section("security", |section| {
        let policies = EchoPolicy::ALL.map(|policy| (policy.label(), policy));
        section.read("echo", &mut config.security.echo, |value| values::one_of(value, &policies));
    });
    top.section("admin", |section| read_admin(section, &mut config));
    top.section("log", |section| read_log(section, &mut config));
    top.section("process", |section| read_process(section, &mut config));
    top.finish();
    config
}

fn read_listen(section: &mut Section<'_, '_>, config: &mut Config) {
    let listen = &mut config.listen;
    let line = section.read_list("coap", 1, &mut listen.coap, values::address);
    section.read("interface", &mut listen.interface, values::interface);
    section.read("block_size", &mut listen.block_size, values::block_size);
    let mut seen = Vec::new();
    for address in &listen.coap {
        if address.port() != 0 && seen.contains(&address) {
            section.mistake(line, "coap", format!("{address} is there twice; name it once"));
        }
        seen.push(address);
    }
}

fn read_link(section: &mut Section<'_, '_>, config: &mut Config) {
    let mut link = Link::default();
    let line = section.require("interface", &mut link.interface, |value| {
        values::interface(value)?.ok_or_else(|| "a link needs the name of its interface".to_owned())
    });
    let LinkConfig { radio, eui64: _, mtu, duty_cycle, algorithm, fanout } = &mut link.pacing;
    section.read("bit_rate", &mut radio.bit_rate, values::positive);
    section.read("frame", &mut radio.frame, |value| values::within(value, 64..=2047));
    section.read("min_be", &mut radio.min_be, |value| values::within(value, 0..=8));
    section.read("mtu", mtu, |value| values::within(value, 128..=65_535));
    section.read("duty_cycle", duty_cycle, |value| values::within(value, 1..=100));
    let algorithms = Algorithm::ALL.map(|algorithm| (algorithm.label(), algorithm));
    section.read("algorithm", algorithm, |value| values::one_of(value, &algorithms));
    read_fanout(section, fanout);
    if !link.interface.is_empty() && config.link.iter().any(|other| other.interface == link.interface) {
        section.mistake(
            line,
            "interface",
            format!("{} has a link already; remove one of them", link.interface),
        );
    }
    config.link.push(link);
}

/// The keys of fan-out are checked also where it is off.
fn read_fanout(section: &mut Section<'_, '_>, fanout: &mut Option<Fanout>) {
    let (mut on, mut settings) = (true, Fanout::default());
    section.read("fanout", &mut on, values::flag);
    let mut hops = None;
    section.read("group", &mut settings.group, values::group);
    section.read("group_port", &mut settings.port, |value| values::within(value, 1..=u16::MAX));
    section.read("hop_limit", &mut hops, |value| values::within(value, 1..=255).map(Some));
    section.read("stream_block_size", &mut settings.block_size, values::stream_block_size);
    let repairs = Repair::ALL.map(|repair| (repair.label(), repair));
    section.read("repair", &mut settings.repair, |value| values::one_of(value, &repairs));
    settings.hop_limit = hops.unwrap_or(if is_link_local(settings.group) { 1 } else { MESH_HOPS });
    *fanout = on.then_some(settings);
}

/// Scope 2 (RFC 4291 §2.7).
const fn is_link_local(group: Ipv6Addr) -> bool {
    group.octets()[1] & 0xf == 2
}

fn read_route(section: &mut Section<'_, '_>, config: &mut Config, files: Files) {
    let mut path = None;
    let path_line =
        section.require("path", &mut path, |value| path_segments(&values::text(value)?).map(Some));
    let (origin, origin_line) = read_origin_settings(section, files);
    let mut require_session = None;
    section.read("require_session", &mut require_session, |value| values::flag(value).map(Some));
    let same = |other: &&Route| other.origin.prefix == origin.prefix && !origin.prefix.is_empty();
    if config.routes.iter().filter(same).any(|other| other.origin != origin) {
        let message = "another route has this origin with other settings; settings belong to the origin, so make them equal";
        section.mistake(origin_line, "origin", message);
    }
    // A route without a path is a mistake already, and must not be taken for one of "/".
    let Some(path) = path else { return };
    if config.routes.iter().any(|other| other.path == path) {
        let message = format!("/{} has a route already; remove one of them", path.join("/"));
        section.mistake(path_line, "path", message);
    }
    config.routes.push(Route { path, origin, require_session });
}

/// The settings, and the line of the origin.
fn read_origin_settings(section: &mut Section<'_, '_>, files: Files) -> (OriginSettings, usize) {
    let mut origin = OriginSettings::default();
    section.read("allow_http", &mut origin.allow_http, values::flag);
    let allow_http = origin.allow_http;
    let line =
        section.require("origin", &mut origin.prefix, |value| prefix(&values::text(value)?, allow_http));
    let ca_line = section.read_path("ca_file", &mut origin.ca_file);
    let cert_line = section.read_path("client_cert_file", &mut origin.client_cert_file);
    let key_line = section.read_path("client_key_file", &mut origin.client_key_file);
    section.read("max_age", &mut origin.max_age, values::optional_duration);
    section.read("stale_if_error", &mut origin.stale_if_error, values::optional_duration);
    match (&origin.client_cert_file, &origin.client_key_file) {
        (Some(_), None) => section.mistake(cert_line, "client_cert_file", "has no key; add client_key_file"),
        (None, Some(_)) => {
            section.mistake(key_line, "client_key_file", "has no certificate; add client_cert_file");
        }
        _ => {}
    }
    for (key, message) in (files.origin)(&origin) {
        let lines = [("ca_file", ca_line), ("client_cert_file", cert_line), ("client_key_file", key_line)];
        let place = lines.into_iter().find(|(name, _)| *name == key);
        section.mistake(place.map_or(line, |(_, line)| line), key, message);
    }
    (origin, line)
}

fn read_proxy(section: &mut Section<'_, '_>, config: &mut Config, files: Files) {
    let proxy = &mut config.proxy;
    section.read("allow_http", &mut proxy.allow_http, values::flag);
    let allow_http = proxy.allow_http;
    let line = section
        .read_list("forward", 0, &mut proxy.forward, |value| prefix(&values::text(value)?, allow_http));
    for (index, prefix) in proxy.forward.iter().enumerate() {
        if proxy.forward.iter().take(index).any(|other| other == prefix) {
            section.mistake(line, "forward", format!("{prefix} is there twice; name it once"));
        }
        let origin = OriginSettings { prefix: prefix.clone(), allow_http, ..OriginSettings::default() };
        for (_, message) in (files.origin)(&origin) {
            section.mistake(line, "forward", format!("{prefix}: {message}"));
        }
    }
}

fn read_cache(section: &mut Section<'_, '_>, config: &mut Config) {
    let cache = &mut config.cache;
    let memory_line = section.read("memory", &mut cache.memory, values::size);
    let line = section.read("max_object", &mut cache.max_object, values::size);
    section.read("negative_ttl", &mut cache.negative_ttl, values::positive_duration);
    section.section("disk", |section| {
        let mut disk = Disk { path: PathBuf::new(), limit: 0 };
        let mut path = None;
        let path_line = section.require_path("path", &mut path);
        section.require("limit", &mut disk.limit, values::size);
        disk.path = path.unwrap_or_default();
        if disk.path.exists() && !disk.path.is_dir() {
            section.mistake(
                path_line,
                "path",
                "is not a directory; name a directory of its own for the spool",
            );
        }
        cache.disk = Some(disk);
    });
    if cache.max_object > cache.memory && !section.is_wrong("memory") {
        let message =
            "is larger than cache.memory, so the largest image could not be kept; raise memory or lower this";
        section.mistake(line.max(memory_line), "max_object", message);
    }
    let longest = (u64::from(MAX_NUM) + 1) * config.listen.block_size.size() as u64;
    if cache.max_object > longest {
        let message = format!(
            "is more than CoAP can carry in blocks of listen.block_size (RFC 7959 section 2.2: 2^20 of them); give {longest} bytes at most"
        );
        section.mistake(line, "max_object", message);
    }
}

fn read_origin(section: &mut Section<'_, '_>, config: &mut Config) {
    let (timeouts, retries) = (&mut config.origin.timeouts, &mut config.origin.retries);
    section.read("connect_timeout", &mut timeouts.connect, values::positive_duration);
    section.read("headers_timeout", &mut timeouts.headers, values::positive_duration);
    section.read("idle_timeout", &mut timeouts.idle, values::positive_duration);
    section.read("retries", &mut retries.attempts, values::number);
    let line = section.read("retry_delay", &mut retries.first_delay, values::positive_duration);
    let max_line = section.read("max_retry_delay", &mut retries.max_delay, values::positive_duration);
    let both_are_right = !section.is_wrong("retry_delay") && !section.is_wrong("max_retry_delay");
    if retries.first_delay > retries.max_delay && both_are_right {
        let message = format!(
            "is longer than origin.max_retry_delay ({}), where the waits end; lower this or raise that",
            humantime::format_duration(retries.max_delay)
        );
        section.mistake(line.max(max_line), "retry_delay", message);
    }
}

fn read_limits(section: &mut Section<'_, '_>, config: &mut Config) {
    let limits = &mut config.limits;
    section.read("client_rate", &mut limits.client_rate, values::number);
    section.read("client_burst", &mut limits.client_burst, values::positive);
    let engine = &mut limits.engine;
    section.read("exchanges", &mut engine.exchanges, values::positive);
    section.read("exchanges_per_client", &mut engine.exchanges_per_client, values::positive);
    section.read("observers", &mut engine.observers, values::number);
    section.read("fetches", &mut engine.fetches, values::positive);
    section.read("resources", &mut engine.resources, values::positive);
    section.read("transfers", &mut engine.transfers, values::positive);
    section.read("patience", &mut engine.patience, values::positive_duration);
}

fn read_admin(section: &mut Section<'_, '_>, config: &mut Config) {
    let mut allow_remote = false;
    section.read("allow_remote", &mut allow_remote, values::flag);
    let line = section.read("listen", &mut config.admin.listen, values::optional_address);
    if !allow_remote && config.admin.listen.is_some_and(|address| !address.ip().is_loopback()) {
        let message = "is not a loopback address, and the admin address has no password; use \"[::1]:9683\", or allow_remote = true behind a firewall";
        section.mistake(line, "listen", message);
    }
    section.read_list("hosts", 0, &mut config.admin.hosts, values::host);
}

fn read_directory(section: &mut Section<'_, '_>, config: &mut Config) {
    let ResourceDirectory { uri, endpoint, lifetime, base } = &mut config.directory;
    section.read("uri", uri, values::directory_uri);
    section.read("endpoint", endpoint, values::endpoint);
    section.read("lifetime", lifetime, |value| match values::duration(value)? {
        short if short < SHORTEST_LIFETIME => {
            Err("the directory would hear of nothing else; give 1 min or more".to_owned())
        }
        lifetime => Ok(lifetime),
    });
    section.read("base", base, values::base_uri);
}

fn read_log(section: &mut Section<'_, '_>, config: &mut Config) {
    let levels = ["error", "warn", "info", "debug", "trace"].map(|level| (level, level));
    section.read("level", &mut config.log.level, |value| values::one_of(value, &levels));
    section.read("format", &mut config.log.json, |value| {
        values::one_of(value, &[("text", false), ("json", true)])
    });
}

fn read_process(section: &mut Section<'_, '_>, config: &mut Config) {
    section.read("user", &mut config.process.user, |value| {
        let name = values::text(value)?;
        Ok(Some(name).filter(|name| !name.is_empty()))
    });
    section.read("sandbox", &mut config.process.sandbox, values::flag);
}

/// The segments of a path prefix: `/fw/beta`.
fn path_segments(path: &str) -> values::Outcome<Vec<String>> {
    let Some(rest) = path.strip_prefix('/') else {
        return Err(format!("\"{}\" does not begin with a slash; write \"/{0}\"", path.escape_debug()));
    };
    let segments: Vec<String> = rest.split('/').map(str::to_owned).collect();
    if segments == [""] {
        return Ok(Vec::new());
    }
    match segments.iter().find(|segment| is_unusable(segment)) {
        Some(segment) => Err(format!(
            "segment \"{}\" cannot be part of a prefix; no empty or dot segments, no %, ? or #, no control characters",
            segment.escape_debug()
        )),
        None => Ok(segments),
    }
}

fn is_unusable(segment: &str) -> bool {
    matches!(segment, "" | "." | "..")
        || segment.len() > 255
        || segment.contains(|c: char| "%?#\\".contains(c) || c.is_control())
}

/// A URL prefix in its canonical spelling.
fn prefix(url: &str, allow_http: bool) -> values::Outcome<String> {
    let shown = url.escape_debug();
    let canonical = canonical_url(url).ok_or_else(|| {
        format!("\"{shown}\" is no http or https URL without user, fragment or dot segments; write \"https://host/path/\"")
    })?;
    let mut wrong = Vec::new();
    if canonical.contains('?') {
        wrong.push("has a query; name the part of the URL that all images share".to_owned());
    } else if !url.ends_with('/') {
        wrong.push(format!("does not end with a slash; write \"{shown}/\""));
    }
    if canonical.starts_with("http://") && !allow_http {
        wrong.push("is not encrypted; use https, or say allow_http = true if you must".to_owned());
    }
    if wrong.is_empty() { Ok(canonical) } else { Err(format!("\"{shown}\" {}", wrong.join(". It "))) }
}

#[cfg(test)]
mod tests;
