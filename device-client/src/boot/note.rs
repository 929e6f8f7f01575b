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

/// Leaves a note in the record at `place`; one that says the number already, with nothing behind it, stays. Then the power may have
/// gone while the ticket was erased, which may read as whole for the last time, and the note is all there is. Otherwise the journal
/// loses the marks of that page: the boot program, if it is next, looks at those chunks again.
pub(super) fn leave<F: NorFlash>(
    flash: &mut F,
    place: &Range<u32>,
    sequence_number: u64,
) -> Result<(), BootError<F::Error>> {
    if read(flash, place)? == Some(sequence_number) && page(flash, place)?.is_some() {
        return Ok(());
    }
    let page = first_page::<F>(place).ok_or(BootError::Layout)?;
    flash.erase(page.start, page.end)?;
    Ok(write(flash, page.start, &write_note(sequence_number))?)
}

/// Erases the page of a note: the ticket says the number now. A second note behind it says so first. Otherwise, where the ticket
/// has the number of the note, and the power goes while this page is erased, [`leave`] may find the note whole for the last time.
pub(super) fn withdraw<F: NorFlash>(flash: &mut F, page: Range<u32>) -> Result<(), F::Error> {
    let behind = page.start.checked_add(NOTE_LENGTH as u32);
    if let Some(behind) = behind.filter(|behind| *behind < page.end) {
        // To a journal a note is torn entries, whichever number it says.
        write(flash, behind, &write_note(0))?;
    }
    flash.erase(page.start, page.end)
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
