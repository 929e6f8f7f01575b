//! Records in flash: ticket, journal and chunk index, as they are at moments of an update.

use crate::{flash, hex, release, tickets};
use serde_json::{Value, json};
use sixfold_profile::note::write_note;
use sixfold_profile::record::{Entry, RecordLayout, TOMBSTONE};
use sixfold_profile::ticket::TicketError;
use std::error::Error;
use std::ops::Range;

/// The entries of all chunks, behind them that of the image, and behind that the openings of all chunks.
type Journal = [Entry; 9];
/// Nothing is known.
const FRESH: Journal = [Entry::Unmarked; 9];

/// A record of [`tickets::plain`] under construction.
struct Record {
    layout: RecordLayout,
    write_unit: u32,
    bytes: Vec<u8>,
}

impl Record {
    fn new(write_unit: u32, journal: Journal) -> Result<Self, Box<dyn Error>> {
        let ticket = tickets::plain();
        let layout =
            RecordLayout::new(0, ticket.image_size, ticket.chunk_size, flash::PAGE, write_unit, false);
        let layout = layout.ok_or("no flash has such write units")?;
        let bytes = vec![0xff; layout.index.end as usize];
        let mut record = Self { layout, write_unit, bytes };
        record.put(0, &tickets::bytes(&ticket)?);
        record.put(record.layout.index.start, &release::index());
        for (number, entry) in (0..).zip(journal) {
            let range = record.layout.entry_range(number).ok_or("the journal has another length")?;
            record.put(range.start, &content(&range, entry));
        }
        Ok(record)
    }

    fn put(&mut self, start: u32, bytes: &[u8]) {
        self.bytes.iter_mut().skip(start as usize).zip(bytes).for_each(|(to, from)| *to = *from);
    }

    fn vector(&self, name: &str, journal: Journal, choice: &str) -> Value {
        let [chunks @ .., image, _, _, _, _] = journal.map(say);
        let [_, _, _, _, _, openings @ ..] = journal.map(say);
        json!({
            "name": name,
            "page": flash::PAGE,
            "write_unit": self.write_unit,
            "journal_at": self.layout.journal.start,
            "index_at": self.layout.index.start,
            "journal": chunks,
            "image": image,
            "openings": openings,
            "choice": choice,
            "bytes": hex(&self.bytes),
        })
    }

    fn refused(&self, name: &str, choice: &str, error: &str) -> Value {
        json!({
            "name": name,
            "page": flash::PAGE,
            "write_unit": self.write_unit,
            "choice": choice,
            "bytes": hex(&self.bytes),
            "error": error,
        })
    }
}

/// The bytes of an entry; a torn one has lost some of its ones.
fn content(range: &Range<u32>, entry: Entry) -> Vec<u8> {
    range
        .clone()
        .map(|at| match entry {
            Entry::Unmarked => 0xff,
            Entry::Marked => 0,
            Entry::Torn => u8::MAX >> (at % 4),
        })
        .collect()
}

const fn say(entry: Entry) -> &'static str {
    match entry {
        Entry::Unmarked => "unmarked",
        Entry::Marked => "marked",
        Entry::Torn => "torn",
    }
}

pub(crate) fn vectors() -> Result<Value, Box<dyn Error>> {
    use Entry::{Marked, Torn, Unmarked};
    // Of four chunks, and of the image; no chunk is open.
    let closed = |[a, b, c, d, image]: [Entry; 5]| -> Journal {
        [a, b, c, d, image, Unmarked, Unmarked, Unmarked, Unmarked]
    };
    let moments: [(&str, Journal, &str); 6] = [
        ("as the main program leaves it", FRESH, "update"),
        ("two chunks are there", closed([Marked, Marked, Unmarked, Unmarked, Unmarked]), "update"),
        (
            "the power went while the third mark was written",
            closed([Marked, Marked, Torn, Unmarked, Unmarked]),
            "update",
        ),
        (
            "the power went while the last mark was written",
            closed([Marked, Marked, Torn, Marked, Torn]),
            "update",
        ),
        (
            "of a member: two chunks were opened, the first is there; the power went while the third was opened",
            [Marked, Unmarked, Unmarked, Unmarked, Unmarked, Marked, Marked, Torn, Unmarked],
            "update",
        ),
        ("the image is whole", closed([Marked; 5]), "run"),
    ];
    let mut vectors = Vec::new();
    for write_unit in [flash::WRITE_UNIT, 16] {
        for (name, journal, choice) in moments {
            let name = format!("{name}, write units of {write_unit} bytes");
            vectors.push(Record::new(write_unit, journal)?.vector(&name, journal, choice));
        }
    }
    Ok(json!({
        "format": "record",
        "version": 1,
        "vectors": vectors,
        "refused": refused()?,
        "notes": notes()?,
    }))
}

/// A record whose ticket is erased and whose journal is a note: the device accepts no lower number.
fn notes() -> Result<Vec<Value>, Box<dyn Error>> {
    let numbers =
        [("of a small number", 9), ("of many zeros and ones", 0xffff_ffff), ("of the highest", u64::MAX)];
    let mut vectors = Vec::new();
    for (name, sequence_number) in numbers {
        let mut record = Record::new(flash::WRITE_UNIT, FRESH)?;
        let journal = record.layout.journal.start;
        record.bytes.iter_mut().take(journal as usize).for_each(|byte| *byte = 0xff);
        record.put(journal, &write_note(sequence_number));
        vectors.push(json!({
            "name": name,
            "sequence_number": sequence_number.to_string(),
            "note": hex(&write_note(sequence_number)),
            "page": flash::PAGE,
            "write_unit": flash::WRITE_UNIT,
            "journal_at": journal,
            "bytes": hex(&record.bytes),
        }));
    }
    Ok(vectors)
}

fn refused() -> Result<Vec<Value>, Box<dyn Error>> {
    let fresh = || Record::new(flash::WRITE_UNIT, FRESH);
    let (mut torn, mut wrong, mut retired, mut erased) = (fresh()?, fresh()?, fresh()?, fresh()?);
    torn.put(100, &[0]);
    wrong.put(wrong.layout.index.start, &[0]);
    retired.bytes.iter_mut().take(flash::PAGE as usize).for_each(|byte| *byte = 0xff);
    retired.put(0, &TOMBSTONE);
    erased.bytes.fill(0xff);
    let not_a_ticket = format!("Ticket({:?})", TicketError::NotATicket);
    Ok(vec![
        torn.refused("a byte of the ticket lost its bits", "nothing", "Ticket(Crc)"),
        wrong.refused("a byte of the chunk index lost its bits", "update", "Index"),
        retired.refused("a tombstone", "lost", &not_a_ticket),
        erased.refused("erased", "nothing", &not_a_ticket),
    ])
}
