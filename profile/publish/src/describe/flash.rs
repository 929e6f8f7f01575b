//! The flash file of `sixfold-device` in words: both records, and what is in their slots.
//!
//! ```text
//! record A | record B | slot A | slot B, if there are two | "S6FF", slot size (4), 1 for two slots (1),
//!                                                1 if records have room for sessions (1), zeros (6)
//! ```
//!
//! Its pages have 4096 bytes, its write units 4; each record has room for a slot full of chunks of one page.

use super::field;
use super::record::{self, Unit};
use hmac_sha256::Hash;
use sixfold_profile::Hex;
use sixfold_profile::index::ChunkSize;
use sixfold_profile::record::RecordLayout;
use sixfold_profile::ticket::Ticket;
use std::ops::Range;

const UNIT: Unit = Unit { page: 4096, write: 4 };
const TRAILER: usize = 16;
const MAGIC: &[u8] = b"S6FF";

/// Where everything is.
pub(super) struct Places {
    records: [Range<usize>; 2],
    slots: [Range<usize>; 2],
}

impl Places {
    /// Those of a flash file; `None` if it is none.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let (flash, trailer) = bytes.split_last_chunk::<TRAILER>()?;
        let (slot_bytes, two_slots, sessions) = match trailer {
            [m @ .., a, b, c, d, two @ (0 | 1), sessions @ (0 | 1), 0, 0, 0, 0, 0, 0] if m == MAGIC => {
                (u32::from_be_bytes([*a, *b, *c, *d]), *two == 1, *sessions == 1)
            }
            _ => return None,
        };
        let chunk = ChunkSize::from_bytes(UNIT.page)?;
        let layout = RecordLayout::new(0, slot_bytes, chunk, UNIT.page, UNIT.write, sessions)?;
        let record = layout.count.end as usize;
        let (first, slot) = (2 * record, slot_bytes as usize);
        let second = if two_slots { first + slot } else { first };
        let places =
            Self { records: [0..record, record..first], slots: [first..first + slot, second..second + slot] };
        (second + slot == flash.len()).then_some(places)
    }

    pub(super) fn describe(&self, flash: &[u8]) -> String {
        let [a, b] = &self.slots;
        let slots = if a == b { "one slot" } else { "two slots" };
        let mut text = format!("flash of {slots} of {} bytes\n", a.len());
        for (number, name) in ["A", "B"].iter().enumerate() {
            let parts = self.records.get(number).zip(self.slots.get(number));
            let parts =
                parts.and_then(|(record, slot)| Some((flash.get(record.clone())?, flash.get(slot.clone())?)));
            if let Some((record, slot)) = parts {
                text += &format!("\nrecord {name}: {}", describe(record, slot));
            }
        }
        text
    }
}

fn describe(record: &[u8], slot: &[u8]) -> String {
    match record::describe(record, UNIT) {
        Ok(text) => text + &slot_line(record, slot),
        Err(why) => why + "\n",
    }
}

/// What is in the slot of a record, if it has a ticket.
fn slot_line(record: &[u8], slot: &[u8]) -> String {
    let Ok(ticket) = Ticket::read(record) else { return String::new() };
    let Some(image) = slot.get(..ticket.image_size() as usize) else {
        return field("slot", "too small for the image") + "\n";
    };
    let digest = Hash::hash(image);
    let judgement =
        if digest == *ticket.image_digest() { "the image of the ticket" } else { "not that image" };
    field("slot", format!("SHA-256 {}, {judgement}", Hex(&digest))) + "\n"
}
