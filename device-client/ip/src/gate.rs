//! What comes in passes here before smoltcp sees it.
//!
//! smoltcp discards solicitations from the unspecified address, so that nobody would learn that an address is taken
//! here; it answers multicast datagrams that are nobody's with errors; it does not look for membership queries on
//! every link. So packets are looked at in the frame, without changing it. Let through are datagrams and the three
//! messages of Neighbor Discovery that a host needs, addressed to this host; everything else ends here.

#[cfg(feature = "ieee802154")]
use crate::contexts::Contexts;
#[cfg(feature = "ieee802154")]
use crate::lowpan;
use crate::message::{ALL_NODES, solicited_node};
use core::net::Ipv6Addr;
use sixfold_profile::ticket::Endpoint;
use smoltcp::phy::{Device, DeviceCapabilities, PacketMeta, RxToken};
use smoltcp::time::Instant;
#[cfg(any(feature = "ethernet", feature = "ip"))]
use smoltcp::wire::Ipv6Packet;
#[cfg(feature = "ethernet")]
use smoltcp::wire::{EthernetFrame, EthernetProtocol};
use smoltcp::wire::{HardwareAddress, Icmpv6Message, IpProtocol};

const MLD_QUERY: u8 = 130;
/// Which packets are this host's, and what was noticed in those that smoltcp does not see.
#[derive(Clone, Debug)]
pub(crate) struct Filter {
    pub(crate) own: HardwareAddress,
    /// The addresses that are in use.
    pub(crate) assigned: [Option<Ipv6Addr>; 2],
    /// The address that is being probed.
    pub(crate) tentative: Option<Ipv6Addr>,
    /// The group that is heard.
    pub(crate) group: Option<Endpoint>,
    /// What addresses are compressed with.
    #[cfg(feature = "ieee802154")]
    pub(crate) contexts: Contexts,
    pub(crate) noticed: Noticed,
}

/// What was noticed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Noticed {
    /// Somebody probes for this address, which is ours (RFC 4862 §5.4.3).
    pub(crate) probed: Option<Ipv6Addr>,
    /// A router asks which groups are heard.
    pub(crate) query: bool,
}

/// As much of a packet as can be seen in one frame.
pub(crate) struct View<'f> {
    pub(crate) source: Ipv6Addr,
    pub(crate) destination: Ipv6Addr,
    pub(crate) next_header: IpProtocol,
    pub(crate) payload: &'f [u8],
    /// The destination port, where it does not stand in the payload as usual.
    pub(crate) port: Option<u16>,
}

impl Filter {
    fn admits(&mut self, frame: &[u8]) -> bool {
        match self.own {
            #[cfg(feature = "ip")]
            HardwareAddress::Ip => view(frame).is_some_and(|view| self.is_wanted(&view)),
            #[cfg(feature = "ethernet")]
            HardwareAddress::Ethernet(own) => {
                let Ok(frame) = EthernetFrame::new_checked(frame) else { return false };
                // Some hardware hears itself: that is no duplicate.
                frame.ethertype() == EthernetProtocol::Ipv6
                    && frame.src_addr() != own
                    && view(frame.payload()).is_some_and(|view| self.is_wanted(&view))
            }
            #[cfg(feature = "ieee802154")]
            HardwareAddress::Ieee802154(own) => match lowpan::look(own, frame, &self.contexts) {
                Some(lowpan::Seen::Begins(view)) => self.is_wanted(&view),
                Some(lowpan::Seen::Continues) => true,
                None => false,
            },
            #[allow(unreachable_patterns, reason = "another crate may give smoltcp more links")]
            _ => false,
        }
    }

    fn is_wanted(&mut self, view: &View<'_>) -> bool {
        self.is_for_us(view.destination)
            && match view.next_header {
                IpProtocol::Udp => self.is_wanted_datagram(view),
                IpProtocol::Icmpv6 => self.is_wanted_message(view),
                IpProtocol::HopByHop => {
                    // Such as a query (RFC 3810 §5): the header is eight bytes long, and ICMPv6 follows.
                    let query = view.payload.starts_with(&[58, 0]) && view.payload.get(8) == Some(&MLD_QUERY);
                    self.noticed.query |= query;
                    false
                }
                _ => false,
            }
    }

    /// To a group: only to its port, as smoltcp would answer others with an error, against RFC 4443 §2.4 e.3.
    fn is_wanted_datagram(&self, view: &View<'_>) -> bool {
        let group = |group: Endpoint| group.address == view.destination && view.port() == Some(group.port);
        !view.destination.is_multicast() || self.group.is_some_and(group)
    }

    fn is_wanted_message(&mut self, view: &View<'_>) -> bool {
        match view.payload.first().map(|kind| Icmpv6Message::from(*kind)) {
            Some(Icmpv6Message::RouterAdvert | Icmpv6Message::NeighborAdvert) => true,
            Some(Icmpv6Message::NeighborSolicit) => {
                let target = view.payload.get(8..).and_then(|rest| rest.first_chunk::<16>());
                target.is_some_and(|target| self.is_solicited(view.source, Ipv6Addr::from(*target)))
            }
            _ => false,
        }
    }

    fn is_solicited(&mut self, source: Ipv6Addr, target: Ipv6Addr) -> bool {
        let ours = self.assigned.contains(&Some(target));
        if source.is_unspecified() && (ours || self.tentative == Some(target)) {
            self.noticed.probed = Some(target);
        }
        ours && !source.is_unspecified()
    }

    fn is_for_us(&self, destination: Ipv6Addr) -> bool {
        let mut ours = self.assigned.iter().chain([&self.tentative]).flatten();
        destination == ALL_NODES
            || self.group.is_some_and(|group| group.address == destination)
            || ours.any(|own| *own == destination || solicited_node(*own) == destination)
    }
}

impl View<'_> {
    /// The destination port of a datagram.
    fn port(&self) -> Option<u16> {
        let plain = || Some(u16::from_be_bytes(*self.payload.get(2..)?.first_chunk::<2>()?));
        self.port.or_else(plain)
    }
}

#[cfg(any(feature = "ethernet", feature = "ip"))]
fn view(packet: &[u8]) -> Option<View<'_>> {
    let packet = Ipv6Packet::new_checked(packet).ok()?;
    Some(View {
        source: packet.src_addr(),
        destination: packet.dst_addr(),
        next_header: packet.next_header(),
        payload: packet.payload(),
        port: None,
    })
}

/// A device seen through a filter.
pub(crate) struct Gate<'g, D: ?Sized> {
    pub(crate) device: &'g mut D,
    pub(crate) filter: &'g mut Filter,
}

impl<D: Device + ?Sized> Device for Gate<'_, D> {
    type RxToken<'a>
        = Examined<'a, D::RxToken<'a>>
    where
        Self: 'a;
    type TxToken<'a>
        = D::TxToken<'a>
    where
        Self: 'a;

    fn receive(&mut self, now: Instant) -> Option<(Self::RxToken<'_>, Self::TxToken<'_>)> {
        let (token, answer) = self.device.receive(now)?;
        Some((Examined { token, filter: self.filter }, answer))
    }

    fn transmit(&mut self, now: Instant) -> Option<Self::TxToken<'_>> {
        self.device.transmit(now)
    }

    fn capabilities(&self) -> DeviceCapabilities {
        self.device.capabilities()
    }
}

/// A frame that is examined when it is consumed.
pub(crate) struct Examined<'a, T> {
    token: T,
    filter: &'a mut Filter,
}

impl<T: RxToken> RxToken for Examined<'_, T> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, work: F) -> R {
        // smoltcp takes an empty frame for one that was dealt with.
        self.token.consume(|frame| if self.filter.admits(frame) { work(frame) } else { work(&[]) })
    }

    fn meta(&self) -> PacketMeta {
        self.token.meta()
    }
}
