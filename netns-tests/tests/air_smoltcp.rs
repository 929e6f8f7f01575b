//! A smoltcp stack with its 802.15.4 medium, in this process, over the modelled air to a program behind a TUN device.

use anyhow::{Context, Result, ensure};
use sixfold_air::frame;
use sixfold_air::scenario::{Overrides, Scenario};
use sixfold_air::topology::NodeId;
use sixfold_netns_tests::lab::network::{Network, NodeSocket};
use sixfold_netns_tests::peer::Peer;
use sixfold_netns_tests::{sandbox, wait};
use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{ChecksumCapabilities, Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::socket::udp;
use smoltcp::time::Instant;
use smoltcp::wire::{Ieee802154Address, IpCidr, IpEndpoint};
use std::collections::HashMap;
use std::net::{Ipv6Addr, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::path::Path;

const STAR: &str = include_str!("../scenarios/star.toml");
const STACK: NodeId = NodeId(1);
const BORDER_ROUTER: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
const PORT: u16 = 5683;
const FRAME: usize = 127 - frame::FCS;
const AIR_SOCKET: &str = "/run/d1.sock";
const STACK_SOCKET: &str = "/run/smoltcp.sock";

/// Frames over a Unix datagram socket, as a radio.
struct Radio802154(UnixDatagram);

struct Received(Vec<u8>);

struct Sender<'r>(&'r UnixDatagram);

impl Radio802154 {
    fn join(stack: &Path, air: &Path) -> Result<Self> {
        let socket = UnixDatagram::bind(stack)?;
        socket.connect(air)?;
        socket.set_nonblocking(true)?;
        Ok(Self(socket))
    }
}

impl Device for Radio802154 {
    type RxToken<'a> = Received;
    type TxToken<'a> = Sender<'a>;

    fn receive(&mut self, _now: Instant) -> Option<(Received, Sender<'_>)> {
        let mut mpdu = vec![0; FRAME];
        let length = self.0.recv(&mut mpdu).ok()?;
        mpdu.truncate(length);
        Some((Received(mpdu), Sender(&self.0)))
    }

    fn transmit(&mut self, _now: Instant) -> Option<Sender<'_>> {
        Some(Sender(&self.0))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ieee802154;
        capabilities.max_transmission_unit = FRAME;
        capabilities.checksum = ChecksumCapabilities::default();
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
        let mut mpdu = vec![0; length];
        let result = work(&mut mpdu);
        // A frame that cannot be sent is lost, as on any link.
        let _ = self.0.send(&mpdu);
        result
    }
}

/// One node: smoltcp with a UDP socket.
struct Stack {
    radio: Radio802154,
    interface: Interface,
    sockets: SocketSet<'static>,
    udp: SocketHandle,
}

impl Stack {
    fn start() -> Result<Self> {
        let mut radio = Radio802154::join(Path::new(STACK_SOCKET), Path::new(AIR_SOCKET))?;
        let link_layer = Ieee802154Address::Extended(frame::eui64(STACK));
        let mut config = Config::new(link_layer.into());
        config.pan_id = Some(frame::PAN);
        let mut interface = Interface::new(config, &mut radio, Instant::now());
        let address = link_layer.as_link_local_address().context("no link-local address")?;
        interface.update_ip_addrs(|addresses| {
            let _ = addresses.push(IpCidr::new(address.into(), 64));
        });
        let buffer = || udp::PacketBuffer::new(vec![udp::PacketMetadata::EMPTY; 4], vec![0; 4096]);
        let mut socket = udp::Socket::new(buffer(), buffer());
        socket.bind(PORT)?;
        let mut sockets = SocketSet::new(Vec::new());
        let udp = sockets.add(socket);
        Ok(Self { radio, interface, sockets, udp })
    }

    fn send(&mut self, to: Ipv6Addr, payload: &[u8]) -> Result<()> {
        let socket = self.sockets.get_mut::<udp::Socket<'_>>(self.udp);
        Ok(socket.send_slice(payload, IpEndpoint::new(to.into(), PORT))?)
    }

    /// Lets the stack work until a datagram is there.
    fn receive(&mut self) -> Result<Vec<u8>> {
        wait::until("a datagram at the smoltcp stack", wait::SOON, || {
            self.work();
            let socket = self.sockets.get_mut::<udp::Socket<'_>>(self.udp);
            socket.recv().ok().map(|(payload, _)| payload.to_vec())
        })
    }

    fn work(&mut self) {
        self.interface.poll(Instant::now(), &mut self.radio, &mut self.sockets);
    }
}

/// Small and fragmented datagrams, in both directions.
#[test]
fn smoltcp_exchanges_datagrams_with_a_linux_socket() -> Result<()> {
    sandbox::run(&[Peer::Radvd, Peer::Tun], || {
        let scenario = Scenario::read(STAR, &Overrides { devices: Some(1), ..Overrides::default() })?;
        let frames = HashMap::from([(STACK, NodeSocket::Frames(AIR_SOCKET.into()))]);
        let network = Network::create(&scenario, 1, &frames, None)?;
        let border_router = network.netns(NodeId::BORDER_ROUTER).context("no border router")?;
        let server = border_router.enter(|| UdpSocket::bind((Ipv6Addr::UNSPECIFIED, PORT)))??;
        server.set_nonblocking(true)?;
        let mut stack = Stack::start()?;
        for length in [1, 40, 800] {
            let sent: Vec<u8> = (0..length).map(|n| n as u8).collect();
            stack.send(BORDER_ROUTER, &sent)?;
            let mut buffer = [0; 2048];
            let (length, from) = wait::until("a datagram at the border router", wait::SOON, || {
                stack.work();
                server.recv_from(&mut buffer).ok()
            })?;
            ensure!(buffer[..length] == sent, "the border router got other bytes");
            server.send_to(&buffer[..length], from)?;
            ensure!(stack.receive()? == sent, "smoltcp got other bytes");
        }
        let counters = network.air.traffic()?.counters;
        ensure!(counters[STACK.index()].frames > 3 && counters[0].frames > 3, "{counters:?}");
        ensure!(counters[STACK.index()].undeliverable == 0, "{counters:?}");
        Ok(())
    })
}
