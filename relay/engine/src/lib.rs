//! The caching CoAP proxy as a state machine without I/O (RFC 7252 §5.7, RFC 7959, RFC 8075).
//!
//! Datagrams from devices and events from the origin client go in, with the time; datagrams, fetch commands,
//! events and the next deadline come out. The same engine runs under tokio in the relay, in virtual time in
//! the radio laboratory, and in the tests.
//!
//! It deliberately has no sockets, no clock, no tasks, no randomness of its own (a seed is passed in) and no
//! counters: who owns the engine owns those.
#![forbid(unsafe_code)]

mod answer;
mod bans;
mod body;
mod coap;
mod config;
mod discovery;
mod edhoc;
mod engine;
mod event;
mod exchanges;
mod fanout;
mod fetches;
mod gateway;
mod image;
mod links;
mod liveness;
mod notify;
mod observers;
mod operator;
mod origin;
mod outgoing;
mod pacing;
mod path;
mod peers;
mod requests;
mod resources;
mod responses;
mod session;
mod status;
mod store;
mod streams;
mod target;
mod timers;
mod transfers;
mod upstream;

pub use config::{Config, Limits, Route};
pub use discovery::route_links;
pub use edhoc::{EdhocAnswer, EdhocRequest};
pub use engine::{Engine, Load};
pub use event::{
    CacheResult, DropReason, Event, FanoutEvent, LinkDecision, LinkEvent, PlanKind, SessionEvent,
    SessionRefusal,
};
pub use fanout::{Fanout, Repair};
pub use image::{ETag, Image, Validator};
pub use liveness::{EchoPolicy, Prefix};
pub use operator::Unable;
pub use origin::{Failure, FetchCommand, FetchId, Freshness, Head, OriginEvent};
pub use pacing::{Algorithm, LinkConfig, Radio};
pub use path::{Path, Transmit};
pub use session::{
    Id, IdContext, KeptSession, Keys, Master, NewSession, SessionError, SessionStatus, ShortBytes,
};
pub use sixfold_profile::Instant;
pub use status::{GroupStatus, ImageState, ImageStatus, LinkStatus, TransferState, TransferStatus};
pub use store::{Store, UnboundedStore};
pub use target::canonical_url;
