//! Interfaces, addresses, groups and ports.

use super::Finding;
use crate::config::Config;
use crate::ops::status::{self, Page};
use crate::udp::ALL_COAP_NODES;
use nix::ifaddrs::{InterfaceAddress, getifaddrs};
use nix::net::if_::{InterfaceFlags, if_nametoindex};
use nix::sys::socket::{SockaddrLike, SockaddrStorage};
use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, UdpSocket};

/// The interfaces that the configuration names.
pub(super) fn interfaces(config: &Config) -> Vec<Finding> {
    let addresses: Vec<_> = getifaddrs().into_iter().flatten().collect();
    let served = config.listen.interface.iter().cloned();
    let named: BTreeSet<String> =
        served.chain(config.link.iter().map(|link| link.interface.clone())).collect();
    if named.is_empty() {
        return vec![Finding::ok("interface", "all are served")];
    }
    named.iter().map(|name| interface(name, &addresses)).collect()
}

fn interface(name: &str, all: &[InterfaceAddress]) -> Finding {
    let own: Vec<_> = all.iter().filter(|entry| entry.interface_name == name).collect();
    let Some(first) = own.first() else {
        let remedy = "the relay waits for it: start the border router's agent, or correct the name (ip link lists them)";
        return Finding::warning("interface", format!("{name} is not there"), remedy);
    };
    if !first.flags.contains(InterfaceFlags::IFF_UP) {
        return Finding::warning("interface", format!("{name} is down"), format!("ip link set {name} up"));
    }
    let addresses: Vec<IpAddr> = own.iter().filter_map(|entry| ip(entry.address.as_ref()?)).collect();
    if addresses.iter().all(|address| !address.is_ipv6()) {
        let remedy =
            "give it one (or start what does: radvd, the agent): devices ask an address of this interface";
        return Finding::failure("addresses", format!("{name} has no IPv6 address"), remedy);
    }
    let shown: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    Finding::ok("addresses", format!("{name} has {}", shown.join(", ")))
}

fn ip(address: &SockaddrStorage) -> Option<IpAddr> {
    match address.family()? {
        nix::sys::socket::AddressFamily::Inet => address.as_sockaddr_in().map(|address| address.ip().into()),
        nix::sys::socket::AddressFamily::Inet6 => {
            address.as_sockaddr_in6().map(|address| address.ip().into())
        }
        _ => None,
    }
}

/// Whether a relay with this configuration runs.
pub(super) async fn is_running(config: &Config) -> bool {
    match config.admin.listen {
        Some(admin) => status::fetch(&format!("http://{admin}"), Page { limit: 1, skip: 0 }).await.is_ok(),
        None => false,
    }
}

/// Whether each address can be bound, or a relay has it already.
pub(super) fn ports(config: &Config, running: bool) -> Vec<Finding> {
    config.listen.coap.iter().map(|address| port(*address, running)).collect()
}

fn port(address: SocketAddr, running: bool) -> Finding {
    // As the relay does: IPv6 alone.
    let bound = socket2::Socket::new(socket2::Domain::for_address(address), socket2::Type::DGRAM, None)
        .and_then(|socket| {
            if address.is_ipv6() {
                socket.set_only_v6(true)?;
            }
            socket.bind(&address.into())
        });
    match bound {
        Ok(()) if running => {
            let remedy = "the running relay has another configuration: reload it";
            Finding::warning("ports", format!("nobody serves {address}, although a relay runs"), remedy)
        }
        Ok(()) => Finding::ok("ports", format!("{address} is free")),
        Err(error) if error.kind() == ErrorKind::AddrInUse && running => {
            Finding::ok("ports", format!("{address} is served by the relay that runs"))
        }
        Err(error) if error.kind() == ErrorKind::AddrInUse => {
            let port = address.port();
            let remedy = format!(
                "ss -lunp 'sport = {port}' names the program: stop it, or choose another port in listen.coap"
            );
            Finding::failure("ports", format!("{address} is taken by another program"), remedy)
        }
        Err(error) if error.kind() == ErrorKind::AddrNotAvailable => {
            let remedy = "give it to an interface, or write [::] in listen.coap";
            Finding::failure("addresses", format!("no interface has {}", address.ip()), remedy)
        }
        Err(error) => {
            Finding::failure("ports", format!("{address}: {error}"), "choose another in listen.coap")
        }
    }
}

/// Whether discovery can be heard: the groups can be joined where devices are.
pub(super) fn groups(config: &Config) -> Option<Finding> {
    let everywhere = |address: &SocketAddr| address.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED);
    if !config.listen.coap.iter().any(everywhere) {
        let what = "no socket is on [::]: devices that look for a relay do not find this one";
        return Some(Finding::warning("groups", what, "write \"[::]:5683\" in listen.coap if they are to"));
    }
    let name = config.listen.interface.as_deref()?;
    let index = if_nametoindex(name).ok()?;
    let joined = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)).and_then(|socket| {
        ALL_COAP_NODES.iter().try_for_each(|group| socket.join_multicast_v6(group, index))
    });
    Some(match joined {
        Ok(()) => Finding::ok("groups", format!("All CoAP Nodes can be joined on {name}")),
        Err(error) => {
            let remedy = "set the interface's multicast flag, or let devices have the relay's address";
            Finding::warning("groups", format!("All CoAP Nodes cannot be joined on {name}: {error}"), remedy)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::super::Severity::{Failure, Ok as Fine, Warning};
    use super::*;

    #[test]
    fn a_port_is_free_taken_or_ours() {
        let socket = UdpSocket::bind("[::1]:0").unwrap();
        let address = socket.local_addr().unwrap();
        assert_eq!(port(address, false).severity, Failure);
        assert_eq!(port(address, true).severity, Fine);
        drop(socket);
        assert_eq!(port(address, false).severity, Fine);
        assert_eq!(port(address, true).severity, Warning);
        let nowhere = "[2001:db8:dead::1]:5683".parse().unwrap();
        assert_eq!(port(nowhere, false).subject, "addresses");
    }

    #[test]
    fn an_interface_is_there_or_waited_for() {
        let all: Vec<_> = getifaddrs().unwrap().collect();
        assert_eq!(interface("lo", &all).severity, Fine);
        assert_eq!(interface("no-such-if", &all).severity, Warning);
    }
}
