//! `make bench`: how fast the relay is, beside a bound and beside a peer.
//!
//! Three servers give the same bytes to the same load, each alone on its core: a bare UDP [`echo`] over the
//! relay's own sockets, which is the bound; `sixfold-relay`, plain and with a session (OSCORE) for every
//! client; and libcoap's `coap-server-notls`. Their runs are interleaved, so that whatever else the machine
//! does hits all alike, and medians are reported.
//!
//! The load is stop-and-wait, as RFC 7959 clients are, and shares its core with nobody. It is not faster than
//! a good server, so blocks per second say what one core of clients can ask for; CPU time per block says what
//! the server could do.

pub mod codec;
mod device;
pub mod echo;
pub mod engine;
mod exchange;
mod idle;
mod load;
mod origin;
pub mod pacing;
mod plan;
mod report;
mod server;
pub mod session;

pub use plan::{Plan, run};
pub use report::Report;
