//! A board for programs that are linked to be measured, and never run.
//!
//! What a real board would provide are functions that are not here, so that such a program is what is measured and nothing
//! else. A panic would need `panic_is_reachable`, which does not exist: the program links only if none is.
#![no_std]
#![allow(unsafe_code)] // calls a board that is not Rust's

#[cfg(target_os = "none")]
use core::panic::PanicInfo;
use embedded_storage::nor_flash::{ErrorType, NorFlash, NorFlashErrorKind, ReadNorFlash};
use sixfold_firmware as _; // memcpy and its like

unsafe extern "C" {
    fn board_read(offset: u32, to: *mut u8, length: usize) -> bool;
    fn board_write(offset: u32, from: *const u8, length: usize) -> bool;
    fn board_erase(from: u32, to: u32) -> bool;
    fn panic_is_reachable() -> !;
}

/// The flash of a board that is not there.
#[derive(Clone, Copy, Debug)]
pub struct Flash;

impl ErrorType for Flash {
    type Error = NorFlashErrorKind;
}

#[inline]
const fn done(is_done: bool) -> Result<(), NorFlashErrorKind> {
    if is_done { Ok(()) } else { Err(NorFlashErrorKind::Other) }
}

impl ReadNorFlash for Flash {
    const READ_SIZE: usize = 1;

    #[inline]
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

    #[inline]
    fn erase(&mut self, from: u32, to: u32) -> Result<(), NorFlashErrorKind> {
        // SAFETY: a board checks what it erases.
        done(unsafe { board_erase(from, to) })
    }

    #[inline]
    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), NorFlashErrorKind> {
        // SAFETY: a board reads no more than it is told to.
        done(unsafe { board_write(offset, bytes.as_ptr(), bytes.len()) })
    }
}

#[cfg(target_os = "none")]
#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    // SAFETY: it is not called: it does not exist.
    unsafe { panic_is_reachable() }
}
