//! Puts a packet of our own into a frame. smoltcp does that for its sockets, but neither from the unspecified address,
//! nor with options that it does not know, nor (over 802.15.4) from a raw socket.
//!
//! Every packet here fits one frame.

use crate::message::Packet;
#[cfg(feature = "ieee802154")]
use core::net::Ipv6Addr;
use smoltcp::phy::{Device, TxToken};
use smoltcp::time::Instant;
#[cfg(feature = "ethernet")]
use smoltcp::wire::{EthernetAddress, EthernetFrame, EthernetProtocol};
use smoltcp::wire::{HardwareAddress, IPV6_HEADER_LEN, Ipv6Packet, Ipv6Repr};
#[cfg(feature = "ieee802154")]
use smoltcp::wire::{
    Ieee802154Address, Ieee802154Frame, Ieee802154FrameType, Ieee802154FrameVersion, Ieee802154Pan,
    Ieee802154Repr, SixlowpanIphcPacket, SixlowpanIphcRepr, SixlowpanNextHeader,
};

/// Who sends on which link.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) own: HardwareAddress,
    /// The PAN, where the link has one.
    #[cfg(feature = "ieee802154")]
    pub(crate) pan: Option<Ieee802154Pan>,
    #[cfg(feature = "ieee802154")]
    pub(crate) sequence_number: u8,
}

impl Link {
    /// Sends `packet` to its group, or to `neighbour` if there is one. `false`: the device takes no frame now.
    pub(crate) fn send<D: Device + ?Sized>(
        &mut self,
        now: Instant,
        device: &mut D,
        neighbour: Option<HardwareAddress>,
        packet: &Packet,
    ) -> bool {
        let Some(token) = device.transmit(now) else { return false };
        match self.own {
            #[cfg(feature = "ip")]
            HardwareAddress::Ip => bare(token, packet),
            #[cfg(feature = "ethernet")]
            HardwareAddress::Ethernet(own) => ethernet(token, own, neighbour, packet),
            #[cfg(feature = "ieee802154")]
            HardwareAddress::Ieee802154(own) => self.ieee802154(token, own, neighbour, packet),
        }
        let _ = neighbour;
        true
    }

    #[cfg(feature = "ieee802154")]
    fn ieee802154(
        &mut self,
        token: impl TxToken,
        own: Ieee802154Address,
        neighbour: Option<HardwareAddress>,
        packet: &Packet,
    ) {
        let to = match neighbour {
            Some(HardwareAddress::Ieee802154(address)) => address,
            _ => Ieee802154Address::BROADCAST,
        };
        self.sequence_number = self.sequence_number.wrapping_add(1);
        let frame = data_frame(self.sequence_number, self.pan, own, to);
        let iphc = compressed(packet, own, to);
        let payload = packet.payload.as_slice();
        token.consume(frame.buffer_len() + iphc.buffer_len() + payload.len(), |octets| {
            let (header, rest) = octets.split_at_mut(frame.buffer_len());
            frame.emit(&mut Ieee802154Frame::new_unchecked(header));
            let (header, rest) = rest.split_at_mut(iphc.buffer_len());
            iphc.emit(&mut SixlowpanIphcPacket::new_unchecked(header));
            rest.copy_from_slice(payload);
        });
    }
}

fn emit(packet: &Packet, octets: &mut [u8]) {
    let payload = packet.payload.as_slice();
    let header = Ipv6Repr {
        src_addr: packet.source,
        dst_addr: packet.destination,
        next_header: packet.next_header,
        payload_len: payload.len(),
        hop_limit: packet.hop_limit,
    };
    let (place, rest) = octets.split_at_mut(IPV6_HEADER_LEN);
    header.emit(&mut Ipv6Packet::new_unchecked(place));
    rest.copy_from_slice(payload);
}

#[cfg(feature = "ip")]
fn bare(token: impl TxToken, packet: &Packet) {
    token.consume(IPV6_HEADER_LEN + packet.payload.as_slice().len(), |octets| emit(packet, octets));
}

#[cfg(feature = "ethernet")]
fn ethernet(token: impl TxToken, own: EthernetAddress, neighbour: Option<HardwareAddress>, packet: &Packet) {
    // RFC 2464 §7.
    let [.., a, b, c, d] = packet.destination.octets();
    let to = match neighbour {
        Some(HardwareAddress::Ethernet(address)) => address,
        _ => EthernetAddress([0x33, 0x33, a, b, c, d]),
    };
    let length = IPV6_HEADER_LEN + packet.payload.as_slice().len();
    token.consume(EthernetFrame::<&[u8]>::buffer_len(length), |octets| {
        let mut frame = EthernetFrame::new_unchecked(octets);
        frame.set_src_addr(own);
        frame.set_dst_addr(to);
        frame.set_ethertype(EthernetProtocol::Ipv6);
        emit(packet, frame.payload_mut());
    });
}

#[cfg(feature = "ieee802154")]
const fn data_frame(
    sequence_number: u8,
    pan: Option<Ieee802154Pan>,
    from: Ieee802154Address,
    to: Ieee802154Address,
) -> Ieee802154Repr {
    Ieee802154Repr {
        frame_type: Ieee802154FrameType::Data,
        security_enabled: false,
        frame_pending: false,
        ack_request: false,
        sequence_number: Some(sequence_number),
        pan_id_compression: true,
        frame_version: Ieee802154FrameVersion::Ieee802154_2003,
        dst_pan_id: pan,
        dst_addr: Some(to),
        src_pan_id: pan,
        src_addr: Some(from),
    }
}

#[cfg(feature = "ieee802154")]
const fn compressed(packet: &Packet, from: Ieee802154Address, to: Ieee802154Address) -> SixlowpanIphcRepr {
    SixlowpanIphcRepr {
        src_addr: packet.source,
        ll_src_addr: Some(from),
        dst_addr: packet.destination,
        ll_dst_addr: Some(to),
        next_header: SixlowpanNextHeader::Uncompressed(packet.next_header),
        hop_limit: packet.hop_limit,
        ecn: None,
        dscp: None,
        flow_label: None,
    }
}

/// The extended address that a link-local address was made of, if it was (RFC 4291 §2.5.1).
#[cfg(feature = "ieee802154")]
pub(crate) const fn eui64_of(address: Ipv6Addr) -> HardwareAddress {
    let [.., a, b, c, d, e, f, g, h] = address.octets();
    HardwareAddress::Ieee802154(Ieee802154Address::Extended([a ^ 2, b, c, d, e, f, g, h]))
}
