//! Puts a packet of our own into a frame. smoltcp does that for its sockets, but neither from the unspecified address,
//! nor with options that it does not know, nor (over 802.15.4) from a raw socket.
//!
//! Every packet here fits one frame.

#[cfg(feature = "ieee802154")]
use crate::lowpan;
use crate::message::Packet;
use smoltcp::phy::Device;
#[cfg(any(feature = "ethernet", feature = "ip"))]
use smoltcp::phy::TxToken;
use smoltcp::time::Instant;
use smoltcp::wire::HardwareAddress;
#[cfg(feature = "ethernet")]
use smoltcp::wire::{EthernetAddress, EthernetFrame, EthernetProtocol};
#[cfg(any(feature = "ethernet", feature = "ip"))]
use smoltcp::wire::{IPV6_HEADER_LEN, Ipv6Packet, Ipv6Repr};
#[cfg(feature = "ieee802154")]
use smoltcp::wire::{Ieee802154Address, Ieee802154Pan};

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
    /// Sends `packet` to its group, or on a low-power link to `neighbour` if there is one. `false`: the device takes no frame now.
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
            HardwareAddress::Ethernet(own) => ethernet(token, own, packet),
            #[cfg(feature = "ieee802154")]
            HardwareAddress::Ieee802154(from) => {
                let to = match neighbour {
                    Some(HardwareAddress::Ieee802154(address)) => address,
                    _ => Ieee802154Address::BROADCAST,
                };
                self.sequence_number = self.sequence_number.wrapping_add(1);
                lowpan::send(token, lowpan::Ends { pan: self.pan, from, to }, self.sequence_number, packet);
            }
            #[allow(unreachable_patterns, reason = "another crate may give smoltcp more links")]
            _ => {}
        }
        // Elsewhere all packets here are for groups.
        let _ = neighbour;
        true
    }
}

#[cfg(any(feature = "ethernet", feature = "ip"))]
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
fn ethernet(token: impl TxToken, own: EthernetAddress, packet: &Packet) {
    // RFC 2464 §7.
    let [.., a, b, c, d] = packet.destination.octets();
    let to = EthernetAddress([0x33, 0x33, a, b, c, d]);
    let length = IPV6_HEADER_LEN + packet.payload.as_slice().len();
    token.consume(EthernetFrame::<&[u8]>::buffer_len(length), |octets| {
        let mut frame = EthernetFrame::new_unchecked(octets);
        frame.set_src_addr(own);
        frame.set_dst_addr(to);
        frame.set_ethertype(EthernetProtocol::Ipv6);
        emit(packet, frame.payload_mut());
    });
}
