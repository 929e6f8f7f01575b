//! What became of connections to the session port, and until when its certificate is valid.

use super::Maker;
use crate::sessions::Outcome;
use prometheus::{Error, Gauge, IntCounter};
use std::time::{SystemTime, UNIX_EPOCH};

#[derive(Debug)]
pub(super) struct AgreementCounters {
    results: [IntCounter; Outcome::ALL.len()],
    not_after: Gauge,
}

impl AgreementCounters {
    pub(super) fn new(make: &Maker<'_>) -> Result<Self, Error> {
        let by_result = make.counters(
            "agreements_total",
            "Connections to the session port and EDHOC exchanges, by what became of them.",
            "result",
        )?;
        Ok(Self {
            results: Outcome::ALL.map(|outcome| by_result.with_label_values(&[outcome.label()])),
            not_after: make.gauge_of_float(
                "session_certificate_not_after_seconds",
                "When the session port's certificate expires, in seconds since 1970; 0 where the port is closed.",
            )?,
        })
    }

    pub(super) fn record(&self, outcome: Outcome) {
        self.results[outcome as usize].inc();
    }

    pub(super) fn set_not_after(&self, not_after: Option<SystemTime>) {
        let since = not_after.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        self.not_after.set(since.unwrap_or_default().as_secs_f64());
    }
}
