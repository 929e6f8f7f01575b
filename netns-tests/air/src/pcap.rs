//! Captures that Wireshark reads: the classic pcap format, of IEEE 802.15.4 frames with their FCS.

use sixfold_profile::Instant;
use std::io::{self, Write};

/// LINKTYPE_IEEE802_15_4_WITHFCS of the pcap registry.
const LINK_TYPE: u32 = 195;
const MAGIC_MICROSECONDS: u32 = 0xa1b2_c3d4;
const VERSION: [u16; 2] = [2, 4];
const SNAP_LENGTH: u32 = 65_535;

/// A capture that is being written.
#[derive(Debug)]
pub struct Pcap<W> {
    output: W,
}

impl<W: Write> Pcap<W> {
    /// Begins a capture.
    ///
    /// # Errors
    /// Those of `output`.
    pub fn begin(mut output: W) -> io::Result<Self> {
        let mut header = Vec::with_capacity(24);
        header.extend_from_slice(&MAGIC_MICROSECONDS.to_le_bytes());
        VERSION.iter().for_each(|number| header.extend_from_slice(&number.to_le_bytes()));
        header.extend_from_slice(&[0; 8]); // time zone and accuracy: always 0
        header.extend_from_slice(&SNAP_LENGTH.to_le_bytes());
        header.extend_from_slice(&LINK_TYPE.to_le_bytes());
        output.write_all(&header)?;
        Ok(Self { output })
    }

    /// Adds a frame that was sent at `at`.
    ///
    /// # Errors
    /// Those of the output.
    pub fn frame(&mut self, at: Instant, mpdu: &[u8]) -> io::Result<()> {
        let (seconds, micros) = (at.as_micros() / 1_000_000, at.as_micros() % 1_000_000);
        let mut record = Vec::with_capacity(16 + mpdu.len());
        for field in [seconds as u32, micros as u32, mpdu.len() as u32, mpdu.len() as u32] {
            record.extend_from_slice(&field.to_le_bytes());
        }
        record.extend_from_slice(mpdu);
        self.output.write_all(&record)
    }

    /// Hands on what is buffered.
    ///
    /// # Errors
    /// Those of the output.
    pub fn flush(&mut self) -> io::Result<()> {
        self.output.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_capture_has_the_octets_of_the_format() {
        let mut bytes = Vec::new();
        let mut pcap = Pcap::begin(&mut bytes).unwrap();
        pcap.frame(Instant::from_micros(3_000_007), &[0x02, 0x00, 0x56, 0x27, 0x9e]).unwrap();
        let header = b"\xd4\xc3\xb2\xa1\x02\0\x04\0\0\0\0\0\0\0\0\0\xff\xff\0\0\xc3\0\0\0";
        let record = b"\x03\0\0\0\x07\0\0\0\x05\0\0\0\x05\0\0\0\x02\0\x56\x27\x9e";
        assert_eq!(bytes, [&header[..], record].concat());
    }
}
