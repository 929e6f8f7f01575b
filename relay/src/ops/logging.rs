//! Logs: quiet at the default level. Packets appear at `trace` only.

use anyhow::Context;
use sixfold_engine::Event;
use std::io::IsTerminal;
use tracing_subscriber::EnvFilter;

/// Starts logging to standard error; the environment variable RUST_LOG overrides `level`.
///
/// # Errors
/// When logging was started before, or RUST_LOG cannot be understood.
pub fn init(level: &str, json: bool) -> anyhow::Result<()> {
    let filter = match std::env::var("RUST_LOG") {
        Ok(directives) => {
            EnvFilter::try_new(directives).context("operator: RUST_LOG is no filter; try RUST_LOG=debug")?
        }
        Err(_) => EnvFilter::new(level),
    };
    let builder =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
    let outcome = if json {
        builder.json().try_init()
    } else {
        builder.with_ansi(std::io::stderr().is_terminal()).try_init()
    };
    outcome.map_err(|error| anyhow::anyhow!("relay: logging cannot be started: {error}"))
}

/// Says what an operator wants to know of an event of the engine. The origin client explains failures itself.
pub fn log_event(event: &Event) {
    match event {
        Event::ImageFetched { url, etag, bytes, duration } => {
            let seconds = duration.as_secs_f64();
            tracing::info!("image fetched: {}, {bytes} bytes in {seconds:.3} s, version {etag}", shown(url));
        }
        Event::ImageChanged { url, from, to } => {
            tracing::info!("image changed: {}, version {from} is now {to}", shown(url));
        }
        Event::Revalidated { url } => tracing::debug!("image is still current: {}", shown(url)),
        Event::FetchFailed { url, failure, stale: true } => {
            let reason = failure.label();
            tracing::warn!("origin failed ({reason}), a stale copy is served: {}", shown(url));
        }
        Event::FetchFailed { url, failure, stale: false } => {
            let reason = failure.label();
            tracing::debug!("origin failed ({reason}), devices are told: {}", shown(url));
        }
        packet => tracing::trace!("{packet:?}"),
    }
}

/// A URL holds what devices sent: nothing of it may look like another line of the log.
fn shown(url: &str) -> impl std::fmt::Display + '_ {
    url.escape_debug()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_cannot_forge_lines() {
        assert_eq!(shown("https://h/\n\u{1b}[2J").to_string(), "https://h/\\n\\u{1b}[2J");
    }
}
