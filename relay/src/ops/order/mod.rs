//! What an operator tells a running relay through its admin address: to fetch before devices do, to forget, to refuse.
//!
//! One path takes one JSON object. Who may send it is decided in `server`; what it does, in the engine.

mod client;
mod progress;
mod server;

pub use client::{prefetch, tell};
pub(super) use server::router;

use super::status::{Image, printable};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The path of orders on the admin address.
pub const PATH: &str = "/api/order";

/// What is to be done. A `name` is a path on the relay (`/fw/a.bin`), a `coap` URI with such a path, or a URL at an origin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "order", rename_all = "snake_case", deny_unknown_fields)]
pub enum Order {
    /// Fetch it, unless it is fresh or being fetched.
    Prefetch {
        /// Which resource.
        name: String,
    },
    /// Only say how it stands.
    Look {
        /// Which resource.
        name: String,
    },
    /// Forget its bytes, in memory and on disk.
    Purge {
        /// Which resource; all without.
        name: Option<String>,
    },
    /// Refuse it from now on.
    Ban {
        /// Which resource.
        name: String,
    },
    /// Serve it again.
    LiftBan {
        /// Which resource.
        name: String,
    },
    /// End sessions.
    Revoke {
        /// Those of which device; all without.
        name: Option<String>,
    },
}

/// As it is typed, for the log.
impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (order, name) = match self {
            Self::Prefetch { name } => ("prefetch", Some(name)),
            Self::Look { name } => ("look at", Some(name)),
            Self::Purge { name } => ("purge", name.as_ref()),
            Self::Ban { name } => ("ban", Some(name)),
            Self::LiftBan { name } => ("unban", Some(name)),
            Self::Revoke { name } => ("sessions revoke", name.as_ref()),
        };
        write!(f, "{order} {}", name.map_or("--all".to_owned(), |name| printable(name)))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Resource { url, image: None, .. } => write!(f, "nothing is known of {}", printable(url)),
            Self::Resource { image: Some(image), .. } => image.fmt(f),
            Self::Purged { images } => write!(f, "forgot {images} known resources, and their copies on disk"),
            Self::Banned { url } => {
                let queries = if url.contains('?') { "with this query alone" } else { "with any query" };
                write!(f, "banned {}, {queries}, until unban or the restart of the relay", printable(url))
            }
            Self::Lifted { url, was_banned: true } => write!(f, "serves {} again", printable(url)),
            Self::Lifted { url, was_banned: false } => write!(f, "{} was not banned", printable(url)),
            Self::Revoked { sessions, is_lasting: true } => write!(f, "{sessions} sessions ended"),
            Self::Revoked { sessions, is_lasting: false } => write!(
                f,
                "{sessions} sessions ended, but a restart may bring them back: sessions.store cannot be written, see the relay's log"
            ),
        }
    }
}

/// What was done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "report", rename_all = "snake_case")]
pub enum Report {
    /// How a resource stands.
    Resource {
        /// Where it comes from.
        url: String,
        /// Nothing if nothing is known of it.
        image: Option<Image>,
        /// If it could not be fetched: what exactly happened, and what to do.
        #[serde(default)]
        complaint: Option<String>,
    },
    /// So many resources are forgotten.
    Purged {
        /// Those that were known.
        images: u64,
    },
    /// It is refused.
    Banned {
        /// Where it comes from.
        url: String,
    },
    /// It is served.
    Lifted {
        /// Where it comes from.
        url: String,
        /// Whether it was banned.
        was_banned: bool,
    },
    /// Sessions are over.
    Revoked {
        /// How many there were.
        sessions: u64,
        /// No restart brings them back.
        is_lasting: bool,
    },
}
