//! The log: what is written, where, and how the engine's events read in it.
//!
//! A service manager that keeps the log is told how bad a line is, and not the time, which it knows.
//!
//! At the default level it tells of start, configuration, images and trouble. What happens per datagram is at
//! level trace only, and counted in [`super::Metrics`] instead.

use super::Order;
use crate::output;
use anyhow::{Context, anyhow};
use sixfold_engine::Event;
use std::io::{self, IsTerminal, Write};
use std::time::Duration;
use tracing::level_filters::LevelFilter;
use tracing::{Level, Metadata, Subscriber, debug, info, trace, warn};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

/// Who reads the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reader {
    /// Whoever looks at standard error.
    Plain,
    /// The journal of systemd, which takes the severity from the start of a line (sd-daemon(3)).
    Journal,
    /// Who takes what is written to standard output for information, and to standard error for trouble: procd.
    TwoStreams,
}

impl Reader {
    /// Whose standard error it is. `has_two_streams` says the operator: nothing shows it.
    pub fn of_this_process(has_two_streams: bool) -> Self {
        match has_two_streams {
            true => Self::TwoStreams,
            false if output::goes_to_journal() => Self::Journal,
            false => Self::Plain,
        }
    }

    /// What is put before a line of this level, and whether it goes to standard output.
    fn places(self, level: Level) -> (&'static str, bool) {
        match self {
            Self::Plain => ("", false),
            Self::TwoStreams => ("", level > Level::WARN),
            Self::Journal => match level {
                Level::ERROR => ("<3>", false),
                Level::WARN => ("<4>", false),
                Level::INFO => ("<6>", false),
                _ => ("<7>", false),
            },
        }
    }
}

impl<'a> MakeWriter<'a> for Reader {
    type Writer = Lines;

    fn make_writer(&'a self) -> Lines {
        Lines { prefix: "", stream: Box::new(io::stderr()) }
    }

    fn make_writer_for(&'a self, metadata: &Metadata<'_>) -> Lines {
        let (prefix, is_output) = self.places(*metadata.level());
        let stream: Box<dyn Write> = if is_output { Box::new(io::stdout()) } else { Box::new(io::stderr()) };
        Lines { prefix, stream }
    }
}

/// Takes whole lines, and writes them at once.
pub struct Lines {
    prefix: &'static str,
    stream: Box<dyn Write>,
}

impl Write for Lines {
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        self.stream.write_all(&output::with_severity(self.prefix, lines))?;
        Ok(lines.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

/// Starts logging for `reader`: `off`, `error`, `warn`, `info`, `debug` or `trace` and what is worse, as
/// text or as one JSON object a line. The environment variable `RUST_LOG`, with directives such as
/// `info,sixfold_relay::origin=debug`, takes the place of `level`.
///
/// # Errors
/// When the level or `RUST_LOG` makes no sense, or the process logs already.
pub fn init(level: &str, json: bool, reader: Reader) -> anyhow::Result<()> {
    let overriding = std::env::var("RUST_LOG").unwrap_or_default();
    let filter = filter(level, &overriding)?;
    let lines = lines(json, reader, is_detailed(&filter), reader);
    let outcome = tracing_subscriber::registry().with(lines).with(filter).try_init();
    outcome.map_err(|error| anyhow!("relay: logging cannot start: {error}"))
}

/// How a line looks: with its time, unless the reader knows it, or it is for programs; and with the module that wrote it, if it is
/// for whoever looks for a fault there.
fn lines<S, W>(json: bool, reader: Reader, is_detailed: bool, writer: W) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let colours = reader == Reader::Plain
        && io::stderr().is_terminal()
        && std::env::var_os("NO_COLOR").is_none_or(|no| no.is_empty());
    let lines = tracing_subscriber::fmt::layer().with_writer(writer);
    match (json, reader) {
        (true, _) => lines.with_ansi(false).json().boxed(),
        (false, Reader::Plain) => lines.with_ansi(colours).with_target(is_detailed).boxed(),
        (false, _) => lines.with_ansi(false).with_target(is_detailed).without_time().boxed(),
    }
}

fn is_detailed(filter: &Targets) -> bool {
    filter.iter().map(|(_, level)| level).chain(filter.default_level()).any(|level| level > LevelFilter::INFO)
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
        order => info!("operator: {order}"),
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
        written_for(Reader::Plain, level, work)
    }

    fn written_for(reader: Reader, level: &str, work: impl FnOnce()) -> String {
        let log = Log::default();
        let writer = log.clone();
        let filter = filter(level, "").unwrap();
        let lines = lines(false, reader, is_detailed(&filter), move || writer.clone());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(lines).with(filter), work);
        String::from_utf8(log.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn whoever_waits_for_a_fetch_fills_no_log() {
        let name = || "/fw/a".to_owned();
        assert_eq!(written("debug", || log_order(&Order::Look { name: name() })), "");
        for (order, words) in [
            (Order::Prefetch { name: name() }, "prefetch /fw/a"),
            (Order::LiftBan { name: "/fw/a\nERROR".to_owned() }, "unban /fw/a\\nERROR"),
            (Order::Purge { name: None }, "purge --all"),
        ] {
            let line = written_for(Reader::Journal, "info", || log_order(&order));
            assert_eq!(line, format!(" INFO operator: {words}\n"));
        }
    }

    #[test]
    fn service_managers_are_told_how_bad_a_line_is_and_not_when_it_was_written() {
        use Level as L;
        let prefixes =
            [L::ERROR, L::WARN, L::INFO, L::DEBUG, L::TRACE].map(|level| Reader::Journal.places(level).0);
        assert_eq!(prefixes, ["<3>", "<4>", "<6>", "<7>", "<7>"]);
        let outputs = [L::ERROR, L::WARN, L::INFO, L::DEBUG].map(|level| Reader::TwoStreams.places(level).1);
        assert_eq!(outputs, [false, false, true, true]);
        for reader in [Reader::Journal, Reader::TwoStreams] {
            assert_eq!(written_for(reader, "info", || warn!("origin: gone")), " WARN origin: gone\n");
        }
        let line = written("info", || warn!("origin: gone"));
        assert!(line.starts_with("20") && line.ends_with("Z  WARN origin: gone\n"), "{line}");
        assert!(
            written("debug", || warn!("x")).contains("WARN sixfold_relay::ops::logging"),
            "for whoever debugs"
        );
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
