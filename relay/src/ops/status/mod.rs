//! What the relay is doing, device by device: as JSON for programs, as plain text for people.
//!
//! It is a view of one moment. Numbers to be added up or drawn over time are in [`super::Metrics`].

mod client;
mod describe;
mod live;
mod page;
mod tables;
mod text;

pub use client::fetch;
pub use describe::Around;
#[cfg(test)]
pub(crate) use describe::half_way;
pub use live::{Form, watch};
pub use page::Page;
pub(crate) use tables::{BANS, Cell, GROUPS, IMAGES, LINKS, SESSIONS, TRANSFERS, Table, printable, progress};
pub use text::SessionList;

use serde::{Deserialize, Serialize};
use sixfold_engine::{ImageState, TransferState};
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// The state of an image whose bytes are arriving.
pub const FETCHING: &str = ImageState::Fetching.label();
/// The state of an image of which the origin is asked whether it is current.
pub const VALIDATING: &str = ImageState::Validating.label();

/// The path of the status on the admin address.
pub const PATH: &str = "/api/status";

/// Everything. Field names end in their units; `_s` are seconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// The relay's version.
    pub version: String,
    /// Since it started.
    pub uptime_s: u64,
    /// Where CoAP is served now.
    pub listen: Vec<SocketAddr>,
    /// The memory for complete images.
    pub cache: Cache,
    /// The origin side since the start.
    pub origin: Origin,
    /// How many there are, whether they are below or not.
    pub totals: Totals,
    /// The paced links.
    pub links: Vec<Link>,
    /// The interfaces that are served and not paced.
    #[serde(default)]
    pub unpaced: Vec<String>,
    /// The interfaces that the configuration names and that are not there, or not up.
    #[serde(default)]
    pub absent: Vec<String>,
    /// The resources that are known, the most recently used first: one [`Page`] of them.
    pub images: Vec<Image>,
    /// The URLs that an operator banned.
    pub bans: Vec<String>,
    /// The devices that are remembered, each with its transfers: those in trouble first, and each in its place for as long as its
    /// state is the same. One [`Page`] of them.
    pub transfers: Vec<Transfer>,
    /// The sessions with devices, in the order in which they were agreed on: one [`Page`] of them.
    pub sessions: Vec<Session>,
}

/// How many there are of what the tables show in part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Resources.
    pub images: u64,
    /// Devices that are remembered.
    pub devices: u64,
    /// Rows of devices, by state.
    #[serde(default)]
    pub states: States,
    /// Transfers in their middle.
    pub transfers_active: u64,
    /// Payload of blocks that left since the start; to a group each counts once.
    pub sent_bytes: u64,
    /// Sessions.
    pub sessions: u64,
}

/// How many rows of devices there are of each state: see [`TransferState`]. A device with several transfers has several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct States {
    /// What they asked for was refused.
    pub refused: u64,
    /// They should have asked for the next block.
    pub missing: u64,
    /// Their answers wait.
    pub waiting: u64,
    /// They fetch.
    pub fetching: u64,
    /// They only asked.
    pub asked: u64,
    /// They have their image.
    pub finished: u64,
}

impl States {
    /// Each with its word, those in trouble first.
    pub(crate) fn named(self) -> [(&'static str, u64); TransferState::ALL.len()] {
        let Self { refused, missing, waiting, fetching, asked, finished } = self;
        let counts = [refused, missing, waiting, fetching, asked, finished];
        std::array::from_fn(|n| (TransferState::ALL[n].label(), counts[n]))
    }

    /// How many rows there are.
    pub(crate) fn sum(self) -> u64 {
        self.named().iter().map(|(_, count)| count).sum()
    }

    fn of(counts: [usize; TransferState::ALL.len()]) -> Self {
        let [refused, missing, waiting, fetching, asked, finished] = counts.map(|count| count as u64);
        Self { refused, missing, waiting, fetching, asked, finished }
    }
}

/// A session with a device (OSCORE, RFC 8613).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Session {
    /// What the device is called in its certificate, or by the operator.
    pub name: String,
    /// The device's Sender ID, in hexadecimal: `kid`.
    pub kid: String,
    /// The ID Context, in hexadecimal, if there is one.
    pub kid_context: Option<String>,
    /// For how long it may still be used; nothing if it does not expire.
    pub left_s: Option<u64>,
    /// How long ago its latest request came, if one did since the relay started.
    pub heard_s: Option<f64>,
    /// Where that came from.
    pub peer: Option<SocketAddr>,
}

/// One paced link. `docs/pacing.md` tells what the figures mean.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Link {
    /// The name of its interface.
    pub interface: String,
    /// Payload delivered lately, in bits a second.
    pub rate_bps: u64,
    /// The share of answers that were lost lately, 0 to 1.
    pub loss: f64,
    /// From an answer to the next request, smoothed.
    pub round_trip_s: Option<f64>,
    /// After which time an answer to a new device counts as lost.
    pub timeout_s: f64,
    /// How much airtime may be on its way.
    pub window_s: f64,
    /// How much is.
    pub in_flight_s: f64,
    /// Answers that wait for their turn.
    pub queue: u64,
    /// Devices that are served.
    pub devices: u64,
    /// Devices that should have asked again.
    pub missing: u64,
    /// The largest block that is offered.
    pub block_bytes: u64,
    /// The share of time in which the relay sent lately, 0 to 1.
    pub busy: f64,
    /// How much of the time it may send, in percent.
    pub duty_cycle_percent: u8,
    /// How time-outs are estimated.
    pub algorithm: String,
    /// What is streamed to groups there.
    pub groups: Vec<Group>,
}

/// One version of an image that is streamed to a group of devices, or was lately.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// Which resource.
    pub url: String,
    /// Which version, in hexadecimal.
    pub etag: String,
    /// Devices that take part.
    pub members: u64,
    /// Datagrams that are planned and have not left yet.
    pub planned: u64,
    /// The size of its blocks.
    pub block_bytes: u64,
    /// Blocks sent so far.
    pub blocks: u64,
    /// Parity symbols sent so far.
    pub parity: u64,
}

/// The memory for complete images.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cache {
    /// Taken now.
    pub bytes: u64,
    /// `cache.memory`.
    pub limit_bytes: u64,
}

/// The origin side since the start.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Origin {
    /// Bytes of bodies received.
    pub bytes: u64,
    /// Requests made again after a failure.
    pub retries: u64,
    /// Transfers that went on where they broke off.
    pub resumes: u64,
    /// Requests by what became of them, as far as that occurred: `complete`, `not_modified`, `certificate` …
    pub requests: BTreeMap<String, u64>,
}

/// One resource.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Image {
    /// Where it comes from.
    pub url: String,
    /// The version towards devices, in hexadecimal, once known.
    pub etag: Option<String>,
    /// The SHA-256 digest of the bytes, in hexadecimal, once all are here.
    pub sha256: Option<String>,
    /// `fetching`, `validating`, `fresh`, `stale`, `evicted` or `failed`.
    pub state: String,
    /// Bytes that are here.
    pub available_bytes: u64,
    /// Bytes that it has, once known.
    pub total_bytes: Option<u64>,
    /// For how long it may be used without asking the origin.
    pub fresh_for_s: u64,
    /// Devices that want to hear of a new version.
    pub observers: u64,
    /// How the origin failed when it was asked last, if it did: `connect`, `certificate` …
    pub failure: Option<String>,
}

/// One device and one image: what it fetches, has fetched, or was refused.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Transfer {
    /// Which device.
    pub peer: SocketAddr,
    /// Which resource; the path that it asked for where no URL belongs to that; nothing if neither is known.
    pub url: Option<String>,
    /// Which version, in hexadecimal, once blocks of it were sent.
    pub etag: Option<String>,
    /// Where in the image it began: a device may go on in the middle.
    pub from_bytes: u64,
    /// How far blocks have been sent.
    pub sent_bytes: u64,
    /// The length of the image, if it is still known.
    pub total_bytes: Option<u64>,
    /// Since its first request; of one that was refused, since then; of one that only asked, since its latest request.
    pub age_s: f64,
    /// From its first request to its latest.
    pub duration_s: f64,
    /// Since its first request, in bits of payload a second.
    pub rate_bps: u64,
    /// How long the rest takes at this rate; nothing if that cannot be said.
    pub left_s: Option<f64>,
    /// `refused`, `missing`, `waiting`, `fetching`, `asked` or `finished`.
    pub state: String,
    /// The code with which it was refused: `4.04`.
    #[serde(default)]
    pub code: Option<String>,
}
