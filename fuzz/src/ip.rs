//! The stack of the boot program, with neighbours that say anything.

#[path = "../../device-client/ip/tests/support/node.rs"]
#[allow(clippy::unwrap_used, dead_code, unreachable_pub, reason = "the tests of the stack use the rest")]
mod node;
#[path = "../../device-client/ip/tests/support/wire.rs"]
#[allow(clippy::unwrap_used, dead_code, unreachable_pub, reason = "the tests of the stack use the rest")]
mod wire;

use node::{ALL_NODES, Node, Packet, Prefix, Registers, link_local};
use sixfold_air::frame;
use sixfold_air::topology::NodeId;
use sixfold_ip::{Buffers, Config, Sockets, Stack};
use sixfold_profile::Instant;
use sixfold_profile::ticket::Endpoint;
use smoltcp::phy::Medium;
use std::net::Ipv6Addr;
use std::time::Duration;
use wire::{DEVICE, Wire};

const MEDIA: [Medium; 3] = [Medium::Ethernet, Medium::Ip, Medium::Ieee802154];
const IDENTIFIER: [u8; 8] = [0x71, 0x11, 2, 3, 4, 5, 6, 7];
const RELAY: Endpoint = Endpoint { address: Ipv6Addr::new(0x2001, 0xdb8, 0xffff, 0, 0, 0, 0, 1), port: 5683 };
const GROUP: Endpoint =
    Endpoint { address: Ipv6Addr::new(0xff35, 0x40, 0x2001, 0xdb8, 0, 0, 0, 0x1234), port: 5684 };
const ROUTER: u32 = 2;
/// Steps are short; more teach nothing new.
const MOST_STEPS: usize = 300;
/// Calls after which a stack that hears nothing new has said all that it has to say at one moment.
const MOST_POLLS: usize = 100;

/// Reads the input as a script: the link, and then what is heard on it and how time passes. Whatever it was, a datagram
/// that is received was for this host, and the stack comes to rest.
pub fn ip_frames(data: &[u8]) {
    let mut script = Script(data);
    let kind = script.byte();
    let mut wire = Wire::new(MEDIA[usize::from(kind) % 3]);
    let config = Config {
        hardware_address: wire.address(DEVICE),
        pan_id: Some(frame::PAN.0),
        interface_identifier: IDENTIFIER,
        relay: if kind & 64 == 0 { RELAY } else { Endpoint { address: link_local(NodeId(ROUTER)), ..RELAY } },
        group: (kind & 128 == 0).then_some(GROUP),
        seed: 7,
    };
    let (mut buffers, mut sockets) = (Buffers::<512>::new(), Sockets::default());
    let now = Instant::from_micros(1_000_000_000);
    let stack =
        Stack::new(config, &mut buffers, &mut sockets, &mut wire, now).expect("a sound configuration");
    let prefix = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 0);
    let prefix = Prefix { prefix, on_link: kind & 32 != 0, valid: 86_400, preferred: 86_400 };
    let mut router = Node::router(ROUTER, 1800, &[prefix]);
    router.registers = [Registers::No, Registers::Yes(0), Registers::Extended][usize::from(kind >> 3) % 3];
    let mut world = World { stack, wire, router, relay: config.relay, now };
    for _ in 0..MOST_STEPS {
        if script.0.is_empty() {
            break;
        }
        script.step(&mut world);
        world.settle();
    }
}

struct World<'s> {
    stack: Stack<'s>,
    wire: Wire,
    router: Node,
    relay: Endpoint,
    now: Instant,
}

impl World<'_> {
    /// Lets everything happen that happens now.
    fn settle(&mut self) {
        let mut buffer = [0; 512];
        for _ in 0..MOST_POLLS + self.wire.incoming.len() {
            self.stack.poll(self.now, &mut self.wire);
            // A damaged message may have named a neighbour that is not in this laboratory.
            let is_radio = self.wire.medium == Medium::Ieee802154;
            self.wire.outgoing.retain(|frame| !is_radio || frame::parse(frame).is_some());
            while let Some((to, packet)) = self.wire.take() {
                let link_layer = self.wire.link_layer(self.router.id);
                for answer in self.router.answer(&Packet::read(&packet), to, &link_layer) {
                    self.wire.deliver(self.router.id, &answer.bytes());
                }
            }
            while self.stack.receive(&mut buffer).is_some() {}
            let due = self.stack.poll_timeout(self.now).is_some_and(|due| due <= self.now);
            if self.wire.incoming.is_empty() && !due {
                return;
            }
        }
        panic!("the stack is never idle: {:?}", self.stack.state());
    }

    /// Something that a neighbour could say, in `kind` the sort.
    fn packet(&self, kind: u8) -> Packet {
        let router = self.router.addresses[0];
        let own = own(0xfe80);
        let global = Ipv6Addr::from(own.to_bits() & u128::from(u64::MAX) | 0x2001_0db8_0001_u128 << 80);
        let link_layer = self.wire.link_layer(self.router.id);
        let about = |kind: u8, flags: u8, target: Ipv6Addr, option: u8| {
            let mut message = vec![kind, 0, 0, 0, flags, 0, 0, 0];
            message.extend(target.octets());
            if !link_layer.is_empty() {
                message.extend([option, ((2 + link_layer.len()) / 8) as u8]);
                message.extend(&link_layer);
            }
            message
        };
        let relay = (self.relay.address, self.relay.port);
        match kind % 9 {
            0 => self.router.advertisement(&link_layer).expect("a router"),
            1 => Packet::icmp(router, own, about(node::NS, 0, own, 1)),
            2 => Packet::icmp(Ipv6Addr::UNSPECIFIED, ALL_NODES, about(node::NS, 0, own, 1)),
            3 => Packet::icmp(router, own, about(node::NA, 0x60, router, 2)),
            4 => Packet::icmp(router, ALL_NODES, about(node::NA, 0x20, own, 2)),
            5 => Packet::udp(relay, (global, 0xc123), &[0x60, 0x45, 0, 1, 0xff, 7]),
            6 => Packet::udp((router, 5683), (GROUP.address, GROUP.port), &[0x50, 0x45, 0, 1, 0xff, 7]),
            7 => Packet::udp(relay, (global, 0xc123), &[7; 400]),
            _ => Packet::icmp(router, global, vec![128, 0, 0, 0, 1, 2, 3, 4]),
        }
    }
}

fn own(prefix: u16) -> Ipv6Addr {
    let low = u128::from(u64::from_be_bytes(IDENTIFIER));
    Ipv6Addr::from(u128::from(prefix) << 112 | low)
}

/// What is left of the input. At its end it is all zeros.
struct Script<'a>(&'a [u8]);

impl Script<'_> {
    fn step(&mut self, world: &mut World<'_>) {
        let act = self.byte();
        match act % 8 {
            0 => {
                let bytes = self.bytes();
                world.wire.incoming.push_back(bytes);
            }
            1 => world.wire.deliver(NodeId(ROUTER), &world.packet(act >> 3).bytes()),
            2 | 3 => self.damaged_frames(world, act >> 3),
            4 => self.damaged_message(world, act >> 3),
            5 => {
                let _ = world.stack.send(world.now, &[0x40, 1, 0, 1][..usize::from(act >> 6)]);
            }
            6 => world.now = world.stack.poll_timeout(world.now).unwrap_or(world.now).max(world.now),
            _ => world.now += Duration::from_millis(1 << (self.byte() % 24)),
        }
    }

    /// Frames of a packet with some bytes changed, so that lengths and fragments contradict each other.
    fn damaged_frames(&mut self, world: &mut World<'_>, kind: u8) {
        world.wire.deliver(NodeId(ROUTER), &world.packet(kind).bytes());
        let mut frames = std::mem::take(&mut world.wire.incoming);
        for _ in 0..=self.byte() % 4 {
            let (number, at, value) = (self.byte(), self.byte(), self.byte());
            let count = frames.len();
            let Some(frame) = frames.get_mut(usize::from(number) % count.max(1)) else { break };
            match frame.get_mut(usize::from(at)) {
                Some(byte) => *byte ^= value,
                None => frame.truncate(usize::from(value)),
            }
        }
        world.wire.incoming = frames;
    }

    /// A message of Neighbor Discovery with some bytes changed and others behind it, and a checksum that is right.
    fn damaged_message(&mut self, world: &mut World<'_>, kind: u8) {
        let Packet { source, destination, mut payload, .. } = world.packet(kind % 5);
        for _ in 0..self.byte() % 4 {
            let (at, value) = (usize::from(self.byte()), self.byte());
            payload.get_mut(at).into_iter().for_each(|byte| *byte = value);
        }
        payload.extend(self.bytes());
        payload.truncate(1200);
        world.wire.deliver(NodeId(ROUTER), &Packet::icmp(source, destination, payload).bytes());
    }

    fn bytes(&mut self) -> Vec<u8> {
        let length = usize::from(self.byte());
        let (taken, rest) = self.0.split_at(length.min(self.0.len()));
        self.0 = rest;
        taken.to_vec()
    }

    fn byte(&mut self) -> u8 {
        let Some((&first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        first
    }
}
