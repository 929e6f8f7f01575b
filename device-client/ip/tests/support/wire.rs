//! A link in memory: frames to and from the stack, and packets in them.

use sixfold_air::frame::{self, Destination};
use sixfold_air::sixlowpan::{self, Piece};
use sixfold_air::topology::NodeId;
use sixfold_ip::HardwareAddress;
use smoltcp::phy::{ChecksumCapabilities, Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::time::Instant;
use smoltcp::wire::{EthernetAddress, EthernetFrame, EthernetProtocol, Ieee802154Address};
use std::collections::VecDeque;

/// The node that the stack is.
pub const DEVICE: NodeId = NodeId(1);
const ETHERNET: usize = 14;

/// Frames on their way.
pub struct Wire {
    pub medium: Medium,
    pub incoming: VecDeque<Vec<u8>>,
    pub outgoing: VecDeque<Vec<u8>>,
    /// Fragments of the packet that the stack is sending.
    partial: Vec<u8>,
    arrived: usize,
    tag: u16,
}

impl Wire {
    pub fn new(medium: Medium) -> Self {
        let (incoming, outgoing) = Default::default();
        Self { medium, incoming, outgoing, partial: Vec::new(), arrived: 0, tag: 0 }
    }

    /// The link-layer address of a node.
    pub fn address(&self, node: NodeId) -> HardwareAddress {
        match self.medium {
            Medium::Ip => HardwareAddress::Ip,
            Medium::Ethernet => HardwareAddress::Ethernet(mac(node)),
            Medium::Ieee802154 => Ieee802154Address::Extended(frame::eui64(node)).into(),
        }
    }

    /// The bytes of a link-layer address option's address, padding included.
    pub fn link_layer(&self, node: NodeId) -> Vec<u8> {
        match self.medium {
            Medium::Ip => Vec::new(),
            Medium::Ethernet => mac(node).as_bytes().to_vec(),
            Medium::Ieee802154 => [&frame::eui64(node)[..], &[0; 6]].concat(),
        }
    }

    /// Sends a packet to the stack, in as many frames as it needs.
    pub fn deliver(&mut self, from: NodeId, packet: &[u8]) {
        let to = if packet[24] == 0xff { Destination::Broadcast } else { Destination::Unicast(DEVICE) };
        match self.medium {
            Medium::Ip => self.incoming.push_back(packet.to_vec()),
            Medium::Ethernet => {
                let mut octets = vec![0; ETHERNET + packet.len()];
                let mut frame = EthernetFrame::new_unchecked(&mut octets);
                frame.set_src_addr(mac(from));
                frame.set_dst_addr(match to {
                    Destination::Unicast(node) => mac(node),
                    Destination::Broadcast => {
                        EthernetAddress([0x33, 0x33, packet[36], packet[37], packet[38], packet[39]])
                    }
                });
                frame.set_ethertype(EthernetProtocol::Ipv6);
                frame.payload_mut().copy_from_slice(packet);
                self.incoming.push_back(octets);
            }
            Medium::Ieee802154 => {
                self.tag += 1;
                let room = frame::max_payload(to, false);
                for payload in sixlowpan::frames(packet, from, to, self.tag, room).unwrap() {
                    let mpdu = frame::data(from, to, false, 0, false, &payload);
                    self.incoming.push_back(mpdu[..mpdu.len() - frame::FCS].to_vec());
                }
            }
        }
    }

    /// The next packet that the stack sent, and to whom; `None` in it: to a group, or the link has one neighbour.
    pub fn take(&mut self) -> Option<(Option<NodeId>, Vec<u8>)> {
        loop {
            let frame = self.outgoing.pop_front()?;
            match self.medium {
                Medium::Ip => return Some((None, frame)),
                Medium::Ethernet => {
                    let frame = EthernetFrame::new_checked(&frame[..]).unwrap();
                    assert_eq!(frame.src_addr(), mac(DEVICE));
                    let to = frame.dst_addr();
                    let to = to.is_unicast().then(|| NodeId(to.as_bytes()[5].into()));
                    return Some((to, frame.payload().to_vec()));
                }
                Medium::Ieee802154 => {
                    assert!(frame.len() <= 125, "a frame of {} octets", frame.len());
                    let (to, payload) = frame::parse(&frame).unwrap();
                    let node = if let Destination::Unicast(node) = to { Some(node) } else { None };
                    match sixlowpan::read(payload, DEVICE, to).unwrap() {
                        Piece::Whole(packet) => return Some((node, packet)),
                        Piece::Fragment(fragment) => {
                            if fragment.offset == 0 {
                                (self.partial, self.arrived) = (vec![0; fragment.size], 0);
                            }
                            let end = fragment.offset + fragment.bytes.len();
                            self.partial[fragment.offset..end].copy_from_slice(&fragment.bytes);
                            self.arrived += fragment.bytes.len();
                            if self.arrived == self.partial.len() {
                                return Some((node, std::mem::take(&mut self.partial)));
                            }
                        }
                    }
                }
            }
        }
    }
}

pub fn mac(node: NodeId) -> EthernetAddress {
    EthernetAddress([2, 0, 0, 0, 0, node.0 as u8])
}

pub struct Received(Vec<u8>);

pub struct Sender<'w>(&'w mut VecDeque<Vec<u8>>);

impl Device for Wire {
    type RxToken<'a> = Received;
    type TxToken<'a> = Sender<'a>;

    fn receive(&mut self, _: Instant) -> Option<(Received, Sender<'_>)> {
        let frame = self.incoming.pop_front()?;
        Some((Received(frame), Sender(&mut self.outgoing)))
    }

    fn transmit(&mut self, _: Instant) -> Option<Sender<'_>> {
        Some(Sender(&mut self.outgoing))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = self.medium;
        capabilities.max_transmission_unit = match self.medium {
            Medium::Ip => 1280,
            Medium::Ethernet => 1514,
            Medium::Ieee802154 => 125,
        };
        capabilities.checksum = ChecksumCapabilities::default();
        capabilities
    }
}

impl RxToken for Received {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, work: F) -> R {
        work(&self.0)
    }
}

impl TxToken for Sender<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, work: F) -> R {
        let mut frame = vec![0; length];
        let result = work(&mut frame);
        self.0.push_back(frame);
        result
    }
}
