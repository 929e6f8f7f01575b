//! The network of every namespace test.
//!
//! ```text
//!  namespace `origin`        namespace `relay`                    namespaces `device0`, `device1`, ...
//! +------------------+      +-------------------------------+      +------------------------------+
//! | nginx            |      | sixfold-relay         radvd   |      | sixfold-device, libcoap, ... |
//! |                  | veth |                       bridge  | veth |                              |
//! |           uplink o------o uplink               lowpan0 o-------o wpan0                        |
//! |   2001:db8:1::2  |      | 2001:db8:1::1  2001:db8:6::1  |      | 2001:db8:6::/64 by SLAAC     |
//! +------------------+      +-------------------------------+      +------------------------------+
//!     HTTPS over an ordinary network          CoAP over a link with an MTU of 1280 bytes
//! ```
//!
//! The relay's namespace forwards, as border routers do, but the origin has no route to the devices' prefix: whatever
//! reaches a device went through the relay.

use crate::netns::Netns;
use crate::radvd::Radvd;
use crate::wait;
use anyhow::{Context, Result};
use std::fmt::Write;
use std::net::Ipv6Addr;

/// The interface that the relay serves.
pub const DEVICE_INTERFACE: &str = "lowpan0";
/// The relay's address on the device side, as it stands in a URI.
pub const RELAY: &str = "[2001:db8:6::1]";

/// Origin, relay and devices, joined and addressed.
#[derive(Debug)]
pub struct Topology {
    /// Announces the devices' prefix; first, so that it ends before the namespaces go.
    _radvd: Radvd,
    /// Where origin servers run.
    pub origin: Netns,
    /// Where the relay runs.
    pub relay: Netns,
    /// Where the devices run, one each.
    pub devices: Vec<Netns>,
}

impl Topology {
    /// Builds the network and waits until every device has its address.
    pub fn create(devices: usize) -> Result<Self> {
        let origin = Netns::create("origin")?;
        let relay = Netns::create("relay")?;
        let devices =
            (0..devices).map(|n| Netns::create(&format!("device{n}"))).collect::<Result<Vec<_>>>()?;
        relay.ip(&join_uplink())?;
        origin.ip("address add 2001:db8:1::2/64 dev uplink\nlink set uplink up")?;
        relay.ip(&join_devices(devices.len()))?;
        for device in &devices {
            device.ip("link set wpan0 mtu 1280 up")?;
        }
        let radvd = Radvd::start(&relay, DEVICE_INTERFACE, "2001:db8:6::/64", "MaxRtrAdvInterval 4;")?;
        let topology = Self { _radvd: radvd, origin, relay, devices };
        topology.wait_until_up()?;
        Ok(topology)
    }

    /// Takes the device side's interface away, as a border router's agent does when it restarts.
    pub fn remove_device_interface(&self) -> Result<()> {
        self.relay.ip(&format!("link delete {DEVICE_INTERFACE}"))
    }

    /// Makes the device side's interface anew, with a new index.
    pub fn create_device_interface(&self) -> Result<()> {
        self.relay.ip(&device_interface(self.devices.len()))?;
        self.relay.wait_until_up(DEVICE_INTERFACE)
    }

    fn wait_until_up(&self) -> Result<()> {
        self.origin.wait_until_up("uplink")?;
        self.relay.wait_until_up("uplink")?;
        self.relay.wait_until_up(DEVICE_INTERFACE)?;
        self.devices.iter().try_for_each(|device| address_of(device).map(|_| ()))
    }
}

/// A device's SLAAC address, as soon as it has one.
pub fn address_of(device: &Netns) -> Result<Ipv6Addr> {
    let what = format!("an address by SLAAC in {}", device.name());
    wait::until(&what, wait::SOON, || device.global_addresses("wpan0").ok()?.first().copied()).context(what)
}

fn join_uplink() -> String {
    "link add uplink type veth peer name uplink netns origin
address add 2001:db8:1::1/64 dev uplink
link set uplink up
"
    .to_owned()
}

fn join_devices(count: usize) -> String {
    let mut commands = String::new();
    for n in 0..count {
        let _ = writeln!(commands, "link add port{n} type veth peer name wpan0 netns device{n}");
    }
    commands + &device_interface(count)
}

fn device_interface(ports: usize) -> String {
    let mut commands = format!("link add {DEVICE_INTERFACE} type bridge mcast_snooping 0\n");
    for n in 0..ports {
        let _ = writeln!(commands, "link set port{n} mtu 1280 master {DEVICE_INTERFACE} up");
    }
    let _ = writeln!(commands, "link set {DEVICE_INTERFACE} mtu 1280 up");
    let _ = writeln!(commands, "address add 2001:db8:6::1/64 dev {DEVICE_INTERFACE}");
    commands
}
