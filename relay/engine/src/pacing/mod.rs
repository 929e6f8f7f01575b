//! Pacing: when an answer leaves towards a link that many devices share.
//!
//! Pure, as all of the engine: what devices do comes in with the time, what may leave comes out. It knows nothing of
//! messages; `docs/pacing.md` tells the whole story.

mod airtime;
mod rto;

pub use airtime::Radio;
pub use rto::Algorithm;
