//! The boot program's IPv6 edge against Linux: its router advertisements, its duplicates, its neighbours.

use anyhow::{Context, Result, ensure};
use sixfold_ip::{Buffers, Config, HardwareAddress, Sockets, Stack, State};
use sixfold_netns_tests::lab::tun::Tun;
use sixfold_netns_tests::netns::Netns;
use sixfold_netns_tests::peer::Peer;
use sixfold_netns_tests::radvd::Radvd;
use sixfold_netns_tests::{sandbox, wait};
use sixfold_profile::Instant;
use sixfold_profile::ticket::Endpoint;
use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::wire::EthernetAddress;
use std::net::{Ipv6Addr, UdpSocket};
use std::time;

const INTERFACE: &str = "boot0";
const FAR_RELAY: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xffff, 0, 0, 0, 0, 1);
const LINK_LOCAL: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0x7111, 0x0203, 0x0405, 0x0607);
const GLOBAL: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 7, 0, 0x7111, 0x0203, 0x0405, 0x0607);
const PORT: u16 = 5683;
const MTU: usize = 1514;

/// Packets or frames of a TUN or TAP device.
struct Port(Tun, Medium);

struct Received(Vec<u8>);

struct Sender<'t>(&'t Tun);

impl Device for Port {
    type RxToken<'a> = Received;
    type TxToken<'a> = Sender<'a>;

    fn receive(&mut self, _: smoltcp::time::Instant) -> Option<(Received, Sender<'_>)> {
        let mut frame = vec![0; MTU];
        let length = self.0.receive(&mut frame).ok().flatten()?;
        frame.truncate(length);
        Some((Received(frame), Sender(&self.0)))
    }

    fn transmit(&mut self, _: smoltcp::time::Instant) -> Option<Sender<'_>> {
        Some(Sender(&self.0))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = self.1;
        capabilities.max_transmission_unit = MTU;
        capabilities
    }
}

impl RxToken for Received {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, work: F) -> R {
        work(&self.0)
    }
}

impl TxToken for Sender<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, work: F) -> R {
        let mut frame = vec![0; length];
        let result = work(&mut frame);
        // What the interface does not take is lost, as on any link.
        let _ = self.0.send(&frame);
        result
    }
}

/// A stack on one end of the interface, in real time.
struct Host {
    port: Port,
    stack: Stack<'static>,
    begin: time::Instant,
}

impl Host {
    fn start(port: Tun, medium: Medium, relay: Ipv6Addr) -> Result<Self> {
        let hardware_address = match medium {
            Medium::Ethernet => HardwareAddress::Ethernet(EthernetAddress([2, 0, 0, 0, 0, 1])),
            _ => HardwareAddress::Ip,
        };
        let config = Config {
            hardware_address,
            pan_id: None,
            interface_identifier: [0x71, 0x11, 2, 3, 4, 5, 6, 7],
            relay: Endpoint { address: relay, port: PORT },
            group: None,
            seed: 1,
        };
        let buffers = Box::leak(Box::new(Buffers::<1232>::new()));
        let sockets = Box::leak(Box::new(Sockets::default()));
        let mut port = Port(port, medium);
        let stack = Stack::new(config, buffers, sockets, &mut port, Instant::ZERO)?;
        Ok(Self { port, stack, begin: time::Instant::now() })
    }

    fn now(&self) -> Instant {
        Instant::ZERO + self.begin.elapsed()
    }

    fn work(&mut self) -> State {
        let now = self.now();
        self.stack.poll(now, &mut self.port);
        self.stack.state()
    }

    fn until(&mut self, state: State) -> Result<()> {
        wait::until_true(&format!("{state:?}"), wait::SOON, || self.work() == state)
    }

    /// Sends a datagram to `server`, which sends it back.
    fn echo(&mut self, server: &UdpSocket, length: usize) -> Result<Ipv6Addr> {
        let sent: Vec<u8> = (0..length).map(|n| n as u8).collect();
        self.stack.send(self.now(), &sent)?;
        let mut buffer = [0; 2048];
        let (length, from) = wait::until("a datagram at the server", wait::SOON, || {
            self.work();
            server.recv_from(&mut buffer).ok()
        })?;
        ensure!(buffer[..length] == sent, "the server got other bytes");
        server.send_to(&buffer[..length], from)?;
        let length = wait::until("its echo", wait::SOON, || {
            self.work();
            self.stack.receive(&mut buffer).map(|received| received.length)
        })?;
        ensure!(buffer[..length] == sent, "the stack got other bytes");
        match from.ip() {
            std::net::IpAddr::V6(from) => Ok(from),
            std::net::IpAddr::V4(from) => anyhow::bail!("a datagram from {from}"),
        }
    }
}

/// A router with the far relay's address behind it, and the stack's end of its interface.
fn router(medium: Medium) -> Result<(Netns, Tun)> {
    let netns = Netns::create("router")?;
    let port = match medium {
        Medium::Ethernet => Tun::create_tap(&netns, INTERFACE)?,
        _ => Tun::create(&netns, INTERFACE)?,
    };
    netns.ip(&format!(
        "link set {INTERFACE} up
         address add 2001:db8:7::1/64 dev {INTERFACE}
         address add {FAR_RELAY}/128 dev lo"
    ))?;
    Ok((netns, port))
}

fn server(netns: &Netns, address: Ipv6Addr) -> Result<UdpSocket> {
    let server = netns.enter(|| UdpSocket::bind((address, PORT)))??;
    server.set_nonblocking(true)?;
    Ok(server)
}

fn crosses(medium: Medium) -> Result<()> {
    let (netns, port) = router(medium)?;
    let _radvd = Radvd::start(&netns, INTERFACE, "2001:db8:7::/64", "MaxRtrAdvInterval 4;")?;
    let server = server(&netns, FAR_RELAY)?;
    let mut host = Host::start(port, medium, FAR_RELAY)?;
    host.until(State::Ready { source: GLOBAL })?;
    for length in [1, 500, 1232] {
        let from = host.echo(&server, length)?;
        ensure!(from == GLOBAL, "datagrams came from {from}");
    }
    Ok(())
}

/// Router solicitation, advertisement, addresses, neighbours: with radvd and the kernel, over Ethernet.
#[test]
fn datagrams_cross_a_linux_router_over_ethernet() -> Result<()> {
    sandbox::run(&[Peer::Radvd, Peer::Tun], || crosses(Medium::Ethernet))
}

/// The same without link-layer addresses.
#[test]
fn datagrams_cross_a_linux_router_over_a_bare_link() -> Result<()> {
    sandbox::run(&[Peer::Radvd, Peer::Tun], || crosses(Medium::Ip))
}

/// The kernel defends its address against the stack's probe; when it gives the address up, the stack takes it.
#[test]
fn an_address_that_linux_has_is_left_to_it() -> Result<()> {
    sandbox::run(&[Peer::Tun], || {
        let (netns, port) = router(Medium::Ethernet)?;
        // What the kernel sends before its interface is ready is lost.
        wait::until("the kernel's first frame", wait::SOON, || port.receive(&mut [0; MTU]).ok().flatten())?;
        netns.ip(&format!("address add {LINK_LOCAL}/64 dev {INTERFACE} nodad"))?;
        let mut host = Host::start(port, Medium::Ethernet, "fe80::1".parse().context("an address")?)?;
        host.until(State::Duplicate)?;
        netns.ip(&format!("address delete {LINK_LOCAL}/64 dev {INTERFACE}"))?;
        host.until(State::Ready { source: LINK_LOCAL })
    })
}
