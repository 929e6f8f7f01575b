//! What a boot program hears on a serial line.

use super::serial::packet::{HEADERS, link_local, read, write_headers};
use super::serial::slip::{Decoder, encode};
use sixfold_profile::ticket::Endpoint;

/// The longest packet that is taken.
const LONGEST: usize = 128;
const DEVICE: Endpoint = Endpoint { address: link_local([1, 2, 3, 4, 5, 6, 7, 8]), port: 0xc001 };
const RELAY: Endpoint = Endpoint { address: link_local([0, 0, 0, 0, 0, 0, 0, 1]), port: 5683 };

/// Bytes on the line: packets that come out are no longer than there is room for, and mean the same when they are framed again;
/// a datagram in one is as long as its headers say. Then the bytes as a datagram: it arrives as it was sent.
pub fn serial_frames(data: &[u8]) {
    let mut line = Decoder::<LONGEST>::new();
    for byte in data {
        if line.take(*byte) {
            judge(line.packet());
        }
    }
    let mut packet = vec![0; HEADERS];
    packet.extend(data);
    if write_headers(&mut packet, RELAY, DEVICE).is_some() {
        assert_eq!(read(&packet, RELAY, DEVICE), Some(data));
        assert_eq!(read(&packet, DEVICE, RELAY), None, "the other direction");
    }
}

fn judge(packet: &[u8]) {
    assert!((1..=LONGEST).contains(&packet.len()));
    let (mut again, mut frame) = (Decoder::<LONGEST>::new(), Vec::new());
    encode(packet, |byte| frame.push(byte));
    let ends: Vec<bool> = frame.iter().map(|byte| again.take(*byte)).collect();
    assert!(ends.iter().rposition(|end| *end) == Some(frame.len() - 1) && again.packet() == packet);
    if let Some(datagram) = read(packet, RELAY, DEVICE) {
        assert_eq!(datagram.len() + HEADERS, packet.len());
    }
}
