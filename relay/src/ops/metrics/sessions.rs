//! Sessions, counted. Names of devices are in [`super::devices`]: a device must not be able to add a time series here.

use super::Maker;
use prometheus::{Error, IntCounter, IntGauge};
use sixfold_engine::{SessionEvent, SessionRefusal};

/// The metrics `sixfold_session…`.
#[derive(Debug)]
pub(super) struct SessionCounters {
    events: [IntCounter; SessionEvent::ALL.len()],
    sessions: IntGauge,
    refused: [IntCounter; SessionRefusal::ALL.len()],
}

impl SessionCounters {
    pub(super) fn new(make: &Maker<'_>) -> Result<Self, Error> {
        let events =
            make.counters("session_events_total", "What became of sessions with devices.", "event")?;
        let refused = make.counters(
            "session_refused_total",
            "Requests refused for the sake of sessions, by why.",
            "reason",
        )?;
        Ok(Self {
            refused: SessionRefusal::ALL.map(|reason| refused.with_label_values(&[reason.label()])),
            events: SessionEvent::ALL.map(|event| events.with_label_values(&[event.label()])),
            sessions: make.gauge("sessions", "Sessions with devices that are in force.")?,
        })
    }

    pub(super) fn refused(&self, reason: SessionRefusal) {
        self.refused[reason as usize].inc();
    }

    pub(super) fn record(&self, event: SessionEvent) {
        self.events[event as usize].inc();
        match event {
            SessionEvent::Added => self.sessions.inc(),
            SessionEvent::Replaced
            | SessionEvent::Expired
            | SessionEvent::Revoked
            | SessionEvent::Withdrawn => self.sessions.dec(),
        }
    }
}
