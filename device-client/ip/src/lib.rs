//! The IPv6 edge of the boot program: UDP payloads between the relay and a smoltcp `Device`.
//!
//! [`Stack`] gives the device its addresses (RFC 4862, with the interface identifier of the ticket), finds the way to
//! the relay and carries datagrams. smoltcp moves packets, resolves neighbours, compresses headers and makes
//! fragments. What it lacks has a file of its own here: duplicate address detection (`dad`), router discovery
//! (`solicitation`), prefixes and default routers (`slaac`), address registration (`registration`), membership of the
//! ticket's group (`membership`), and a `gate` that keeps from smoltcp what it must not see.
//!
//! No allocation, no clock, no source of randomness. No IPv4, DHCPv6, redirects, path MTU discovery (datagrams fit
//! 1280 bytes) or privacy addresses, and none of the payload's meaning.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(not(any(feature = "ethernet", feature = "ieee802154", feature = "ip")))]
compile_error!("choose a link: one of the features ethernet, ieee802154, ip");

mod addressing;
mod buffers;
mod config;
#[cfg(feature = "ieee802154")]
mod contexts;
mod dad;
mod gate;
mod link;
#[cfg(feature = "ieee802154")]
mod lowpan;
mod membership;
mod message;
#[cfg(feature = "ieee802154")]
mod neighbour;
mod random;
#[cfg(feature = "ieee802154")]
mod registration;
mod slaac;
mod solicitation;
mod stack;

pub use addressing::State;
pub use buffers::{Buffers, Sockets};
pub use config::{Config, ConfigError, SendError};
pub use smoltcp::wire::HardwareAddress;
pub use stack::{Received, Stack};
