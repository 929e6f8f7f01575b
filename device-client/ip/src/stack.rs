//! The whole of it: smoltcp's interface and sockets, with what this crate adds to them.

use crate::addressing::{Addressing, State};
use crate::buffers::{Buffers, Sockets, WAITING};
use crate::config::{Config, ConfigError, SendError};
use crate::gate::{Filter, Gate, Noticed};
use crate::link::Link;
use crate::membership::{self, Membership};
use crate::message;
use crate::random::Random;
use core::net::Ipv6Addr;
use sixfold_profile::Instant;
use sixfold_profile::ticket::Endpoint;
use smoltcp::iface::{Interface, PollIngressSingleResult, Route, SocketHandle, SocketSet};
use smoltcp::phy::Device;
use smoltcp::socket::{raw, udp};
use smoltcp::time::Instant as Time;
use smoltcp::wire::{IpAddress, IpCidr, IpEndpoint, IpListenEndpoint, Ipv6Cidr};

/// How many frames are read in one call of [`Stack::poll`].
const FRAMES: usize = 16;
/// How many packets of our own, or fragments, are sent in one call.
const PACKETS: usize = 16;
/// Headers of IPv6 and UDP.
const HEADERS: usize = 48;
/// Every link carries packets of this size (RFC 8200 §5).
const MTU: usize = 1280;
/// How long the rest of a datagram is waited for. Its fragments follow each other at once, and RFC 4944 §5.3 allows 60 s at most:
/// so long the only place for a datagram in pieces would be taken.
#[cfg(feature = "ieee802154")]
const REASSEMBLY: smoltcp::time::Duration = smoltcp::time::Duration::from_secs(1);
/// Ports of our own: dynamic ones (RFC 6335 §6), below those that 6LoWPAN shortens, which smoltcp 0.14 gets wrong.
const PORTS: (u16, u32) = (0xc000, 0x2000);

/// An IPv6 host with one correspondent, the relay.
///
/// Call [`Stack::poll`] when the device has frames and when [`Stack::poll_timeout`] is due; [`Stack::receive`] after it,
/// until there is nothing more; [`Stack::send`] in the state [`State::Ready`].
pub struct Stack<'s> {
    interface: Interface,
    sockets: SocketSet<'s>,
    control: SocketHandle,
    unicast: SocketHandle,
    multicast: SocketHandle,
    link: Link,
    filter: Filter,
    addressing: Addressing,
    membership: Membership,
    random: Random,
    relay: Endpoint,
    port: u16,
    longest: usize,
    /// Whether the device may have more frames than were read.
    more: bool,
}

/// A datagram from the relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// So many bytes.
    pub length: usize,
    /// It went to the group, and not to this host alone.
    pub is_for_group: bool,
}

impl<'s> Stack<'s> {
    /// A stack that begins with its link-local address.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn new<const DATAGRAM: usize, D: Device + ?Sized>(
        config: Config,
        buffers: &'s mut Buffers<DATAGRAM>,
        sockets: &'s mut Sockets<'s>,
        device: &mut D,
        now: Instant,
    ) -> Result<Self, ConfigError> {
        config.check(device.capabilities().medium)?;
        let mut random = Random::new(config.seed);
        let own_port = port(&mut random, config.group);
        let (control, mut unicast, mut multicast) = buffers.sockets();
        // Closed sockets can be bound to ports other than 0, which `check` has seen to.
        let _ = unicast.bind(own_port);
        let _ = config.group.map(|group| multicast.bind(listen(group)));
        let mut sockets = SocketSet::new(&mut sockets.0[..]);
        let own = config.hardware_address;
        let identifier = config.interface_identifier;
        let mut stack = Self {
            interface: interface(&config, device, &mut random, now),
            control: sockets.add(control),
            unicast: sockets.add(unicast),
            multicast: sockets.add(multicast),
            sockets,
            link: Link {
                own,
                #[cfg(feature = "ieee802154")]
                pan: config.pan_id.map(smoltcp::wire::Ieee802154Pan),
                #[cfg(feature = "ieee802154")]
                sequence_number: random.next() as u8,
            },
            filter: Filter {
                own,
                assigned: [None; 2],
                tentative: None,
                group: config.group,
                #[cfg(feature = "ieee802154")]
                contexts: crate::contexts::NONE,
                noticed: Noticed::default(),
            },
            addressing: Addressing::new(own, identifier, config.relay.address, random.next(), now),
            membership: Membership::default(),
            random,
            relay: config.relay,
            port: own_port,
            longest: DATAGRAM.min(MTU - HEADERS),
            more: false,
        };
        stack.follow(now);
        Ok(stack)
    }

    /// What it is doing.
    pub const fn state(&self) -> State {
        self.addressing.state()
    }

    /// Reads frames, at most 16, and sends what is due.
    pub fn poll<D: Device + ?Sized>(&mut self, now: Instant, device: &mut D) {
        self.addressing.advance(now);
        self.follow(now);
        self.interface.poll_maintenance(time(now));
        self.more = (0..FRAMES).all(|_| self.read_frame(now, device));
        self.transmit(now, device);
        for _ in 0..PACKETS {
            self.interface.poll_egress(time(now), device, &mut self.sockets);
            if self.interface.poll_at(time(now), &self.sockets).is_none_or(|due| due > time(now)) {
                break;
            }
        }
    }

    /// When [`Stack::poll`] is due, if no frame comes before.
    pub fn poll_timeout(&mut self, now: Instant) -> Option<Instant> {
        let frames = self.more.then_some(now);
        let smoltcp = self.interface.poll_at(time(now), &self.sockets).map(instant);
        [frames, smoltcp, self.addressing.due(now), self.membership.due].into_iter().flatten().min()
    }

    /// Takes a datagram for the relay. One that still waits for the way to be found is dropped for it, and another
    /// router is tried if there is one: whoever sends again has waited long enough.
    ///
    /// # Errors
    /// [`SendError`].
    pub fn send(&mut self, now: Instant, payload: &[u8]) -> Result<(), SendError> {
        if payload.len() > self.longest {
            return Err(SendError::TooLong);
        }
        if self.sockets.get::<udp::Socket<'_>>(self.unicast).send_queue() > 0 {
            self.drop_waiting();
            self.addressing.distrust_router(now);
            self.follow(now);
        }
        let source = self.addressing.source().ok_or(SendError::NotReady)?;
        #[cfg(feature = "ieee802154")]
        self.introduce_router(now);
        let mut to = udp::UdpMetadata::from(IpEndpoint::new(self.relay.address.into(), self.relay.port));
        to.local_address = Some(source.into());
        let socket = self.sockets.get_mut::<udp::Socket<'_>>(self.unicast);
        socket.send_slice(payload, to).map_err(|_| SendError::TooLong)
    }

    /// The next datagram from the relay, for this host or for the group. What comes from elsewhere, or is longer than
    /// `buffer`, is dropped.
    pub fn receive(&mut self, buffer: &mut [u8]) -> Option<Received> {
        let relay = IpEndpoint::new(self.relay.address.into(), self.relay.port);
        let own = self.addressing.source();
        let for_us = |metadata: &udp::UdpMetadata| {
            metadata.endpoint == relay && metadata.local_address == own.map(IpAddress::from)
        };
        let socket = self.sockets.get_mut::<udp::Socket<'_>>(self.unicast);
        if let Some(length) = take(socket, buffer, for_us) {
            return Some(Received { length, is_for_group: false });
        }
        let socket = self.sockets.get_mut::<udp::Socket<'_>>(self.multicast);
        // The gate lets nothing else through to this port but what is for the group, whoever sent it.
        let length = take(socket, buffer, |metadata| metadata.endpoint == relay)?;
        Some(Received { length, is_for_group: true })
    }

    /// Reads one frame; `false`: there was none.
    fn read_frame<D: Device + ?Sized>(&mut self, now: Instant, device: &mut D) -> bool {
        let mut gate = Gate { device, filter: &mut self.filter };
        let result = self.interface.poll_ingress_single(time(now), &mut gate, &mut self.sockets);
        let noticed = core::mem::take(&mut self.filter.noticed);
        if let Some(address) = noticed.probed {
            self.addressing.probed(now, address);
        }
        if noticed.query && !self.addressing.registers() {
            self.membership.asked(now, &mut self.random);
        }
        if let Ok(packet) = self.sockets.get_mut::<raw::Socket<'_>>(self.control).recv()
            && let Some(received) = message::read(packet)
        {
            #[cfg(feature = "ieee802154")]
            if let message::Received::Router { options, .. } = received {
                crate::contexts::advertised(&mut self.filter.contexts, options);
                let contexts = self.interface.sixlowpan_address_context_mut();
                contexts.clear();
                contexts.extend(self.filter.contexts);
            }
            self.addressing.heard(now, received);
        }
        self.follow(now);
        result != PollIngressSingleResult::None
    }

    /// Sends what this crate has to say.
    fn transmit<D: Device + ?Sized>(&mut self, now: Instant, device: &mut D) {
        for _ in 0..PACKETS {
            let Some((packet, neighbour)) = self.addressing.transmit(now) else { break };
            if !self.link.send(time(now), device, neighbour, &packet) {
                return;
            }
            self.addressing.sent(now);
            self.addressing.advance(now);
            self.follow(now);
        }
        if self.membership.is_due(now) {
            let source = self.addressing.link_local().unwrap_or(Ipv6Addr::UNSPECIFIED);
            let report = membership::report(source, self.groups());
            if self.link.send(time(now), device, None, &report) {
                self.membership.reported(now, &mut self.random);
            }
        }
    }

    /// The groups that others must know of: not all nodes (RFC 3810 §6).
    fn groups(&self) -> impl Iterator<Item = Ipv6Addr> + Clone {
        let own = self.addressing.tentative().or(self.addressing.link_local());
        let group = self.filter.group.map(|group| group.address);
        [own.map(message::solicited_node), group].into_iter().flatten()
    }

    /// Lets the gate, smoltcp and the routers know which addresses are in use now.
    fn follow(&mut self, now: Instant) {
        let global = self.addressing.global();
        let link_local = self.addressing.link_local();
        self.follow_groups(now);
        self.filter.tentative = self.addressing.tentative();
        self.filter.assigned = [link_local, global.map(|choice| choice.address)];
        let cidr = |address, length| IpCidr::Ipv6(Ipv6Cidr::new(address, length));
        let wanted = [
            link_local.map(|address| cidr(address, 64)),
            global.map(|choice| cidr(choice.address, if choice.on_link { 64 } else { 128 })),
        ];
        if !self.interface.ip_addrs().iter().eq(wanted.iter().flatten()) {
            self.interface.update_ip_addrs(|addresses| {
                addresses.clear();
                addresses.extend(wanted.into_iter().flatten());
            });
        }
        let router = global.and_then(|choice| choice.router);
        self.interface.routes_mut().update(|routes| {
            routes.clear();
            routes.extend(router.map(|router| Route::new_ipv6_gateway(router.address)));
        });
    }

    /// Groups are reported when there is an address to probe, and again from the first address: routers ignore what
    /// comes from nobody (RFC 3810 §5.2.13). A low-power link floods, and nobody asks there.
    fn follow_groups(&mut self, now: Instant) {
        let (tentative, link_local) = (self.addressing.tentative(), self.addressing.link_local());
        let before = (self.filter.tentative.is_some(), self.filter.assigned[0]);
        let is_new = before != (tentative.is_some(), link_local);
        if is_new && (tentative.is_some() || link_local.is_some()) && !self.addressing.registers() {
            self.membership.changed(now);
        }
    }

    fn drop_waiting(&mut self) {
        let socket = self.sockets.get_mut::<udp::Socket<'_>>(self.unicast);
        socket.close();
        // A closed socket can be bound to a port that is not 0.
        let _ = socket.bind(self.port);
    }

    #[cfg(feature = "ieee802154")]
    fn introduce_router(&mut self, now: Instant) {
        let Some((own, router)) =
            self.addressing.global().and_then(|choice| Some((choice.address, choice.router?)))
        else {
            return;
        };
        if self.addressing.registers() {
            let link_layer = router.neighbour();
            let neighbour =
                crate::neighbour::Neighbour { address: router.address, link_layer, pan: self.link.pan };
            neighbour.introduce(time(now), (own, self.link.own), &mut self.interface, &mut self.sockets);
        }
    }
}

/// Takes the first datagram that is wanted.
fn take(
    socket: &mut udp::Socket<'_>,
    buffer: &mut [u8],
    is_wanted: impl Fn(&udp::UdpMetadata) -> bool,
) -> Option<usize> {
    (0..WAITING).find_map(|_| {
        let (payload, metadata) = socket.recv().ok()?;
        let place = buffer.get_mut(..payload.len()).filter(|_| is_wanted(&metadata))?;
        place.copy_from_slice(payload);
        Some(payload.len())
    })
}

fn interface<D: Device + ?Sized>(
    config: &Config,
    device: &mut D,
    random: &mut Random,
    now: Instant,
) -> Interface {
    let mut settings = smoltcp::iface::Config::new(config.hardware_address);
    settings.random_seed = random.next().into();
    #[cfg(feature = "ieee802154")]
    {
        settings.pan_id = config.pan_id.map(smoltcp::wire::Ieee802154Pan);
    }
    let mut interface = Interface::new(settings, device, time(now));
    #[cfg(feature = "ieee802154")]
    interface.set_reassembly_timeout(REASSEMBLY);
    // The gate knows the group; smoltcp knows it only with its own membership reports.
    interface.set_any_ip(config.group.is_some());
    interface
}

/// A port that is not the group's.
fn port(random: &mut Random, group: Option<Endpoint>) -> u16 {
    let (first, number) = PORTS;
    let port = first + (random.next() % number) as u16;
    if group.is_some_and(|group| group.port == port) { port ^ 1 } else { port }
}

fn listen(group: Endpoint) -> IpListenEndpoint {
    IpListenEndpoint { addr: Some(group.address.into()), port: group.port }
}

fn time(now: Instant) -> Time {
    Time::from_micros(i64::try_from(now.as_micros()).unwrap_or(i64::MAX))
}

fn instant(time: Time) -> Instant {
    Instant::from_micros(u64::try_from(time.total_micros()).unwrap_or_default())
}
