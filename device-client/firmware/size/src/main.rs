//! All that a boot program needs but a board and an IP stack: ticket, journal, CoAP, SHA-256 and the state machine.
//!
//! It is never run: see [`sixfold_size`].
#![no_std]
#![no_main]
#![allow(unsafe_code)] // functions that are called by name

use core::mem::MaybeUninit;
use sixfold_device::Boot;
use sixfold_device::boot::{Choice, Layout, Which, choose, record};
use sixfold_profile::Instant;
use sixfold_profile::ticket::MAX_TICKET;
use sixfold_size::Flash;

const LAYOUT: Layout = Layout::single([0x6000..0x8000, 0x8000..0xa000], 0xa000..0x3_8000);

type Core = Boot<'static, Flash>;

/// What the report counts as the core's RAM, beside stack and buffers. In a section of its own, which no device needs.
#[unsafe(no_mangle)]
#[unsafe(link_section = ".state_size")]
static STATE_SIZE: u32 = size_of::<Core>() as u32;

/// What is to be done after a reset.
#[unsafe(no_mangle)]
extern "C" fn core_choose(ticket: &'static mut [u8; MAX_TICKET]) -> u8 {
    match choose(&mut Flash, &LAYOUT, ticket) {
        Ok(Choice::Update { record, .. }) => record as u8,
        Ok(Choice::Run(_) | Choice::Nothing) => 2,
        Ok(Choice::Lost) | Err(_) => 3,
    }
}

/// Begins, or goes on.
#[unsafe(no_mangle)]
extern "C" fn core_begin(
    core: &mut MaybeUninit<Core>,
    ticket: &'static mut [u8; MAX_TICKET],
    is_b: bool,
    seed: u32,
) -> bool {
    let which = if is_b { Which::B } else { Which::A };
    let boot = record::read_ticket(&mut Flash, LAYOUT.record(which), ticket)
        .and_then(|ticket| Boot::new(Flash, &LAYOUT, which, ticket, seed));
    boot.map(|boot| core.write(boot)).is_ok()
}

/// Takes a datagram.
#[unsafe(no_mangle)]
extern "C" fn core_datagram(
    core: &mut Core,
    now: u64,
    datagram: &'static mut [u8; 1152],
    length: usize,
) -> bool {
    let datagram = datagram.get_mut(..length).unwrap_or_default();
    core.handle_datagram(Instant::from_micros(now), datagram).is_ok()
}

/// Takes part in the ticket's group.
#[cfg(feature = "listen")]
#[unsafe(no_mangle)]
extern "C" fn core_listen(core: &mut Core, memory: &'static mut [u8; 8192]) {
    core.listen(memory);
}

/// The address and port to listen at; 0 is no port.
#[cfg(feature = "listen")]
#[unsafe(no_mangle)]
extern "C" fn core_group(core: &Core, address: &mut [u8; 16]) -> u16 {
    core.group().map_or(0, |group| {
        *address = group.endpoint.address.octets();
        group.endpoint.port
    })
}

/// Takes a datagram that came to the group.
#[cfg(feature = "listen")]
#[unsafe(no_mangle)]
extern "C" fn core_group_datagram(
    core: &mut Core,
    now: u64,
    datagram: &'static [u8; 1152],
    length: usize,
) -> bool {
    let datagram = datagram.get(..length).unwrap_or_default();
    core.handle_group_datagram(Instant::from_micros(now), datagram).is_ok()
}

/// Something is due.
#[unsafe(no_mangle)]
extern "C" fn core_timeout(core: &mut Core, now: u64) -> bool {
    core.handle_timeout(Instant::from_micros(now)).is_ok()
}

/// Writes the next datagram; gives its length.
#[unsafe(no_mangle)]
extern "C" fn core_transmit(core: &mut Core, now: u64, datagram: &mut [u8; 640]) -> usize {
    core.poll_transmit(Instant::from_micros(now), datagram).ok().flatten().unwrap_or(0)
}

/// When something is due next; the end of time when the image may run.
#[unsafe(no_mangle)]
extern "C" fn core_deadline(core: &Core) -> u64 {
    core.poll_timeout().map_or(u64::MAX, Instant::as_micros)
}

/// Breaks what this package proves, for the test that sees it fail: an index that may be out of bounds.
#[cfg(feature = "provoke")]
#[unsafe(no_mangle)]
extern "C" fn core_provoke(ticket: &[u8; MAX_TICKET], at: usize) -> u8 {
    #[allow(clippy::indexing_slicing, reason = "it is the point")]
    ticket[at]
}
