//! The note ([`sixfold_profile::note`]) at the start of a journal: which sequence number was accepted, while no ticket says it.

use super::record::{BootError, ERASED, round_up, write};
use core::ops::Range;
use embedded_storage::nor_flash::NorFlash;
use sixfold_profile::note::{NOTE_LENGTH, read_note, write_note};
use sixfold_profile::ticket::MAX_TICKET;

/// The sequence number of the note in the record at `place`, if one is there.
pub(super) fn read<F: NorFlash>(flash: &mut F, place: &Range<u32>) -> Result<Option<u64>, F::Error> {
    let Some(page) = first_page::<F>(place) else { return Ok(None) };
    let mut bytes = [0; NOTE_LENGTH];
    flash.read(page.start, &mut bytes)?;
    Ok(read_note(&bytes))
}

/// Leaves a note in the record at `place`. Its journal loses the marks of that page: the boot program, if it is next, looks
/// at those chunks again.
pub(super) fn leave<F: NorFlash>(
    flash: &mut F,
    place: &Range<u32>,
    sequence_number: u64,
) -> Result<(), BootError<F::Error>> {
    let page = first_page::<F>(place).ok_or(BootError::Layout)?;
    flash.erase(page.start, page.end)?;
    Ok(write(flash, page.start, &write_note(sequence_number))?)
}

/// The page with the note, if there is one and nothing else on it. Marks behind it would be taken for the new image's.
pub(super) fn page<F: NorFlash>(flash: &mut F, place: &Range<u32>) -> Result<Option<Range<u32>>, F::Error> {
    if read(flash, place)?.is_none() {
        return Ok(None);
    }
    let Some(page) = first_page::<F>(place) else { return Ok(None) };
    let mut bytes = [0; NOTE_LENGTH];
    for at in page.clone().step_by(NOTE_LENGTH).skip(1) {
        flash.read(at, &mut bytes)?;
        if bytes != [ERASED; NOTE_LENGTH] {
            return Ok(None);
        }
    }
    Ok(Some(page))
}

/// The first page of the journal of any record at `place`; `None` when the place has no room for it.
fn first_page<F: NorFlash>(place: &Range<u32>) -> Option<Range<u32>> {
    let page = F::ERASE_SIZE as u32;
    let start = place.start.checked_add(round_up(MAX_TICKET as u32, page)?)?;
    let end = start.checked_add(page).filter(|end| *end <= place.end)?;
    Some(start..end)
}
