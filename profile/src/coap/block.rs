//! Block options and block arithmetic (RFC 7959 §2.2), shared by relay and devices.

use super::message::uint;
use core::fmt;

/// The largest NUM: 20 bits (RFC 7959 §2.2).
pub const MAX_NUM: u32 = (1 << 20) - 1;

/// A block size exponent, 0–6, for blocks of 16–1024 bytes. 7 is reserved and cannot be represented.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Szx(u8);

impl Szx {
    /// 16-byte blocks.
    pub const MIN: Self = Self(0);
    /// 64-byte blocks: one 802.15.4 frame each.
    pub const B64: Self = Self(2);
    /// 1024-byte blocks.
    pub const MAX: Self = Self(6);

    /// The exponent `szx`, or `None` above 6.
    pub const fn new(szx: u8) -> Option<Self> {
        if szx <= 6 { Some(Self(szx)) } else { None }
    }

    /// What [`Szx::new`] accepted before.
    pub(crate) const fn accepted(szx: u8) -> Self {
        Self(szx)
    }

    /// The exponent of a block of exactly `bytes` bytes.
    pub const fn from_size(bytes: usize) -> Option<Self> {
        match bytes {
            16 => Some(Self(0)),
            32 => Some(Self(1)),
            64 => Some(Self(2)),
            128 => Some(Self(3)),
            256 => Some(Self(4)),
            512 => Some(Self(5)),
            1024 => Some(Self(6)),
            _ => None,
        }
    }

    /// The exponent itself.
    pub const fn exponent(self) -> u8 {
        self.0
    }

    /// The block size in bytes: 2^(SZX + 4).
    pub const fn size(self) -> usize {
        1 << self.bits()
    }

    /// SZX + 4: an offset shifted right by it is a block number.
    pub const fn bits(self) -> u32 {
        self.0 as u32 + 4
    }
}

/// The value of a Block1 or Block2 option.
///
/// ```text
///  0                   1                   2
///  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |                  NUM                  |M| SZX |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// ```
///
/// Shorter values leave out leading zero bytes; an empty value is block 0 of 16 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    num: u32,
    /// More blocks follow this one (in a request: always false).
    pub more: bool,
    /// The block size.
    pub szx: Szx,
}

/// Why an option value is no block option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockError {
    /// More than three bytes.
    TooLong,
    /// SZX 7 is reserved (RFC 7959 §2.2): the request is answered 4.00.
    ReservedSzx,
}

impl fmt::Display for BlockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLong => "block option longer than 3 bytes",
            Self::ReservedSzx => "SZX 7 is reserved",
        })
    }
}

impl core::error::Error for BlockError {}

impl Block {
    /// Block `num` with blocks of `szx`; `None` when `num` does not fit 20 bits.
    pub const fn new(num: u32, more: bool, szx: Szx) -> Option<Self> {
        if num <= MAX_NUM { Some(Self { num, more, szx }) } else { None }
    }

    /// Block 0 with blocks of `szx`.
    pub const fn first(szx: Szx) -> Self {
        Self { num: 0, more: false, szx }
    }

    /// The same block, with or without more behind it.
    pub const fn with_more(self, more: bool) -> Self {
        Self { more, ..self }
    }

    /// Which block, counted in blocks of this size.
    pub const fn num(self) -> u32 {
        self.num
    }

    /// Where the block starts in the body, in bytes. Below 2³⁰.
    pub const fn offset(self) -> usize {
        (self.num as usize) << self.szx.bits()
    }

    /// The block that starts where this one does, in blocks of at most `szx`: negotiation goes down, never
    /// up (RFC 7959 §2.4). `None` when the number of the smaller block does not fit 20 bits.
    pub const fn at_most(self, szx: Szx) -> Option<Self> {
        if szx.0 >= self.szx.0 {
            return Some(self);
        }
        Self::new(self.num << (self.szx.0 - szx.0), self.more, szx)
    }

    /// Reads an option value.
    ///
    /// # Errors
    /// [`BlockError`] when it is longer than three bytes or has the reserved size exponent.
    pub const fn decode(value: &[u8]) -> Result<Self, BlockError> {
        let bits = match uint(value) {
            Some(bits) if value.len() <= 3 => bits,
            _ => return Err(BlockError::TooLong),
        };
        match Szx::new((bits & 7) as u8) {
            Some(szx) => Ok(Self { num: bits >> 4, more: bits & 8 != 0, szx }),
            None => Err(BlockError::ReservedSzx),
        }
    }

    /// The option value as an unsigned integer, to be written in its shortest form.
    pub const fn encode(self) -> u32 {
        self.num << 4 | (self.more as u32) << 3 | self.szx.0 as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn values_of_rfc_7959() {
        // §3.1: 2:0/1/128 is 0x0b, 2:1/0/64 is 0x12.
        assert_eq!(Block::decode(&[0x0b]), Ok(Block { num: 0, more: true, szx: Szx(3) }));
        assert_eq!(Block::decode(&[0x12]), Ok(Block { num: 1, more: false, szx: Szx(2) }));
        assert_eq!(Block::decode(&[]), Ok(Block { num: 0, more: false, szx: Szx(0) }));
        assert_eq!(Block::decode(&[0x0f]), Err(BlockError::ReservedSzx));
        assert_eq!(Block::decode(&[1, 2, 3, 4]), Err(BlockError::TooLong));
        assert_eq!(Block::decode(&[0xff, 0xff, 0xfe]).map(Block::num), Ok(MAX_NUM));
        assert_eq!(Block::new(MAX_NUM + 1, false, Szx::MIN), None);
    }

    #[test]
    fn negotiation_keeps_the_offset() {
        let asked = Block::new(5, false, Szx::MAX).unwrap();
        let given = asked.at_most(Szx::B64).unwrap();
        assert_eq!((given.num(), given.offset()), (80, asked.offset()));
        assert_eq!(given.at_most(Szx::MAX), Some(given), "never up");
        assert_eq!(Block::new(MAX_NUM, false, Szx::MAX).unwrap().at_most(Szx::MIN), None);
    }

    proptest! {
        #[test]
        fn decode_of_encode_is_identity(num in 0..=MAX_NUM, more: bool, szx in 0u8..7) {
            let block = Block::new(num, more, Szx::new(szx).unwrap()).unwrap();
            let bytes = block.encode().to_be_bytes();
            let start = bytes.iter().position(|&b| b != 0).unwrap_or(4);
            prop_assert_eq!(Block::decode(&bytes[start..]), Ok(block));
            prop_assert_eq!(Block::decode(&bytes[1..]), Ok(block), "leading zeros are allowed");
        }
    }
}
