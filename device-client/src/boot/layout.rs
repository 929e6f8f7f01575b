//! Where records and slots are in flash.

use core::ops::Range;

/// One of two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Which {
    /// The first.
    A,
    /// The second.
    B,
}

impl Which {
    /// Both, in order.
    pub const BOTH: [Self; 2] = [Self::A, Self::B];

    /// The one that this is not.
    pub const fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }

    /// The one of two that is meant.
    pub const fn of<T>(self, two: &[T; 2]) -> &T {
        let [a, b] = two;
        match self {
            Self::A => a,
            Self::B => b,
        }
    }
}

/// The places of a device, in bytes from the start of its flash; all begin and end with an erase page.
///
/// There are two records, so that the main program can write one while the other is in force. The image of each goes to
/// the slot of the same name. Where there is only one slot, both are the same place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Where the records are.
    pub records: [Range<u32>; 2],
    /// Where the images are.
    pub slots: [Range<u32>; 2],
}

impl Layout {
    /// A device that re-flashes the only slot it has.
    pub const fn single(records: [Range<u32>; 2], slot: Range<u32>) -> Self {
        let same = slot.start..slot.end;
        Self { records, slots: [slot, same] }
    }

    /// Whether both records are about the same place.
    pub fn is_single(&self) -> bool {
        let [a, b] = &self.slots;
        a == b
    }

    /// Where a record is.
    pub const fn record(&self, which: Which) -> &Range<u32> {
        which.of(&self.records)
    }

    /// Where a record's image is.
    pub const fn slot(&self, which: Which) -> &Range<u32> {
        which.of(&self.slots)
    }
}
