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
            Self::Purged { images: 0 } => {
                f.write_str("nothing is known of it, so there was nothing to forget")
            }
            Self::Purged { images } => write!(f, "forgot {images} known resources, and their copies on disk"),
            Self::Banned { url, is_known, is_directory } => {
                let queries = if url.contains('?') { "with this query alone" } else { "with any query" };
                write!(f, "banned {}, {queries}, until unban or the restart of the relay", printable(url))?;
                match (is_known, is_directory) {
                    (_, true) => f.write_str("; this one URL only, not what is below it"),
                    (false, false) => f.write_str("; no device asked for it lately: is the name right?"),
                    (true, false) => Ok(()),
                }
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
    /// How many resources are forgotten.
    Purged {
        /// Those that were known.
        images: u64,
    },
    /// It is refused.
    Banned {
        /// Where it comes from.
        url: String,
        /// Whether a device, or the operator, asked for it lately.
        is_known: bool,
        /// It is where a route begins, or other resources are known below it: those are not banned.
        is_directory: bool,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_a_misspelt_name_is_said() {
        let banned = |is_known, is_directory| {
            Report::Banned { url: "https://h/a".to_owned(), is_known, is_directory }.to_string()
        };
        assert!(banned(true, false).ends_with("the restart of the relay"));
        assert!(banned(false, false).ends_with("no device asked for it lately: is the name right?"));
        for is_known in [false, true] {
            assert!(banned(is_known, true).ends_with("this one URL only, not what is below it"));
        }
        assert!(Report::Purged { images: 0 }.to_string().starts_with("nothing is known of it"));
    }
}
