//! Pacing: when an answer leaves towards a link that many devices share.
//!
//! Pure, as all of the engine: what devices do comes in with the time, what may leave comes out. It knows nothing of
//! messages; `docs/pacing.md` tells the whole story.

mod admission;
mod airtime;
mod block;
mod config;
mod device;
mod estimate;
mod fair;
mod flights;
mod link;
mod lowpan;
mod parcel;
mod quiet;
mod rto;
mod signs;
mod window;

pub(crate) use admission::Verdict;
pub(crate) use link::Link;
pub(crate) use lowpan::headers;
pub(crate) use parcel::{AROUND_PAYLOAD, Parcel, REQUEST, Sign, Signal};

pub use airtime::Radio;
pub use config::LinkConfig;
pub use rto::Algorithm;
