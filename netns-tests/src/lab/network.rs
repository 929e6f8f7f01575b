//! The namespaces of a scenario, joined by the air and addressed.

use crate::lab::driver::{Clock, LiveAir, Port};
use crate::lab::tun::Tun;
use crate::netns::Netns;
use crate::radvd::Radvd;
use crate::topology::DEVICE_INTERFACE;
use crate::wait;
use anyhow::{Context, Result, ensure};
use sixfold_air::scenario::{Disturbance, InterfaceIdentifiers, Scenario, Scope};
use sixfold_air::topology::{NodeId, Role};
use std::collections::HashMap;
use std::fs::{self, File};
use std::net::Ipv6Addr;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

/// The interface of every node but the border router, whose is [`DEVICE_INTERFACE`].
pub const INTERFACE: &str = "air0";
const PREFIX: &str = "fd00:6f::/64";
const BORDER_ROUTER_ADDRESSES: [Ipv6Addr; 2] =
    [Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1), Ipv6Addr::new(0xfd00, 0x6f, 0, 0, 0, 0, 0, 1)];
/// Router advertisements cost airtime: after the first ones, seldom. Routers repeat only those for all; a hop limit that
/// has been decremented makes the others invalid (RFC 4861 §6.1.2).
const ADVERTISEMENTS: &str = "MaxRtrAdvInterval 1800; AdvRASolicitedUnicast off;";
/// Who has heard no advertisement asks again after so many seconds at most; the kernel's hour is for other networks.
const SOLICITATION_INTERVAL_S: &str = "8";
/// Over a bad link it takes many advertisements until everybody has heard one.
const ADDRESSES_LIMIT: Duration = Duration::from_secs(300);
/// So long nobody has sent anything when the network has settled.
const QUIET: Duration = Duration::from_millis(1500);

const SETTLING_LIMIT: Duration = Duration::from_secs(60);

/// Nodes with stacks of their own, and the sockets by which they are joined.
pub type NodeSockets = HashMap<NodeId, NodeSocket>;

/// What goes through a node's socket, and where that is.
#[derive(Clone, Debug)]
pub enum NodeSocket {
    /// IEEE 802.15.4 frames: MPDUs without FCS, one a datagram.
    Frames(PathBuf),
    /// IPv6 packets, one a datagram.
    Packets(PathBuf),
}

impl NodeSocket {
    fn path(&self) -> &Path {
        match self {
            Self::Frames(path) | Self::Packets(path) => path,
        }
    }
}

/// The network of a scenario.
#[derive(Debug)]
pub struct Network {
    /// First, so that it ends before the namespaces go.
    _radvd: Radvd,
    /// The air between the namespaces.
    pub air: LiveAir,
    /// The time of the air.
    pub clock: Clock,
    /// One a node; `None` for those behind sockets.
    nodes: Vec<Option<Netns>>,
    scope: Scope,
    _sockets: Vec<SocketFile>,
}

impl Network {
    /// Builds the network, and waits until every node has its addresses and all is quiet.
    pub fn create(
        scenario: &Scenario,
        seed: u64,
        sockets: &NodeSockets,
        capture: Option<&Path>,
    ) -> Result<Self> {
        check(scenario)?;
        let capture = capture
            .map(|path| File::create(path).with_context(|| format!("cannot write {}", path.display())))
            .transpose()?;
        let (mut nodes, mut ports) = (Vec::new(), Vec::new());
        for id in scenario.topology.ids() {
            let (netns, port) = join(scenario, id, sockets.get(&id))?;
            nodes.push(netns);
            ports.push(port);
        }
        let clock = Clock::start();
        let air = LiveAir::start(scenario, seed, ports, capture, clock)?;
        for (id, netns) in scenario.topology.ids().zip(&nodes) {
            netns.as_ref().map_or(Ok(()), |netns| bring_up(netns, id))?;
        }
        let border_router = nodes.first().and_then(Option::as_ref).context("no border router")?;
        let radvd = Radvd::start(border_router, DEVICE_INTERFACE, PREFIX, ADVERTISEMENTS)?;
        let _sockets = sockets.values().map(|socket| SocketFile(socket.path().to_owned())).collect();
        let network = Self { _radvd: radvd, air, clock, nodes, scope: scenario.network.scope, _sockets };
        network.learn_addresses()?;
        network.settle()?;
        Ok(network)
    }

    /// The namespace of a node, unless it has a stack of its own.
    pub fn netns(&self, node: NodeId) -> Option<&Netns> {
        self.nodes.get(node.index())?.as_ref()
    }

    /// The border router's address as devices write it in a URI.
    pub const fn border_router(&self) -> &'static str {
        match self.scope {
            Scope::LinkLocal => "[fe80::1%air0]",
            Scope::Global => "[fd00:6f::1]",
        }
    }

    /// Waits for everybody's address by SLAAC, and tells the air.
    fn learn_addresses(&self) -> Result<()> {
        for address in BORDER_ROUTER_ADDRESSES {
            self.air.assign(address, NodeId::BORDER_ROUTER);
        }
        for (index, netns) in self.nodes.iter().enumerate().skip(1) {
            let Some(netns) = netns else { continue };
            let what = format!("an address by SLAAC in {}", netns.name());
            let address: Ipv6Addr = wait::until(&what, ADDRESSES_LIMIT, || {
                netns.global_addresses(INTERFACE).ok()?.first().copied()
            })?;
            self.air.assign(address, NodeId(index as u32));
        }
        Ok(())
    }

    /// Waits until nobody has sent a frame for [`QUIET`]; over a bad link somebody may always have something to say.
    fn settle(&self) -> Result<()> {
        let frames =
            || -> Result<u64> { Ok(self.air.traffic()?.counters.iter().map(|node| node.frames).sum()) };
        let begin = Instant::now();
        let (mut last, mut since) = (frames()?, begin);
        while since.elapsed() < QUIET && begin.elapsed() < SETTLING_LIMIT {
            thread::sleep(Duration::from_millis(50));
            let now = frames()?;
            if now != last {
                (last, since) = (now, Instant::now());
            }
        }
        Ok(())
    }
}

/// Whether a scenario can be run in real time; the error says what in it cannot.
pub fn check(scenario: &Scenario) -> Result<()> {
    ensure!(
        scenario.network.interface_identifiers == InterfaceIdentifiers::Private,
        "in real time the kernel makes addresses: network.interface_identifiers must be \"private\""
    );
    for node in &scenario.topology.nodes {
        ensure!(
            names_a_namespace(&node.name),
            "in real time node names name namespaces: \"{}\" must be 1 to 64 ASCII letters, digits and hyphens",
            node.name.escape_debug()
        );
        ensure!(
            matches!(node.role, Role::Forward | Role::Fetch) && node.link == 0,
            "legacy, hostile and second-link nodes exist in virtual time only: sixfold-air sim"
        );
    }
    let Disturbance { late, reboots, .. } = scenario.disturbance;
    ensure!(
        scenario.fetch.images == 1 && late == 0.0 && reboots == 0.0,
        "several images, late devices and reboots exist in virtual time only: sixfold-air sim"
    );
    Ok(())
}

fn names_a_namespace(name: &str) -> bool {
    let letters = name.bytes().all(|letter| letter.is_ascii_alphanumeric() || letter == b'-');
    letters && (1..=64).contains(&name.len()) && !name.starts_with('-')
}

/// Makes a node's namespace and TUN device, or its socket.
fn join(scenario: &Scenario, id: NodeId, socket: Option<&NodeSocket>) -> Result<(Option<Netns>, Port)> {
    if let Some(node_socket) = socket {
        let path = node_socket.path();
        remove_stale_socket(path)?;
        let socket = UnixDatagram::bind(path).with_context(|| format!("cannot bind {}", path.display()))?;
        socket.set_nonblocking(true)?;
        let port = match node_socket {
            NodeSocket::Frames(_) => Port::Frames(socket),
            NodeSocket::Packets(_) => Port::Packets(socket),
        };
        return Ok((None, port));
    }
    let netns = Netns::create(&scenario.topology.node(id).name)?;
    let tun = Tun::create(&netns, interface(id))?;
    Ok((Some(netns), Port::Tun(tun)))
}

/// A run that was killed leaves its sockets behind. Nothing but a socket that nobody listens to is removed.
fn remove_stale_socket(path: &Path) -> Result<()> {
    if fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket()) {
        let in_use = UnixDatagram::unbound()?.connect(path).is_ok();
        ensure!(!in_use, "{} is in use by another program", path.display());
        fs::remove_file(path).with_context(|| format!("cannot replace {}", path.display()))?;
    }
    Ok(())
}

/// A socket's name in the file system. It goes when this is dropped.
#[derive(Debug)]
struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

const fn interface(id: NodeId) -> &'static str {
    match id {
        NodeId::BORDER_ROUTER => DEVICE_INTERFACE,
        _ => INTERFACE,
    }
}

fn bring_up(netns: &Netns, id: NodeId) -> Result<()> {
    let interface = interface(id);
    if id == NodeId::BORDER_ROUTER {
        let addresses = BORDER_ROUTER_ADDRESSES
            .map(|address| format!("address add {address}/64 dev {interface} nodad"))
            .join("\n");
        return netns.ip(&format!("link set {interface} mtu 1280 addrgenmode none up\n{addresses}"));
    }
    // Addresses are stable and opaque (RFC 7217), and the same in every run.
    netns.sysctl(&format!("ipv6/conf/{interface}/stable_secret"), &format!("fd00:6f::{:x}", id.0))?;
    netns.sysctl(
        &format!("ipv6/conf/{interface}/router_solicitation_max_interval"),
        SOLICITATION_INTERVAL_S,
    )?;
    netns.ip(&format!("link set {interface} mtu 1280 up"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use sixfold_air::scenario::Overrides;

    #[test]
    fn what_exists_in_virtual_time_only_is_refused() {
        let read = |topology: &str, rest: &str| {
            let star = "name = \"s\"\n[topology]\nshape = \"star\"\ndevices = 1";
            Scenario::read(&format!("{star}\n{topology}\n{rest}"), &Overrides::default())
        };
        assert!(check(&read("", "").expect("a scenario")).is_ok());
        for topology in ["legacy = 1", "flooders = 1", "mutes = 1", "second_link = 1"] {
            assert!(check(&read(topology, "").expect("a scenario")).is_err(), "{topology}");
        }
        for rest in ["[fetch]\nimages = 2", "[disturbance]\nlate = 1", "[disturbance]\nreboots = 0.5"] {
            assert!(check(&read("", rest).expect("a scenario")).is_err(), "{rest}");
        }
    }

    #[test]
    fn names_of_namespaces() {
        for name in ["border-router", "d1", "7"] {
            assert!(names_a_namespace(name), "{name}");
        }
        for name in ["", "../d1", "d 1", "d1\nnetns delete d2", "-d1", "ü", &"d".repeat(65)] {
            assert!(!names_a_namespace(name), "{name}");
        }
    }
}
