//! Which network interfaces there are now.

use nix::ifaddrs::getifaddrs;
use nix::net::if_::{InterfaceFlags, if_nametoindex};
use std::collections::BTreeMap;
use std::io;

/// ARPHRD_IEEE802154, ARPHRD_IEEE802154_MONITOR and ARPHRD_6LOWPAN (linux/if_arp.h).
const LOW_POWER: [&str; 3] = ["804", "805", "825"];

/// A network interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Interface {
    pub(crate) name: String,
    /// Its number: never reused while the system runs, unlike the name.
    pub(crate) index: u32,
    /// Up, and able to send and receive multicast to others.
    pub(crate) multicast: bool,
}

/// Every interface. TUN devices are among them although they have no link-layer address.
pub(crate) fn interfaces() -> io::Result<Vec<Interface>> {
    let flags: BTreeMap<_, _> = getifaddrs()?.map(|entry| (entry.interface_name, entry.flags)).collect();
    let interfaces = flags.into_iter().filter_map(|(name, flags)| {
        let index = index_of(&name)?;
        Some(Interface { name, index, multicast: is_multicast(flags) })
    });
    Ok(interfaces.collect())
}

/// Whether the kernel says that an interface is of the low-power kind. It cannot of the TUN devices of Thread and Wi-SUN
/// agents: those have to be named in the configuration.
pub(crate) fn is_low_power(name: &str) -> bool {
    let hardware = std::fs::read_to_string(format!("/sys/class/net/{name}/type"));
    hardware.is_ok_and(|hardware| LOW_POWER.contains(&hardware.trim()))
}

/// The number of an interface; `None` while it is not there.
pub(super) fn index_of(name: &str) -> Option<u32> {
    if_nametoindex(name).ok()
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
        assert_eq!((Some(lo.index), lo.multicast), (index_of("lo"), false));
        assert_eq!(index_of("no-such-if"), None);
        assert!(!is_low_power("lo") && !is_low_power("no-such-if"));
    }
}
