//! The memory that a [`Stack`](crate::Stack) works in, which its owner places.

use smoltcp::iface::SocketStorage;
use smoltcp::socket::{raw, udp};

/// How many datagrams wait to be taken, on each port.
pub(crate) const WAITING: usize = 4;
/// The longest router advertisement that is read, in bytes; longer ones are ignored.
const ADVERTISEMENT: usize = 512;

/// Bytes for packets: `DATAGRAM` for the datagram that leaves, and as much for each port that is heard.
pub struct Buffers<const DATAGRAM: usize> {
    control_packets: [raw::PacketMetadata; 1],
    control: [u8; ADVERTISEMENT],
    outgoing_packets: [udp::PacketMetadata; 1],
    outgoing: [u8; DATAGRAM],
    incoming_packets: [udp::PacketMetadata; WAITING],
    incoming: [u8; DATAGRAM],
    group_packets: [udp::PacketMetadata; WAITING],
    group: [u8; DATAGRAM],
}

/// Places for smoltcp's sockets.
#[derive(Default)]
pub struct Sockets<'s>(pub(crate) [SocketStorage<'s>; 3]);

impl<const DATAGRAM: usize> Buffers<DATAGRAM> {
    /// Empty buffers.
    pub const fn new() -> Self {
        Self {
            control_packets: [raw::PacketMetadata::EMPTY; 1],
            control: [0; ADVERTISEMENT],
            outgoing_packets: [udp::PacketMetadata::EMPTY; 1],
            outgoing: [0; DATAGRAM],
            incoming_packets: [udp::PacketMetadata::EMPTY; WAITING],
            incoming: [0; DATAGRAM],
            group_packets: [udp::PacketMetadata::EMPTY; WAITING],
            group: [0; DATAGRAM],
        }
    }

    /// The sockets for control messages, for the relay and for the group.
    pub(crate) fn sockets(&mut self) -> (raw::Socket<'_>, udp::Socket<'_>, udp::Socket<'_>) {
        use smoltcp::wire::{IpProtocol, IpVersion};
        let control = raw::PacketBuffer::new(&mut self.control_packets[..], &mut self.control[..]);
        let nothing = raw::PacketBuffer::new(&mut [][..], &mut [][..]);
        let control = raw::Socket::new(Some(IpVersion::Ipv6), Some(IpProtocol::Icmpv6), control, nothing);
        let incoming = udp::PacketBuffer::new(&mut self.incoming_packets[..], &mut self.incoming[..]);
        let outgoing = udp::PacketBuffer::new(&mut self.outgoing_packets[..], &mut self.outgoing[..]);
        let group = udp::PacketBuffer::new(&mut self.group_packets[..], &mut self.group[..]);
        let silent = udp::PacketBuffer::new(&mut [][..], &mut [][..]);
        (control, udp::Socket::new(incoming, outgoing), udp::Socket::new(group, silent))
    }
}

impl<const DATAGRAM: usize> Default for Buffers<DATAGRAM> {
    fn default() -> Self {
        Self::new()
    }
}
