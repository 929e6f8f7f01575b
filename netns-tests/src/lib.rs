//! The proof: real peers in network namespaces, tests of the workspace's own structure, and the [`bench`].
//!
//! Every namespace test runs in a [`sandbox`] of its own and draws a [`topology`] in it: an origin server, the relay
//! and devices, joined by virtual Ethernet. Values own what they start and end it when they are dropped; the sandbox
//! takes everything with it should a test be killed. Whatever may take its time is waited for with [`wait`].
//!
//! Clients and servers of CoAP and HTTPS are real programs, wherever there are any. What none of them would send, because
//! it is forged, misbehaves or comes from thousands at once, the tests make themselves; so do the benchmarks and the
//! [`soak`], which simulate devices.

#![allow(clippy::missing_errors_doc)]

pub mod aiocoap;
pub mod aiocoap_oscore;
pub mod air_cli;
pub mod bench;
pub mod browser;
pub mod ca;
pub mod coap_client;
pub mod debian;
pub mod device;
pub mod fleet;
pub mod image;
pub mod isolation;
pub mod lab;
pub mod lamp;
pub mod misbehaving_origin;
pub mod names;
pub mod netns;
pub mod nginx;
pub mod packed;
pub mod peer;
pub mod process;
pub mod prometheus;
pub mod proof;
pub mod qemu;
pub mod radvd;
pub mod relay;
pub mod router;
pub mod sandbox;
pub mod scene;
pub mod site;
pub mod soak;
pub mod topology;
pub mod vm;
pub mod wait;
pub mod workspace;
