//! What became of a ticket's session, for the main program: it agrees on another one when it is lost.

use super::record::{BootError, ERASED, entry_is, entry_size, layout_of, read_ticket};
use core::ops::Range;
use embedded_storage::nor_flash::NorFlash;
use sixfold_profile::record::reservations;
use sixfold_profile::ticket::MAX_TICKET;

/// What flash says of the session of a ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionState {
    /// The ticket has none.
    None,
    /// Numbers are left.
    Usable,
    /// The relay did not know it, or had other keys; or somebody on the link said so for minutes, and kept the relay from answering.
    Refused,
    /// There are no numbers left.
    UsedUp,
}

/// What flash says of the session of the record at `place` ([`super::Layout::record`]). `buffer` is only used meanwhile.
///
/// # Errors
/// [`BootError::Flash`], [`BootError::Ticket`] and [`BootError::Layout`]; [`BootError::Session`] when it cannot be read.
pub fn session_state<F: NorFlash>(
    flash: &mut F,
    place: &Range<u32>,
    buffer: &mut [u8; MAX_TICKET],
) -> Result<SessionState, BootError<F::Error>> {
    let ticket = read_ticket(flash, place, buffer)?;
    let count = layout_of::<F>(place, &ticket)?.count;
    let Some(session) = ticket.session().map_err(|_field| BootError::Session)? else {
        return Ok(SessionState::None);
    };
    let entries = count.clone().step_by(entry_size::<F>());
    let all = (count.end - count.start) / entry_size::<F>() as u32;
    let is_lost = !entry_is(flash, count.start, ERASED)?;
    for entry in entries.skip(1).take(reservations(all, session.numbers.exponent) as usize) {
        if entry_is(flash, entry, ERASED)? {
            return Ok(if is_lost { SessionState::Refused } else { SessionState::Usable });
        }
    }
    Ok(SessionState::UsedUp)
}
