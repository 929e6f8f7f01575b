//! The radio laboratory: one shared IEEE 802.15.4 channel, 6LoWPAN over it, and whole fleets of devices on top.
//!
//! [`air::Air`] is the channel with the link and adaptation layers of every node: IPv6 packets go in at one node and come
//! out at others, late, or never. It is sans-IO like everything here: the caller brings the time, and one seed
//! decides all chance. [`sim`] drives it in virtual time, together with the relay's engine and the device's core;
//! the program `sixfold-air` also drives it in real time, behind TUN devices.
//!
//! It models what decides over a transfer: airtime, contention, collisions, loss, retries, fragments, queues. It
//! does not model signal strength, capture, clock drift, duty cycles, or routing protocols.

pub mod address;
pub mod air;
mod channel;
pub mod counters;
pub mod frame;
pub mod host;
pub mod loss;
pub mod mac;
mod neighbour;
mod nhc;
pub mod outcome;
pub mod pcap;
pub mod peers;
pub mod phy;
pub mod random;
mod reassembly;
pub mod scenario;
pub mod sim;
pub mod sixlowpan;
pub mod topology;
pub mod udp;
