//! The boot program's core: from a ticket in flash to an image that may run, whatever happens to power and network.
//!
//! The main program left a *record*: ticket, journal, chunk index ([`record`]). [`Boot`] goes through the chunks: what
//! is not marked in the journal is fetched block by block, written, read back, hashed and compared with the index, and
//! then marked. When all are marked the whole image is hashed, and one last mark says that it may run.
//!
//! Every step may be the last one before the power goes. Nothing is remembered anywhere but in flash, and every write
//! there is ordered so that what it says is true: a mark is written after the chunk that it vouches for was read back.
//!
//! Sans-IO, without allocation. It trusts the record, and nothing that comes over the network. It does not configure
//! addresses, does not choose between records, and starts no image.

mod core;
pub mod record;

pub use self::core::{Boot, Event};
pub use self::record::{BootError, Record};
