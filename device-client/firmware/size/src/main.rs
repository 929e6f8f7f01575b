//! All that a boot program needs but a board and an IP stack: ticket, journal, CoAP, SHA-256 and the state machine.
//!
//! It is never run. What a board would provide are functions that are not here, so that the linked program is the core and
//! nothing else. A panic would need `panic_is_reachable`, which does not exist: the program links only if none is.
#![no_std]
#![no_main]
#![allow(unsafe_code)] // calls a board that is not Rust's

use core::panic::PanicInfo;
use embedded_storage::nor_flash::{ErrorType, NorFlash, NorFlashErrorKind, ReadNorFlash};
use sixfold_device::Boot;
use sixfold_device::boot::{BootError, Choice, Layout, choose, record};
use sixfold_firmware as _; // memcpy and its like
use sixfold_profile::Instant;
use sixfold_profile::ticket::MAX_TICKET;

const LAYOUT: Layout = Layout::single([0x6000..0x8000, 0x8000..0xa000], 0xa000..0x3_8000);
/// Options of a ticket, and what a request adds.
const LONGEST_REQUEST: usize = 320;
/// A block of 1024 bytes, and what a response adds.
const LONGEST_RESPONSE: usize = 1152;

unsafe extern "C" {
    fn board_read(offset: u32, to: *mut u8, length: usize) -> bool;
    fn board_write(offset: u32, from: *const u8, length: usize) -> bool;
    fn board_erase(from: u32, to: u32) -> bool;
    fn board_receive(to: *mut u8, length: usize) -> usize;
    fn board_send(from: *const u8, length: usize);
    safe fn board_now_us() -> u32;
    safe fn board_random() -> u32;
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

/// What a board lends: the memory that a datagram and a ticket are in.
#[repr(C)]
pub struct Buffers {
    ticket: [u8; MAX_TICKET],
    request: [u8; LONGEST_REQUEST],
    response: [u8; LONGEST_RESPONSE],
}

/// The boot program. True when the slot may run.
#[unsafe(no_mangle)]
extern "C" fn boot(buffers: &mut Buffers) -> bool {
    update(Flash, buffers).unwrap_or(false)
}

fn update(mut flash: Flash, buffers: &mut Buffers) -> Result<bool, BootError<NorFlashErrorKind>> {
    let Buffers { ticket, request, response } = buffers;
    let which = match choose(&mut flash, &LAYOUT, ticket)? {
        Choice::Run(_) | Choice::Nothing => return Ok(true),
        Choice::Lost => return Ok(false),
        Choice::Update { record, .. } => record,
    };
    let ticket = record::read_ticket(&mut flash, LAYOUT.record(which), ticket)?;
    let mut boot = Boot::new(flash, &LAYOUT, which, ticket, board_random())?;
    while !boot.is_bootable() {
        let now = Instant::from_micros(board_now_us().into());
        while let Some(length) = boot.poll_transmit(now, request)? {
            // SAFETY: the board reads no more than it is told to, which is at most the buffer.
            unsafe { board_send(request.as_ptr(), length) };
        }
        // SAFETY: the board writes no more than it is told to.
        let length = unsafe { board_receive(response.as_mut_ptr(), response.len()) };
        if let Some(datagram) = response.get(..length).filter(|datagram| !datagram.is_empty()) {
            boot.handle_datagram(now, datagram)?;
        }
        boot.handle_timeout(now)?;
    }
    Ok(true)
}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    // SAFETY: it is not called: it does not exist.
    unsafe { panic_is_reachable() }
}
