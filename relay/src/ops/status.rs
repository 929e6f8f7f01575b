//! What the relay is doing, for programs as JSON and for people as a table.

use crate::origin::Traffic;
use anyhow::{Context, bail};
use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde::{Deserialize, Serialize};
use sixfold_engine::{Engine, ImageStatus, Instant, Store, TransferStatus};
use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

/// A status larger than this is none of ours, in bytes.
const LARGEST: usize = 64 << 20;

/// How long `sixfold-relay status` waits.
const PATIENCE: Duration = Duration::from_secs(5);

/// The whole relay.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Status {
    /// Of the program.
    pub version: String,
    /// Since it started.
    pub uptime_s: f64,
    /// Addresses that CoAP is served on now.
    pub listen: Vec<SocketAddr>,
    /// Memory.
    pub cache: CacheStatus,
    /// The origin side.
    pub origin: OriginStatus,
    /// Resources, the most recently used first.
    pub images: Vec<Image>,
    /// Devices with an image, the most recently active first.
    pub transfers: Vec<Transfer>,
}

/// Images in memory.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub struct CacheStatus {
    /// Used.
    pub bytes: u64,
    /// Allowed.
    pub limit_bytes: u64,
}

/// Since the start.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct OriginStatus {
    /// Body bytes received.
    pub bytes: u64,
    /// Requests made again after a failure.
    pub retries: u64,
    /// Transfers resumed.
    pub resumes: u64,
    /// Requests by outcome, those that occurred.
    pub requests: BTreeMap<String, u64>,
}

/// One resource.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Image {
    /// Where it comes from.
    pub url: String,
    /// Its version, in hexadecimal.
    pub etag: Option<String>,
    /// `fetching`, `validating`, `fresh`, `stale`, `evicted` or `failed`.
    pub state: String,
    /// Bytes that are here.
    pub available_bytes: usize,
    /// Bytes that it has, if known.
    pub total_bytes: Option<usize>,
    /// For how long it is served without asking the origin.
    pub fresh_for_s: u64,
    /// Devices that are told of new versions.
    pub observers: usize,
}

/// One device with one image.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Transfer {
    /// The device.
    pub peer: SocketAddr,
    /// The image.
    pub url: String,
    /// Its version, in hexadecimal.
    pub etag: String,
    /// How far blocks were sent.
    pub sent_bytes: u64,
    /// The length of the image, if still known.
    pub total_bytes: Option<u64>,
    /// Since its first request.
    pub age_s: f64,
    /// From its first request to its latest.
    pub duration_s: f64,
    /// The last block has left.
    pub finished: bool,
}

impl Status {
    /// Looks at a relay.
    pub fn describe<S: Store>(
        engine: &Engine<S>,
        cache_limit_bytes: u64,
        origin: &Traffic,
        now: Instant,
        uptime: Duration,
        listen: &[SocketAddr],
    ) -> Self {
        let requests = origin.requests().filter(|(_, count)| *count > 0);
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            uptime_s: uptime.as_secs_f64(),
            listen: listen.to_vec(),
            cache: CacheStatus { bytes: engine.store().bytes(), limit_bytes: cache_limit_bytes },
            origin: OriginStatus {
                bytes: origin.bytes(),
                retries: origin.retries(),
                resumes: origin.resumes(),
                requests: requests.map(|(outcome, count)| (outcome.to_owned(), count)).collect(),
            },
            images: engine.images(now).into_iter().map(Image::from).collect(),
            transfers: engine.transfers(now).into_iter().map(Transfer::from).collect(),
        }
    }
}

impl From<ImageStatus> for Image {
    fn from(image: ImageStatus) -> Self {
        Self {
            url: image.url.to_string(),
            etag: image.etag.map(|etag| etag.to_string()),
            state: image.state.label().to_owned(),
            available_bytes: image.available,
            total_bytes: image.total,
            fresh_for_s: image.fresh_for.as_secs(),
            observers: image.observers,
        }
    }
}

impl From<TransferStatus> for Transfer {
    fn from(transfer: TransferStatus) -> Self {
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

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let listen: Vec<String> = self.listen.iter().map(SocketAddr::to_string).collect();
        let listen = if listen.is_empty() { "no socket yet".to_owned() } else { listen.join(", ") };
        writeln!(f, "sixfold-relay {}, up {:.0} s, CoAP at {listen}", self.version, self.uptime_s)?;
        writeln!(f, "cache   {} of {} bytes", self.cache.bytes, self.cache.limit_bytes)?;
        write!(f, "origin  {} bytes", self.origin.bytes)?;
        self.origin.requests.iter().try_for_each(|(outcome, count)| write!(f, ", {count} {outcome}"))?;
        writeln!(f, "\n\n{:<11} {:>12}  {:>9}  image", "state", "bytes", "fresh for")?;
        for image in &self.images {
            let bytes = image.total_bytes.unwrap_or(image.available_bytes);
            let url = image.url.escape_debug();
            writeln!(f, "{:<11} {bytes:>12}  {:>7} s  {url}", image.state, image.fresh_for_s)?;
        }
        writeln!(f, "\n{:<7} {:>12} {:>6}  device", "state", "bytes", "done")?;
        for transfer in &self.transfers {
            let state = if transfer.finished { "done" } else { "active" };
            let percent = transfer
                .total_bytes
                .filter(|&total| total > 0)
                .map(|total| transfer.sent_bytes * 100 / total);
            let percent = percent.map_or("?".to_owned(), |percent| format!("{percent} %"));
            let url = transfer.url.escape_debug();
            writeln!(f, "{state:<7} {:>12} {percent:>6}  {} ← {url}", transfer.sent_bytes, transfer.peer)?;
        }
        Ok(())
    }
}

/// Asks a running relay at its admin address.
///
/// # Errors
/// When there is none, or something else answers.
pub async fn fetch(url: &str) -> anyhow::Result<Status> {
    let uri = format!("{}/api/status", url.trim_end_matches('/'));
    let uri: http::Uri =
        uri.parse().with_context(|| format!("operator: {url} is no URL like http://[::1]:9683"))?;
    if uri.scheme_str() != Some("http") {
        bail!("operator: {url} does not begin with http://; the admin address speaks plain HTTP");
    }
    let client: Client<_, Empty<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    let ask = async {
        let response = client.get(uri).await.with_context(|| {
            format!(
                "operator: nobody answers at {url}; is the relay running, and is this its [admin] listen?"
            )
        })?;
        if !response.status().is_success() {
            bail!("operator: {url} answers {}; is this the relay's [admin] listen?", response.status());
        }
        let body = Limited::new(response.into_body(), LARGEST).collect().await;
        let body = body.map_err(|error| anyhow::anyhow!("relay: the status broke off: {error}"))?.to_bytes();
        serde_json::from_slice(&body)
            .with_context(|| format!("operator: what {url} answers is no status of a relay"))
    };
    tokio::time::timeout(PATIENCE, ask)
        .await
        .with_context(|| format!("relay: no answer from {url} in 5 s"))?
}
