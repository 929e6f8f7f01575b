//! nginx as the HTTPS origin server: one process, its own folder, its own access log.

use crate::ca::Identity;
use crate::netns::Netns;
use crate::peer::Peer;
use crate::process::Process;
use crate::{image, wait};
use anyhow::{Context, Result, ensure};
use std::fs::{self, File};
use std::net::{Ipv6Addr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const FOLDER: &str = "/run/nginx";
/// The folder that is served.
pub const ROOT: &str = "/run/nginx/www";
const ACCESS_LOG: &str = "/run/nginx/access.log";

/// One HTTPS server of an nginx.
#[derive(Clone, Copy, Debug)]
pub struct Site<'a> {
    /// The port, on all addresses.
    pub port: u16,
    /// Certificate and key.
    pub identity: &'a Identity,
    /// Directives for this server: `limit_rate`, `location` blocks and so on.
    pub directives: &'a str,
}

/// A running nginx. Files and access log stay when it ends, for the next one.
#[derive(Debug)]
pub struct Nginx {
    process: Process,
}

/// One line of the access log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// The host asked for.
    pub host: String,
    /// Method and path, as in `GET /image.bin`.
    pub request: String,
    /// The status answered.
    pub status: u16,
    /// Bytes of body sent.
    pub body_bytes: u64,
    /// The Range header; empty without.
    pub range: String,
    /// The If-Range header; empty without.
    pub if_range: String,
    /// The If-None-Match header; empty without.
    pub if_none_match: String,
    /// The Accept-Encoding header; empty without.
    pub accept_encoding: String,
}

impl Nginx {
    /// Starts nginx and waits until every site accepts connections.
    pub fn start(netns: &Netns, sites: &[Site<'_>]) -> Result<Self> {
        fs::create_dir_all(ROOT)?;
        let config = Path::new(FOLDER).join("nginx.conf");
        fs::write(&config, configuration(sites))?;
        let mut command = Command::new(Peer::Nginx.program().with_context(|| Peer::Nginx.remedy())?);
        command.args(["-p", FOLDER, "-e", "stderr", "-c"]).arg(config);
        let mut process = Process::start(netns, "nginx", command)?;
        for site in sites {
            wait::until_true("nginx to accept connections", wait::SOON, || {
                let connected = netns.enter(|| TcpStream::connect((Ipv6Addr::LOCALHOST, site.port)));
                connected.is_ok_and(|stream| stream.is_ok()) || !process.is_running()
            })?;
        }
        ensure!(process.is_running(), "nginx ended: {}", process.log());
        Ok(Self { process })
    }

    /// Ends it at once; open connections break, and the requests on them are not logged.
    pub fn kill(self) -> Result<()> {
        self.process.kill()
    }
}

/// Puts a file under the servers' root, or replaces it atomically; each time with a later Last-Modified, so that every
/// version has its own validators.
pub fn publish(name: &str, content: &[u8]) -> Result<()> {
    fs::create_dir_all(ROOT)?;
    let path = Path::new(ROOT).join(name);
    let new = path.with_extension("new");
    fs::write(&new, content)?;
    File::options().write(true).open(&new)?.set_modified(next_modified(&path))?;
    fs::rename(new, path)?;
    Ok(())
}

/// Publishes an image of `len` bytes and gives its bytes.
pub fn publish_image(name: &str, seed: u64, len: usize) -> Result<Vec<u8>> {
    let image = image::image(seed, len);
    publish(name, &image)?;
    Ok(image)
}

/// The access log so far.
pub fn access_log() -> Result<Vec<Access>> {
    let log = fs::read_to_string(ACCESS_LOG).unwrap_or_default();
    log.lines().map(|line| parse_access(line).with_context(|| format!("access log: {line}"))).collect()
}

/// The lines of the access log that are about `request`, `GET /image.bin` say.
pub fn accesses(request: &str) -> Result<Vec<Access>> {
    Ok(access_log()?.into_iter().filter(|access| access.request == request).collect())
}

/// The same, exactly `count` of them: nginx writes a line after the last bytes, so that whoever has these waits for it.
pub fn wait_for_accesses(request: &str, count: usize) -> Result<Vec<Access>> {
    wait_for(&format!("times {request}"), count, || accesses(request), <[_]>::len)
}

/// The whole access log, as soon as it has `count` lines, which must be all.
pub fn wait_for_log(count: usize) -> Result<Vec<Access>> {
    wait_for("requests", count, access_log, <[_]>::len)
}

/// The lines whose request ends with `name`, as soon as they have `count` bytes of bodies, which must be all.
pub fn wait_for_body_bytes(name: &str, count: usize) -> Result<Vec<Access>> {
    let read = || Ok(access_log()?.into_iter().filter(|access| access.request.ends_with(name)).collect());
    let sent = |log: &[Access]| log.iter().map(|access| access.body_bytes as usize).sum();
    wait_for(&format!("bytes of {name}"), count, read, sent)
}

fn wait_for(
    what: &str,
    count: usize,
    read: impl Fn() -> Result<Vec<Access>>,
    measure: impl Fn(&[Access]) -> usize,
) -> Result<Vec<Access>> {
    let is_enough = || read().is_ok_and(|log| measure(&log) >= count);
    wait::until_true(&format!("{count} {what} in the access log"), wait::SOON, is_enough)
        .with_context(|| format!("{:#?}", access_log()))?;
    let log = read()?;
    let found = measure(&log);
    ensure!(found == count, "{found} {what} and not {count}: {log:#?}");
    Ok(log)
}

fn next_modified(path: &Path) -> SystemTime {
    const MINUTE: Duration = Duration::from_secs(60);
    const FIRST: Duration = Duration::from_secs(1_700_000_000);
    fs::metadata(path).and_then(|old| old.modified()).map_or(UNIX_EPOCH + FIRST, |old| old + MINUTE)
}

fn configuration(sites: &[Site<'_>]) -> String {
    let servers: String = sites.iter().map(server).collect();
    format!(
        "daemon off;
master_process off;
user root;
pid nginx.pid;
error_log stderr info;
events {{ worker_connections 1024; }}
http {{
    log_format lines '$host|$request_method $request_uri|$status|$body_bytes_sent|$http_range|$http_if_range|$http_if_none_match|$http_accept_encoding';
    access_log {ACCESS_LOG} lines;
    client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;
    types {{ application/octet-stream bin; application/json json; text/plain txt; }}
    root {ROOT};
{servers}}}
"
    )
}

fn server(site: &Site<'_>) -> String {
    let Site { port, identity: Identity { certificate, key }, directives } = site;
    format!(
        "    server {{
        listen [::]:{port} ssl http2;
        ssl_certificate {};
        ssl_certificate_key {};
        {directives}
    }}
",
        certificate.display(),
        key.display()
    )
}

/// nginx writes `-` for an absent header.
fn parse_access(line: &str) -> Option<Access> {
    let fields: Vec<_> =
        line.split('|').map(|field| if field == "-" { "" } else { field }.to_owned()).collect();
    let [host, request, status, bytes, range, if_range, if_none_match, accept_encoding] =
        fields.try_into().ok()?;
    Some(Access {
        host,
        request,
        status: status.parse().ok()?,
        body_bytes: bytes.parse().ok()?,
        range,
        if_range,
        if_none_match,
        accept_encoding,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_its_own_log_format() {
        let line = r#"origin.test|GET /a.bin|206|7|bytes=3-|\x22e1\x22|-|identity"#;
        let access = parse_access(line).unwrap();
        assert_eq!((access.status, access.body_bytes, access.range.as_str()), (206, 7, "bytes=3-"));
        assert_eq!((access.if_none_match.as_str(), access.accept_encoding.as_str()), ("", "identity"));
        assert_eq!(parse_access("garbage"), None);
    }
}
