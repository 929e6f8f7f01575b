//! What is to be done after a reset.

use super::layout::{Layout, Which};
use super::note;
use super::record::{BootError, Record, is_retired, read_ticket};
use embedded_storage::nor_flash::NorFlash;
use sixfold_profile::ticket::MAX_TICKET;

/// What is to be done after a reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// The image of this record is whole: run it.
    Run(Which),
    /// The image of this record is to be fetched.
    Update {
        /// The record to go on with.
        record: Which,
        /// Whose image can run instead. Where there is one slot: only as long as no [`super::Boot::new`] succeeded.
        fallback: Option<Which>,
    },
    /// No record is valid: the device was never updated, and what is in its slot came from the factory.
    Nothing,
    /// The only image was being replaced, and the record of it cannot be read any more: worn-out flash, or somebody wrote
    /// over it. What is in the slot must not run; the device needs a new record.
    Lost,
}

/// What a valid record says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Summary {
    pub(super) sequence_number: u64,
    pub(super) is_bootable: bool,
}

/// Decides after a reset: the record with the highest sequence number is in force; of two with the same one, the one
/// that is not finished. `buffer` is only used meanwhile.
///
/// # Errors
/// [`BootError::Flash`] only: a record that cannot be used counts as none.
pub fn choose<F: NorFlash>(
    flash: &mut F,
    layout: &Layout,
    buffer: &mut [u8; MAX_TICKET],
) -> Result<Choice, BootError<F::Error>> {
    let a = summary(flash, layout, Which::A, buffer)?;
    let b = summary(flash, layout, Which::B, buffer)?;
    let Some((record, newest)) = newest(a, b) else {
        let [a, b] = &layout.records;
        let is_lost = is_retired(flash, a)? || is_retired(flash, b)?;
        return Ok(if is_lost { Choice::Lost } else { Choice::Nothing });
    };
    if newest.is_bootable {
        return Ok(Choice::Run(record));
    }
    let runs = record.other().of(&[a, b]).is_some_and(|other| other.is_bootable);
    Ok(Choice::Update { record, fallback: runs.then_some(record.other()) })
}

/// The highest sequence number that this device accepted, of what its flash still knows: from its records, and from the
/// note that outlives one while it is replaced.
///
/// # Errors
/// [`BootError::Flash`].
pub fn accepted_sequence_number<F: NorFlash>(
    flash: &mut F,
    layout: &Layout,
) -> Result<Option<u64>, BootError<F::Error>> {
    let mut buffer = [0; MAX_TICKET];
    let mut accepted = None;
    for which in Which::BOTH {
        let record = summary(flash, layout, which, &mut buffer)?.map(|summary| summary.sequence_number);
        accepted = accepted.max(record).max(note::read(flash, layout.record(which))?);
    }
    Ok(accepted)
}

/// The valid record that is in force.
pub(super) fn newest(a: Option<Summary>, b: Option<Summary>) -> Option<(Which, Summary)> {
    match (a, b) {
        (Some(a), Some(b)) => {
            let order = |summary: Summary| (summary.sequence_number, !summary.is_bootable);
            Some(if order(a) > order(b) { (Which::A, a) } else { (Which::B, b) })
        }
        (Some(a), None) => Some((Which::A, a)),
        (None, b) => b.map(|b| (Which::B, b)),
    }
}

/// What a record says; `None` when it is not valid.
pub(super) fn summary<F: NorFlash>(
    flash: &mut F,
    layout: &Layout,
    which: Which,
    buffer: &mut [u8; MAX_TICKET],
) -> Result<Option<Summary>, BootError<F::Error>> {
    let place = layout.record(which);
    let ticket = match read_ticket(flash, place, buffer) {
        Ok(ticket) => ticket,
        Err(BootError::Flash(error)) => return Err(BootError::Flash(error)),
        Err(_) => return Ok(None),
    };
    let Ok(record) = Record::new::<F>(place, &ticket) else { return Ok(None) };
    let is_bootable = record.is_marked(flash, record.chunks())?;
    Ok(Some(Summary { sequence_number: ticket.sequence_number(), is_bootable }))
}
