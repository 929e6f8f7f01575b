//! What a relay tells of a group.

use sixfold_device::prepare::informative;
use sixfold_profile::ticket::Endpoint;
use std::net::Ipv6Addr;

const RELAY: Endpoint = Endpoint { address: Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0xab), port: 5683 };

/// The payload of an informative response. Whatever is believed of it can stand in a ticket, and be listened to.
pub fn informative_response(data: &[u8]) {
    let Ok(told) = informative::read(data, RELAY) else { return };
    let group = told.group();
    assert!(group.endpoint.address.is_multicast() && group.endpoint.port != 0);
    assert!((1..=8).contains(&group.token.len()));
    assert!(data.windows(16).any(|octets| octets == group.endpoint.address.octets()), "it stands there");
}
