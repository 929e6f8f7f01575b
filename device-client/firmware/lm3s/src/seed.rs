//! What stands in for random bits: this controller has no source of them.
#![allow(unsafe_code)] // memory that a reset leaves as it is

use core::sync::atomic::{AtomicU32, Ordering};
use sixfold_profile::ticket::Ticket;

/// Whatever was in memory at power-on, and one more after each start.
#[unsafe(link_section = ".uninit.starts")]
static STARTS: AtomicU32 = AtomicU32::new(0);

/// Differs from device to device and from start to start, but can be guessed.
pub(crate) fn seed(ticket: &Ticket<'_>) -> u32 {
    let [.., a, b, c, d] = *ticket.interface_identifier();
    u32::from_be_bytes([a, b, c, d]) ^ STARTS.fetch_add(1, Ordering::Relaxed).rotate_left(16)
}
