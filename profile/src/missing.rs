//! What a device still misses of a body: the value of the option [`MISSING`](crate::coap::option::MISSING).
//!
//! A device whose missing blocks are too many for a list of Q-Block2 options (RFC 9177 §4.4) says with it how many it misses
//! where, so that the sender of a stream knows what to send again, and how much parity helps.
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |            Deficit            |       G       | Count 0       | ...
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! ```
//!
//! Blocks are those of the request's Q-Block2 option. Each count is for 2^G of them, in order, and says how many are missing, in
//! units of 2^(G - 7), rounded up, where G is more than 7.

/// The most counts.
pub const COUNTS: usize = 32;
/// The longest value in bytes.
pub const LONGEST: usize = 3 + COUNTS;
/// The deficit of a device that cannot use parity symbols.
pub const NO_PARITY: u16 = 0xffff;
/// From this on, a deficit says how many blocks more are missing than a device has room to find from parity symbols.
pub const NO_ROOM: u16 = 0x8000;

/// A value, as a checked view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Missing<'d> {
    /// See [`Deficit`].
    pub deficit: u16,
    group: u8,
    counts: &'d [u8],
}

impl<'d> Missing<'d> {
    /// Reads a value; `None` when it is none.
    pub fn read(value: &'d [u8]) -> Option<Self> {
        let (&[high, low, group], counts) = value.split_first_chunk()?;
        (group <= 20 && !counts.is_empty() && counts.len() <= COUNTS).then_some(Self {
            deficit: u16::from_be_bytes([high, low]),
            group,
            counts,
        })
    }

    /// For each group of blocks, the number of its first block, how many blocks it has at most, and how many of them are
    /// missing, rounded up.
    pub fn groups(&self) -> impl Iterator<Item = (u32, u32, u32)> + use<'d> {
        let Self { group, counts, .. } = *self;
        let (size, unit) = (1 << group, unit(group));
        (0_u32..).zip(counts).map(move |(place, count)| {
            let missing = (u32::from(*count) << unit).min(size);
            (place << group, size, missing)
        })
    }
}

/// How much parity helps a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deficit {
    /// With luck, this many more parity symbols would do.
    Symbols(u16),
    /// None help until this many fewer blocks are missing.
    NoRoom(u16),
    /// None help.
    NoParity,
}

impl Deficit {
    /// What a deficit says.
    pub const fn read(deficit: u16) -> Self {
        match deficit {
            NO_PARITY => Self::NoParity,
            NO_ROOM.. => Self::NoRoom(deficit - NO_ROOM),
            symbols => Self::Symbols(symbols),
        }
    }

    /// The number that says it. What does not fit is [`NO_PARITY`]: too much is missing to be made up for.
    pub const fn write(self) -> u16 {
        match self {
            Self::Symbols(symbols @ 0..NO_ROOM) => symbols,
            Self::NoRoom(excess @ 0..NO_ROOM) => NO_ROOM + excess,
            _ => NO_PARITY,
        }
    }
}

/// The smallest G with which the counts of `blocks` blocks have room.
pub const fn group(blocks: u32) -> u8 {
    let mut group = 0;
    while blocks.saturating_sub(1) >> group >= COUNTS as u32 {
        group += 1;
    }
    group
}

/// What a count is, for `missing` missing blocks of one group.
pub const fn count(group: u8, missing: u32) -> u8 {
    let unit = unit(group);
    // No more than 2^7 after the division, when no more are missing than the group has.
    (missing.saturating_add((1 << unit) - 1) >> unit) as u8
}

const fn unit(group: u8) -> u8 {
    group.saturating_sub(7)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[test]
    fn counts_are_written_and_read() {
        for blocks in [1, 32, 33, 1536, 4096, 4097, 1 << 20] {
            let group = group(blocks);
            let counts = blocks.div_ceil(1 << group);
            assert!(
                counts as usize <= COUNTS
                    && (group == 0 || blocks.div_ceil(1 << (group - 1)) > COUNTS as u32)
            );
            let missing = |place: u32| (place * 37) % ((1 << group) + 1);
            let mut value: Vec<u8> = [0x12, 0x34, group].into();
            value.extend((0..counts).map(|place| count(group, missing(place))));
            let read = Missing::read(&value).unwrap();
            assert_eq!(read.deficit, 0x1234);
            for (place, (first, size, wanted)) in (0..).zip(read.groups()) {
                assert_eq!((first, size), (place << group, 1 << group));
                let exact = missing(place);
                assert!(wanted >= exact && wanted - exact < 1 << unit(group), "{wanted} {exact}");
            }
        }
    }

    #[test]
    fn values_that_are_none_are_refused() {
        for value in [&[][..], &[0, 0], &[0, 0, 1], &[0, 0, 21, 1], &[0; 3 + COUNTS + 1]] {
            assert_eq!(Missing::read(value), None, "{value:?}");
        }
    }

    #[test]
    fn deficits_are_read_as_they_were_written() {
        for deficit in [0, 1, 0x7fff, 0x8000, 0x8001, 0xfffe, 0xffff] {
            assert_eq!(Deficit::read(deficit).write(), deficit);
        }
        assert_eq!([0x7fff, 0x8001].map(Deficit::read), [Deficit::Symbols(0x7fff), Deficit::NoRoom(1)]);
        for too_many in [Deficit::Symbols(0x8000), Deficit::NoRoom(0x7fff)] {
            assert_eq!(Deficit::read(too_many.write()), Deficit::NoParity);
        }
    }

    #[test]
    fn golden_bytes() {
        assert_eq!((group(1536), count(6, 9), group(1 << 20), count(15, 300)), (6, 9, 15, 2));
    }
}
