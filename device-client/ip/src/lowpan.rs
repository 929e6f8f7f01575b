//! Frames of IEEE 802.15.4 with 6LoWPAN (RFC 4944, RFC 6282): packets of our own into one, and a look into others.
//!
//! Nothing here is put together from fragments: smoltcp does that.

use crate::contexts::Contexts;
use crate::gate::View;
use crate::message::Packet;
use core::net::Ipv6Addr;
use smoltcp::phy::TxToken;
use smoltcp::wire::{
    HardwareAddress, IPV6_HEADER_LEN, Ieee802154Address, Ieee802154Frame, Ieee802154FrameType,
    Ieee802154FrameVersion, Ieee802154Pan, Ieee802154Repr, IpProtocol, SixlowpanFragPacket,
    SixlowpanIphcPacket, SixlowpanIphcRepr, SixlowpanNextHeader, SixlowpanPacket, SixlowpanUdpNhcPacket,
    UDP_HEADER_LEN,
};

/// NHC of UDP (RFC 6282 §4.3): the upper five bits.
const NHC_UDP: u8 = 0b1111_0000;
const NHC_UDP_BITS: u8 = 0b1111_1000;

/// One end of a frame's way, and the PAN that it is in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ends {
    pub(crate) pan: Option<Ieee802154Pan>,
    pub(crate) from: Ieee802154Address,
    pub(crate) to: Ieee802154Address,
}

/// Sends `packet`, which fits one frame.
pub(crate) fn send(token: impl TxToken, ends: Ends, sequence_number: u8, packet: &Packet) {
    let frame = data_frame(ends, sequence_number);
    let iphc = compressed(packet, ends);
    let payload = packet.payload.as_slice();
    token.consume(frame.buffer_len() + iphc.buffer_len() + payload.len(), |octets| {
        let (header, rest) = octets.split_at_mut(frame.buffer_len());
        frame.emit(&mut Ieee802154Frame::new_unchecked(header));
        let (header, rest) = rest.split_at_mut(iphc.buffer_len());
        iphc.emit(&mut SixlowpanIphcPacket::new_unchecked(header));
        rest.copy_from_slice(payload);
    });
}

const fn data_frame(ends: Ends, sequence_number: u8) -> Ieee802154Repr {
    Ieee802154Repr {
        frame_type: Ieee802154FrameType::Data,
        security_enabled: false,
        frame_pending: false,
        ack_request: false,
        sequence_number: Some(sequence_number),
        pan_id_compression: true,
        frame_version: Ieee802154FrameVersion::Ieee802154_2003,
        dst_pan_id: ends.pan,
        dst_addr: Some(ends.to),
        src_pan_id: ends.pan,
        src_addr: Some(ends.from),
    }
}

const fn compressed(packet: &Packet, ends: Ends) -> SixlowpanIphcRepr {
    SixlowpanIphcRepr {
        src_addr: packet.source,
        ll_src_addr: Some(ends.from),
        dst_addr: packet.destination,
        ll_dst_addr: Some(ends.to),
        next_header: SixlowpanNextHeader::Uncompressed(packet.next_header),
        hop_limit: packet.hop_limit,
        ecn: None,
        dscp: None,
        flow_label: None,
    }
}

/// The extended address that a link-local address was made of, if it was (RFC 4291 §2.5.1).
pub(crate) const fn eui64_of(address: Ipv6Addr) -> HardwareAddress {
    let [.., a, b, c, d, e, f, g, h] = address.octets();
    HardwareAddress::Ieee802154(Ieee802154Address::Extended([a ^ 2, b, c, d, e, f, g, h]))
}

/// What can be seen of a packet in a frame.
pub(crate) enum Seen<'f> {
    /// Its beginning.
    Begins(View<'f>),
    /// Only smoltcp knows which packet it belongs to, and drops it if the beginning is not there.
    Continues,
}

/// Looks into a frame that is not from `own`; `None` when it is of no use.
pub(crate) fn look<'f>(own: Ieee802154Address, frame: &'f [u8], contexts: &Contexts) -> Option<Seen<'f>> {
    let frame = Ieee802154Frame::new_checked(frame).ok()?;
    let link = Ieee802154Repr::parse(&frame).ok().filter(|link| link.src_addr != Some(own))?;
    let payload = frame.payload()?;
    match SixlowpanPacket::dispatch(payload).ok()? {
        SixlowpanPacket::IphcHeader => Some(Seen::Begins(view(&link, payload, contexts)?)),
        SixlowpanPacket::FragmentHeader => look_into_fragment(&link, payload, contexts),
    }
}

fn look_into_fragment<'f>(link: &Ieee802154Repr, payload: &'f [u8], contexts: &Contexts) -> Option<Seen<'f>> {
    let fragment = SixlowpanFragPacket::new_checked(payload).ok()?;
    // smoltcp 0.14 counts below zero when there is no room for the headers.
    let size = usize::from(fragment.datagram_size());
    if size < IPV6_HEADER_LEN + UDP_HEADER_LEN {
        return None;
    }
    Some(if fragment.is_first_fragment() {
        Seen::Begins(view(link, fragment.payload(), contexts)?)
    } else {
        Seen::Continues
    })
}

fn view<'f>(link: &Ieee802154Repr, payload: &'f [u8], contexts: &Contexts) -> Option<View<'f>> {
    let packet = SixlowpanIphcPacket::new_checked(payload).ok()?;
    let header = SixlowpanIphcRepr::parse(&packet, link.src_addr, link.dst_addr, contexts).ok()?;
    let payload = packet.payload();
    let (next_header, port) = match header.next_header {
        SixlowpanNextHeader::Uncompressed(next_header) => (next_header, None),
        SixlowpanNextHeader::Compressed => (IpProtocol::Udp, Some(port(payload)?)),
    };
    Some(View { source: header.src_addr, destination: header.dst_addr, next_header, payload, port })
}

/// The destination port in a compressed UDP header; `None`: another header is compressed.
fn port(payload: &[u8]) -> Option<u16> {
    let is_udp = payload.first()? & NHC_UDP_BITS == NHC_UDP;
    is_udp.then(|| Some(SixlowpanUdpNhcPacket::new_checked(payload).ok()?.dst_port()))?
}
