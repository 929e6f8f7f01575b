//! Sender Sequence Numbers and Partial IVs (RFC 8613 §3.1, §5, §7.2).

use core::ops::Range;

/// The most bytes of a Partial IV.
pub const MAX_PARTIAL_IV: usize = 5;
/// The last Sender Sequence Number (§7.2.1): a context is exhausted behind it.
pub const LAST: u64 = (1 << 40) - 1;

/// A Sender Sequence Number that was taken: it makes one message, so that no nonce is used twice. That is why it can be
/// neither copied nor made, but by [`SenderSequence::take`].
#[derive(Debug, PartialEq, Eq)]
pub struct PartialIv(u64);

impl PartialIv {
    /// The number.
    pub const fn number(&self) -> u64 {
        self.0
    }
}

/// The Sender Sequence Numbers that may be used.
///
/// They are a range, so that only numbers are used that were reserved in lasting memory before (Appendix B.1.1): whoever
/// loses power goes on behind its last reservation.
#[derive(Debug, PartialEq, Eq)]
pub struct SenderSequence {
    next: u64,
    end: u64,
}

impl SenderSequence {
    /// From `numbers.start` to before `numbers.end`, or to [`LAST`].
    pub const fn new(numbers: Range<u64>) -> Self {
        let mut sequence = Self { next: numbers.start, end: numbers.end };
        sequence.reserve(numbers.end);
        sequence
    }

    /// The next number, for one message; `None` when all are used: then nothing may be sent in this context before more are
    /// reserved, and never again when [`LAST`] was used.
    pub const fn take(&mut self) -> Option<PartialIv> {
        if self.next >= self.end {
            return None;
        }
        let number = PartialIv(self.next);
        self.next += 1;
        Some(number)
    }

    /// The number that comes next: what is to be kept in lasting memory.
    pub const fn next(&self) -> u64 {
        self.next
    }

    /// Numbers up to before `end` were reserved.
    pub const fn reserve(&mut self, end: u64) {
        self.end = if end > LAST { LAST + 1 } else { end };
    }
}

/// A Partial IV as it is sent: without leading zeros, but for 0 itself (§5).
pub(crate) struct Encoded {
    bytes: [u8; MAX_PARTIAL_IV],
    zeros: usize,
}

impl Encoded {
    pub(crate) fn new(number: u64) -> Self {
        let [_, _, _, bytes @ ..] = number.to_be_bytes();
        let zeros = bytes.iter().take(MAX_PARTIAL_IV - 1).take_while(|byte| **byte == 0).count();
        Self { bytes, zeros }
    }

    pub(crate) fn as_slice(&self) -> &[u8] {
        self.bytes.get(self.zeros..).unwrap_or_default()
    }
}

/// The number of a Partial IV; `None` when it is not as it must be sent.
pub(crate) fn decode(bytes: &[u8]) -> Option<u64> {
    match bytes {
        [] | [0, _, ..] | [_, _, _, _, _, _, ..] => None,
        bytes => Some(bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partial_ivs_are_as_short_as_they_can_be() {
        for (number, length) in
            [(0, 1), (1, 1), (0xff, 1), (0x100, 2), (0x00ff_ffff, 3), (1 << 24, 4), (LAST, 5)]
        {
            let encoded = Encoded::new(number);
            assert_eq!(encoded.as_slice().len(), length, "{number}");
            assert_eq!(decode(encoded.as_slice()), Some(number));
        }
        for refused in [&[][..], &[0, 0], &[0, 1], &[1, 0, 0, 0, 0, 0]] {
            assert_eq!(decode(refused), None, "{refused:?}");
        }
    }

    #[test]
    fn numbers_end_where_their_reservation_does() {
        let mut sequence = SenderSequence::new(7..9);
        assert_eq!(
            (sequence.take(), sequence.take(), sequence.take()),
            (Some(PartialIv(7)), Some(PartialIv(8)), None)
        );
        sequence.reserve(10);
        assert_eq!((sequence.take(), sequence.take(), sequence.next()), (Some(PartialIv(9)), None, 10));
    }

    #[test]
    fn a_context_is_exhausted_behind_the_last_number() {
        let mut sequence = SenderSequence::new(LAST..u64::MAX);
        assert_eq!(sequence.take(), Some(PartialIv(LAST)));
        assert_eq!(sequence.take(), None);
        sequence.reserve(u64::MAX);
        assert_eq!(sequence.take(), None);
    }
}
