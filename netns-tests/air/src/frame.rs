//! MAC frames: their sizes, and their bytes for those who want to see them.
//!
//! Data frames as 6LoWPAN uses them: extended addresses, one PAN, version 2006 (IEEE Std 802.15.4-2015 clause 7.2).
//! With security on, the auxiliary header and the MIC-32 have their sizes, but no key makes their contents.

use crate::topology::NodeId;
use crc::{CRC_16_KERMIT, Crc};
use smoltcp::wire::{
    Ieee802154Address, Ieee802154Frame, Ieee802154FrameType, Ieee802154FrameVersion, Ieee802154Pan,
    Ieee802154Repr,
};

/// The PAN of every laboratory.
pub const PAN: Ieee802154Pan = Ieee802154Pan(0x6f6f);
/// The frame check sequence, in octets (clause 7.2.10).
pub const FCS: usize = 2;
/// Security control, frame counter, and key index (key identifier mode 1), in octets (clause 9.4).
const AUXILIARY_SECURITY_HEADER: usize = 1 + 4 + 1;
const MIC_32: usize = 4;
/// Security level 1 (MIC-32), key identifier mode 1.
const SECURITY_CONTROL: u8 = 0b0000_1001;
/// The first half of every node's EUI-64: locally administered, so that nobody owns it.
const EUI64_PREFIX: [u8; 4] = [0x02, 0x6f, 0, 0];
/// FCS: ITU-T CRC-16, least significant bit first, starting from 0 (clause 7.2.10).
const FCS_CRC: Crc<u16> = Crc::<u16>::new(&CRC_16_KERMIT);

/// For whom a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Destination {
    /// One neighbour.
    Unicast(NodeId),
    /// Everybody who can receive it.
    Broadcast,
}

/// The EUI-64 of a node.
pub fn eui64(node: NodeId) -> [u8; 8] {
    let mut address = [0; 8];
    address[..4].copy_from_slice(&EUI64_PREFIX);
    address[4..].copy_from_slice(&node.0.to_be_bytes());
    address
}

/// The node with this EUI-64.
pub fn node(eui64: [u8; 8]) -> Option<NodeId> {
    let (prefix, number) = eui64.split_first_chunk::<4>()?;
    (*prefix == EUI64_PREFIX).then(|| NodeId(u32::from_be_bytes(number.try_into().unwrap_or_default())))
}

/// The link-layer address of a destination.
pub fn address(to: Destination) -> Ieee802154Address {
    match to {
        Destination::Unicast(node) => Ieee802154Address::Extended(eui64(node)),
        Destination::Broadcast => Ieee802154Address::BROADCAST,
    }
}

/// How many octets of payload fit a data frame.
pub fn max_payload(to: Destination, secured: bool) -> usize {
    crate::phy::MAX_PSDU - overhead(to, secured)
}

/// How many octets a data frame has besides its payload.
pub fn overhead(to: Destination, secured: bool) -> usize {
    header(NodeId::BORDER_ROUTER, to, false, 0).buffer_len() + security(secured) + FCS
}

const fn security(secured: bool) -> usize {
    if secured { AUXILIARY_SECURITY_HEADER + MIC_32 } else { 0 }
}

fn header(from: NodeId, to: Destination, ack_request: bool, sequence_number: u8) -> Ieee802154Repr {
    Ieee802154Repr {
        frame_type: Ieee802154FrameType::Data,
        security_enabled: false,
        frame_pending: false,
        ack_request,
        sequence_number: Some(sequence_number),
        pan_id_compression: true,
        frame_version: Ieee802154FrameVersion::Ieee802154_2006,
        dst_pan_id: Some(PAN),
        dst_addr: Some(address(to)),
        src_pan_id: Some(PAN),
        src_addr: Some(Ieee802154Address::Extended(eui64(from))),
    }
}

/// The octets of a data frame, FCS included.
pub fn data(
    from: NodeId,
    to: Destination,
    ack_request: bool,
    sequence_number: u8,
    secured: bool,
    payload: &[u8],
) -> Vec<u8> {
    let repr = Ieee802154Repr { security_enabled: secured, ..header(from, to, ack_request, sequence_number) };
    let mut mpdu = vec![0; repr.buffer_len()];
    repr.emit(&mut Ieee802154Frame::new_unchecked(&mut mpdu));
    if secured {
        mpdu.push(SECURITY_CONTROL);
        mpdu.resize(mpdu.len() + AUXILIARY_SECURITY_HEADER - 1, 0);
    }
    mpdu.extend_from_slice(payload);
    mpdu.resize(mpdu.len() + if secured { MIC_32 } else { 0 }, 0);
    with_fcs(mpdu)
}

/// The octets of an acknowledgement, FCS included.
pub fn acknowledgement(sequence_number: u8) -> Vec<u8> {
    const FRAME_TYPE_ACK: u8 = 0b010;
    with_fcs(vec![FRAME_TYPE_ACK, 0, sequence_number])
}

fn with_fcs(mut mpdu: Vec<u8>) -> Vec<u8> {
    mpdu.extend_from_slice(&FCS_CRC.checksum(&mpdu).to_le_bytes());
    mpdu
}

/// Destination and payload of an MPDU without FCS that another stack made. `None` unless it is an unsecured data
/// frame for a node of this laboratory or for all.
pub fn parse(mpdu: &[u8]) -> Option<(Destination, &[u8])> {
    let frame = Ieee802154Frame::new_checked(mpdu).ok()?;
    if frame.frame_type() != Ieee802154FrameType::Data || frame.security_enabled() {
        return None;
    }
    let to = match frame.dst_addr()? {
        Ieee802154Address::BROADCAST => Destination::Broadcast,
        Ieee802154Address::Extended(eui64) => Destination::Unicast(node(eui64)?),
        _ => return None,
    };
    Some((to, frame.payload()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: Destination = Destination::Unicast(NodeId(7));

    #[test]
    fn frames_have_the_sizes_of_the_standard() {
        assert_eq!(overhead(PEER, false), 2 + 1 + 2 + 8 + 8 + 2);
        assert_eq!(overhead(Destination::Broadcast, false), 2 + 1 + 2 + 2 + 8 + 2);
        assert_eq!(overhead(PEER, true), 23 + 6 + 4);
        for secured in [false, true] {
            let mpdu = data(NodeId(3), PEER, true, 9, secured, &[1; 50]);
            assert_eq!(mpdu.len(), overhead(PEER, secured) + 50);
        }
        assert_eq!(acknowledgement(9).len(), crate::mac::ACK_FRAME);
    }

    #[test]
    fn what_is_written_can_be_read() {
        let mpdu = data(NodeId(3), PEER, true, 9, false, b"payload");
        assert_eq!(parse(&mpdu[..mpdu.len() - FCS]), Some((PEER, &b"payload"[..])));
        assert_eq!(node(eui64(NodeId(70_000))), Some(NodeId(70_000)));
        assert_eq!(node([9; 8]), None);
    }

    /// The example of clause 7.2.10, an acknowledgement. It is printed bit by bit, in the order of transmission: the
    /// sequence number 0101 0110 is 0x6a, and the FCS 0010 0111 1001 1110 is 0xe4 0x79.
    #[test]
    fn the_fcs_is_that_of_the_standard() {
        assert_eq!(acknowledgement(0x6a), [0x02, 0x00, 0x6a, 0xe4, 0x79]);
    }

    #[test]
    fn frames_of_others_are_refused_without_a_panic() {
        for length in 0..40 {
            assert_eq!(parse(&vec![0xff; length]), None);
        }
    }
}
