//! Packets on a serial line (RFC 1055): END before and after each, END and ESC within replaced by two bytes.
//!
//! No compression of headers, no checksum: the packets have their own.

const END: u8 = 0o300;
const ESC: u8 = 0o333;
const ESC_END: u8 = 0o334;
const ESC_ESC: u8 = 0o335;

/// Gives the bytes of a packet's frame to `put`.
pub fn encode(packet: &[u8], mut put: impl FnMut(u8)) {
    put(END);
    for byte in packet {
        match *byte {
            END => [ESC, ESC_END].into_iter().for_each(&mut put),
            ESC => [ESC, ESC_ESC].into_iter().for_each(&mut put),
            other => put(other),
        }
    }
    put(END);
}

/// Collects the bytes of one packet after another, of at most `N` bytes each. Longer ones are thrown away.
#[derive(Debug)]
pub struct Decoder<const N: usize> {
    packet: [u8; N],
    length: usize,
    escaped: bool,
    ended: bool,
}

impl<const N: usize> Decoder<N> {
    /// Waits for the first packet.
    pub const fn new() -> Self {
        Self { packet: [0; N], length: 0, escaped: false, ended: false }
    }

    /// Takes the next byte; says whether it ends a packet, which is then [`Decoder::packet`].
    pub fn take(&mut self, byte: u8) -> bool {
        if core::mem::take(&mut self.ended) {
            self.length = 0;
        }
        match (byte, core::mem::take(&mut self.escaped)) {
            (END, _) => self.ended = true,
            (ESC, _) => self.escaped = true,
            (ESC_END, true) => self.push(END),
            (ESC_ESC, true) => self.push(ESC),
            // What follows ESC without need is left in the packet (RFC 1055).
            (other, _) => self.push(other),
        }
        // Between two packets there may be any number of ENDs.
        !self.packet().is_empty()
    }

    /// The packet that the last byte ended; empty if it did not, or if the packet was too long.
    pub fn packet(&self) -> &[u8] {
        let length = if self.ended { self.length } else { 0 };
        self.packet.get(..length).unwrap_or_default()
    }

    /// The same, for whoever unprotects it where it is.
    pub fn packet_mut(&mut self) -> &mut [u8] {
        let length = if self.ended { self.length } else { 0 };
        self.packet.get_mut(..length).unwrap_or_default()
    }

    fn push(&mut self, byte: u8) {
        if let Some(place) = self.packet.get_mut(self.length) {
            *place = byte;
        }
        self.length = self.length.saturating_add(1);
    }
}

impl<const N: usize> Default for Decoder<N> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    fn frame(packet: &[u8]) -> Vec<u8> {
        let mut frame = Vec::new();
        encode(packet, |byte| frame.push(byte));
        frame
    }

    fn packets(bytes: &[u8]) -> Vec<Vec<u8>> {
        let mut decoder = Decoder::<8>::new();
        let mut ended = |byte: &u8| if decoder.take(*byte) { Some(decoder.packet().to_vec()) } else { None };
        bytes.iter().filter_map(&mut ended).collect()
    }

    #[test]
    fn special_bytes_are_replaced_as_rfc_1055_says() {
        assert_eq!(frame(&[1, 192, 2, 219]), [192, 1, 219, 220, 2, 219, 221, 192]);
    }

    #[test]
    fn packets_survive_noise_before_them() {
        let bytes = [&[7, 8][..], &frame(&[1, 192, 219]), &frame(&[220, 221])].concat();
        assert_eq!(packets(&bytes), [&[7, 8][..], &[1, 192, 219], &[220, 221]]);
    }

    #[test]
    fn what_is_too_long_is_thrown_away_alone() {
        let bytes = [frame(&[5; 9]), frame(&[6; 8])].concat();
        assert_eq!(packets(&bytes), [[6; 8]]);
    }
}
