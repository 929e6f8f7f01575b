//! Pacing: when an answer leaves towards a link that many devices share.
//!
//! Pure, as all of the engine: what devices do comes in with the time, what may leave comes out. It knows nothing of
//! messages; `docs/pacing.md` tells the whole story.

mod admission;
mod airtime;
mod block;
mod estimate;
mod fair;
mod flights;
mod link;
mod lowpan;
mod rto;
mod window;

pub(crate) use admission::Verdict;
pub(crate) use link::{AROUND_PAYLOAD, Link, Parcel, Sign, Signal};
pub(crate) use lowpan::headers;

pub use airtime::Radio;
pub use link::LinkConfig;
pub use rto::Algorithm;
