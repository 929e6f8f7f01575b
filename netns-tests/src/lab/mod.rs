//! The radio laboratory in real time: programs in network namespaces, and the modelled air between them.
//!
//! ```text
//!  namespace `border-router`                              namespaces `d1`, `d2`, ... (`r1`, ... forward)
//! +----------------------------------+                   +------------------------------------+
//! | HTTPS origin on [::1]            |                   | sixfold-device, or any program     |
//! | sixfold-relay        radvd       |                   |                                    |
//! |                   TUN lowpan0    o---- sixfold_air ----o air0, fe80::x, fd00:6f::x by SLAAC |
//! |          fe80::1, fd00:6f::1     |      Air, pcap    |                                    |
//! +----------------------------------+                   +------------------------------------+
//! ```
//!
//! One thread ([`driver`]) carries packets between all TUN devices, when the channel model says so. Forwarders exist in
//! the model only: their namespaces see no packet that is not for them.

pub mod driver;
pub mod job;
pub mod network;
pub mod service;
pub mod tun;
