//! Who has a UDP port, by proc(5). What processes of others have is shown to root alone.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Who has an address that a relay wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// It is free, or no UDP socket is in the way.
    Nobody,
    /// A process of this program.
    Relay,
    /// Another program: its name and process.
    Other(String, u32),
    /// Somebody whose processes may not be looked at.
    Hidden,
}

/// Who has it.
pub(super) fn owner(address: SocketAddr) -> Owner {
    owner_for(address, &name("self").unwrap_or_default())
}

/// `own` is the name of this program.
fn owner_for(address: SocketAddr, own: &str) -> Owner {
    // A socket of IPv6 may be in the way of IPv4, and is listed with its own kind.
    let tables =
        if address.is_ipv6() { &["/proc/net/udp6"][..] } else { &["/proc/net/udp", "/proc/net/udp6"] };
    let tables = tables.iter().map(|table| fs::read_to_string(table).unwrap_or_default());
    let sockets: Vec<_> = tables.flat_map(|table| sockets(&table, address)).collect();
    if sockets.is_empty() {
        return Owner::Nobody;
    }
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let mut processes = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let Some(process) = processes.find(|process| has_one_of(*process, &sockets)) else {
        return Owner::Hidden;
    };
    match name(&process.to_string()) {
        Some(name) if name == own => Owner::Relay,
        name => Owner::Other(name.unwrap_or_default(), process),
    }
}

fn name(process: &str) -> Option<String> {
    Some(fs::read_to_string(format!("/proc/{process}/comm")).ok()?.trim_end().to_owned())
}

fn has_one_of(process: u32, sockets: &[String]) -> bool {
    let descriptors = fs::read_dir(format!("/proc/{process}/fd")).into_iter().flatten().flatten();
    let mut targets = descriptors.filter_map(|descriptor| fs::read_link(descriptor.path()).ok());
    targets.any(|target| sockets.iter().any(|socket| target.as_os_str() == &**socket))
}

/// The sockets in the way of an address, as the descriptors of their processes call them.
fn sockets(table: &str, address: SocketAddr) -> Vec<String> {
    let in_the_way = |local: &str| {
        let (ip, port) = local.split_once(':')?;
        let ip = parse(ip)?;
        let is_one =
            ip.to_canonical() == address.ip() || ip.is_unspecified() || address.ip().is_unspecified();
        (is_one && u16::from_str_radix(port, 16).ok()? == address.port()).then_some(())
    };
    // sl local_address rem_address st tx:rx tr:tm retrnsmt uid timeout inode ...
    let found = table.lines().filter_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        in_the_way(fields.get(1)?)?;
        Some(format!("socket:[{}]", fields.get(9)?))
    });
    found.collect()
}

/// An address as the kernel prints it: words of 32 bits, in the order of bytes of this machine.
fn parse(text: &str) -> Option<IpAddr> {
    let words =
        text.as_bytes().chunks(8).map(|word| u32::from_str_radix(str::from_utf8(word).ok()?, 16).ok());
    let bytes = words.map(|word| Some(word?.to_ne_bytes())).collect::<Option<Vec<_>>>()?.concat();
    let v6 = || Some(IpAddr::from(Ipv6Addr::from(<[u8; 16]>::try_from(&*bytes).ok()?)));
    <[u8; 4]>::try_from(&*bytes).ok().map(|bytes| IpAddr::from(Ipv4Addr::from(bytes))).or_else(v6)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;

    #[test]
    fn whoever_has_a_port_is_found() {
        for (any, one) in [("[::]:0", "::1"), ("0.0.0.0:0", "127.0.0.1")] {
            let socket = UdpSocket::bind(any).unwrap();
            let port = socket.local_addr().unwrap().port();
            let address = SocketAddr::new(one.parse().unwrap(), port);
            assert_eq!(owner(address), Owner::Relay, "a socket of this very program");
            let own = name("self").unwrap();
            assert_eq!(owner_for(address, "sixfold-relay"), Owner::Other(own, std::process::id()));
            drop(socket);
            assert_eq!(owner(address), Owner::Nobody);
        }
    }

    #[cfg(target_endian = "little")]
    #[test]
    fn other_addresses_are_not_in_the_way() {
        let table = "  sl  local_address remote_address st tx_queue rx_queue tr tm->when retrnsmt uid timeout inode\n\
                     1: 000080FE00000000FF565002BD6944FE:1633 0:0 07 0:0 00:0 0 0 0 4711 2 0 0\n";
        let found = |address: &str| sockets(table, address.parse().unwrap());
        assert_eq!(found("[fe80::250:56ff:fe44:69bd]:5683"), ["socket:[4711]"]);
        assert_eq!(found("[::]:5683"), ["socket:[4711]"]);
        assert!(found("[::1]:5683").is_empty() && found("[::]:5684").is_empty());
        assert_eq!(owner_for("[::1]:9".parse().unwrap(), ""), Owner::Nobody);
    }
}
