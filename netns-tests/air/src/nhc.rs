//! Compressed UDP headers (RFC 6282 §4.3.3).
//!
//! smoltcp has them too, but version 0.14 writes two four-bit ports wrongly, and reads a short destination port wrongly unless
//! both are the same: 61616.

use crate::sixlowpan::Malformed;

/// The upper five bits of a compressed UDP header.
const UDP: u8 = 0b1111_0000;
const UDP_BITS: u8 = 0b1111_1000;
/// C: the checksum is elided.
const NO_CHECKSUM: u8 = 0b100;
/// Ports of which the first eight or twelve bits are elided.
const EIGHT_BITS: std::ops::RangeInclusive<u16> = 0xf000..=0xf0ff;
const FOUR_BITS: std::ops::RangeInclusive<u16> = 0xf0b0..=0xf0bf;

/// A UDP header without its length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Udp {
    pub(crate) from: u16,
    pub(crate) to: u16,
    /// `None`: elided.
    pub(crate) checksum: Option<u16>,
}

impl Udp {
    /// Appends the header in its shortest form.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        let (from, to) = (self.from.to_be_bytes(), self.to.to_be_bytes());
        let checksum = if self.checksum.is_some() { 0 } else { NO_CHECKSUM };
        let mut header = |ports: u8, inline: &[u8]| {
            out.push(UDP | checksum | ports);
            out.extend_from_slice(inline);
        };
        if FOUR_BITS.contains(&self.from) && FOUR_BITS.contains(&self.to) {
            header(0b11, &[from[1] << 4 | to[1] & 0x0f]);
        } else if EIGHT_BITS.contains(&self.to) {
            header(0b01, &[from[0], from[1], to[1]]);
        } else if EIGHT_BITS.contains(&self.from) {
            header(0b10, &[from[1], to[0], to[1]]);
        } else {
            header(0b00, &[from[0], from[1], to[0], to[1]]);
        }
        out.extend(self.checksum.into_iter().flat_map(u16::to_be_bytes));
    }

    /// Reads a header; returns it and what is behind it.
    ///
    /// # Errors
    /// [`Malformed`] when it is none, or too short.
    pub(crate) fn read(payload: &[u8]) -> Result<(Self, &[u8]), Malformed> {
        let (&first, rest) = payload.split_first().ok_or(Malformed)?;
        if first & UDP_BITS != UDP {
            return Err(Malformed);
        }
        let short = |byte: u8| EIGHT_BITS.start() | u16::from(byte);
        let (from, to, rest) = match (first & 0b11, rest) {
            (0b00, &[a, b, c, d, ref rest @ ..]) => {
                (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]), rest)
            }
            (0b01, &[a, b, c, ref rest @ ..]) => (u16::from_be_bytes([a, b]), short(c), rest),
            (0b10, &[a, b, c, ref rest @ ..]) => (short(a), u16::from_be_bytes([b, c]), rest),
            (0b11, &[both, ref rest @ ..]) => {
                (FOUR_BITS.start() | u16::from(both >> 4), FOUR_BITS.start() | u16::from(both & 0x0f), rest)
            }
            _ => return Err(Malformed),
        };
        if first & NO_CHECKSUM != 0 {
            return Ok((Self { from, to, checksum: None }, rest));
        }
        let (checksum, rest) = rest.split_first_chunk().ok_or(Malformed)?;
        Ok((Self { from, to, checksum: Some(u16::from_be_bytes(*checksum)) }, rest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_bytes() {
        let cases: [(u16, u16, &[u8]); 5] = [
            (5683, 49_152, &[0xf0, 0x16, 0x33, 0xc0, 0x00, 0x12, 0x34]),
            (5683, 0xf0b0, &[0xf1, 0x16, 0x33, 0xb0, 0x12, 0x34]),
            (0xf0b0, 49_152, &[0xf2, 0xb0, 0xc0, 0x00, 0x12, 0x34]),
            (0xf0b1, 0xf001, &[0xf1, 0xf0, 0xb1, 0x01, 0x12, 0x34]),
            (0xf0b1, 0xf0be, &[0xf3, 0x1e, 0x12, 0x34]),
        ];
        for (from, to, bytes) in cases {
            let udp = Udp { from, to, checksum: Some(0x1234) };
            let mut written = Vec::new();
            udp.write(&mut written);
            assert_eq!(written, bytes);
            written.push(9);
            assert_eq!(Udp::read(&written), Ok((udp, &[9][..])));
            for length in 0..bytes.len() {
                assert_eq!(Udp::read(&bytes[..length]), Err(Malformed));
            }
        }
        assert_eq!(
            Udp::read(&[0xf7, 0x00, 1]),
            Ok((Udp { from: 0xf0b0, to: 0xf0b0, checksum: None }, &[1][..]))
        );
        assert_eq!(Udp::read(&[0xe3, 0, 0, 0]), Err(Malformed), "not UDP");
    }
}
