//! What a publisher signs about an image, and how a device's main program judges it.
//!
//! [`Manifest`] is what both kinds of signed objects say, without their wrapping: [`suit`] wraps it as a SUIT manifest, [`cms`] as
//! a detached signature of the image for publishers with a PKI, and [`keys`] sign. This crate needs an allocator and the
//! standard library: it belongs to publishers and to main programs, never to a boot program. It deliberately has no
//! sockets, no files and no clock.
#![forbid(unsafe_code)]

pub mod cms;
mod distrust;
pub mod encryption;
pub mod keys;
mod manifest;
pub mod suit;

pub use distrust::Distrust;
pub use encryption::Encryption;
pub use manifest::{Device, Manifest, Refusal, chunk_index, class_identifier, vendor_identifier};
