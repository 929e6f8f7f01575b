//! What the relay is doing, device by device: as JSON for programs, as plain text for people.
//!
//! It is a view of one moment. Numbers to be added up or drawn over time are in [`super::Metrics`].

use crate::origin::Traffic;
use anyhow::{Context, anyhow, bail};
use bytes::Bytes;
use http::{StatusCode, Uri};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde::{Deserialize, Serialize};
use sixfold_engine::{Engine, ImageStatus, Instant, Store, TransferStatus};
use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

/// The path of the status on the admin address.
pub const PATH: &str = "/api/status";

/// How long [`fetch`] waits for the whole answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// The longest answer that [`fetch`] takes: a relay with the most devices and longest URLs stays below.
const MAX_ANSWER: usize = 64 << 20;

/// Everything. Field names end in their units; `_s` are seconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// The relay's version.
    pub version: String,
    /// Since it started.
    pub uptime_s: u64,
    /// Where CoAP is served now.
    pub listen: Vec<SocketAddr>,
    /// The memory for complete images.
    pub cache: Cache,
    /// The origin side since the start.
    pub origin: Origin,
    /// All resources that are known, the most recently used first.
    pub images: Vec<Image>,
    /// All transfers that are remembered, the most recently active device first.
    pub transfers: Vec<Transfer>,
}

/// The memory for complete images.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cache {
    /// Taken now.
    pub bytes: u64,
    /// `cache.memory`.
    pub limit_bytes: u64,
}

/// The origin side since the start.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Origin {
    /// Bytes of bodies received.
    pub bytes: u64,
    /// Requests made again after a failure.
    pub retries: u64,
    /// Transfers that went on where they broke off.
    pub resumes: u64,
    /// Requests by what became of them, as far as that occurred: `complete`, `not_modified`, `certificate` …
    pub requests: BTreeMap<String, u64>,
}

/// One resource.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Image {
    /// Where it comes from.
    pub url: String,
    /// The version towards devices, in hexadecimal, once known.
    pub etag: Option<String>,
    /// `fetching`, `validating`, `fresh`, `stale`, `evicted` or `failed`.
    pub state: String,
    /// Bytes that are here.
    pub available_bytes: u64,
    /// Bytes that it has, once known.
    pub total_bytes: Option<u64>,
    /// For how long it may be used without asking the origin.
    pub fresh_for_s: u64,
    /// Devices that want to hear of a new version.
    pub observers: u64,
}

/// One device that fetches, or has fetched, an image.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Transfer {
    /// Which device.
    pub peer: SocketAddr,
    /// Which resource.
    pub url: String,
    /// Which version, in hexadecimal.
    pub etag: String,
    /// How far blocks have been sent.
    pub sent_bytes: u64,
    /// The length of the image, if it is still known.
    pub total_bytes: Option<u64>,
    /// Since its first request.
    pub age_s: f64,
    /// From its first request to its latest.
    pub duration_s: f64,
    /// The last block has left.
    pub finished: bool,
}

impl Status {
    /// The state of a relay at the time `now` of its engine.
    pub fn describe<S: Store>(
        engine: &Engine<S>,
        cache_limit_bytes: u64,
        origin: &Traffic,
        now: Instant,
        uptime: Duration,
        listen: &[SocketAddr],
    ) -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            uptime_s: uptime.as_secs(),
            listen: listen.to_vec(),
            cache: Cache { bytes: engine.store().bytes(), limit_bytes: cache_limit_bytes },
            origin: Origin::of(origin),
            images: engine.images(now).into_iter().map(Image::of).collect(),
            transfers: engine.transfers(now).into_iter().map(Transfer::of).collect(),
        }
    }
}

impl Origin {
    fn of(traffic: &Traffic) -> Self {
        let occurred = traffic.requests().filter(|(_, count)| *count > 0);
        Self {
            bytes: traffic.bytes(),
            retries: traffic.retries(),
            resumes: traffic.resumes(),
            requests: occurred.map(|(outcome, count)| (outcome.to_owned(), count)).collect(),
        }
    }
}

impl Image {
    fn of(image: ImageStatus) -> Self {
        Self {
            url: image.url.to_string(),
            etag: image.etag.map(|etag| etag.to_string()),
            state: image.state.label().to_owned(),
            available_bytes: image.available as u64,
            total_bytes: image.total.map(|total| total as u64),
            fresh_for_s: image.fresh_for.as_secs(),
            observers: image.observers as u64,
        }
    }
}

impl Transfer {
    fn of(transfer: TransferStatus) -> Self {
        Self {
            peer: transfer.peer,
            url: transfer.url.to_string(),
            etag: transfer.etag.to_string(),
            sent_bytes: transfer.sent as u64,
            total_bytes: transfer.total.map(|total| total as u64),
            age_s: transfer.age.as_secs_f64(),
            duration_s: transfer.duration.as_secs_f64(),
            finished: transfer.finished,
        }
    }
}

/// Asks a running relay. `url` is its admin address, such as `http://[::1]:9683`, with or without [`PATH`].
///
/// # Errors
/// Who is not there, or is no relay, and what to check.
pub async fn fetch(url: &str) -> anyhow::Result<Status> {
    let uri = status_uri(url)?;
    tokio::time::timeout(PATIENCE, ask(&uri)).await.map_err(|_| {
        anyhow!("relay: no answer from {uri} within {PATIENCE:?}; is this its admin address (admin.listen)?")
    })?
}

fn status_uri(url: &str) -> anyhow::Result<Uri> {
    let base = url.trim_end_matches('/');
    let whole = if base.ends_with(PATH) { base.to_owned() } else { format!("{base}{PATH}") };
    let uri: Uri = whole.parse().with_context(|| format!("operator: {url:?} is not a URL"))?;
    if uri.scheme_str() != Some("http") {
        bail!("operator: {url:?} is not an http:// URL; give the admin address, such as http://[::1]:9683");
    }
    Ok(uri)
}

async fn ask(uri: &Uri) -> anyhow::Result<Status> {
    let client: Client<_, Empty<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    let answer = client.get(uri.clone()).await.map_err(|error| {
        let hint = if error.is_connect() {
            "is the relay running, and is this its admin address (admin.listen)?"
        } else {
            "whoever listens there does not speak HTTP; the admin address is the one in admin.listen"
        };
        anyhow::Error::new(error).context(format!("operator: cannot ask {uri}: {hint}"))
    })?;
    let code = answer.status();
    let body = Limited::new(answer.into_body(), MAX_ANSWER).collect().await;
    let body = body.map_err(|error| anyhow!("relay: the answer from {uri} broke off: {error}"))?.to_bytes();
    match code {
        StatusCode::OK => serde_json::from_slice(&body)
            .with_context(|| format!("operator: {uri} is not the admin address of a relay of this version")),
        StatusCode::SERVICE_UNAVAILABLE => {
            bail!("{uri} answers: {}", printable(String::from_utf8_lossy(&body).trim()))
        }
        _ => bail!("operator: {uri} is not the admin address of a relay: it answered {code}"),
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let listen: Vec<_> = self.listen.iter().map(|address| format!("coap://{address}")).collect();
        let listen = if listen.is_empty() { "no socket is open".to_owned() } else { listen.join(" ") };
        writeln!(
            f,
            "sixfold-relay {}, up {}, {listen}",
            printable(&self.version),
            time(self.uptime_s as f64)
        )?;
        writeln!(f, "cache   {} of {} bytes", self.cache.bytes, self.cache.limit_bytes)?;
        let Origin { bytes, retries, resumes, requests } = &self.origin;
        write!(f, "origin  {bytes} bytes, {retries} retries, {resumes} resumes; requests:")?;
        if requests.is_empty() {
            write!(f, " none")?;
        }
        requests.iter().try_for_each(|(outcome, count)| write!(f, " {} {count}", printable(outcome)))?;
        writeln!(f, "\n")?;
        let head = ["IMAGE", "ETAG", "STATE", "BYTES", "FRESH FOR", "OBSERVERS"];
        table(f, head, self.images.iter().map(Image::row))?;
        writeln!(f)?;
        let head = ["DEVICE", "IMAGE", "ETAG", "SENT", "TIME", ""];
        table(f, head, self.transfers.iter().map(Transfer::row))
    }
}

impl Image {
    fn row(&self) -> [String; 6] {
        [
            printable(&self.url),
            self.etag.as_deref().map_or_else(|| "-".to_owned(), printable),
            printable(&self.state),
            progress(self.available_bytes, self.total_bytes),
            time(self.fresh_for_s as f64),
            self.observers.to_string(),
        ]
    }
}

impl Transfer {
    fn row(&self) -> [String; 6] {
        let end = if self.finished { "finished" } else { "" };
        [
            self.peer.to_string(),
            printable(&self.url),
            printable(&self.etag),
            progress(self.sent_bytes, self.total_bytes),
            time(self.duration_s),
            end.to_owned(),
        ]
    }
}

fn progress(bytes: u64, total: Option<u64>) -> String {
    match total {
        Some(0) => "0/0".to_owned(),
        Some(total) => {
            let percent = u128::from(bytes) * 100 / u128::from(total);
            format!("{bytes}/{total} {percent} %")
        }
        None => format!("{bytes}/?"),
    }
}

/// `0.4 s`, `59 s`, `3 min 20 s`, `5 h 1 min`, `2 d 3 h`.
fn time(seconds: f64) -> String {
    let whole = seconds as u64;
    match whole {
        0..10 if seconds.fract() > 0.0 => format!("{seconds:.1} s"),
        0..60 => format!("{whole} s"),
        60..3600 => format!("{} min {} s", whole / 60, whole % 60),
        3600..86_400 => format!("{} h {} min", whole / 3600, whole / 60 % 60),
        _ => format!("{} d {} h", whole / 86_400, whole / 3600 % 24),
    }
}

/// Text from elsewhere with everything spelled out that could forge a line or command a terminal.
fn printable(text: &str) -> String {
    let mut printable = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            ' '..='~' => printable.push(character),
            _ => printable.extend(character.escape_debug()),
        }
    }
    printable
}

/// Columns as wide as their widest cell.
fn table<const N: usize>(
    f: &mut fmt::Formatter<'_>,
    head: [&str; N],
    rows: impl Iterator<Item = [String; N]>,
) -> fmt::Result {
    let rows: Vec<_> = std::iter::once(head.map(str::to_owned)).chain(rows).collect();
    let mut widths = [0; N];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    for row in &rows {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        writeln!(f, "{}", cells.collect::<Vec<_>>().join("  ").trim_end())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use sixfold_engine::{
        Config, FetchCommand, Freshness, Head, OriginEvent, Path, Route, UnboundedStore, Validator,
    };
    use std::net::Ipv6Addr;

    /// A relay that has 128 of 200 bytes, and sent the first 64 to a device.
    fn half_way() -> Status {
        let route = Route { path: Vec::new(), origin: "https://h/".to_owned() };
        let config = Config { routes: vec![route], ..Config::default() };
        let mut engine = Engine::new(config, UnboundedStore::default(), [0; 32]);
        let peer = SocketAddr::from((Ipv6Addr::LOCALHOST, 5683));
        let path = Path { peer, local: None, socket: 0, interface: 0, multicast: false };
        let start = Instant::ZERO;
        // GET /a, Block2 0/_/64.
        engine.handle_datagram(start, path, b"\x40\x01\x00\x01\xb1a\xc1\x02");
        let Some(FetchCommand::Start { id, .. }) = engine.poll_fetch() else { panic!("no fetch") };
        let freshness = Freshness { max_age: Duration::from_secs(60), ..Freshness::default() };
        let validator = Some(Validator::Strong("\"1\"".to_owned()));
        let head = Head { validator, length: Some(200), media_type: None, freshness };
        engine.handle_origin(start, id, OriginEvent::Head(head));
        engine.handle_origin(start, id, OriginEvent::Data(Bytes::from_static(&[7; 128])));
        let now = start + Duration::from_millis(1500);
        Status::describe(&engine, 1000, &Traffic::default(), now, Duration::from_secs(200), &[peer])
    }

    #[test]
    fn describes_an_engine_at_work() {
        let status = half_way();
        let [image] = &status.images[..] else { panic!("{status:?}") };
        assert_eq!((image.url.as_str(), image.state.as_str()), ("https://h/a", "fetching"));
        assert_eq!((image.available_bytes, image.total_bytes), (128, Some(200)));
        let [transfer] = &status.transfers[..] else { panic!("{status:?}") };
        assert_eq!((transfer.sent_bytes, transfer.total_bytes, transfer.finished), (64, Some(200), false));
        assert_eq!((transfer.age_s, transfer.duration_s), (1.5, 0.0));
        assert_eq!(Some(&transfer.etag), image.etag.as_ref());
        assert_eq!((status.uptime_s, status.cache.limit_bytes), (200, 1000));
    }

    #[test]
    fn people_get_a_table() {
        let mut status = half_way();
        let etag = status.transfers[0].etag.clone();
        status.version = "1.2.3".to_owned();
        status.origin.requests = [("complete".to_owned(), 2), ("connect".to_owned(), 1)].into();
        status.images[0].url = "https://h/\x1b[2Jaa".to_owned();
        let expected = format!(
            "\
sixfold-relay 1.2.3, up 3 min 20 s, coap://[::1]:5683
cache   0 of 1000 bytes
origin  0 bytes, 0 retries, 0 resumes; requests: complete 2 connect 1

IMAGE                  ETAG              STATE     BYTES         FRESH FOR  OBSERVERS
https://h/\\u{{1b}}[2Jaa  {etag}  fetching  128/200 64 %  0 s        0

DEVICE      IMAGE        ETAG              SENT         TIME
[::1]:5683  https://h/a  {etag}  64/200 32 %  0 s
"
        );
        assert_eq!(status.to_string(), expected);
    }

    #[test]
    fn urls_with_and_without_the_path() {
        for url in ["http://[::1]:9683", "http://[::1]:9683/", "http://[::1]:9683/api/status"] {
            assert_eq!(status_uri(url).unwrap(), "http://[::1]:9683/api/status");
        }
        for url in ["[::1]:9683", "https://[::1]:9683", "", "http://", "coap://[::1]"] {
            assert!(status_uri(url).unwrap_err().to_string().starts_with("operator: "), "{url}");
        }
    }

    #[test]
    fn only_what_is_harmless_is_printed_as_it_is() {
        assert_eq!(printable("https://h/a?b='c'&d=\"ü\""), "https://h/a?b='c'&d=\"ü\"");
        assert_eq!(printable("a\nb\x1b[31m\r\u{202e}\u{7f}"), r"a\nb\u{1b}[31m\r\u{202e}\u{7f}");
    }

    #[test]
    fn times_read_well() {
        let cases = [
            (0.0, "0 s"),
            (0.44, "0.4 s"),
            (59.9, "59 s"),
            (200.0, "3 min 20 s"),
            (18_060.0, "5 h 1 min"),
            (183_600.0, "2 d 3 h"),
        ];
        for (seconds, text) in cases {
            assert_eq!(time(seconds), text);
        }
    }
}
