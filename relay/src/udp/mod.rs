//! Batched UDP sockets on Linux: the lowest I/O layer of the relay.
//!
//! A [`Listener`] keeps a [`BatchSocket`] open on an address, and on an interface that may come and go. The
//! socket moves up to [`BATCH`] datagrams per system call (`recvmmsg`, `sendmmsg`), tells for each the address
//! of ours that was asked, and lets each answer leave from that address (RFC 3542 §6, `IP_PKTINFO`).
//!
//! The system calls are those of `nix`. Its headers are reused from call to call, so nothing is allocated per
//! batch, and no unsafe code is needed here. Of the CPU time of an echo over these sockets 94 % is the
//! kernel's (64 clients, loopback, `sixfold-bench`), so calls written by hand over `libc` could gain little.
//! `quinn-udp` sends one datagram per call where the destinations differ, drops truncated datagrams without
//! saying so, and pays for time stamps and ECN that CoAP has no use for.
//!
//! It deliberately knows nothing of CoAP but its multicast groups, never waits except in `readable` and
//! `writable`, and queues nothing: a datagram that the system does not take is the caller's again.

mod interface;
mod listener;
mod multicast;
mod receive;
mod send;
mod socket;

pub(crate) use interface::{Hardware, Interface, eui64, hardware, interfaces};
pub use listener::{Change, Listener, ListenerConfig};
pub use multicast::{ALL_COAP_NODES, Membership};
pub use receive::{MAX_DATAGRAM, Received, RecvBatch};
pub use socket::{BATCH, BatchSocket, Buffers};

#[cfg(test)]
mod tests;
