//! What a stack is told when it starts, and what it refuses.

use core::fmt;
use core::net::Ipv6Addr;
use sixfold_profile::ticket::Endpoint;
use smoltcp::phy::Medium;
use smoltcp::wire::HardwareAddress;

/// What a [`Stack`](crate::Stack) needs to know.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// The device's link-layer address: unicast, and the extended one on 802.15.4.
    pub hardware_address: HardwareAddress,
    /// The PAN, on 802.15.4.
    pub pan_id: Option<u16>,
    /// The lower half of the device's addresses (RFC 7217), from the ticket.
    pub interface_identifier: [u8; 8],
    /// Where datagrams go, and the only place that they come from.
    pub relay: Endpoint,
    /// A group that is heard too, with its port.
    pub group: Option<Endpoint>,
    /// Differs from device to device and from start to start.
    pub seed: u32,
}

impl Config {
    /// Whether a stack can be made of it, for a device of this medium.
    pub(crate) fn check(&self, medium: Medium) -> Result<(), ConfigError> {
        let suits = match (self.hardware_address, medium) {
            #[cfg(feature = "ip")]
            (HardwareAddress::Ip, Medium::Ip) => true,
            #[cfg(feature = "ethernet")]
            (HardwareAddress::Ethernet(address), Medium::Ethernet) => address.is_unicast(),
            #[cfg(feature = "ieee802154")]
            (HardwareAddress::Ieee802154(address), Medium::Ieee802154) => {
                matches!(address, smoltcp::wire::Ieee802154Address::Extended(_))
            }
            #[allow(unreachable_patterns, reason = "with one link there is nothing else")]
            _ => false,
        };
        let is_unicast = |address: Ipv6Addr| !address.is_multicast() && !address.is_unspecified();
        let is_group = |group: Endpoint| group.address.is_multicast() && group.port != 0;
        match () {
            () if !suits => Err(ConfigError::HardwareAddress),
            () if !is_unicast(self.relay.address) || self.relay.port == 0 => Err(ConfigError::Relay),
            () if !self.group.is_none_or(is_group) => Err(ConfigError::Group),
            () => Ok(()),
        }
    }
}

/// Why there can be no [`Stack`](crate::Stack). The program is to blame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigError {
    /// The address does not fit the device's medium, is no unicast address, or is no extended one.
    HardwareAddress,
    /// The relay's address is no unicast address, or its port is 0.
    Relay,
    /// The group's address is no multicast address, or its port is 0.
    Group,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::HardwareAddress => "the hardware address does not suit the device: give it a unicast one",
            Self::Relay => "the relay needs a unicast address and a port: run prepare again",
            Self::Group => "the group needs a multicast address and a port: run prepare again",
        })
    }
}

impl core::error::Error for ConfigError {}

/// Why a datagram was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendError {
    /// There is no address to send from; see [`Stack::state`](crate::Stack::state).
    NotReady,
    /// It does not fit [`Buffers`](crate::Buffers), or the 1280 bytes of a packet.
    TooLong,
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotReady => "there is no address to send from yet",
            Self::TooLong => "the datagram is longer than the buffer or the link allows",
        })
    }
}

impl core::error::Error for SendError {}
