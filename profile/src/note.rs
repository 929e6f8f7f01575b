//! The note: what a main program leaves in a journal while it replaces the ticket of an update that waits.
//!
//! ```text
//!    0                   1                   2                   3
//!    0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//!   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//!  0|      "S"      |      Sequence Number (8), bytes 0 to 2        |
//!   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//!  4|      "6"      |              ... bytes 3 to 5                 |
//!   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//!  8|      "S"      |       ... bytes 6 and 7       | CRC-32, byte 0|
//!   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! 12|      "N"      |          CRC-32, bytes 1 to 3                 |
//!   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! ```
//!
//! It stands where the first entries of the journal are. Each four bytes begin with one of the magic value, so that no entry is all
//! zeros or all ones, even if it is torn: whoever knows no notes takes them for torn marks, which say nothing.
//!
//! When the new ticket is whole, a main program writes another note behind it, of any number, before it erases both: a note is the
//! only place that knows its number only as long as the rest of its page is erased.

use crate::crc32;
use crate::record::LARGEST_ENTRY;

/// The first bytes of its four words.
pub const NOTE: [u8; 4] = *b"S6SN";
/// How long it is in bytes: whole entries, whatever the flash writes at once.
pub const NOTE_LENGTH: usize = LARGEST_ENTRY as usize;

/// The note of a sequence number.
pub fn write_note(sequence_number: u64) -> [u8; NOTE_LENGTH] {
    let number = sequence_number.to_be_bytes();
    let crc = crc32(&number).to_be_bytes();
    let mut said = number.into_iter().chain(crc);
    let mut note = [0; NOTE_LENGTH];
    for (word, magic) in note.as_chunks_mut::<4>().0.iter_mut().zip(NOTE) {
        // There are twelve bytes to be said, and room for as many.
        let mut next = || said.next().unwrap_or_default();
        *word = [magic, next(), next(), next()];
    }
    note
}

/// The sequence number that a note says; `None` when these bytes are no note, or a torn one.
pub fn read_note(bytes: &[u8; NOTE_LENGTH]) -> Option<u64> {
    let [_, a, b, c, _, d, e, f, _, g, h, ..] = *bytes;
    let sequence_number = u64::from_be_bytes([a, b, c, d, e, f, g, h]);
    (write_note(sequence_number) == *bytes).then_some(sequence_number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Entry;

    const NUMBERS: [u64; 6] = [0, 9, 0xffff_ffff, 1 << 32, 0x0102_0304_0506_0708, u64::MAX];

    #[test]
    fn what_is_written_is_read() {
        assert_eq!(write_note(9), *b"S\0\0\x006\0\0\0S\0\x09\x1cN\xfe\x67\xcd");
        for number in NUMBERS {
            assert_eq!(read_note(&write_note(number)), Some(number));
        }
    }

    #[test]
    fn no_single_bit_of_a_note_can_be_wrong() {
        for bit in 0..NOTE_LENGTH * 8 {
            let mut note = write_note(9);
            note[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(read_note(&note), None, "bit {bit}");
        }
        assert_eq!(read_note(&[0; 16]), None);
        assert_eq!(read_note(&[0xff; 16]), None);
    }

    #[test]
    fn to_a_journal_its_words_are_torn_entries() {
        for number in NUMBERS {
            for size in [4, 8, 16] {
                assert!(write_note(number).chunks(size).all(|entry| Entry::read(entry) == Entry::Torn));
            }
        }
    }
}
