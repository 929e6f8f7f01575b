//! Interfaces, addresses, groups and ports.

use super::Finding;
use super::owner::{Owner, owner};
use crate::config::Config;
use crate::ops::status::{self, Page, printable};
use crate::pacing::Pacing;
use crate::udp::{self, ALL_COAP_NODES};
use nix::ifaddrs::{InterfaceAddress, getifaddrs};
use nix::net::if_::InterfaceFlags;
use nix::sys::socket::{SockaddrLike, SockaddrStorage};
use std::fs;
use std::io::{self, ErrorKind};
use std::iter;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};

/// The interfaces that the configuration names.
pub(super) fn interfaces(config: &Config) -> Vec<Finding> {
    let addresses: Vec<_> = getifaddrs().into_iter().flatten().collect();
    let named = config.interfaces();
    if named.is_empty() {
        return vec![Finding::ok("interface", "all are served")];
    }
    named.into_iter().map(|name| interface(name, &addresses)).collect()
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Running {
    /// Its admin address answers.
    Answers,
    /// It has an address of `listen.coap`, and does not answer at `admin.listen`: there is none, or another one since it started.
    Silent,
    /// Somebody has an address of `listen.coap`, and who that is may be seen by root alone.
    Unknown,
    /// No.
    No,
}

impl Running {
    /// Whether one does for sure.
    pub(super) fn is_certain(self) -> bool {
        matches!(self, Self::Answers | Self::Silent)
    }
}

/// Looks for it.
pub(super) async fn running(config: &Config) -> Running {
    if let Some(admin) = config.admin.listen
        && status::fetch(&format!("http://{admin}"), Page { limit: 1, ..Page::default() }).await.is_ok()
    {
        return Running::Answers;
    }
    let owners: Vec<Owner> = config.listen.coap.iter().map(|address| owner(*address)).collect();
    if owners.contains(&Owner::Relay) {
        Running::Silent
    } else if owners.contains(&Owner::Hidden) {
        Running::Unknown
    } else {
        Running::No
    }
}

/// Whether each address can be bound, or a relay has it already.
pub(super) fn ports(config: &Config, running: Running) -> Vec<Finding> {
    config.listen.coap.iter().map(|address| port(*address, running)).collect()
}

fn port(address: SocketAddr, running: Running) -> Finding {
    // As the relay does: IPv6 alone.
    let bound = socket2::Socket::new(socket2::Domain::for_address(address), socket2::Type::DGRAM, None)
        .and_then(|socket| {
            if address.is_ipv6() {
                socket.set_only_v6(true)?;
            }
            socket.bind(&address.into())
        });
    match bound {
        Ok(()) if running.is_certain() => {
            let remedy = "the running relay has another configuration: reload it";
            Finding::warning("ports", format!("nobody serves {address}, although a relay runs"), remedy)
        }
        Ok(()) => Finding::ok("ports", format!("{address} is free")),
        Err(error) if error.kind() == ErrorKind::AddrInUse => taken(address, running, &owner(address)),
        Err(error) if error.kind() == ErrorKind::AddrNotAvailable => {
            let remedy = "give it to an interface, or write [::] in listen.coap";
            Finding::failure("addresses", format!("no interface has {}", address.ip()), remedy)
        }
        Err(error) => {
            Finding::failure("ports", format!("{address}: {error}"), "choose another in listen.coap")
        }
    }
}

fn taken(address: SocketAddr, running: Running, owner: &Owner) -> Finding {
    match owner {
        Owner::Other(name, process) => {
            let what =
                format!("{address} is taken by another program: {} (process {process})", printable(name));
            Finding::failure("ports", what, "stop it, or choose another port in listen.coap")
        }
        _ if running.is_certain() => {
            Finding::ok("ports", format!("{address} is served by the relay that runs"))
        }
        Owner::Nobody => {
            let remedy =
                "stop the program that has it (ss -lunp lists them), or choose another port in listen.coap";
            Finding::failure("ports", format!("{address} is taken"), remedy)
        }
        Owner::Relay | Owner::Hidden => {
            let remedy = "if no relay runs with this configuration, another program has it: doctor says which, if root runs it";
            let what = format!("{address} is taken, by the relay if it runs without admin.listen");
            Finding::warning("ports", what, remedy)
        }
    }
}

/// Whether the admin address can be bound: without it there is no status, and there are no metrics.
pub(super) fn admin(config: &Config, running: Running) -> Option<Finding> {
    // One that answers is the relay's.
    let address = config.admin.listen.filter(|_| running != Running::Answers)?;
    Some(match TcpListener::bind(address) {
        Ok(_) if running == Running::Silent => {
            let what = format!("the relay that runs does not answer at TCP {address}");
            Finding::warning("ports", what, "[admin] was changed since it started: restart it")
        }
        Ok(_) => Finding::ok("ports", format!("TCP {address} is free, for status and metrics")),
        Err(error) => {
            let remedy = "stop the program that has it (ss -ltnp lists them), or choose another admin.listen";
            Finding::failure("ports", format!("TCP {address} cannot be bound: {error}"), remedy)
        }
    })
}

/// Whether discovery can be heard: the groups can be joined where devices are, or the relay that runs is in them.
pub(super) fn groups(config: &Config, running: Running) -> Vec<Finding> {
    let everywhere = |address: &SocketAddr| address.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED);
    if !config.listen.coap.iter().any(everywhere) {
        let what = "no socket is on [::]: devices that look for a relay do not find this one";
        return vec![Finding::warning("groups", what, "write \"[::]:5683\" in listen.coap if they are to")];
    }
    let named = config.listen.interface.as_deref();
    let all = udp::interfaces().unwrap_or_default().into_iter();
    let wanted: Vec<_> = all.filter(|one| named.map_or(one.multicast, |name| one.name == name)).collect();
    let members = fs::read_to_string("/proc/net/igmp6").ok().filter(|_| running.is_certain());
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
        assert_eq!(port(address, Running::Answers).severity, Fine);
        for (owner, running, severity) in [
            (Owner::Relay, Running::Silent, Fine),
            (Owner::Hidden, Running::Answers, Fine),
            (Owner::Hidden, Running::Unknown, Warning),
            (Owner::Other("dnsmasq".to_owned(), 7), Running::No, Failure),
        ] {
            assert_eq!(taken(address, running, &owner).severity, severity, "{owner:?}");
        }
        drop(socket);
        assert_eq!(port(address, Running::No).severity, Fine);
        assert_eq!(port(address, Running::Answers).severity, Warning);
        let nowhere = "[2001:db8:dead::1]:5683".parse().unwrap();
        assert_eq!(port(nowhere, Running::No).subject, "addresses");
    }

    /// The socket is of this very program, as that of a relay is.
    #[tokio::test]
    async fn a_relay_without_an_admin_address_is_seen_by_its_port() {
        let socket = UdpSocket::bind("[::1]:0").unwrap();
        let mut config = Config::default();
        config.admin.listen = None;
        config.listen.coap = vec![socket.local_addr().unwrap()];
        let found = running(&config).await;
        assert_eq!((found, ports(&config, found)[0].severity), (Running::Silent, Fine));
        drop(socket);
        assert_eq!(running(&config).await, Running::No);
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
        assert_eq!(admin(&config, Running::No).unwrap().severity, Failure);
        assert_eq!(admin(&config, Running::Answers), None, "it is the relay's");
        drop(taken);
        assert_eq!(admin(&config, Running::No).unwrap().severity, Fine);
        assert_eq!(admin(&config, Running::Silent).unwrap().severity, Warning, "it was changed");
    }

    #[test]
    fn an_interface_is_there_or_waited_for() {
        let all: Vec<_> = getifaddrs().unwrap().collect();
        assert_eq!(interface("lo", &all).severity, Fine);
        assert_eq!(interface("no-such-if", &all).severity, Warning);
    }
}
