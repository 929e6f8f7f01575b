//! Engine events and origin traffic as Prometheus metrics. `docs/metrics.md` lists them; a test compares.
//!
//! What happens for every datagram touches only counters that were looked up beforehand.

use crate::origin::Traffic;
use prometheus::core::Collector;
use prometheus::process_collector::ProcessCollector;
use prometheus::{
    Encoder, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    TextEncoder,
};
use sixfold_engine::{CacheResult, DropReason, Event};
use sixfold_profile::coap::Code;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// From a small image on loopback to a large one on a crowded link, in seconds.
const TRANSFER_SECONDS: &[f64] =
    &[0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 10_800.0];

/// The counters of one relay, with a registry of their own.
pub struct Metrics {
    registry: Registry,
    /// By code, 0.00 to 7.31; those without a name of their own share one counter.
    requests: [IntCounter; 32],
    responses: Vec<IntCounter>,
    cache: [IntCounter; CacheResult::ALL.len()],
    dropped: [IntCounter; DropReason::ALL.len()],
    cache_bytes: IntGauge,
    blocks: IntCounter,
    block_bytes: IntCounter,
    retransmitted: IntCounter,
    transfers_active: IntGauge,
    transfers_finished: IntCounter,
    transfers_abandoned: IntCounter,
    transfer_duration: Histogram,
    observers: IntGauge,
    images_fetched: IntCounter,
    images_changed: IntCounter,
    reloads_done: IntCounter,
    reloads_refused: IntCounter,
    origin: OriginMetrics,
}

/// What the origin client counts, as counters here.
struct OriginMetrics {
    requests: IntCounterVec,
    bytes: IntCounter,
    retries: IntCounter,
    resumes: IntCounter,
    traffic: Mutex<Option<Arc<Traffic>>>,
}

impl Metrics {
    /// All metrics at zero.
    ///
    /// # Errors
    /// When two of them have the same name: a mistake in this file.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let r = &registry;
        let requests = vec(r, "requests_total", "Requests accepted for processing, by method.", "method")?;
        let responses =
            vec(r, "responses_total", "Responses sent, by code; retransmissions count once.", "code")?;
        let cache =
            vec(r, "cache_requests_total", "Requests for images, by how they met the cache.", "result")?;
        let dropped =
            vec(r, "dropped_total", "Datagrams not processed or not answered, by reason.", "reason")?;
        let transfers = vec(r, "transfers_total", "Transfers that ended, by outcome.", "outcome")?;
        let reloads = vec(r, "config_reloads_total", "Reloads of the configuration, by outcome.", "outcome")?;
        let info = IntGaugeVec::new(
            Opts::new("sixfold_build_info", "Always 1; the label is the version."),
            &["version"],
        )?;
        registry.register(Box::new(info.clone()))?;
        info.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        registry.register(Box::new(ProcessCollector::for_self()))?;
        Ok(Self {
            requests: std::array::from_fn(|code| requests.with_label_values(&[method(code)])),
            responses: (0..=u8::MAX)
                .map(|code| responses.with_label_values(&[&response(Code(code))]))
                .collect(),
            cache: CacheResult::ALL.map(|result| cache.with_label_values(&[result.label()])),
            dropped: DropReason::ALL.map(|reason| dropped.with_label_values(&[reason.label()])),
            cache_bytes: gauge(r, "cache_bytes", "Bytes of images in memory, with their bookkeeping.")?,
            blocks: counter(r, "blocks_sent_total", "Blocks of images sent.")?,
            block_bytes: counter(r, "block_bytes_sent_total", "Payload bytes of blocks sent.")?,
            retransmitted: counter(
                r,
                "retransmitted_requests_total",
                "Requests that came again: the answer was lost or late.",
            )?,
            transfers_active: gauge(r, "transfers_active", "Devices that are in the middle of an image.")?,
            transfers_finished: transfers.with_label_values(&["finished"]),
            transfers_abandoned: transfers.with_label_values(&["abandoned"]),
            transfer_duration: histogram(r)?,
            observers: gauge(r, "observers", "Devices that are told of new versions.")?,
            images_fetched: counter(r, "images_fetched_total", "Images fetched completely from an origin.")?,
            images_changed: counter(
                r,
                "images_changed_total",
                "Times an origin had another version than before.",
            )?,
            reloads_done: reloads.with_label_values(&["done"]),
            reloads_refused: reloads.with_label_values(&["refused"]),
            origin: OriginMetrics {
                requests: vec(r, "origin_requests_total", "Requests to origins, by outcome.", "outcome")?,
                bytes: counter(r, "origin_bytes_total", "Body bytes received from origins.")?,
                retries: counter(
                    r,
                    "origin_retries_total",
                    "Requests to origins that were made again after a failure.",
                )?,
                resumes: counter(
                    r,
                    "origin_resumes_total",
                    "Transfers from origins that were resumed with Range.",
                )?,
                traffic: Mutex::default(),
            },
            registry,
        })
    }

    /// Counts an event of the engine.
    pub fn record(&self, event: &Event) {
        match event {
            Event::Request(code) => self.requests[usize::from(code.0 & 31)].inc(),
            Event::Response(code) => {
                if let Some(counter) = self.responses.get(usize::from(code.0)) {
                    counter.inc();
                }
            }
            Event::Cache(result) => self.cache[*result as usize].inc(),
            Event::Dropped(reason) => self.dropped[*reason as usize].inc(),
            Event::BlockSent(bytes) => {
                self.blocks.inc();
                self.block_bytes.inc_by(*bytes as u64);
            }
            Event::RetransmittedRequest => self.retransmitted.inc(),
            Event::TransferStarted => self.transfers_active.inc(),
            Event::TransferEnded { finished, duration, .. } => {
                self.transfers_active.dec();
                if *finished {
                    self.transfers_finished.inc();
                    self.transfer_duration.observe(duration.as_secs_f64());
                } else {
                    self.transfers_abandoned.inc();
                }
            }
            Event::ImageFetched { .. } => self.images_fetched.inc(),
            Event::ImageChanged { .. } => self.images_changed.inc(),
            Event::ObserverAdded => self.observers.inc(),
            Event::ObserverRemoved => self.observers.dec(),
            Event::Revalidated { .. } | Event::FetchFailed { .. } => {}
        }
    }

    /// Takes over what an origin client counts, at every [`Metrics::gather`].
    pub fn watch_origin(&self, traffic: Arc<Traffic>) {
        *self.origin.traffic.lock().unwrap_or_else(PoisonError::into_inner) = Some(traffic);
    }

    /// The bytes of images in memory.
    pub fn set_cache_bytes(&self, bytes: u64) {
        self.cache_bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    /// Counts a reload of the configuration.
    pub fn config_reload(&self, done: bool) {
        if done { self.reloads_done.inc() } else { self.reloads_refused.inc() }
    }

    /// Blocks sent so far.
    pub fn blocks_sent(&self) -> u64 {
        self.blocks.get()
    }

    /// Everything, in the Prometheus text format.
    pub fn gather(&self) -> String {
        self.origin.catch_up();
        let mut text = Vec::new();
        if let Err(error) = TextEncoder::new().encode(&self.registry.gather(), &mut text) {
            tracing::error!("relay: metrics cannot be written: {error}");
        }
        String::from_utf8_lossy(&text).into_owned()
    }
}

impl OriginMetrics {
    /// The origin client's counters only grow, and so do these.
    fn catch_up(&self) {
        let traffic = self.traffic.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(traffic) = traffic.as_ref() else { return };
        let raise = |counter: &IntCounter, to: u64| counter.inc_by(to.saturating_sub(counter.get()));
        raise(&self.bytes, traffic.bytes());
        raise(&self.retries, traffic.retries());
        raise(&self.resumes, traffic.resumes());
        for (outcome, count) in traffic.requests() {
            raise(&self.requests.with_label_values(&[outcome]), count);
        }
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

fn register<C: Collector + Clone + 'static>(
    registry: &Registry,
    collector: C,
) -> Result<C, prometheus::Error> {
    registry.register(Box::new(collector.clone()))?;
    Ok(collector)
}

fn counter(registry: &Registry, name: &str, help: &str) -> Result<IntCounter, prometheus::Error> {
    register(registry, IntCounter::new(format!("sixfold_{name}"), help)?)
}

fn gauge(registry: &Registry, name: &str, help: &str) -> Result<IntGauge, prometheus::Error> {
    register(registry, IntGauge::new(format!("sixfold_{name}"), help)?)
}

fn vec(registry: &Registry, name: &str, help: &str, label: &str) -> Result<IntCounterVec, prometheus::Error> {
    register(registry, IntCounterVec::new(Opts::new(format!("sixfold_{name}"), help), &[label])?)
}

fn histogram(registry: &Registry) -> Result<Histogram, prometheus::Error> {
    let help = "Seconds from the first request of a device to the one for the last block.";
    let options =
        HistogramOpts::new("sixfold_transfer_duration_seconds", help).buckets(TRANSFER_SECONDS.to_vec());
    register(registry, Histogram::with_opts(options)?)
}

fn method(code: usize) -> &'static str {
    u8::try_from(code).ok().map(Code).filter(|code| code.is_request()).and_then(Code::name).unwrap_or("other")
}

/// Codes without a name cannot make new label values.
fn response(code: Code) -> String {
    if code.is_response() && code.name().is_some() { code.to_string() } else { "other".into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::io::Write;
    use std::process::{Command, Stdio};
    use std::time::Duration;

    const MANUAL: &str = include_str!("../../../docs/metrics.md");

    fn busy() -> Metrics {
        let metrics = Metrics::new().unwrap();
        let peer = "[::1]:1".parse().unwrap();
        for event in [
            Event::Request(Code::GET),
            Event::Request(Code(0x1f)),
            Event::Response(Code::CONTENT),
            Event::Response(Code(0xff)),
            Event::Cache(CacheResult::Stale),
            Event::Dropped(DropReason::Send),
            Event::BlockSent(64),
            Event::TransferStarted,
            Event::TransferStarted,
            Event::TransferEnded { peer, finished: true, duration: Duration::from_secs(2) },
            Event::ObserverAdded,
            Event::RetransmittedRequest,
        ] {
            metrics.record(&event);
        }
        metrics.watch_origin(Arc::default());
        metrics.config_reload(true);
        metrics.set_cache_bytes(7);
        metrics
    }

    #[test]
    fn events_are_counted() {
        let text = busy().gather();
        for line in [
            "sixfold_requests_total{method=\"GET\"} 1",
            "sixfold_requests_total{method=\"other\"} 1",
            "sixfold_responses_total{code=\"2.05\"} 1",
            "sixfold_responses_total{code=\"other\"} 1",
            "sixfold_cache_requests_total{result=\"stale\"} 1",
            "sixfold_cache_requests_total{result=\"hit\"} 0",
            "sixfold_dropped_total{reason=\"send\"} 1",
            "sixfold_block_bytes_sent_total 64",
            "sixfold_transfers_active 1",
            "sixfold_transfers_total{outcome=\"finished\"} 1",
            "sixfold_transfer_duration_seconds_count 1",
            "sixfold_observers 1",
            "sixfold_retransmitted_requests_total 1",
            "sixfold_cache_bytes 7",
            "sixfold_config_reloads_total{outcome=\"done\"} 1",
            "sixfold_origin_requests_total{outcome=\"complete\"} 0",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
    }

    #[test]
    fn labels_stand_at_the_place_of_their_variant() {
        for (index, result) in CacheResult::ALL.into_iter().enumerate() {
            assert_eq!(result as usize, index);
        }
        for (index, reason) in DropReason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, index);
        }
    }

    #[test]
    fn the_manual_lists_every_metric_and_no_other() {
        let text = busy().gather();
        let real: BTreeSet<&str> =
            text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
        let rows = MANUAL.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
        let listed: BTreeSet<&str> = rows.map(|name| name.split('{').next().unwrap()).collect();
        assert_eq!(listed, real);
    }

    #[test]
    fn promtool_has_nothing_to_say() {
        let child = Command::new("promtool")
            .args(["check", "metrics"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let Ok(mut child) = child else {
            assert!(
                std::env::var_os("SIXFOLD_REQUIRE_PEERS").is_none(),
                "promtool (Debian package prometheus) is missing"
            );
            println!("SKIPPED: promtool is not installed (Debian package prometheus)");
            return;
        };
        child.stdin.take().unwrap().write_all(busy().gather().as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let said =
            String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        let ours: Vec<&str> = said.lines().filter(|line| line.contains("sixfold_")).collect();
        assert!(ours.is_empty() && (output.status.success() || !said.contains("error")), "{said}");
    }
}
