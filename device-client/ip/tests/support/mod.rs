//! A stack on a link in memory, with scripted neighbours, in virtual time.

#![allow(
    clippy::unwrap_used,
    dead_code,
    unreachable_pub,
    reason = "shared by tests that use different parts"
)]

pub mod node;
pub mod wire;

use node::{Node, Packet};
use sixfold_ip::{Buffers, Config, Sockets, Stack, State};
use sixfold_profile::Instant;
use sixfold_profile::ticket::Endpoint;
use smoltcp::phy::Medium;
use std::net::Ipv6Addr;
use std::time::Duration;
use wire::{DEVICE, Wire};

pub const MEDIA: [Medium; 3] = [Medium::Ethernet, Medium::Ip, Medium::Ieee802154];
/// Those where addresses are probed.
pub const PROBING: [Medium; 2] = [Medium::Ethernet, Medium::Ip];
pub const IDENTIFIER: [u8; 8] = [0x71, 0x11, 2, 3, 4, 5, 6, 7];
pub const LINK_LOCAL: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0x7111, 0x0203, 0x0405, 0x0607);
pub const FAR_RELAY: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xffff, 0, 0, 0, 0, 1);
pub const PORT: u16 = 5683;
pub const GROUP: Ipv6Addr = Ipv6Addr::new(0xff35, 0x40, 0x2001, 0xdb8, 0, 0, 0, 0x1234);
pub const GROUP_PORT: u16 = 5684;

/// The address with a prefix 2001:db8:`n`::/64.
pub const fn global(n: u16) -> Ipv6Addr {
    Ipv6Addr::new(0x2001, 0xdb8, n, 0, 0x7111, 0x0203, 0x0405, 0x0607)
}

/// The prefix 2001:db8:`n`::/64, not on the link, for a day.
pub const fn prefix(n: u16) -> node::Prefix {
    let prefix = Ipv6Addr::new(0x2001, 0xdb8, n, 0, 0, 0, 0, 0);
    node::Prefix { prefix, on_link: false, valid: 86_400, preferred: 86_400 }
}

/// The link and all who are on it.
pub struct World {
    pub wire: Wire,
    pub stack: Stack<'static>,
    pub nodes: Vec<Node>,
    pub now: Instant,
    /// What the stack sent, and when.
    pub sent: Vec<(Instant, Packet)>,
}

impl World {
    pub fn new(medium: Medium, relay: Ipv6Addr, nodes: Vec<Node>) -> Self {
        Self::with_group(medium, relay, nodes, None)
    }

    pub fn with_group(medium: Medium, relay: Ipv6Addr, nodes: Vec<Node>, group: Option<Endpoint>) -> Self {
        let mut wire = Wire::new(medium);
        let config = Config {
            hardware_address: wire.address(DEVICE),
            pan_id: Some(sixfold_air::frame::PAN.0),
            interface_identifier: IDENTIFIER,
            relay: Endpoint { address: relay, port: PORT },
            group,
            seed: 7,
        };
        let buffers = Box::leak(Box::new(Buffers::<1232>::new()));
        let sockets = Box::leak(Box::new(Sockets::default()));
        let now = Instant::from_micros(1_000_000_000);
        let stack = Stack::new(config, buffers, sockets, &mut wire, now).unwrap();
        Self { wire, stack, nodes, now, sent: Vec::new() }
    }

    /// Lets everything happen that happens now.
    pub fn settle(&mut self) {
        for _ in 0..1000 {
            self.stack.poll(self.now, &mut self.wire);
            self.deliver();
            let due = self.stack.poll_timeout(self.now).is_some_and(|due| due <= self.now);
            if self.wire.incoming.is_empty() && !due {
                return;
            }
        }
        panic!("the stack is never idle: {:?}, {:?}", self.stack.state(), self.sent.last());
    }

    fn deliver(&mut self) {
        while let Some((to, bytes)) = self.wire.take() {
            let packet = Packet::read(&bytes);
            self.sent.push((self.now, packet.clone()));
            for node in &mut self.nodes {
                let link_layer = self.wire.link_layer(node.id);
                for answer in node.answer(&packet, to, &link_layer) {
                    self.wire.deliver(node.id, &answer.bytes());
                }
            }
        }
    }

    /// Runs for `duration` of virtual time, or until `is_done`; whether it is.
    pub fn run(&mut self, duration: Duration, is_done: impl Fn(&mut Self) -> bool) -> bool {
        let end = self.now + duration;
        loop {
            self.settle();
            if is_done(self) {
                return true;
            }
            if self.now >= end {
                return false;
            }
            self.now = self.stack.poll_timeout(self.now).unwrap_or(end).min(end);
        }
    }

    /// Runs until the stack is in this state.
    pub fn until(&mut self, state: State) {
        let done = self.run(Duration::from_secs(100_000), |world| world.stack.state() == state);
        let medium = self.wire.medium;
        assert!(
            done,
            "{medium:?}: {state:?} was not reached: {:?}\n{:?}",
            self.stack.state(),
            self.sent.last()
        );
    }

    /// Runs for a while.
    pub fn pass(&mut self, duration: Duration) {
        self.run(duration, |_| false);
    }

    /// Whether a datagram is sent to the relay and comes back.
    pub fn echo(&mut self, payload: &[u8]) -> bool {
        if self.stack.send(self.now, payload).is_err() {
            return false;
        }
        let mut buffer = [0; 1232];
        self.pass(Duration::from_secs(3));
        let received = self.stack.receive(&mut buffer);
        received.is_some_and(|received| !received.is_for_group && buffer[..received.length] == *payload)
    }

    /// A packet from a neighbour.
    pub fn hear(&mut self, from: u32, packet: &Packet) {
        self.wire.deliver(sixfold_air::topology::NodeId(from), &packet.bytes());
        self.settle();
    }

    /// What the stack sent of one type of message.
    pub fn messages(&self, kind: u8) -> Vec<&(Instant, Packet)> {
        self.sent.iter().filter(|(_, packet)| packet.message() == Some(kind)).collect()
    }
}
