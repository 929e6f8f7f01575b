//! The IPv6 addresses of the nodes.

use crate::frame;
use crate::random::Random;
use crate::scenario::{InterfaceIdentifiers, Network, Scope};
use crate::topology::NodeId;
use std::net::Ipv6Addr;

/// The first 64 bits of global addresses: a unique local prefix (RFC 4193), `fd00:6f::/64`.
pub const GLOBAL_PREFIX: [u8; 8] = [0xfd, 0, 0, 0x6f, 0, 0, 0, 0];
const LINK_LOCAL_PREFIX: [u8; 8] = [0xfe, 0x80, 0, 0, 0, 0, 0, 0];
const IDENTIFIERS_SEED: u64 = 7217;

/// The address of a node that is in use in this network.
pub fn address(network: &Network, node: NodeId) -> Ipv6Addr {
    let prefix = match network.scope {
        Scope::LinkLocal => LINK_LOCAL_PREFIX,
        Scope::Global => GLOBAL_PREFIX,
    };
    let mut octets = [0; 16];
    octets[..8].copy_from_slice(&prefix);
    octets[8..].copy_from_slice(&interface_identifier(network.interface_identifiers, node));
    octets.into()
}

/// The border router is `::1` unless its identifier is made from its EUI-64.
fn interface_identifier(kind: InterfaceIdentifiers, node: NodeId) -> [u8; 8] {
    match kind {
        InterfaceIdentifiers::Private if node == NodeId::BORDER_ROUTER => 1_u64.to_be_bytes(),
        InterfaceIdentifiers::PrivateDevices if node == NodeId::BORDER_ROUTER => from_eui64(node),
        InterfaceIdentifiers::Private | InterfaceIdentifiers::PrivateDevices => {
            let mut random = Random::new(IDENTIFIERS_SEED, u64::from(node.0));
            (u64::from(random.bits()) << 32 | u64::from(random.bits())).to_be_bytes()
        }
        InterfaceIdentifiers::Eui64 => from_eui64(node),
    }
}

/// RFC 4291 appendix A: the universal/local bit is inverted.
fn from_eui64(node: NodeId) -> [u8; 8] {
    let mut identifier = frame::eui64(node);
    identifier[0] ^= 0x02;
    identifier
}
