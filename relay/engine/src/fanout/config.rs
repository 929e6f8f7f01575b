//! How a link fans out.

use sixfold_profile::coap::Szx;
use sixfold_profile::parity::SMALLEST;
use std::net::{Ipv6Addr, SocketAddr, SocketAddrV6};

/// How a link fans out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fanout {
    /// The multicast address that streams are sent to.
    pub group: Ipv6Addr,
    /// The UDP port that streams are sent to.
    pub port: u16,
    /// How many hops a stream may go.
    pub hop_limit: u8,
    /// The largest block of a stream, 64 bytes or more. Members and the loss of the link may make it smaller.
    pub block_size: Szx,
    /// How a stream makes up for losses.
    pub repair: Repair,
}

impl Default for Fanout {
    /// All CoAP Nodes of the link (RFC 7252 §12.8), at a port that 6LoWPAN writes in one byte (RFC 6282 §4.3.1) and nobody else
    /// listens to.
    fn default() -> Self {
        Self {
            group: Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0xfd),
            port: 61_616,
            hop_limit: 1,
            block_size: SMALLEST,
            repair: Repair::default(),
        }
    }
}

impl Fanout {
    /// Where streams go on an interface.
    pub(crate) fn address(&self, interface: u32) -> SocketAddr {
        SocketAddrV6::new(self.group, self.port, 0, interface).into()
    }
}

/// How a stream makes up for losses: the `repair` of a link's configuration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Repair {
    /// With parity symbols, where they are fewer than the blocks that anybody lacks.
    #[default]
    Parity,
    /// With those blocks.
    Blocks,
}

impl Repair {
    /// Every variant.
    pub const ALL: [Self; 2] = [Self::Parity, Self::Blocks];

    /// The name in the configuration.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Parity => "parity",
            Self::Blocks => "blocks",
        }
    }
}
