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
