//! The log: what is written, where, and how the engine's events read in it.
//!
//! At the default level it tells of start, configuration, images and trouble. What happens per datagram is at
//! level trace only, and counted in [`super::Metrics`] instead.

use super::Order;
use anyhow::{Context, anyhow};
use sixfold_engine::Event;
use std::io::IsTerminal;
use std::time::Duration;
use tracing::level_filters::LevelFilter;
use tracing::{debug, info, trace, warn};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Starts logging to standard error: `off`, `error`, `warn`, `info`, `debug` or `trace` and what is worse, as
/// text or as one JSON object a line. The environment variable `RUST_LOG`, with directives such as
/// `info,sixfold_relay::origin=debug`, takes the place of `level`.
///
/// # Errors
/// When the level or `RUST_LOG` makes no sense, or the process logs already.
pub fn init(level: &str, json: bool) -> anyhow::Result<()> {
    let overriding = std::env::var("RUST_LOG").unwrap_or_default();
    let filter = filter(level, &overriding)?;
    // The filter says what is written; the writer takes all of it.
    let builder = tracing_subscriber::fmt().with_max_level(LevelFilter::TRACE).with_writer(std::io::stderr);
    let colours =
        std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|no| no.is_empty());
    let outcome = if json {
        builder.json().finish().with(filter).try_init()
    } else {
        builder.with_ansi(colours).finish().with(filter).try_init()
    };
    outcome.map_err(|error| anyhow!("relay: logging cannot start: {error}"))
}

fn filter(level: &str, overriding: &str) -> anyhow::Result<Targets> {
    let level: LevelFilter = level.parse().map_err(|_| {
        anyhow!("operator: log level {level:?} is none of off, error, warn, info, debug and trace")
    })?;
    if overriding.is_empty() {
        return Ok(Targets::new().with_default(level));
    }
    overriding.parse().with_context(|| format!("operator: RUST_LOG={overriding:?} makes no sense"))
}

/// Writes what an operator may want to read about an event. URLs and names, which devices may have a say in, are recorded
/// as strings, never with `%`: so both formats quote them, and none can forge a line.
pub fn log_event(event: &Event) {
    match event {
        Event::ImageFetched { url, etag, bytes, duration } => {
            info!(url, %etag, bytes, seconds = seconds(*duration), "image fetched");
        }
        Event::ImageChanged { url, from, to } => {
            info!(url, %from, %to, "image changed at the origin");
        }
        Event::Revalidated { url } => debug!(url, "image is still current"),
        Event::FetchFailed { url, failure, stale: true } => {
            warn!(url, failure = failure.label(), "the origin failed: a stale copy is served");
        }
        // The origin client, which knows the reason, has warned.
        Event::FetchFailed { url, failure, stale: false } => {
            debug!(url, failure = failure.label(), "devices are told that the origin failed");
        }
        Event::Session { name, event } => {
            info!(name = &**name, event = event.label(), "session");
        }
        event => trace!(?event),
    }
}

/// Writes what an operator ordered. Whoever waits for a fetch looks at it several times a second, and changes nothing by it.
pub fn log_order(order: &Order) {
    match order {
        Order::Look { .. } => trace!(?order, "operator"),
        order => info!(?order, "operator"),
    }
}

/// Milliseconds are enough.
fn seconds(duration: Duration) -> f64 {
    duration.as_millis() as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use sixfold_engine::{DropReason, ETag, Failure};
    use std::io::{self, Write};
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl Write for Log {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What is written about an event at a level.
    fn logged(level: &str, event: &Event) -> String {
        written(level, || log_event(event))
    }

    fn written(level: &str, work: impl FnOnce()) -> String {
        let log = Log::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(LevelFilter::TRACE)
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .finish()
            .with(filter(level, "").unwrap());
        tracing::subscriber::with_default(subscriber, work);
        String::from_utf8(log.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn whoever_waits_for_a_fetch_fills_no_log() {
        let name = || "/fw/a".to_owned();
        assert_eq!(written("debug", || log_order(&Order::Look { name: name() })), "");
        for order in [Order::Prefetch { name: name() }, Order::Ban { name: name() }] {
            assert!(written("info", || log_order(&order)).contains("/fw/a"), "{order:?}");
        }
    }

    fn failed(stale: bool) -> Event {
        Event::FetchFailed { url: "https://h/a".to_owned(), failure: Failure::Connect, stale }
    }

    #[test]
    fn the_default_level_tells_of_images_and_trouble_only() {
        let etag = ETag([0xab; 8]);
        let url = || "https://h/a".to_owned();
        let duration = Duration::from_micros(1_234_567);
        let fetched = logged("info", &Event::ImageFetched { url: url(), etag, bytes: 98_304, duration });
        for part in ["INFO", "image fetched", "https://h/a", "abababababababab", "98304", "seconds=1.234"] {
            assert!(fetched.contains(part), "{part} is not in {fetched}");
        }
        let changed = logged("info", &Event::ImageChanged { url: url(), from: etag, to: ETag([1; 8]) });
        assert!(changed.contains("INFO") && changed.contains("to=0101010101010101"), "{changed}");
        let stale = logged("info", &failed(true));
        assert!(
            stale.contains("WARN") && stale.contains("connect") && stale.contains("stale copy"),
            "{stale}"
        );
        for event in [failed(false), Event::Revalidated { url: url() }] {
            assert_eq!(logged("info", &event), "");
            assert!(logged("debug", &event).contains("DEBUG"));
        }
        for event in [Event::BlockSent(64), Event::Dropped(DropReason::Malformed)] {
            assert_eq!(logged("debug", &event), "");
            assert!(logged("trace", &event).contains("TRACE"));
        }
    }

    #[test]
    fn a_url_cannot_forge_a_line() {
        let url = "https://h/a\n2026 ERROR all is lost\x1b[2J".to_owned();
        let line = logged("debug", &Event::Revalidated { url });
        assert_eq!(line.lines().count(), 1, "{line}");
        assert!(!line.contains('\x1b'), "{line:?}");
    }

    #[test]
    fn rust_log_takes_the_place_of_the_level() {
        assert_eq!(filter("info", "").unwrap().to_string(), "info");
        assert_eq!(filter("INFO", "sixfold_relay=debug").unwrap().to_string(), "sixfold_relay=debug");
        for (level, overriding) in [("inof", ""), ("info", "sixfold_relay=loud")] {
            let error = filter(level, overriding).unwrap_err().to_string();
            assert!(error.starts_with("operator: "), "{error}");
        }
    }
}
