//! RAM that behaves as NOR flash does: QEMU does not emulate this controller's flash memory control, its flash is a ROM.
//!
//! The memory keeps its content over a reset, but not over a power cut.
//!
//! ```text
//! offset
//! 0x0000  record A                4 KiB: ticket 1, journal 1, chunk index up to 2
//! 0x1000  record B                4 KiB
//! 0x2000  slot                   32 KiB
//! ```
#![allow(unsafe_code)] // memory at a fixed address

use core::ops::Range;
use core::slice;
use embedded_storage::nor_flash::{
    ErrorType, NorFlash, NorFlashErrorKind, ReadNorFlash, check_erase, check_read, check_write,
};
use sixfold_device::boot::Layout;

/// Where the main program itself would be.
pub(crate) const SLOT: Range<u32> = 0x2000..0xa000;
/// All of it.
pub(crate) const LAYOUT: Layout = Layout::single([0..0x1000, 0x1000..0x2000], SLOT);

const ADDRESS: usize = 0x2000_6000;
const LENGTH: usize = SLOT.end as usize;
const WORD: usize = 4;
const PAGE: usize = 1024;
const ERASED: u8 = 0xff;

/// The memory, as flash.
#[derive(Debug)]
pub(crate) struct RamFlash(&'static mut [u8]);

impl RamFlash {
    /// Takes hold of the memory.
    ///
    /// # Safety
    /// Once in the life of the program.
    pub(crate) unsafe fn new() -> Self {
        // SAFETY: memory.x leaves these bytes to nobody else, and the caller comes but once.
        Self(unsafe { slice::from_raw_parts_mut(core::ptr::with_exposed_provenance_mut(ADDRESS), LENGTH) })
    }

    fn place(&mut self, offset: u32, length: usize) -> Result<&mut [u8], NorFlashErrorKind> {
        let rest = self.0.get_mut(offset as usize..).ok_or(NorFlashErrorKind::OutOfBounds)?;
        rest.get_mut(..length).ok_or(NorFlashErrorKind::OutOfBounds)
    }
}

impl ErrorType for RamFlash {
    type Error = NorFlashErrorKind;
}

impl ReadNorFlash for RamFlash {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), NorFlashErrorKind> {
        check_read(&*self, offset, bytes.len())?;
        let place = self.place(offset, bytes.len())?;
        bytes.iter_mut().zip(place).for_each(|(to, from)| *to = *from);
        Ok(())
    }

    fn capacity(&self) -> usize {
        LENGTH
    }
}

impl NorFlash for RamFlash {
    const WRITE_SIZE: usize = WORD;
    const ERASE_SIZE: usize = PAGE;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), NorFlashErrorKind> {
        check_erase(&*self, from, to)?;
        self.place(from, to.saturating_sub(from) as usize)?.fill(ERASED);
        Ok(())
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), NorFlashErrorKind> {
        check_write(&*self, offset, bytes.len())?;
        let place = self.place(offset, bytes.len())?;
        // Writing takes ones away, and nothing else.
        place.iter_mut().zip(bytes).for_each(|(to, from)| *to &= from);
        Ok(())
    }
}
