//! The one clock of the relay: monotonic, because routers boot with the wrong date.

use sixfold_engine::Instant;
use std::time::Duration;

/// Translates between the engine's time and tokio's.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock(tokio::time::Instant);

impl Clock {
    pub(crate) fn start() -> Self {
        Self(tokio::time::Instant::now())
    }

    pub(crate) fn now(&self) -> Instant {
        Instant::ZERO + self.0.elapsed()
    }

    pub(crate) fn uptime(&self) -> Duration {
        self.0.elapsed()
    }

    pub(crate) fn at(&self, instant: Instant) -> tokio::time::Instant {
        self.0 + instant.since(Instant::ZERO)
    }
}
