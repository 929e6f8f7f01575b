//! The boot program's core: from a ticket in flash to an image that may run, whatever happens to power and network.
//!
//! ```text
//! main program ── install ──► record ── choose ──► Boot ──► Bootable: run the slot
//! ```
//!
//! The main program leaves a [`record`]: ticket, journal and chunk index. After a reset [`choose`] says whether there is
//! work. [`Boot`] does it: what is not marked in the journal is fetched block by block, written, read back, hashed and
//! compared with the index, and then marked. When all are marked the whole image is hashed, and one last mark says that
//! it may run.
//!
//! Every step may be the last one before the power goes. Nothing is remembered anywhere but in flash, and every write
//! there is ordered so that what it says is true whenever it can be read:
//!
//! - a chunk is marked after it was read back and found right;
//! - a record is valid after all of it was written: its ticket comes last;
//! - where there is one slot, a tombstone replaces the old record before the first byte of its image changes.
//!
//! Sans-IO, without allocation. It trusts the records, and nothing that comes over the network. It configures no
//! addresses and starts no image.

mod content;
mod core;
mod install;
mod layout;
#[cfg(feature = "listen")]
mod listen;
#[cfg(feature = "listen")]
mod map;
mod note;
#[cfg(feature = "listen")]
mod parity;
mod plan;
#[cfg(feature = "oscore")]
mod protection;
pub mod record;
mod session;
mod sha256;
#[cfg(feature = "listen")]
mod wanted;

pub use self::core::{Boot, Cause, Event};
pub use self::install::install;
pub use self::layout::{Layout, Which};
#[cfg(feature = "listen")]
pub use self::listen::listening_memory;
pub use self::plan::{Choice, accepted_sequence_number, choose};
pub use self::record::{BootError, Record};
pub use self::session::{SessionState, session_state};
