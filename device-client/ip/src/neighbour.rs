//! Tells smoltcp the link-layer address of a router that said it in its advertisement.
//!
//! On a low-power link nobody need answer a multicast solicitation (RFC 6775 §5.6), but smoltcp knows no other way, and
//! it forgets after a minute. There is no call to tell it; so it is handed a solicitation as if it came from the
//! router, which makes it remember (RFC 4861 §7.2.3). Whatever it answers is dropped.

use crate::link::Link;
use crate::message::neighbour_solicitation;
use core::net::Ipv6Addr;
use smoltcp::iface::{Interface, SocketSet};
use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::time::Instant;
use smoltcp::wire::{HardwareAddress, Ieee802154Pan};

/// The neighbour's side of the conversation.
pub(crate) struct Neighbour {
    pub(crate) address: Ipv6Addr,
    pub(crate) link_layer: HardwareAddress,
    pub(crate) pan: Option<Ieee802154Pan>,
}

impl Neighbour {
    /// Makes `interface`, which has the address `own`, know this neighbour.
    pub(crate) fn introduce(
        &self,
        now: Instant,
        (own, own_link_layer): (Ipv6Addr, HardwareAddress),
        interface: &mut Interface,
        sockets: &mut SocketSet<'_>,
    ) {
        let mut scratch = Scratch { frame: [0; FRAME], length: 0 };
        let mut link = Link { own: self.link_layer, pan: self.pan, sequence_number: 0 };
        let packet = neighbour_solicitation(self.address, own, self.address, self.link_layer, &[]);
        link.send(now, &mut scratch, Some(own_link_layer), &packet);
        interface.poll_ingress_single(now, &mut scratch, sockets);
    }
}

/// aMaxPHYPacketSize (IEEE 802.15.4).
const FRAME: usize = 127;

/// One frame, from the hand into the mouth.
struct Scratch {
    frame: [u8; FRAME],
    length: usize,
}

struct Taken<'s>(&'s [u8]);

struct Put<'s>(Option<&'s mut Scratch>);

impl Device for Scratch {
    type RxToken<'a> = Taken<'a>;
    type TxToken<'a> = Put<'a>;

    fn receive(&mut self, _: Instant) -> Option<(Taken<'_>, Put<'_>)> {
        let frame = self.frame.get(..self.length).filter(|frame| !frame.is_empty())?;
        Some((Taken(frame), Put(None)))
    }

    fn transmit(&mut self, _: Instant) -> Option<Put<'_>> {
        Some(Put(Some(self)))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ieee802154;
        capabilities.max_transmission_unit = FRAME;
        capabilities
    }
}

impl RxToken for Taken<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, work: F) -> R {
        work(self.0)
    }
}

impl TxToken for Put<'_> {
    /// Whoever writes makes at most a frame; what is longer is written to nowhere.
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, work: F) -> R {
        let length = length.min(FRAME);
        let mut nowhere = [0; FRAME];
        let (frame, written) = match self.0 {
            Some(Scratch { frame, length }) => (frame, length),
            None => (&mut nowhere, &mut 0),
        };
        *written = length;
        work(&mut frame[..length])
    }
}
