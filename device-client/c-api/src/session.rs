//! What became of a session (`sixfold_device::boot::session_state`) for C.

use crate::boot::{SIXFOLD_TICKET_SIZE, status, which};
use crate::flash::{CFlash, SixfoldFlash, SixfoldLayout};
use crate::status::SixfoldStatus;
use sixfold_device::boot::{SessionState, session_state};

/// What became of the session of a ticket.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SixfoldSession {
    /// The ticket has none.
    None = 0,
    /// Numbers are left.
    Usable,
    /// The relay did not know it, or had other keys.
    Refused,
    /// There are no numbers left.
    UsedUp,
}

/// What became of the session of a record, 0 or 1, for the main program: it agrees on another one when it is lost. `ticket` is only
/// used meanwhile.
///
/// # Safety
/// Pointers are null or point to what they say.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sixfold_boot_session(
    flash: *const SixfoldFlash,
    layout: *const SixfoldLayout,
    record: i8,
    ticket: *mut [u8; SIXFOLD_TICKET_SIZE],
    session: *mut SixfoldSession,
) -> SixfoldStatus {
    // SAFETY: this function's condition.
    let (flash, layout, ticket, session) =
        unsafe { (flash.as_ref(), layout.as_ref(), ticket.as_mut(), session.as_mut()) };
    let look = || {
        let (flash, layout) = (flash.ok_or(SixfoldStatus::Argument)?, layout.ok_or(SixfoldStatus::Argument)?);
        let (ticket, session) =
            (ticket.ok_or(SixfoldStatus::Argument)?, session.ok_or(SixfoldStatus::Argument)?);
        let (layout, which) = (layout.layout(), which(record)?);
        *session = match session_state(&mut CFlash::new(flash)?, layout.record(which), ticket)? {
            SessionState::None => SixfoldSession::None,
            SessionState::Usable => SixfoldSession::Usable,
            SessionState::Refused => SixfoldSession::Refused,
            SessionState::UsedUp => SixfoldSession::UsedUp,
        };
        Ok(())
    };
    status(look())
}
