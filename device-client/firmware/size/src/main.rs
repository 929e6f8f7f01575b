//! All that a boot program needs but a board and an IP stack: ticket, journal, CoAP, SHA-256 and the state machine.
//!
//! It is never run. What a board would provide are functions that are not here, so that the linked program is the core and
//! nothing else. A panic would need `panic_is_reachable`, which does not exist: the program links only if none is.
#![no_std]
#![no_main]
#![allow(unsafe_code)] // calls a board that is not Rust's

use core::mem::MaybeUninit;
use core::panic::PanicInfo;
use embedded_storage::nor_flash::{ErrorType, NorFlash, NorFlashErrorKind, ReadNorFlash};
use sixfold_device::Boot;
use sixfold_device::boot::{Choice, Layout, Which, choose, record};
use sixfold_firmware as _; // memcpy and its like
use sixfold_profile::Instant;
use sixfold_profile::ticket::MAX_TICKET;

const LAYOUT: Layout = Layout::single([0x6000..0x8000, 0x8000..0xa000], 0xa000..0x3_8000);

unsafe extern "C" {
    fn board_read(offset: u32, to: *mut u8, length: usize) -> bool;
    fn board_write(offset: u32, from: *const u8, length: usize) -> bool;
    fn board_erase(from: u32, to: u32) -> bool;
    fn panic_is_reachable() -> !;
}

#[derive(Clone, Copy)]
struct Flash;

impl ErrorType for Flash {
    type Error = NorFlashErrorKind;
}

const fn done(is_done: bool) -> Result<(), NorFlashErrorKind> {
    if is_done { Ok(()) } else { Err(NorFlashErrorKind::Other) }
}

impl ReadNorFlash for Flash {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), NorFlashErrorKind> {
        // SAFETY: a board writes no more than it is told to.
        done(unsafe { board_read(offset, bytes.as_mut_ptr(), bytes.len()) })
    }

    fn capacity(&self) -> usize {
        0x4_0000
    }
}

impl NorFlash for Flash {
    const WRITE_SIZE: usize = 4;
    const ERASE_SIZE: usize = 1024;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), NorFlashErrorKind> {
        // SAFETY: a board checks what it erases.
        done(unsafe { board_erase(from, to) })
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), NorFlashErrorKind> {
        // SAFETY: a board reads no more than it is told to.
        done(unsafe { board_write(offset, bytes.as_ptr(), bytes.len()) })
    }
}

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
extern "C" fn core_datagram(core: &mut Core, now: u64, datagram: &'static [u8; 1152], length: usize) -> bool {
    let datagram = datagram.get(..length).unwrap_or_default();
    core.handle_datagram(Instant::from_micros(now), datagram).is_ok()
}

/// Something is due.
#[unsafe(no_mangle)]
extern "C" fn core_timeout(core: &mut Core, now: u64) -> bool {
    core.handle_timeout(Instant::from_micros(now)).is_ok()
}

/// Writes the next datagram; gives its length.
#[unsafe(no_mangle)]
extern "C" fn core_transmit(core: &mut Core, now: u64, datagram: &mut [u8; 320]) -> usize {
    core.poll_transmit(Instant::from_micros(now), datagram).ok().flatten().unwrap_or(0)
}

/// When something is due next; the end of time when the image may run.
#[unsafe(no_mangle)]
extern "C" fn core_deadline(core: &Core) -> u64 {
    core.poll_timeout().map_or(u64::MAX, Instant::as_micros)
}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    // SAFETY: it is not called: it does not exist.
    unsafe { panic_is_reachable() }
}
