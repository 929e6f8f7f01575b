//! Where devices reach the relay, as the directory is told (RFC 9176 section 5): the `base`.
//!
//! It changes when a network is numbered anew. Whoever keeps a registration looks again from time to time.

use super::Settings;
use anyhow::{Context, anyhow};
use sixfold_profile::coap::params;
use std::fs;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, UdpSocket};

/// What if_inet6 calls an address that is not for others to keep: temporary, in conflict, deprecated, or not yet tested (`IFA_F_`).
const PASSING: u8 = 0x01 | 0x08 | 0x20 | 0x40;
const GLOBAL: &str = "00";

/// The base at this moment: what the operator says; the address that is listened on; one of the interface that is listened on; or
/// the one that faces the directory.
///
/// # Errors
/// When there is none that others could use.
pub(super) fn base(settings: &Settings, directory: SocketAddr) -> anyhow::Result<String> {
    if !settings.base.is_empty() {
        return Ok(settings.base.clone());
    }
    let ip = match &settings.interface {
        _ if !settings.server.ip().is_unspecified() => settings.server.ip(),
        Some(interface) => {
            let table = fs::read_to_string("/proc/net/if_inet6").unwrap_or_default();
            IpAddr::V6(lasting(&table, interface).with_context(|| {
                format!("operator: {interface} has no address but for its link: set resource_directory.base")
            })?)
        }
        None => facing(directory).map_err(|error| anyhow!("relay: no way to {directory}: {error}"))?,
    };
    let address = SocketAddr::new(ip.to_canonical(), settings.server.port()).to_string();
    let standard = format!(":{}", params::PORT);
    Ok(format!("coap://{}", address.strip_suffix(&standard).unwrap_or(&address)))
}

/// The own address that the system would ask the directory from. Nothing is sent.
fn facing(directory: SocketAddr) -> std::io::Result<IpAddr> {
    let any: IpAddr = if directory.is_ipv6() { IpAddr::from([0u16; 8]) } else { IpAddr::from([0u8; 4]) };
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect(directory)?;
    Ok(socket.local_addr()?.ip())
}

/// An address of an interface that others can use and keep, by `/proc/net/if_inet6`: address, index, length of the prefix, scope,
/// flags, name. The same one, whatever their order: global rather than local to the site.
fn lasting(table: &str, interface: &str) -> Option<Ipv6Addr> {
    let addresses = table.lines().filter_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let &[address, _, _, GLOBAL, flags, name] = &fields[..] else { return None };
        let address = Ipv6Addr::from(u128::from_str_radix(address, 16).ok()?);
        let is_passing = u8::from_str_radix(flags, 16).ok()? & PASSING != 0;
        (name == interface && !is_passing && !is_locator(address)).then_some(address)
    });
    addresses.min_by_key(|address| (address.is_unique_local(), *address))
}

/// Thread's addresses for places in its mesh, which go from one router to another: interface identifiers 0000:00ff:fe00:xxxx.
fn is_locator(address: Ipv6Addr) -> bool {
    matches!(address.segments(), [_, _, _, _, 0, 0x00ff, 0xfe00, _])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::directory::tests::settings;

    #[test]
    fn where_the_relay_is() {
        let mut settings = settings();
        let base = |settings: &Settings, directory: &str| base(settings, directory.parse().unwrap());
        assert_eq!(base(&settings, "[::1]:5683").unwrap(), "coap://[::1]", "this machine faces itself");
        assert_eq!(base(&settings, "127.0.0.1:5683").unwrap(), "coap://127.0.0.1");
        settings.server.set_port(5999);
        assert_eq!(base(&settings, "[::1]:5683").unwrap(), "coap://[::1]:5999");
        settings.interface = Some("no-such-if".to_owned());
        let error = base(&settings, "[::1]:5683").unwrap_err().to_string();
        assert!(
            error.starts_with("operator: no-such-if ") && error.contains("resource_directory.base"),
            "{error}"
        );
        settings.server = "[2001:db8::7]:5683".parse().unwrap();
        assert_eq!(
            base(&settings, "[::1]:5683").unwrap(),
            "coap://[2001:db8::7]",
            "nothing else is listened on"
        );
        settings.base = "coap://relay.example".to_owned();
        assert_eq!(base(&settings, "[::1]:5683").unwrap(), "coap://relay.example");
    }

    #[test]
    fn an_address_that_lasts_is_told() {
        let table = "fe800000000000000000000000000001 02 40 20 80 wpan0\n\
                     20010db8000000000000000000000001 03 40 00 80 eth0\n\
                     fd00000000000000000000fffe00fc00 02 40 00 80 wpan0\n\
                     fd000000000000000000010000000001 02 40 00 80 wpan0\n\
                     20010db8000600000000000000000001 02 40 00 20 wpan0\n\
                     20010db8000600000000000000000002 02 40 00 01 wpan0\n";
        assert_eq!(lasting(table, "wpan0"), Some("fd00::100:0:1".parse().unwrap()), "others are passing");
        let more = format!("{table}20010db8000700000000000000000001 02 40 00 00 wpan0\n");
        assert_eq!(lasting(&more, "wpan0"), Some("2001:db8:7::1".parse().unwrap()));
        assert_eq!(lasting(table, "tun0"), None);
    }
}
