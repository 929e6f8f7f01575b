//! Interfaces, addresses, groups and ports.

use super::Finding;
use crate::config::Config;
use crate::ops::status::{self, Page};
use crate::pacing::Pacing;
use crate::udp::{self, ALL_COAP_NODES};
use nix::ifaddrs::{InterfaceAddress, getifaddrs};
use nix::net::if_::InterfaceFlags;
use nix::sys::socket::{SockaddrLike, SockaddrStorage};
use std::collections::BTreeSet;
use std::fs;
use std::io::{self, ErrorKind};
use std::iter;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};

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

/// Which interfaces are paced, and which should be.
pub(super) fn pacing(config: &Config) -> Vec<Finding> {
    let pacing = Pacing::of(config);
    let shown = Finding::ok("pacing", pacing.to_string());
    let doubts = pacing.doubts.into_iter().map(|(what, remedy)| Finding::warning("pacing", what, remedy));
    iter::once(shown).chain(doubts).collect()
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
        Some(admin) => {
            let page = Page { limit: 1, ..Page::default() };
            status::fetch(&format!("http://{admin}"), page).await.is_ok()
        }
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

/// Whether the admin address can be bound: without it there is no status, and there are no metrics.
pub(super) fn admin(config: &Config, running: bool) -> Option<Finding> {
    // One that answers is the relay's.
    let address = config.admin.listen.filter(|_| !running)?;
    Some(match TcpListener::bind(address) {
        Ok(_) => Finding::ok("ports", format!("TCP {address} is free, for status and metrics")),
        Err(error) => {
            let remedy = "stop the program that has it (ss -ltnp lists them), or choose another admin.listen";
            Finding::failure("ports", format!("TCP {address} cannot be bound: {error}"), remedy)
        }
    })
}

/// Whether discovery can be heard: the groups can be joined where devices are, or the relay that runs is in them.
pub(super) fn groups(config: &Config, running: bool) -> Vec<Finding> {
    let everywhere = |address: &SocketAddr| address.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED);
    if !config.listen.coap.iter().any(everywhere) {
        let what = "no socket is on [::]: devices that look for a relay do not find this one";
        return vec![Finding::warning("groups", what, "write \"[::]:5683\" in listen.coap if they are to")];
    }
    let named = config.listen.interface.as_deref();
    let all = udp::interfaces().unwrap_or_default().into_iter();
    let wanted: Vec<_> = all.filter(|one| named.map_or(one.multicast, |name| one.name == name)).collect();
    let members = fs::read_to_string("/proc/net/igmp6").ok().filter(|_| running);
    let (mut fine, mut findings) = (Vec::new(), Vec::new());
    for interface in &wanted {
        let name = &interface.name;
        match &members {
            Some(list) if ALL_COAP_NODES.iter().all(|group| is_member(list, name, *group)) => {
                fine.push(&**name);
            }
            Some(_) => {
                let remedy = "the relay's log says why it could not join them there";
                let what =
                    format!("nobody on this machine is in All CoAP Nodes on {name}, although a relay runs");
                findings.push(Finding::warning("groups", what, remedy));
            }
            None => match join(interface.index) {
                Ok(()) => fine.push(name),
                Err(error) => {
                    let remedy =
                        "set the interface's multicast flag, or let devices have the relay's address";
                    let what = format!("All CoAP Nodes cannot be joined on {name}: {error}");
                    findings.push(Finding::warning("groups", what, remedy));
                }
            },
        }
    }
    if !fine.is_empty() {
        let verb = if members.is_some() { "are" } else { "can be" };
        let what = format!("All CoAP Nodes {verb} joined on {}", fine.join(", "));
        findings.push(Finding::ok("groups", what));
    }
    findings
}

fn join(index: u32) -> io::Result<()> {
    let socket = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0))?;
    ALL_COAP_NODES.iter().try_for_each(|group| socket.join_multicast_v6(group, index))
}

/// Whether somebody on this machine is in a group, by `/proc/net/igmp6`: index, interface, group, how many, ...
fn is_member(list: &str, interface: &str, group: Ipv6Addr) -> bool {
    let group = format!("{:032x}", u128::from(group));
    list.lines().any(|line| {
        let mut fields = line.split_whitespace().skip(1);
        fields.next() == Some(interface) && fields.next() == Some(&group)
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
    fn members_of_groups_are_found_by_interface_and_group() {
        let list = "1 lo ff020000000000000000000000000001 1 0000000C 0\n\
                    7 wpan0 ff0200000000000000000000000000fd 1 00000004 0\n";
        let [link, site] = ALL_COAP_NODES;
        assert!(is_member(list, "wpan0", link));
        assert!(!is_member(list, "wpan0", site) && !is_member(list, "lo", link));
    }

    #[test]
    fn an_admin_address_that_is_taken_prevents_serving() {
        let taken = TcpListener::bind("[::1]:0").unwrap();
        let mut config = Config::default();
        config.admin.listen = Some(taken.local_addr().unwrap());
        assert_eq!(admin(&config, false).unwrap().severity, Failure);
        assert_eq!(admin(&config, true), None, "it is the relay's");
        drop(taken);
        assert_eq!(admin(&config, false).unwrap().severity, Fine);
    }

    #[test]
    fn an_interface_is_there_or_waited_for() {
        let all: Vec<_> = getifaddrs().unwrap().collect();
        assert_eq!(interface("lo", &all).severity, Fine);
        assert_eq!(interface("no-such-if", &all).severity, Warning);
    }
}
