//! NOR flash in memory, with erase pages of 256 bytes, written 4 bytes at a time: for the device of an exchange.

use embedded_storage::nor_flash::{ErrorType, NorFlash, NorFlashErrorKind, ReadNorFlash};

/// In bytes.
pub(crate) const PAGE: u32 = 256;
/// In bytes.
pub(crate) const WRITE_UNIT: u32 = 4;

/// Bits are cleared by writes and set by erasing pages.
#[derive(Debug)]
pub(crate) struct Flash(Vec<u8>);

impl Flash {
    pub(crate) fn erased(bytes: u32) -> Self {
        Self(vec![0xff; bytes as usize])
    }

    fn at(&mut self, start: u32, length: usize) -> Result<&mut [u8], NorFlashErrorKind> {
        let start = start as usize;
        self.0.get_mut(start..start + length).ok_or(NorFlashErrorKind::OutOfBounds)
    }
}

impl ErrorType for Flash {
    type Error = NorFlashErrorKind;
}

impl ReadNorFlash for Flash {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), NorFlashErrorKind> {
        bytes.copy_from_slice(self.at(offset, bytes.len())?);
        Ok(())
    }

    fn capacity(&self) -> usize {
        self.0.len()
    }
}

impl NorFlash for Flash {
    const WRITE_SIZE: usize = WRITE_UNIT as usize;
    const ERASE_SIZE: usize = PAGE as usize;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), NorFlashErrorKind> {
        self.at(from, to.saturating_sub(from) as usize)?.fill(0xff);
        Ok(())
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), NorFlashErrorKind> {
        self.at(offset, bytes.len())?.iter_mut().zip(bytes).for_each(|(to, from)| *to &= from);
        Ok(())
    }
}
