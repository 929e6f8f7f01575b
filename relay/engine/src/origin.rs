//! What engine and origin client say to each other. The engine decides *what* to ask; how HTTP is spoken,
//! resumed and retried is the origin client's business.

use crate::image::Validator;
use bytes::Bytes;
use std::time::Duration;

/// Names one fetch for as long as it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FetchId(pub u64);

/// What the engine wants from the origin client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FetchCommand {
    /// GET `url`. With `have`, a conditional request: the answer may be [`OriginEvent::NotModified`].
    Start {
        /// Names the fetch in every event about it.
        id: FetchId,
        /// An absolute `https` (or, where allowed, `http`) URL of an origin that the configuration names.
        url: String,
        /// The validator of the version already held.
        have: Option<Validator>,
    },
    /// Nobody wants the answer any more. Events that are already on their way are ignored.
    Cancel(FetchId),
}

/// What the origin client tells the engine about one fetch, in this order:
/// `NotModified` | `Failed` | (`Head` `Data`\* (`Complete` | `Failed`))⁺, where a second `Head` means that the
/// representation changed while it was being resumed and starts again from its first byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OriginEvent {
    /// A representation begins (HTTP 200).
    Head(Head),
    /// Its next bytes, in order, without gap or overlap.
    Data(Bytes),
    /// All of its bytes were delivered; their number matches the length that was announced.
    Complete,
    /// The version that the engine holds is still current (HTTP 304), for this long.
    NotModified(Freshness),
    /// No representation, or no more of it, after all retries.
    Failed(Failure),
}

/// The header of a representation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// How this version is told from others; `None` when the origin sends no validator at all.
    pub validator: Option<Validator>,
    /// The length in bytes, if it was announced.
    pub length: Option<u64>,
    /// The Content-Type, as received.
    pub media_type: Option<String>,
    /// For how long it may be used.
    pub freshness: Freshness,
}

/// For how long a representation may be used, counted from now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Freshness {
    /// Fresh for this long (RFC 9111 §4.2), after the Age it already had.
    pub max_age: Duration,
    /// After that, usable for this long if the origin cannot be asked (RFC 5861 §4).
    pub stale_if_error: Duration,
}

/// Why there is no representation. The variants are the `outcome` of `sixfold_origin_requests_total` and the
/// words of logs and diagnostic payloads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Failure {
    /// The origin answered with this HTTP status (4xx or 5xx, or one that makes no sense here).
    Status(u16),
    /// Its name could not be resolved.
    Resolve,
    /// No TCP connection.
    Connect,
    /// The TLS handshake failed for a reason other than the certificate.
    Tls,
    /// The certificate is not trusted: wrong CA, expired, not yet valid, or for another name.
    Certificate,
    /// The certificate is not valid *yet*: most likely the clock of this machine is behind.
    ClockBehind,
    /// No answer, or no further byte, within the time allowed.
    TimedOut,
    /// The transfer broke off and could not be resumed.
    Interrupted,
    /// More bytes than `cache.max_object`.
    TooLarge,
    /// What came does not fit what was asked or announced: length, range, encoding.
    Mismatch,
    /// A redirect to an origin that the configuration does not name, or too many of them.
    Redirect,
    /// No configured origin covers the URL (the configuration changed meanwhile).
    NotConfigured,
}

impl Failure {
    /// The metric label and the word in logs.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Status(400..=499) => "client_error",
            Self::Status(_) => "server_error",
            Self::Resolve => "resolve",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Certificate => "certificate",
            Self::ClockBehind => "clock_behind",
            Self::TimedOut => "timed_out",
            Self::Interrupted => "interrupted",
            Self::TooLarge => "too_large",
            Self::Mismatch => "mismatch",
            Self::Redirect => "redirect",
            Self::NotConfigured => "not_configured",
        }
    }

    /// Every label that [`Failure::label`] can return.
    pub const LABELS: [&'static str; 13] = [
        "client_error",
        "server_error",
        "resolve",
        "connect",
        "tls",
        "certificate",
        "clock_behind",
        "timed_out",
        "interrupted",
        "too_large",
        "mismatch",
        "redirect",
        "not_configured",
    ];

    /// The origin said that the resource is not there, as opposed to not being able to say: stale copies
    /// must not be served then (RFC 5861 §4 covers 5xx and failures to connect only).
    pub const fn is_definite(self) -> bool {
        matches!(self, Self::Status(400..=499) | Self::TooLarge | Self::NotConfigured)
    }
}
