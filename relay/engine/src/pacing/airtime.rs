//! What a datagram costs on a radio link: frames after 6LoWPAN fragmentation (RFC 4944 §5.3, RFC 6282) and time on
//! the air with all that IEEE Std 802.15.4-2015 puts around a frame.
//!
//! An estimate, not a model: addresses are taken to be link-local with opaque interface identifiers, and the channel
//! to be idle. `netns-tests/air` holds it against its own frames.

use std::time::Duration;

/// Uncompressed IPv6 and UDP headers, which fragment offsets count (RFC 4944 §5.3), in bytes.
const HEADERS: usize = 40 + 8;
/// The same compressed: IPHC with two interface identifiers in line, UDP with both ports (RFC 6282 §3.1, §4.3).
const COMPRESSED_HEADERS: usize = 18 + 7;
/// MAC header with extended addresses and FCS, in octets (clause 7.2).
const MAC_OVERHEAD: usize = 23;
/// To all: the destination is a short address.
const BROADCAST_OVERHEAD: usize = 17;
/// Fragment headers, the first and the others (RFC 4944 §5.3).
const FIRST_FRAGMENT: usize = 4;
const NEXT_FRAGMENT: usize = 5;
/// The smallest frame that the arithmetic allows: room for headers and eight bytes.
const MIN_FRAME: usize = 64;

/// Synchronisation and PHY header, in octets (clause 12.1.1).
const PHY_HEADER: u64 = 6;
/// An acknowledgement with them (clause 7.3.3).
const ACKNOWLEDGEMENT: u64 = PHY_HEADER + 5;
/// Assessment (8 symbols), turnaround before the frame and before the acknowledgement (12 symbols each), long interframe space
/// (40 symbols), in octets of two symbols (clauses 8.4.2, 8.4.3, 11.2).
const AROUND: u64 = 4 + 6 + 6 + 20;
/// The same without an acknowledgement and the turnaround before it.
const AROUND_BROADCAST: u64 = 4 + 6 + 20;
/// A unit backoff period of 20 symbols (clause 8.4.2), in octets.
const UNIT_BACKOFF: u64 = 10;

/// The radio of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Radio {
    /// Bits a second within a frame.
    pub bit_rate: u32,
    /// The longest frame (PSDU), in octets.
    pub frame: usize,
    /// `macMinBe` of the relay's own radio: before a frame it waits for up to 2^`min_be` - 1 unit backoff periods.
    pub min_be: u8,
}

impl Default for Radio {
    /// O-QPSK at 2.4 GHz (clause 12).
    fn default() -> Self {
        Self { bit_rate: 250_000, frame: 127, min_be: 3 }
    }
}

impl Radio {
    /// In how many frames a UDP payload of `bytes` travels.
    pub fn frames(&self, bytes: usize) -> usize {
        self.frames_of(bytes, COMPRESSED_HEADERS, MAC_OVERHEAD)
    }

    /// How long a UDP payload of `bytes` keeps the channel from others.
    pub fn airtime(&self, bytes: usize) -> Duration {
        let frames = self.frames(bytes);
        self.time(
            COMPRESSED_HEADERS + bytes,
            frames,
            MAC_OVERHEAD as u64 + self.backoff() + AROUND + ACKNOWLEDGEMENT,
        )
    }

    /// In how many frames a UDP payload of `bytes` travels to a group. `headers` is the length of its compressed headers in bytes.
    pub fn frames_to_group(&self, headers: usize, bytes: usize) -> usize {
        self.frames_of(bytes, headers, BROADCAST_OVERHEAD)
    }

    /// How long that keeps the channel from others: nobody acknowledges it.
    pub fn airtime_to_group(&self, headers: usize, bytes: usize) -> Duration {
        let frames = self.frames_to_group(headers, bytes);
        self.time(headers + bytes, frames, BROADCAST_OVERHEAD as u64 + self.backoff() + AROUND_BROADCAST)
    }

    /// On average, in octets.
    fn backoff(&self) -> u64 {
        ((1 << self.min_be.min(8)) - 1) * UNIT_BACKOFF / 2
    }

    fn frames_of(&self, bytes: usize, headers: usize, overhead: usize) -> usize {
        let room = self.frame.max(MIN_FRAME) - overhead;
        if headers + bytes <= room {
            return 1;
        }
        // How many bytes of a fragmented payload the first fragment takes.
        let first = (HEADERS + room - FIRST_FRAGMENT - headers) / 8 * 8 - HEADERS;
        1 + (bytes - first.min(bytes)).div_ceil((room - NEXT_FRAGMENT) / 8 * 8)
    }

    /// `around`: octets of each frame, and the time before and after it, in octets.
    fn time(&self, octets: usize, frames: usize, around: u64) -> Duration {
        let fragment_headers = if frames > 1 { FIRST_FRAGMENT + (frames - 1) * NEXT_FRAGMENT } else { 0 };
        let octets = (octets + fragment_headers) as u64 + frames as u64 * (around + PHY_HEADER);
        Duration::from_micros(8 * octets * 1_000_000 / u64::from(self.bit_rate.max(1)))
    }

    /// How long a frame of the longest kind keeps the channel from others.
    pub(crate) fn longest_frame(&self) -> Duration {
        self.airtime(self.frame.max(MIN_FRAME) - MAC_OVERHEAD - COMPRESSED_HEADERS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_by_hand() {
        let radio = Radio::default();
        // 127 − 23 leaves 104, less 25 of headers: 79. Then 72 in the first fragment and 96 in each other.
        let cases = [(0, 1), (79, 1), (80, 2), (72 + 96, 2), (72 + 97, 3), (1040, 12), (1280, 14)];
        for (bytes, frames) in cases {
            assert_eq!(radio.frames(bytes), frames, "{bytes}");
        }
    }

    #[test]
    fn a_maximal_frame_takes_what_the_standard_says() {
        // docs/fleet.md: 127 octets take 6880 µs with everything around them.
        assert_eq!(Radio::default().airtime(79), Duration::from_micros(6880));
    }

    #[test]
    fn a_block_of_64_bytes_to_a_group_is_one_frame() {
        let radio = Radio::default();
        assert_eq!((radio.frames_to_group(17, 93), radio.frames_to_group(17, 94)), (1, 2));
        // 75 + 7 + 17 octets, 6 before them and 65 around.
        assert_eq!(radio.airtime_to_group(7, 75), Duration::from_micros(32 * (99 + 6 + 65)));
    }

    #[test]
    fn other_radios() {
        let slow = Radio { bit_rate: 50_000, frame: 2047, ..Radio::default() };
        assert_eq!(slow.frames(1100), 1);
        assert!(slow.airtime(1100) > Duration::from_millis(190));
        let absurd = Radio { bit_rate: 0, frame: 0, min_be: 255 };
        assert!(absurd.frames(1100) > 30 && absurd.airtime(1) > Duration::ZERO);
    }
}
