//! Counters of the origin side, what its certificates say and why fetches failed, for whoever exports them.

use super::certificates::Certificates;
use super::complaints::Complaints;
use super::streaks::Streaks;
use sixfold_engine::Failure;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What became of one request to an origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The body arrived up to its last byte, or from where an earlier request broke off up to it.
    Complete,
    /// The version at hand is still current (304).
    NotModified,
    /// It led to another URL, which was asked next.
    Redirected,
    /// Nobody wanted the answer any more.
    Cancelled,
    /// It failed; it may have been tried again.
    Failed(Failure),
}

impl Outcome {
    /// The metric label.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::NotModified => "not_modified",
            Self::Redirected => "redirected",
            Self::Cancelled => "cancelled",
            Self::Failed(failure) => failure.label(),
        }
    }
}

/// The labels besides those of [`Failure`].
const OWN_LABELS: [&str; 4] = ["complete", "not_modified", "redirected", "cancelled"];
const LABELS: usize = OWN_LABELS.len() + Failure::LABELS.len();

fn labels() -> impl Iterator<Item = &'static str> {
    OWN_LABELS.into_iter().chain(Failure::LABELS)
}

/// Counters since the start.
#[derive(Debug, Default)]
pub struct Traffic {
    requests: [AtomicU64; LABELS],
    bytes: AtomicU64,
    retries: AtomicU64,
    resumes: AtomicU64,
    certificates: Certificates,
    complaints: Complaints,
    streaks: Streaks,
}

impl Traffic {
    /// Requests by the label of their [`Outcome`]: all labels, also those that never occurred.
    pub fn requests(&self) -> impl Iterator<Item = (&'static str, u64)> {
        labels().zip(self.requests.iter().map(|count| count.load(Ordering::Relaxed)))
    }

    /// Bytes of bodies received.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Requests made because an earlier one for the same fetch failed.
    pub fn retries(&self) -> u64 {
        self.retries.load(Ordering::Relaxed)
    }

    /// Transfers that went on in their middle (206).
    pub fn resumes(&self) -> u64 {
        self.resumes.load(Ordering::Relaxed)
    }

    /// Until when the origins' certificates are valid.
    pub const fn certificates(&self) -> &Certificates {
        &self.certificates
    }

    /// Why fetches failed lately.
    pub const fn complaints(&self) -> &Complaints {
        &self.complaints
    }

    /// How many fetches from each origin failed in a row.
    pub const fn streaks(&self) -> &Streaks {
        &self.streaks
    }

    pub(super) fn request(&self, outcome: Outcome) {
        if let Some((_, count)) = labels().zip(&self.requests).find(|(label, _)| *label == outcome.label()) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn received(&self, bytes: usize) {
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(super) fn retried(&self) {
        self.retries.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn resumed(&self) {
        self.resumes.fetch_add(1, Ordering::Relaxed);
    }
}

/// A request under way. Dropped without an outcome, it counts as cancelled.
#[derive(Debug)]
pub(super) struct Underway {
    traffic: Arc<Traffic>,
    outcome: Outcome,
}

impl Underway {
    pub(super) fn new(traffic: &Arc<Traffic>) -> Self {
        Self { traffic: Arc::clone(traffic), outcome: Outcome::Cancelled }
    }

    pub(super) fn end(mut self, outcome: Outcome) {
        self.outcome = outcome;
    }
}

impl Drop for Underway {
    fn drop(&mut self) {
        self.traffic.request(self.outcome);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_has_a_counter_of_its_own() {
        let traffic = Arc::new(Traffic::default());
        let failures = [Failure::Status(404), Failure::Status(503), Failure::NotConfigured, Failure::Resolve];
        let outcomes = [Outcome::Complete, Outcome::NotModified, Outcome::Redirected, Outcome::Cancelled]
            .into_iter()
            .chain(failures.map(Outcome::Failed));
        for outcome in outcomes.clone() {
            Underway::new(&traffic).end(outcome);
        }
        drop(Underway::new(&traffic));
        let counted: Vec<_> = traffic.requests().filter(|(_, count)| *count > 0).collect();
        assert_eq!(counted.len(), 8);
        for outcome in outcomes {
            let expected = if outcome == Outcome::Cancelled { 2 } else { 1 };
            assert!(counted.contains(&(outcome.label(), expected)), "{outcome:?}");
        }
    }
}
