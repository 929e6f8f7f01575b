//! Finding a relay (`sixfold_device::prepare::discover`), and addresses to be found at
//! (`sixfold_device::prepare::interface_identifier`), for C.

use core::ffi::{CStr, c_char};
use sixfold_device::prepare::discover::{is_relay, question};
use sixfold_device::prepare::{Origin, interface_identifier};
use std::net::Ipv6Addr;

/// How often a relay is asked for before the search is given up.
pub const SIXFOLD_DISCOVERY_ROUNDS: u32 = 3;
/// How long an answer may take, in milliseconds (DEFAULT_LEISURE, RFC 7252 §8.2).
pub const SIXFOLD_DISCOVERY_ROUND_MS: u32 = 6000;
/// Room for a question, in bytes.
pub const SIXFOLD_DISCOVERY_QUESTION: usize = 43;
/// RFC 7217 §5: the shortest secret, in bytes.
pub const SIXFOLD_SHORTEST_SECRET: usize = 16;

/// What an interface identifier is made of (RFC 7217 §5).
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct SixfoldOrigin {
    /// An address in the network that the device is in, of which the first 8 bytes count. For link-local addresses, `fe80::`.
    pub prefix: [u8; 16],
    /// The name of the interface; ends with a zero byte.
    pub interface: *const c_char,
    /// What else tells this network from others, such as a PAN ID; may be null.
    pub network: *const u8,
    /// So many bytes.
    pub network_length: usize,
    /// How often duplicate address detection found the address taken.
    pub dad_counter: u8,
    /// A secret that this device never gives away and keeps for ever.
    pub secret: *const u8,
    /// So many bytes: `SIXFOLD_SHORTEST_SECRET` at least.
    pub secret_length: usize,
}

/// Writes the question for a relay: to be sent to `ff02::fd`, port 5683, on the interface of one link, for each `round` from 0 to
/// `SIXFOLD_DISCOVERY_ROUNDS - 1`, as long as nobody answers. `seed` is the same in all rounds of a search, differs from search
/// to search, and is hard to guess. Gives the length; 0 when `buffer` is null or has less room than
/// `SIXFOLD_DISCOVERY_QUESTION`.
///
/// # Safety
/// `buffer` is null or has room for `size` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sixfold_discovery_question(
    seed: u32,
    round: u32,
    buffer: *mut u8,
    size: usize,
) -> usize {
    if buffer.is_null() {
        return 0;
    }
    // SAFETY: it is not null; the rest is this function's condition.
    let buffer = unsafe { core::slice::from_raw_parts_mut(buffer, size) };
    question(seed, round, buffer).unwrap_or(0)
}

/// Whether a datagram is a relay's answer to a question with this `seed`: then whoever sent it is the relay.
///
/// # Safety
/// `datagram` is null or points to `length` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sixfold_discovery_answer(seed: u32, datagram: *const u8, length: usize) -> bool {
    // SAFETY: this function's condition.
    unsafe { bytes(datagram, length) }.is_some_and(|datagram| is_relay(seed, datagram))
}

/// The interface identifier of `origin` (RFC 7217): 8 bytes, for `sixfold_request`. False, and nothing is written, when a pointer
/// is null that must not be, or the secret is too short.
///
/// # Safety
/// Pointers are null or point to what they say; `identifier` has room for 8 bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sixfold_interface_identifier(
    origin: *const SixfoldOrigin,
    identifier: *mut u8,
) -> bool {
    // SAFETY: this function's condition.
    let Some(origin) = (unsafe { origin.as_ref() }) else { return false };
    // SAFETY: this function's condition.
    let (network, secret) =
        unsafe { (bytes(origin.network, origin.network_length), bytes(origin.secret, origin.secret_length)) };
    let Some(secret) = secret.filter(|secret| secret.len() >= SIXFOLD_SHORTEST_SECRET) else { return false };
    if identifier.is_null() || origin.interface.is_null() {
        return false;
    }
    // SAFETY: it is not null; the rest is this function's condition.
    let interface = unsafe { CStr::from_ptr(origin.interface) }.to_string_lossy();
    let made = interface_identifier(Origin {
        prefix: Ipv6Addr::from(origin.prefix),
        interface: &interface,
        network: network.unwrap_or_default(),
        dad_counter: origin.dad_counter,
        secret,
    });
    // SAFETY: it is not null; the rest is this function's condition.
    unsafe { identifier.copy_from_nonoverlapping(made.as_ptr(), made.len()) };
    true
}

/// # Safety
/// `bytes` is null or points to `length` bytes, which stay as they are.
unsafe fn bytes<'a>(bytes: *const u8, length: usize) -> Option<&'a [u8]> {
    // SAFETY: it is not null; the rest is this function's condition.
    (!bytes.is_null()).then(|| unsafe { core::slice::from_raw_parts(bytes, length) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::ptr::null;
    use sixfold_device::prepare::SHORTEST_SECRET;
    use sixfold_device::prepare::discover::{ROUND, ROUNDS};

    #[test]
    fn constants_are_those_of_the_main_program() {
        assert_eq!(SIXFOLD_SHORTEST_SECRET, SHORTEST_SECRET);
        assert_eq!(
            (SIXFOLD_DISCOVERY_ROUNDS, u128::from(SIXFOLD_DISCOVERY_ROUND_MS)),
            (ROUNDS, ROUND.as_millis())
        );
        let mut buffer = [0; SIXFOLD_DISCOVERY_QUESTION];
        // SAFETY: there is room.
        let ask = |buffer: &mut [u8]| unsafe {
            sixfold_discovery_question(7, 0, buffer.as_mut_ptr(), buffer.len())
        };
        assert_eq!(ask(&mut buffer), SIXFOLD_DISCOVERY_QUESTION);
        assert_eq!(ask(&mut buffer[1..]), 0);
    }

    #[test]
    fn what_is_missing_is_refused() {
        let secret = [7; SIXFOLD_SHORTEST_SECRET];
        let good = SixfoldOrigin {
            prefix: [0xfd; 16],
            interface: c"wpan0".as_ptr(),
            network: null(),
            network_length: 0,
            dad_counter: 0,
            secret: secret.as_ptr(),
            secret_length: secret.len(),
        };
        let mut identifier = [0; 8];
        // SAFETY: pointers are null or point to what they say.
        let mut make =
            |origin: &SixfoldOrigin| unsafe { sixfold_interface_identifier(origin, identifier.as_mut_ptr()) };
        assert!(make(&good));
        assert!(!make(&SixfoldOrigin { interface: null(), ..good }));
        assert!(!make(&SixfoldOrigin { secret: null(), ..good }));
        assert!(!make(&SixfoldOrigin { secret_length: secret.len() - 1, ..good }));
        assert_ne!(identifier, [0; 8]);
        // SAFETY: null is allowed.
        unsafe {
            assert!(!sixfold_interface_identifier(null(), identifier.as_mut_ptr()));
            assert!(!sixfold_interface_identifier(&raw const good, core::ptr::null_mut()));
            assert_eq!(sixfold_discovery_question(7, 0, core::ptr::null_mut(), 100), 0);
            assert!(!sixfold_discovery_answer(7, null(), 100));
        }
    }
}
