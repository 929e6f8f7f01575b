//! A record in words: ticket, journal and chunk index.

use super::{field, ticket};
use hmac_sha256::Hash;
use sixfold_profile::index::DIGEST;
use sixfold_profile::note::read_note;
use sixfold_profile::record::{Entry, RecordLayout, TOMBSTONE, reservations};
use sixfold_profile::ticket::{Fields, MAX_TICKET, Ticket};
use std::ops::Range;

/// What flash erases and writes at once, in bytes.
#[derive(Clone, Copy, Debug)]
pub struct Unit {
    /// An erase page.
    pub page: u32,
    /// A write unit.
    pub write: u32,
}

const SHORT: &str =
    "the file ends within the record: read all of it, and say the --page and --write-unit of its flash";

/// What the bytes of a record say; why they are none.
pub(super) fn describe(bytes: &[u8], unit: Unit) -> Result<String, String> {
    if bytes.starts_with(&TOMBSTONE) {
        return Ok("tombstone: the other record was replacing the only image\n".to_owned());
    }
    let ticket = match Ticket::read(bytes) {
        Ok(ticket) => ticket,
        Err(error) => {
            let number = note(bytes, unit).ok_or_else(|| error.to_string())?;
            return Ok(format!("note: {number} was accepted, and was being replaced when the power went\n"));
        }
    };
    let fields = Fields::read(bytes).map_err(|error| error.to_string())?;
    let layout = RecordLayout::of(&ticket, 0, unit.page, unit.write)
        .ok_or("no flash has such pages and write units")?;
    let part = |range: Range<u32>| bytes.get(range.start as usize..range.end as usize);
    let journal = (0..=layout.chunks)
        .map(|number| layout.entry_range(number).and_then(part).map(Entry::read))
        .collect::<Option<Vec<_>>>()
        .ok_or(SHORT)?;
    let index = layout.index.start..layout.index.start.saturating_add(layout.chunks * DIGEST as u32);
    let index = part(index).ok_or(SHORT)?;
    let is_it = Hash::hash(index) == *ticket.index_digest();
    let judgement =
        if is_it { "that of the ticket" } else { "not that of the ticket: the record is not valid" };
    let mut lines =
        vec![journal_line(&journal), field("chunk index", judgement), field("image", image(&journal))];
    if let Some(session) = &fields.session {
        let entries = (0..)
            .map_while(|number| layout.count_range(number))
            .map(part)
            .map(|entry| entry.map(Entry::read));
        let count = entries.collect::<Option<Vec<_>>>().ok_or(SHORT)?;
        lines.push(count_line(&count, session.numbers.exponent));
    }
    Ok(format!("{}{}\n", ticket::describe(&fields), lines.join("\n")))
}

/// The sequence number of the note at the start of the journal.
fn note(bytes: &[u8], unit: Unit) -> Option<u64> {
    let journal = (MAX_TICKET as u32).checked_next_multiple_of(unit.page)?;
    bytes.get(journal as usize..)?.first_chunk().and_then(read_note)
}

fn journal_line(journal: &[Entry]) -> String {
    let chunks = journal.split_last().map_or(journal, |(_, chunks)| chunks);
    let marked = numbers(chunks, Entry::Marked);
    let torn = numbers(chunks, Entry::Torn);
    let list = |name: &str, numbers: &[usize]| match numbers {
        [] => String::new(),
        _ => format!("; {name} {}", ranges(numbers)),
    };
    let text = format!("{} of {} chunks marked", marked.len(), chunks.len());
    field("journal", format!("{text}{}{}", list("marked", &marked), list("torn", &torn)))
}

fn count_line(count: &[Entry], exponent: u8) -> String {
    let [lost, entries @ ..] = count else { return String::new() };
    let usable = reservations(count.len() as u32, exponent) as usize;
    let used = entries.iter().take(usable).filter(|entry| **entry != Entry::Unmarked).count();
    let state = match (*lost == Entry::Unmarked, used < usable) {
        (true, true) => "numbers are left",
        (false, true) => "the relay did not know it",
        (_, false) => "no numbers are left",
    };
    field("session", format!("{used} of {usable} reservations; {state}"))
}

fn image(journal: &[Entry]) -> &'static str {
    match journal.last() {
        Some(Entry::Marked) => "whole: it may run",
        Some(Entry::Torn) => "its mark is torn: the boot program looks again",
        _ => "not whole yet",
    }
}

/// Which entries say this.
fn numbers(entries: &[Entry], what: Entry) -> Vec<usize> {
    entries.iter().enumerate().filter(|(_, entry)| **entry == what).map(|(number, _)| number).collect()
}

/// Numbers in ascending order, with a dash for what follows one after the other.
fn ranges(numbers: &[usize]) -> String {
    let runs = numbers.chunk_by(|a, b| a + 1 == *b);
    let run = |run: &[usize]| match run {
        [first, .., last] => format!("{first}-{last}"),
        _ => run.iter().map(usize::to_string).collect(),
    };
    runs.map(run).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_of_numbers_are_short() {
        assert_eq!(ranges(&[]), "");
        assert_eq!(ranges(&[0, 1, 2, 4, 6, 7]), "0-2, 4, 6-7");
    }
}
