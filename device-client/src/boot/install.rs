//! What the main program leaves for the boot program.

use super::layout::{Layout, Which};
use super::note;
use super::plan::{Summary, newest, summary};
use super::record::{BootError, ERASED, Record, is_retired, layout_of, read_ticket, retire, write};
use super::sha256::has_digest;
use embedded_storage::nor_flash::NorFlash;
use sixfold_profile::ticket::{Fields, MAX_TICKET, Session, Ticket};

/// Writes a record with a ticket of these `fields`, and its chunk index, and says which one it became. A record whose image is whole, and
/// with one slot the one in force, is not touched before the ticket is written: a cut leaves one or the other.
///
/// With two slots, an update that waits for a boot program is given up for the new one, since the image that runs has the
/// other record: a cut leaves the new one, or the one that runs. The sequence number of what was given up stays accepted, in
/// a note ([`sixfold_profile::note`]) in the journal.
///
/// `index` is 32 bytes a chunk, and must be the one whose digest the ticket carries.
///
/// # Errors
/// [`BootError::Layout`] when it does not fit, [`BootError::Index`] when the index is another, [`BootError::Ticket`] when
/// the ticket says what no ticket may say, [`BootError::Session`] when a record there has some of the session's numbers,
/// [`BootError::Flash`].
pub fn install<F: NorFlash>(
    flash: &mut F,
    layout: &Layout,
    fields: &Fields<'_>,
    index: &[u8],
) -> Result<Which, BootError<F::Error>> {
    let mut buffer = [ERASED; MAX_TICKET];
    if let Some(session) = &fields.session
        && has_numbers_of(flash, layout, session, &mut buffer)?
    {
        return Err(BootError::Session);
    }
    let a = summary(flash, layout, Which::A, &mut buffer)?;
    let b = summary(flash, layout, Which::B, &mut buffer)?;
    let place_of = match free(layout, [a, b]) {
        // It says that the slot must not run: it stays until there is a record again.
        tombstone if [a, b] == [None; 2] && is_retired(flash, layout.record(tombstone))? => tombstone.other(),
        free => free,
    };
    let place = layout.record(place_of);
    buffer.fill(ERASED);
    let length = fields.write(&mut buffer).map_err(BootError::Ticket)?;
    let ticket = Ticket::read(&buffer).map_err(BootError::Ticket)?;
    let laid_out = layout_of::<F>(place, &ticket)?;
    let record = Record::of(&laid_out);
    super::core::check_slot::<F>(layout.slot(place_of), &ticket)?;
    if !has_digest(index, ticket.index_digest()) {
        return Err(BootError::Index);
    }
    let end = laid_out.count.end;
    let [given_up, superseded] = [place_of, place_of.other()].map(|which| *which.of(&[a, b]));
    let number = |summary: Option<Summary>| summary.map(|summary| summary.sequence_number);
    if let Some(highest) = number(given_up).filter(|highest| Some(*highest) > number(superseded)) {
        note::leave(flash, place, highest)?;
    }
    flash.erase(place.start, record.journal().start)?;
    let noted = note::page(flash, place)?;
    flash.erase(noted.as_ref().map_or(record.journal().start, |page| page.end), end)?;
    write(flash, record.index().start, index)?;
    record.check_index(flash, ticket.index_digest())?;
    write(flash, place.start, buffer.get(..length).unwrap_or_default())?;
    if let Some(page) = noted {
        // To a boot program that comes first, a note is a few torn marks.
        note::withdraw(flash, page)?;
    }
    if layout.is_single() && superseded.is_some_and(|old| old.sequence_number == ticket.sequence_number()) {
        retire(flash, layout.record(place_of.other()))?;
    }
    Ok(place_of)
}

/// Whether a record there has the Sender Key of a session, and some of its Sender Sequence Numbers: its boot program may have
/// used them, and a nonce is used once (RFC 8613 §5.2).
fn has_numbers_of<F: NorFlash>(
    flash: &mut F,
    layout: &Layout,
    session: &Session<'_>,
    buffer: &mut [u8; MAX_TICKET],
) -> Result<bool, BootError<F::Error>> {
    for which in [Which::A, Which::B] {
        let ticket = match read_ticket(flash, layout.record(which), buffer) {
            Ok(ticket) => ticket,
            Err(BootError::Flash(error)) => return Err(BootError::Flash(error)),
            Err(_) => continue,
        };
        let is_reused = ticket.session().ok().flatten().is_some_and(|earlier| {
            earlier.sender_key == session.sender_key
                && earlier.numbers.first < session.numbers.end()
                && session.numbers.first < earlier.numbers.end()
        });
        if is_reused {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The record that may be overwritten. Where there is one slot, the one that is not in force; where there are two, the
/// one whose slot is not running. An image from the factory, which no record vouches for, is in slot A.
fn free(layout: &Layout, records: [Option<Summary>; 2]) -> Which {
    let [a, b] = records;
    let in_force = if layout.is_single() {
        newest(a, b)
    } else {
        newest(a.filter(|a| a.is_bootable), b.filter(|b| b.is_bootable))
    };
    in_force.map_or(Which::A, |(which, _)| which).other()
}
