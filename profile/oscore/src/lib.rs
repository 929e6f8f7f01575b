//! OSCORE (RFC 8613) for both ends of Sixfold: what a session between device and relay does to their messages.
//!
//! | module | section | |
//! |---|---|---|
//! | [`Context`], [`Derived`] | §3 | identifiers and keys: from a ticket, or from a Master Secret |
//! | [`class`](class()) | §4.1 | which options are encrypted |
//! | [`OscoreOption`] | §6.1 | the option |
//! | [`PartialIv`], [`SenderSequence`] | §7.2 | numbers, each for one message |
//! | [`ReplayWindow`], [`NotificationNumber`] | §7.4 | what was received already |
//! | `protect_…` | §8.1, §8.3 | |
//! | `unprotect_…` | §8.2, §8.4 | |
//! | [`Client`] | §8.1, §8.4 | the same for a boot program |
//! | [`Keystream`] | – | no part of OSCORE: encrypted images, with the same AES |
//!
//! Everything is an argument: keys, numbers, bytes. The crate has no state but what it is lent, no allocator, no panic and no
//! recursion. It does not find contexts, does not know which message answers which, does not store numbers, and does not agree
//! on keys.
//!
//! # Why not a library
//!
//! Looked at in November 2026, for a boot program that may become 4 KiB larger by it on a Cortex-M0, and a relay:
//!
//! - **liboscore** 0.2.7 wraps the C library libOSCORE: it needs a C cross compiler, libclang and cbindgen to build, and messages
//!   behind the traits of coap-message. coapcore 0.1.1 (Ariel OS) is built on it. Alive; does not fit a boot program that is
//!   proven free of panics by its linker, nor a relay that is cross-compiled with Rust alone.
//! - **oscore** 0.1.2 is Rust and `no_std`, but takes payloads of 128 bytes at most, Master Salts of 8, and always brings
//!   key derivation with SHA-256 in its unrolled form (10 KB); it calls itself a stopgap.
//! - **coap-handler**, **coap-message**: interfaces, no OSCORE. **aiocoap** (Python), libcoap and uoscore-uedhoc (C): peers.
//!
//! AES is that of the crate `aes` where there is room (feature `fast`), and CCM is here, over either. On a Cortex-M0, sealing and
//! opening with RustCrypto's take 5.1 KB of flash (`ccm` 0.5 and `aes` 0.8, `aes_compact`) or 7.4 KB (`ccm` 0.6 and `aes` 0.9,
//! `compact`), and panics are reachable: so there is a small AES here too. Tests hold both against the crates.
//!
//! # What it does not do
//!
//! Other algorithms than AES-CCM-16-64-128 and HKDF SHA-256, which are the mandatory ones (§3.2); Class I options, of which
//! there are none; outer Block options (§4.1.3.4.2): proxies that fragment OSCORE messages are not supported, and such messages
//! fail verification; HTTP (§11); group communication.
//!
//! # State that is lost
//!
//! Appendix B has two ways on after a restart, and both leave their part to the owner of the state:
//!
//! - **B.1**, the same context: the sender goes on behind the numbers that it had reserved in lasting memory
//!   ([`SenderSequence::new`] with a range, [`SenderSequence::reserve`] after it was written). A receiver that lost its window
//!   has [`ReplayWindow::lost`], reads safe requests all the same ([`Repetition::Safe`]), answers them with 4.01 and an Echo option
//!   (RFC 9175 §2.3), protected with a number of its own, and goes on with [`ReplayWindow::up_to`] the number of the request that
//!   brings the Echo value back.
//! - **B.2**, a new context from the same Master Secret and random ID Contexts: [`Derived::new`] with the new ID Context. The
//!   negotiation's requests carry it (`kid context`); responses that do are refused here.
//!
//! Echo and Request-Tag (RFC 9175) are class E options: they are encrypted like others, and what is in them is the owner's.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

mod aead;
#[cfg(any(test, not(feature = "fast")))]
mod aes;
mod ccm;
mod class;
mod client;
mod context;
#[cfg(feature = "derive")]
mod derive;
mod keystream;
#[cfg(feature = "fast")]
mod library;
mod option;
mod protect;
mod replay;
mod sequence;
mod unprotect;

pub use aead::{KEY, NONCE, TAG};
pub use class::{Class, class};
pub use client::Client;
pub use context::{Context, ContextError, MAX_ID, MAX_ID_CONTEXT, Parameters};
#[cfg(feature = "derive")]
pub use derive::{Derived, Secret};
pub use keystream::Keystream;
pub use option::{OscoreOption, Undecodable};
pub use protect::{Plain, ProtectError};
pub use replay::{NotificationNumber, ReplayWindow, WINDOW};
pub use sequence::{LAST, MAX_PARTIAL_IV, PartialIv, SenderSequence};
pub use unprotect::{Received, Repetition, Request, Response, UnprotectError};
