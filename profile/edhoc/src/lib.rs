//! EDHOC (RFC 9528) for both ends of Sixfold: a device (Initiator) and a relay (Responder) agree on an OSCORE context with keys that
//! they know of each other, in three or four small messages.
//!
//! | module | section | |
//! |---|---|---|
//! | [`credential`] | §3.5 | who somebody is: a CCS (RFC 8392) with a name, a key identifier and a public key |
//! | [`initiator`] | §5.2.1, §5.3.3, §5.4.2, §5.5.3 | the device |
//! | [`responder`] | §5.2.3, §5.3.2, §5.4.3, §5.5.2 | the relay |
//! | [`Failure`] | §6 | why there is no context, and what the other side is told |
//!
//! The protocol is lakers' (0.8, November 2026: alive, `no_std`, in part formally verified; the only EDHOC crate that is kept). It does
//! method 3, both sides with static Diffie-Hellman keys, and cipher suite 2; other methods and suites are refused. Its
//! cryptographic back end is replaced here, because that of `lakers-crypto-rustcrypto` panics for a public key that is not on the curve
//! and for a ciphertext shorter than its tag, and brings other versions of the crates that this workspace has.
//!
//! Pure: bytes and randomness in, bytes and secrets out. No sockets, no timers, no memory of half-finished exchanges: the caller's.
#![forbid(unsafe_code)]

pub mod credential;
mod crypto;
mod failure;
pub mod initiator;
pub mod responder;

pub use credential::{Credential, CredentialError, Identity};
pub use failure::Failure;

pub use lakers::EDHOCError as EdhocError;
use lakers::{BufferMessage1, EADItem, EDHOCError};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What stands before message_1 in a request: the CBOR value true (Appendix A.2.1).
pub const BEFORE_MESSAGE_1: u8 = 0xf5;
/// The most bytes of a message, here.
pub const MAX_MESSAGE: usize = lakers::MAX_MESSAGE_SIZE_LEN;
/// The most bytes of a connection identifier that becomes an OSCORE identifier (RFC 8613 §3.3).
pub const MAX_ID: usize = 7;
/// Bytes of an OSCORE Master Secret (Appendix A.1).
pub const MASTER_SECRET: usize = 16;
/// Bytes of an OSCORE Master Salt (Appendix A.1).
pub const MASTER_SALT: usize = 8;
/// Bytes of the tag of a ciphertext (AES-CCM-16-64-128), and of a MAC.
const TAG: usize = lakers::AES_CCM_TAG_LEN;
/// Bytes of a public key.
const POINT: usize = lakers::P256_ELEM_LEN;
/// Bytes of randomness for one exchange.
pub const SEED: usize = 32;

/// What both sides have in the end (Appendix A.1).
#[derive(Clone, PartialEq, Eq)]
pub struct Agreed {
    /// What the other side's credential calls it.
    pub name: String,
    /// C_R: the device's Sender ID.
    pub device_id: Vec<u8>,
    /// C_I: the relay's Sender ID.
    pub relay_id: Vec<u8>,
    /// The OSCORE Master Secret.
    pub master_secret: [u8; MASTER_SECRET],
    /// The OSCORE Master Salt.
    pub master_salt: [u8; MASTER_SALT],
}

/// Without the secrets.
impl fmt::Debug for Agreed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, device_id, relay_id, .. } = self;
        f.debug_struct("Agreed")
            .field("name", name)
            .field("device_id", device_id)
            .field("relay_id", relay_id)
            .finish_non_exhaustive()
    }
}

/// A message in lakers' buffer.
fn buffer(message: &[u8]) -> Result<BufferMessage1, Failure> {
    let mut buffer = BufferMessage1::new();
    buffer.fill_with_slice(message).map_err(|_| Failure::TooLong)?;
    Ok(buffer)
}

/// A message that is one CBOR byte string, as message_2, message_3 and message_4 are (RFC 9528 §5.3.1, §5.4.1, §5.5.1): lakers
/// believes the length that it begins with. `least` bytes must be in it.
fn byte_string(message: &[u8], least: usize) -> Result<BufferMessage1, Failure> {
    let (length, content) = match message {
        [head @ 0x40..=0x57, content @ ..] => (usize::from(head - 0x40), content),
        [0x58, length, content @ ..] if *length >= 24 => (usize::from(*length), content),
        _ => return Err(Failure::Edhoc(EDHOCError::ParsingError)),
    };
    if length != content.len() || length < least {
        return Err(Failure::Edhoc(EDHOCError::ParsingError));
    }
    buffer(message)
}

/// Whether this is not the head of a byte string that is too long for a connection identifier.
const fn is_short_identifier(head: u8) -> bool {
    head >> 5 != 0x40 >> 5 || head <= 0x40 | MAX_ID as u8
}

/// Critical external authorization data has to be understood, and none is here (RFC 9528 §3.8).
fn refuse_critical(ead: Option<EADItem>) -> Result<(), Failure> {
    if ead.is_some_and(|ead| ead.is_critical) {
        Err(Failure::Edhoc(EDHOCError::EADUnprocessable))
    } else {
        Ok(())
    }
}

/// Runs a step of lakers, which takes some of what it has not verified for granted: should a message still make it panic, then it is
/// refused like any other.
fn contained<T>(step: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    catch_unwind(AssertUnwindSafe(step)).unwrap_or(Err(Failure::Library))
}

/// The first bytes of what lakers' exporter gives.
fn first<const N: usize>(output: &[u8]) -> [u8; N] {
    let mut bytes = [0; N];
    bytes.iter_mut().zip(output).for_each(|(to, from)| *to = *from);
    bytes
}
