//! The non-volatile memory controller (reference manual §6.1): writes words, erases pages.
#![allow(unsafe_code)] // flash is memory that other code does not know to change

use crate::layout::{FLASH, PAGE};
use core::ops::Range;
use core::ptr;
use embedded_storage::nor_flash::{
    ErrorType, NorFlash, NorFlashErrorKind, ReadNorFlash, check_erase, check_read, check_write,
};
use sixfold_firmware::register::Register;

// SAFETY: the reference manual's registers of the NVMC. The core waits while flash is written.
const READY: Register = unsafe { Register::new(0x4001_e400) };
const CONFIG: Register = unsafe { Register::new(0x4001_e504) };
const ERASE_PAGE: Register = unsafe { Register::new(0x4001_e508) };

const READ_ONLY: u32 = 0;
const WRITE_ENABLE: u32 = 1;
const ERASE_ENABLE: u32 = 2;
const WORD: usize = 4;

/// The flash, from address 0 on, of which a part can be changed.
#[derive(Debug)]
pub struct Nvmc {
    writable: Range<u32>,
}

impl Nvmc {
    /// Takes hold of the controller.
    ///
    /// # Safety
    /// Nothing else writes flash, and nothing that Rust knows, neither code nor data, is in `writable`.
    pub const unsafe fn new(writable: Range<u32>) -> Self {
        Self { writable }
    }

    fn check_writable(&self, from: u32, to: u32) -> Result<(), NorFlashErrorKind> {
        let inside = self.writable.start <= from && to <= self.writable.end;
        if inside { Ok(()) } else { Err(NorFlashErrorKind::OutOfBounds) }
    }
}

fn with_config(config: u32, work: impl FnOnce()) {
    CONFIG.write(config);
    work();
    while READY.read() & 1 == 0 {}
    CONFIG.write(READ_ONLY);
}

fn write_word(address: u32, word: [u8; WORD]) {
    let to = ptr::with_exposed_provenance_mut::<u32>(address as usize);
    // SAFETY: the word is in the writable part; nothing else is there, as `Nvmc::new` was promised.
    with_config(WRITE_ENABLE, || unsafe { to.write_volatile(u32::from_le_bytes(word)) });
}

impl ErrorType for Nvmc {
    type Error = NorFlashErrorKind;
}

impl ReadNorFlash for Nvmc {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), NorFlashErrorKind> {
        check_read(&*self, offset, bytes.len())?;
        for (address, byte) in (offset..).zip(bytes) {
            // Address 0 is flash here, but a null pointer to Rust: the boot program is not read.
            if address == 0 {
                return Err(NorFlashErrorKind::OutOfBounds);
            }
            // SAFETY: `check_read` said that it is in flash.
            *byte = unsafe { ptr::with_exposed_provenance::<u8>(address as usize).read_volatile() };
        }
        Ok(())
    }

    fn capacity(&self) -> usize {
        FLASH.end as usize
    }
}

impl NorFlash for Nvmc {
    const WRITE_SIZE: usize = WORD;
    const ERASE_SIZE: usize = PAGE as usize;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), NorFlashErrorKind> {
        check_erase(&*self, from, to)?;
        self.check_writable(from, to)?;
        (from..to)
            .step_by(Self::ERASE_SIZE)
            .for_each(|page| with_config(ERASE_ENABLE, || ERASE_PAGE.write(page)));
        Ok(())
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), NorFlashErrorKind> {
        check_write(&*self, offset, bytes.len())?;
        self.check_writable(offset, offset.saturating_add(bytes.len() as u32))?;
        let (words, _) = bytes.as_chunks::<WORD>();
        (offset..).step_by(WORD).zip(words).for_each(|(address, word)| write_word(address, *word));
        Ok(())
    }
}
