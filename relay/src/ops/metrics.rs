//! Events as Prometheus metrics. `docs/metrics.md` describes every one; a test compares.
//!
//! Every label value is known beforehand, so no request can make a new time series, and what is counted per
//! datagram is one atomic addition. Times per device or URL are deliberately left out: the status has them.

use self::agreement::AgreementCounters;
use self::fanout::FanoutCounters;
use self::sessions::SessionCounters;
use crate::origin::Traffic;
use crate::sessions::Outcome;
use prometheus::process_collector::ProcessCollector;
use prometheus::{
    Error, Gauge, GaugeVec, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry, TextEncoder,
};
use sixfold_engine::{CacheResult, DropReason, Event, ImageState, LinkDecision, LinkEvent, LinkStatus, Load};
use sixfold_profile::coap::Code;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// In seconds: from a device on a fast link to one that is fed a block per minute.
const DURATIONS: [f64; 14] =
    [0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 10_800.0, 36_000.0];

/// How many of the longest transfers are shown. They have ranks and no names, so that no device can add a time series.
const LONGEST: usize = 10;

/// What codes and methods without a name are counted as.
const OTHER: &str = "other";

/// All metrics of one relay.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    requests: [IntCounter; 256],
    responses: [IntCounter; 256],
    cache_requests: [IntCounter; CacheResult::ALL.len()],
    dropped: [IntCounter; DropReason::ALL.len()],
    link_answers: [IntCounter; LinkEvent::ALL.len()],
    link_decisions: [IntCounter; LinkDecision::ALL.len()],
    links: LinkGauges,
    interfaces: IntGaugeVec,
    cache_bytes: IntGauge,
    cache_limit: IntGauge,
    images: [IntGauge; ImageState::ALL.len()],
    longest: [(Gauge, Gauge); LONGEST],
    blocks_sent: IntCounter,
    block_bytes_sent: IntCounter,
    retransmitted_requests: IntCounter,
    retransmitted_responses: IntCounter,
    transfers_active: IntGauge,
    transfers_finished: IntCounter,
    transfers_abandoned: IntCounter,
    transfer_duration: Histogram,
    observers: IntGauge,
    images_fetched: IntCounter,
    images_changed: IntCounter,
    reloads_ok: IntCounter,
    reloads_refused: IntCounter,
    fanout: FanoutCounters,
    agreements: AgreementCounters,
    sessions: SessionCounters,
    origin: OriginCounters,
}

impl Metrics {
    /// All metrics, at zero.
    ///
    /// # Errors
    /// When two metrics have the same name or one has none that is valid: a mistake in this file.
    pub fn new() -> Result<Self, Error> {
        let registry = Registry::new();
        registry.register(Box::new(ProcessCollector::for_self()))?;
        let make = Maker(&registry);
        let by_method = make.counters("requests_total", "CoAP requests accepted.", "method")?;
        let by_code = make.counters("responses_total", "CoAP responses sent.", "code")?;
        let by_result = make.counters(
            "cache_requests_total",
            "Requests for images, by how they met the cache.",
            "result",
        )?;
        let by_reason = make.counters(
            "dropped_total",
            "Datagrams not processed, not answered, not sent or not acknowledged.",
            "reason",
        )?;
        let by_event = make.counters(
            "link_answers_total",
            "Answers on paced links, by what the pacer heard of them.",
            "event",
        )?;
        let by_decision =
            make.counters("link_decisions_total", "What the pacers of links decided.", "decision")?;
        let transfers =
            make.counters("transfers_total", "Transfers of an image to a device that ended.", "outcome")?;
        let reloads =
            make.counters("config_reloads_total", "Attempts to reload the configuration.", "outcome")?;
        let images =
            make.int_gauges("images", "Images that are known, by how they stand with the cache.", "state")?;
        let longest = make.gauges(
            "longest_transfer_seconds",
            "How long the transfers in their middle have taken so far, the longest first.",
            "rank",
        )?;
        let progress = make.gauges(
            "longest_transfer_progress_ratio",
            "Which share of its image each of these has been sent.",
            "rank",
        )?;
        let build = IntGauge::with_opts(
            Opts::new("sixfold_build_info", "Always 1; the label has the version.")
                .const_label("version", env!("CARGO_PKG_VERSION")),
        )?;
        registry.register(Box::new(build.clone()))?;
        build.set(1);
        Ok(Self {
            requests: std::array::from_fn(|code| {
                by_method.with_label_values(&[method_label(Code(code as u8))])
            }),
            responses: std::array::from_fn(|code| {
                by_code.with_label_values(&[code_label(Code(code as u8)).as_str()])
            }),
            cache_requests: CacheResult::ALL.map(|result| by_result.with_label_values(&[result.label()])),
            dropped: DropReason::ALL.map(|reason| by_reason.with_label_values(&[reason.label()])),
            link_answers: LinkEvent::ALL.map(|event| by_event.with_label_values(&[event.label()])),
            link_decisions: LinkDecision::ALL
                .map(|decision| by_decision.with_label_values(&[decision.label()])),
            links: LinkGauges::new(&make)?,
            interfaces: make.int_gauges(
                "interface_up",
                "Whether an interface that the configuration names is there and up.",
                "interface",
            )?,
            cache_bytes: make.gauge("cache_bytes", "Memory taken by complete images.")?,
            cache_limit: make
                .gauge("cache_limit_bytes", "Memory that complete images may take: cache.memory.")?,
            images: ImageState::ALL.map(|state| images.with_label_values(&[state.label()])),
            longest: std::array::from_fn(|place| {
                let rank = (place + 1).to_string();
                (longest.with_label_values(&[&rank]), progress.with_label_values(&[&rank]))
            }),
            blocks_sent: make.counter("blocks_sent_total", "Blocks of images sent.")?,
            block_bytes_sent: make.counter("block_bytes_sent_total", "Payload bytes in blocks sent.")?,
            retransmitted_requests: make.counter(
                "retransmitted_requests_total",
                "Requests that came again because the answer, or the request, was lost or late.",
            )?,
            retransmitted_responses: make.counter(
                "retransmitted_responses_total",
                "Confirmable responses and notifications that left once more because no acknowledgement came.",
            )?,
            transfers_active: make.gauge("transfers_active", "Devices in the middle of an image.")?,
            transfers_finished: transfers.with_label_values(&["finished"]),
            transfers_abandoned: transfers.with_label_values(&["abandoned"]),
            transfer_duration: make.histogram(
                "transfer_duration_seconds",
                "From a device's first request to its last block, of finished transfers.",
                &DURATIONS,
            )?,
            observers: make.gauge("observers", "Devices registered to hear of new versions.")?,
            images_fetched: make
                .counter("images_fetched_total", "Versions of images fetched to the last byte.")?,
            images_changed: make
                .counter("images_changed_total", "New versions found where an older one was held.")?,
            reloads_ok: reloads.with_label_values(&["ok"]),
            reloads_refused: reloads.with_label_values(&["refused"]),
            fanout: FanoutCounters::new(&make)?,
            agreements: AgreementCounters::new(&make)?,
            sessions: SessionCounters::new(&make)?,
            origin: OriginCounters::new(&make)?,
            registry,
        })
    }

    /// Counts an event.
    pub fn record(&self, event: &Event) {
        match event {
            Event::Request(Code(code)) => self.requests[usize::from(*code)].inc(),
            Event::Response(Code(code)) => self.responses[usize::from(*code)].inc(),
            Event::Cache(result) => self.cache_requests[*result as usize].inc(),
            Event::Dropped(reason) => self.dropped[*reason as usize].inc(),
            Event::Link(event) => self.link_answers[*event as usize].inc(),
            Event::Fanout(event) => self.fanout.record(*event),
            Event::Session { event, .. } => self.sessions.record(*event),
            Event::SessionRefused(reason) => self.sessions.refused(*reason),
            Event::Decided(decision) => self.link_decisions[*decision as usize].inc(),
            Event::BlockSent(bytes) => {
                self.blocks_sent.inc();
                self.block_bytes_sent.inc_by(*bytes as u64);
            }
            Event::RetransmittedRequest => self.retransmitted_requests.inc(),
            Event::RetransmittedResponse => self.retransmitted_responses.inc(),
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
            // The origin's counters have these: `sixfold_origin_requests_total`.
            Event::Revalidated { .. } | Event::FetchFailed { .. } => {}
        }
    }

    /// Sets how much memory complete images take, and may take, in bytes.
    pub fn set_cache(&self, bytes: u64, limit: u64) {
        self.cache_bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
        self.cache_limit.set(i64::try_from(limit).unwrap_or(i64::MAX));
    }

    /// Sets how many images stand how, in the order of [`ImageState::ALL`].
    pub fn set_images(&self, states: [usize; ImageState::ALL.len()]) {
        for (gauge, count) in self.images.iter().zip(states) {
            gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }

    /// Sets how long the longest transfers have taken, and which share of their image was sent; zero where there are fewer.
    pub fn set_longest_transfers(&self, longest: [Option<(Duration, f64)>; LONGEST]) {
        for ((age, progress), transfer) in self.longest.iter().zip(longest) {
            let (since, share) = transfer.unwrap_or_default();
            age.set(since.as_secs_f64());
            progress.set(share);
        }
    }

    /// Sets how many devices take part in how many groups.
    pub fn set_fanout(&self, load: Load) {
        self.fanout.set(load);
    }

    /// Blocks of images sent since the start.
    pub fn blocks_sent(&self) -> u64 {
        self.blocks_sent.get()
    }

    /// Payload bytes in blocks sent since the start.
    pub fn block_bytes_sent(&self) -> u64 {
        self.block_bytes_sent.get()
    }

    /// Payload bytes in blocks sent since the start, to devices and to groups.
    pub fn bytes_sent(&self) -> u64 {
        self.block_bytes_sent() + self.fanout.block_bytes.get()
    }

    /// Devices in the middle of an image.
    pub fn transfers_active(&self) -> u64 {
        u64::try_from(self.transfers_active.get()).unwrap_or_default()
    }

    /// Transfers whose last block has left, since the start.
    pub fn transfers_finished(&self) -> u64 {
        self.transfers_finished.get()
    }

    /// Shows how the paced links stand, each by the name of its interface. Those that are not there any more go.
    pub fn set_links<'l>(&self, links: impl Iterator<Item = (String, &'l LinkStatus)>) {
        self.links.set(links);
    }

    /// Shows of each interface that the configuration names whether it is up. Those that it does not name any more go.
    pub fn set_interfaces<'n>(&self, named: impl Iterator<Item = (&'n str, bool)>) {
        self.interfaces.reset();
        for (name, is_up) in named {
            self.interfaces.with_label_values(&[name]).set(is_up.into());
        }
    }

    /// Counts a reload of the configuration: taken, or refused.
    pub fn config_reload(&self, ok: bool) {
        if ok { self.reloads_ok.inc() } else { self.reloads_refused.inc() }
    }

    /// Counts what became of a connection to the session port.
    pub fn agreement(&self, outcome: Outcome) {
        self.agreements.record(outcome);
    }

    /// Sets until when the session port's certificate is valid.
    pub fn set_session_certificate(&self, not_after: Option<SystemTime>) {
        self.agreements.set_not_after(not_after);
    }

    /// Shows what this counts from now on.
    pub fn watch_origin(&self, traffic: Arc<Traffic>) {
        *self.origin.traffic.lock().unwrap_or_else(PoisonError::into_inner) = Some(traffic);
    }

    /// All metrics in the Prometheus text format, version 0.0.4.
    pub fn gather(&self) -> String {
        self.origin.catch_up();
        TextEncoder::new().encode_to_string(&self.registry.gather()).unwrap_or_else(|error| {
            tracing::error!("relay: metrics cannot be written: {error}");
            String::new()
        })
    }
}

fn method_label(code: Code) -> &'static str {
    code.name().filter(|_| code.is_request()).unwrap_or(OTHER)
}

fn code_label(code: Code) -> String {
    let known = code.is_response() && code.name().is_some();
    if known { code.to_string() } else { OTHER.to_owned() }
}

/// Copies of the origin client's counters, brought up to date when they are looked at.
#[derive(Debug)]
struct OriginCounters {
    traffic: Mutex<Option<Arc<Traffic>>>,
    requests: IntCounterVec,
    bytes: IntCounter,
    retries: IntCounter,
    resumes: IntCounter,
    certificates: GaugeVec,
    failed_in_a_row: IntGaugeVec,
}

impl OriginCounters {
    fn new(make: &Maker<'_>) -> Result<Self, Error> {
        let requests = make.counters(
            "origin_requests_total",
            "Requests to origin servers, by what became of them.",
            "outcome",
        )?;
        for (outcome, _) in Traffic::default().requests() {
            requests.with_label_values(&[outcome]);
        }
        Ok(Self {
            traffic: Mutex::new(None),
            requests,
            bytes: make.counter("origin_bytes_total", "Bytes of bodies received from origin servers.")?,
            retries: make
                .counter("origin_retries_total", "Requests to origin servers made again after a failure.")?,
            resumes: make.counter(
                "origin_resumes_total",
                "Transfers from origin servers that went on where they broke off.",
            )?,
            certificates: make.gauges(
                "origin_certificate_not_after_seconds",
                "When an origin's certificate expires, in seconds since 1970, as the latest handshake showed.",
                "origin",
            )?,
            failed_in_a_row: make.int_gauges(
                "origin_failed_fetches",
                "Fetches from an origin that failed since the latest one that it answered.",
                "origin",
            )?,
        })
    }

    /// The lock is held throughout, so that two readers do not both add what is new.
    fn catch_up(&self) {
        let traffic = self.traffic.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(traffic) = traffic.as_ref() else { return };
        for (outcome, count) in traffic.requests() {
            raise(&self.requests.with_label_values(&[outcome]), count);
        }
        raise(&self.bytes, traffic.bytes());
        raise(&self.retries, traffic.retries());
        raise(&self.resumes, traffic.resumes());
        self.certificates.reset();
        for (origin, end) in traffic.certificates().all() {
            let since = end.duration_since(UNIX_EPOCH).unwrap_or_default();
            self.certificates.with_label_values(&[origin.as_str()]).set(since.as_secs_f64());
        }
        self.failed_in_a_row.reset();
        for (origin, count) in traffic.streaks().all() {
            self.failed_in_a_row.with_label_values(&[origin.as_str()]).set(count);
        }
    }
}

/// How the paced links stand. Interfaces are the operator's, so no device can add a time series.
#[derive(Debug)]
struct LinkGauges {
    rate: GaugeVec,
    loss: GaugeVec,
    round_trip: GaugeVec,
    window: GaugeVec,
    in_flight: GaugeVec,
    busy: GaugeVec,
    block_bytes: GaugeVec,
    queue: GaugeVec,
    devices: GaugeVec,
    missing: GaugeVec,
}

impl LinkGauges {
    fn new(make: &Maker<'_>) -> Result<Self, Error> {
        let gauge = |name, help| make.gauges(name, help, "interface");
        Ok(Self {
            rate: gauge("link_rate_bytes_per_second", "Payload delivered on a paced link lately.")?,
            loss: gauge("link_loss_ratio", "The share of answers that were lost lately.")?,
            round_trip: gauge("link_round_trip_seconds", "From an answer to the next request, smoothed.")?,
            window: gauge("link_window_seconds", "How much airtime may be on its way.")?,
            in_flight: gauge("link_in_flight_seconds", "How much airtime is on its way.")?,
            busy: gauge("link_busy_ratio", "The share of time in which the relay sent lately.")?,
            block_bytes: gauge("link_block_bytes", "The largest block that is offered.")?,
            queue: gauge("link_queue", "Answers that wait for their turn.")?,
            devices: gauge("link_devices", "Devices that are served.")?,
            missing: gauge("link_missing_devices", "Devices that should have asked again.")?,
        })
    }

    fn set<'l>(&self, links: impl Iterator<Item = (String, &'l LinkStatus)>) {
        let all = [&self.rate, &self.loss, &self.round_trip, &self.window, &self.in_flight, &self.busy];
        let counts = [&self.block_bytes, &self.queue, &self.devices, &self.missing];
        all.into_iter().chain(counts).for_each(GaugeVec::reset);
        for (interface, link) in links {
            let gauge = |gauges: &GaugeVec| -> Gauge { gauges.with_label_values(&[interface.as_str()]) };
            gauge(&self.rate).set(link.rate_bytes);
            gauge(&self.loss).set(link.loss);
            gauge(&self.round_trip).set(link.round_trip.unwrap_or_default().as_secs_f64());
            gauge(&self.window).set(link.window.as_secs_f64());
            gauge(&self.in_flight).set(link.in_flight.as_secs_f64());
            gauge(&self.busy).set(link.busy);
            gauge(&self.block_bytes).set(link.block_size.size() as f64);
            gauge(&self.queue).set(link.waiting as f64);
            gauge(&self.devices).set(link.members as f64);
            gauge(&self.missing).set(link.missing as f64);
        }
    }
}

/// Counters never go back.
fn raise(counter: &IntCounter, to: u64) {
    counter.inc_by(to.saturating_sub(counter.get()));
}

/// Makes metrics and registers them, with the prefix.
struct Maker<'a>(&'a Registry);

impl Maker<'_> {
    fn counter(&self, name: &str, help: &str) -> Result<IntCounter, Error> {
        let counter = IntCounter::new(format!("sixfold_{name}"), help)?;
        self.0.register(Box::new(counter.clone()))?;
        Ok(counter)
    }

    fn counters(&self, name: &str, help: &str, label: &str) -> Result<IntCounterVec, Error> {
        let counters = IntCounterVec::new(Opts::new(format!("sixfold_{name}"), help), &[label])?;
        self.0.register(Box::new(counters.clone()))?;
        Ok(counters)
    }

    fn gauge(&self, name: &str, help: &str) -> Result<IntGauge, Error> {
        let gauge = IntGauge::new(format!("sixfold_{name}"), help)?;
        self.0.register(Box::new(gauge.clone()))?;
        Ok(gauge)
    }

    fn int_gauges(&self, name: &str, help: &str, label: &str) -> Result<IntGaugeVec, Error> {
        let gauges = IntGaugeVec::new(Opts::new(format!("sixfold_{name}"), help), &[label])?;
        self.0.register(Box::new(gauges.clone()))?;
        Ok(gauges)
    }

    fn gauge_of_float(&self, name: &str, help: &str) -> Result<Gauge, Error> {
        let gauge = Gauge::new(format!("sixfold_{name}"), help)?;
        self.0.register(Box::new(gauge.clone()))?;
        Ok(gauge)
    }

    fn gauges(&self, name: &str, help: &str, label: &str) -> Result<GaugeVec, Error> {
        let gauges = GaugeVec::new(Opts::new(format!("sixfold_{name}"), help), &[label])?;
        self.0.register(Box::new(gauges.clone()))?;
        Ok(gauges)
    }

    fn histogram(&self, name: &str, help: &str, buckets: &[f64]) -> Result<Histogram, Error> {
        let opts = HistogramOpts::new(format!("sixfold_{name}"), help).buckets(buckets.to_vec());
        let histogram = Histogram::with_opts(opts)?;
        self.0.register(Box::new(histogram.clone()))?;
        Ok(histogram)
    }
}

mod agreement;
pub(super) mod devices;
mod fanout;
mod sessions;
#[cfg(test)]
mod tests;
