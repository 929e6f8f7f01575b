//! Which network interfaces there are now.

use nix::ifaddrs::getifaddrs;
use nix::net::if_::{InterfaceFlags, if_nametoindex};
use nix::sys::socket::SockaddrStorage;
use sixfold_engine::Prefix;
use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;

/// ARPHRD_IEEE802154, ARPHRD_IEEE802154_MONITOR and ARPHRD_6LOWPAN (linux/if_arp.h).
const LOW_POWER: [&str; 3] = ["804", "805", "825"];

/// ARPHRD_NONE: no link-layer addresses.
const NONE: &str = "65534";

/// A network interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Interface {
    pub(crate) name: String,
    /// Its number: never reused while the system runs, unlike the name.
    pub(crate) index: u32,
    /// It is up.
    pub(crate) up: bool,
    /// Up, and able to send and receive multicast to others.
    pub(crate) multicast: bool,
    /// The addresses that are on its link: one of them each, and how many bits they share.
    pub(crate) prefixes: Vec<(IpAddr, u8)>,
}

impl Interface {
    /// The addresses that are on its link.
    pub(crate) fn prefixes(&self) -> impl Iterator<Item = Prefix> {
        self.prefixes.iter().map(|&(address, length)| Prefix { interface: self.index, address, length })
    }
}

/// Every interface. TUN devices are among them although they have no link-layer address.
pub(crate) fn interfaces() -> io::Result<Vec<Interface>> {
    let mut entries: BTreeMap<String, (InterfaceFlags, Vec<(IpAddr, u8)>)> = BTreeMap::new();
    for entry in getifaddrs()? {
        let prefix = prefix(entry.address, entry.netmask);
        let known = entries.entry(entry.interface_name).or_insert((entry.flags, Vec::new()));
        known.0 = entry.flags;
        known.1.extend(prefix);
    }
    let interfaces = entries.into_iter().filter_map(|(name, (flags, prefixes))| {
        let index = index_of(&name)?;
        let up = flags.contains(InterfaceFlags::IFF_UP);
        Some(Interface { name, index, up, multicast: is_multicast(flags), prefixes })
    });
    Ok(interfaces.collect())
}

/// What the kernel says an interface is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hardware {
    /// IEEE 802.15.4, or 6LoWPAN over something.
    LowPower,
    /// It has no link-layer addresses: a TUN device. The kernel cannot know that a Thread or Wi-SUN agent's has a radio behind it.
    Tun,
    /// Anything else, or nothing that is there.
    Other,
}

/// What the interface of this name is.
pub(crate) fn hardware(name: &str) -> Hardware {
    let hardware = std::fs::read_to_string(format!("/sys/class/net/{name}/type")).unwrap_or_default();
    match hardware.trim() {
        low_power if LOW_POWER.contains(&low_power) => Hardware::LowPower,
        NONE => Hardware::Tun,
        _ => Hardware::Other,
    }
}

/// The link-layer address of an interface, if it is one of eight bytes.
pub(crate) fn eui64(name: &str) -> Option<[u8; 8]> {
    read_eui64(&std::fs::read_to_string(format!("/sys/class/net/{name}/address")).ok()?)
}

fn read_eui64(text: &str) -> Option<[u8; 8]> {
    let bytes = text.trim().split(':').map(|byte| u8::from_str_radix(byte, 16));
    bytes.collect::<Result<Vec<_>, _>>().ok()?.try_into().ok()
}

/// The number of an interface; `None` while it is not there.
pub(super) fn index_of(name: &str) -> Option<u32> {
    if_nametoindex(name).ok()
}

/// An address, and how long its prefix is.
fn prefix(address: Option<SockaddrStorage>, netmask: Option<SockaddrStorage>) -> Option<(IpAddr, u8)> {
    let ip = |storage: Option<SockaddrStorage>| {
        let storage = storage?;
        let v6 = storage.as_sockaddr_in6().map(|address| IpAddr::V6(address.ip()));
        v6.or_else(|| storage.as_sockaddr_in().map(|address| IpAddr::V4(address.ip())))
    };
    let ones = match ip(netmask)? {
        IpAddr::V4(mask) => mask.to_bits().leading_ones(),
        IpAddr::V6(mask) => mask.to_bits().leading_ones(),
    };
    Some((ip(address)?, u8::try_from(ones).ok()?))
}

fn is_multicast(flags: InterfaceFlags) -> bool {
    flags.contains(InterfaceFlags::IFF_UP | InterfaceFlags::IFF_MULTICAST)
        && !flags.contains(InterfaceFlags::IFF_LOOPBACK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_there_and_not_for_multicast() {
        let all = interfaces().unwrap();
        let lo = all.iter().find(|interface| interface.name == "lo").unwrap();
        assert_eq!((Some(lo.index), lo.up, lo.multicast), (index_of("lo"), true, false));
        assert!(lo.prefixes.iter().all(|(address, _)| address.is_loopback()), "{lo:?}");
        assert!(!lo.prefixes.iter().any(|(_, length)| *length == 0), "{lo:?}");
        assert_eq!(index_of("no-such-if"), None);
        assert_eq!([hardware("lo"), hardware("no-such-if")], [Hardware::Other; 2]);
        assert_eq!((eui64("lo"), eui64("no-such-if")), (None, None));
    }

    #[test]
    fn link_layer_addresses_of_eight_bytes_are_read() {
        assert_eq!(read_eui64("02:6f:00:00:00:00:ab:01\n"), Some([2, 0x6f, 0, 0, 0, 0, 0xab, 1]));
        for other in ["", "\n", "02:6f:00:00:00:01", "02:6f:00:00:00:00:ab:01:00", "02:6f:00:00:00:00:ab:xy"]
        {
            assert_eq!(read_eui64(other), None, "{other:?}");
        }
    }
}
