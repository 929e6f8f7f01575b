//! Which addresses count as one client where connections, or agreements, are counted.
//!
//! A host of the Internet often has a whole /64 (RFC 4291 §2.5.4, RFC 8981): there, all addresses of a /64 are one source. The devices
//! of a 6LoWPAN link have such a prefix together, so on the link of an interface that is served each address is a source. TCP has
//! shown that whoever connects is where its address says, as Echo (RFC 9175) has for agreements over CoAP: an answer to an address of a
//! link's prefix goes to that link. An IPv4 address is a source wherever it is.
//!
//! A host on the link itself may have as many addresses as it likes, and on a link alone its own security is against that.

use crate::udp::interfaces;
use sixfold_engine::Prefix;
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

/// How long what is known of interfaces is used.
const FRESH: Duration = Duration::from_secs(1);

/// The bits of an address that say in which /64 it is.
const NETWORK: u128 = !0 << 64;

/// Whose a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Source(IpAddr);

impl Source {
    /// The source that an address belongs to, where these are on the links that are served.
    pub(crate) fn of(address: IpAddr, on_link: &[Prefix]) -> Self {
        match address.to_canonical() {
            IpAddr::V6(own) if !on_link.iter().any(|prefix| prefix.contains(address)) => {
                Self(Ipv6Addr::from_bits(own.to_bits() & NETWORK).into())
            }
            own => Self(own),
        }
    }

    /// The address, or the first one of its /64.
    pub(crate) fn address(self) -> IpAddr {
        self.0
    }
}

/// Which addresses are on the links that are served, as the system says.
#[derive(Debug, Default)]
pub(crate) struct Neighbours {
    prefixes: Vec<Prefix>,
    looked: Option<Instant>,
}

impl Neighbours {
    /// Whose a connection from this address is; `interface` is the only one that is served, if there is just one.
    pub(crate) fn source(&mut self, address: IpAddr, interface: Option<&str>) -> Source {
        if self.looked.is_none_or(|looked| looked.elapsed() > FRESH) {
            self.look(interface);
        }
        Source::of(address, &self.prefixes)
    }

    fn look(&mut self, served: Option<&str>) {
        self.looked = Some(Instant::now());
        match interfaces() {
            Ok(interfaces) => {
                let served = interfaces.iter().filter(|one| served.is_none_or(|name| name == one.name));
                self.prefixes = served.flat_map(|interface| interface.prefixes()).collect();
            }
            Err(error) => tracing::debug!("looking for interfaces: {error}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_is_one_source_and_on_a_link_each_address_is() {
        let link = [Prefix { interface: 3, address: "2001:db8:6::1".parse().unwrap(), length: 64 }];
        let source = |address: &str| Source::of(address.parse().unwrap(), &link);
        for (one, other, is_same) in [
            ("2001:db8:6::17", "2001:db8:6::18", false),
            ("2001:db8:7::17", "2001:db8:7::ffff:18", true),
            ("2001:db8:7::17", "2001:db8:7:1::17", false),
            ("192.0.2.1", "192.0.2.2", false),
            ("192.0.2.1", "::ffff:192.0.2.1", true),
            ("::ffff:192.0.2.1", "::ffff:192.0.2.2", false),
        ] {
            assert_eq!(source(one) == source(other), is_same, "{one} {other}");
        }
        assert_eq!(source("2001:db8:7::17").address(), "2001:db8:7::".parse::<IpAddr>().unwrap());
    }

    #[test]
    fn the_interfaces_of_this_machine_have_neighbours() {
        let [one, other] = ["127.1.2.3", "::1"].map(|address| address.parse::<IpAddr>().unwrap());
        let mut neighbours = Neighbours::default();
        assert_eq!(neighbours.source(one, None).address(), one);
        assert_eq!(Neighbours::default().source(other, Some("lo")).address(), other);
        let elsewhere = Neighbours::default().source(other, Some("no-such-if"));
        assert_eq!(elsewhere.address(), Ipv6Addr::UNSPECIFIED, "not on a link that is served");
    }
}
