//! NOR flash that can lose power: at any operation, before it, in the middle of it, or after it.
//!
//! It is stricter than most: a write unit is programmed once between two erasures, as flash with error correction asks.
#![allow(dead_code, unreachable_pub)] // Every test program uses its own part of this module.

use embedded_storage::nor_flash::{ErrorType, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash};

/// Flash with erase pages of `ERASE` bytes, written in units of `WRITE` bytes.
#[derive(Clone, Debug)]
pub struct Flash<const WRITE: usize, const ERASE: usize> {
    bytes: Vec<u8>,
    /// Operations since the power came on: one for each page erased and each write.
    pub operations: u32,
    /// How often each page was erased.
    pub erasures: Vec<u32>,
    /// When the power goes.
    pub cut: Option<Cut>,
    is_off: bool,
    /// The page whose erasure was cut like [`How::Weak`], and how often the power came on since.
    weak: Option<(usize, u32)>,
    /// Reads fail like this once power is gone.
    dice: u64,
}

/// Power goes at operation `at`, counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    pub at: u32,
    pub how: How,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// The operation does nothing.
    Before,
    /// A write programs some bits of some units, an erasure sets some.
    Torn,
    /// The operation is complete, but nobody hears of it.
    After,
    /// A page to be erased reads as before, but for the last time: when the power comes on once more, some bits are set. A write
    /// does nothing.
    Weak,
}

impl How {
    /// Those that leave what stays as it is.
    pub const ALL: [Self; 3] = [Self::Before, Self::Torn, Self::After];
}

/// The power is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PowerGone;

impl NorFlashError for PowerGone {
    fn kind(&self) -> NorFlashErrorKind {
        NorFlashErrorKind::Other
    }
}

impl<const WRITE: usize, const ERASE: usize> Flash<WRITE, ERASE> {
    /// Erased flash of so many pages.
    pub fn erased(pages: usize) -> Self {
        let (bytes, erasures) = (vec![0xff; pages * ERASE], vec![0; pages]);
        Self { bytes, operations: 0, erasures, cut: None, is_off: false, weak: None, dice: 1 }
    }

    /// What is in it.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Everything in it, to be damaged.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }

    /// Power comes back; it goes again at `cut`. `seed` decides what torn operations do.
    pub fn power_on(&mut self, cut: Option<Cut>, seed: u64) {
        self.operations = 0;
        self.cut = cut;
        self.is_off = false;
        self.dice = seed.wrapping_mul(2) | 1;
        match self.weak.take() {
            Some((page, 0)) => self.weak = Some((page, 1)),
            Some((page, _)) => self.erase_some(page),
            None => {}
        }
    }

    fn random(&mut self) -> u8 {
        self.dice ^= self.dice << 13;
        self.dice ^= self.dice >> 7;
        self.dice ^= self.dice << 17;
        (self.dice >> 24) as u8
    }

    /// One operation: `whole` does it, `torn` does it partly, `weak` leaves it for later.
    fn operate(
        &mut self,
        whole: impl FnOnce(&mut Self),
        torn: impl FnOnce(&mut Self),
        weak: impl FnOnce(&mut Self),
    ) -> Result<(), PowerGone> {
        if self.is_off {
            return Err(PowerGone);
        }
        let number = self.operations;
        self.operations += 1;
        let Some(cut) = self.cut.filter(|cut| cut.at == number) else {
            whole(self);
            return Ok(());
        };
        self.is_off = true;
        match cut.how {
            How::Before => {}
            How::Torn => torn(self),
            How::After => whole(self),
            How::Weak => weak(self),
        }
        Err(PowerGone)
    }

    fn erase_page(&mut self, start: usize) {
        self.bytes[start..start + ERASE].fill(0xff);
        self.weak = self.weak.filter(|(page, _)| *page != start);
    }

    fn erase_some(&mut self, start: usize) {
        for at in start..start + ERASE {
            self.bytes[at] |= self.random() & self.random();
        }
    }

    fn program(&mut self, start: usize, bytes: &[u8]) {
        for (place, byte) in self.bytes[start..].iter_mut().zip(bytes) {
            *place &= byte;
        }
    }

    /// Some units are complete, the next one is partly programmed, the rest is untouched.
    fn program_some(&mut self, start: usize, bytes: &[u8]) {
        let complete = usize::from(self.random()) % (bytes.len() / WRITE) * WRITE;
        self.program(start, &bytes[..complete]);
        for (at, byte) in (start + complete..).zip(&bytes[complete..complete + WRITE]) {
            self.bytes[at] &= byte | self.random();
        }
    }
}

impl<const WRITE: usize, const ERASE: usize> ErrorType for Flash<WRITE, ERASE> {
    type Error = PowerGone;
}

impl<const WRITE: usize, const ERASE: usize> ReadNorFlash for Flash<WRITE, ERASE> {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), PowerGone> {
        if self.is_off {
            return Err(PowerGone);
        }
        let start = offset as usize;
        bytes.copy_from_slice(&self.bytes[start..start + bytes.len()]);
        Ok(())
    }

    fn capacity(&self) -> usize {
        self.bytes.len()
    }
}

impl<const WRITE: usize, const ERASE: usize> NorFlash for Flash<WRITE, ERASE> {
    const WRITE_SIZE: usize = WRITE;
    const ERASE_SIZE: usize = ERASE;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), PowerGone> {
        let (from, to) = (from as usize, to as usize);
        assert!(from % ERASE == 0 && to % ERASE == 0 && from <= to, "pages are erased whole: {from}..{to}");
        for page in (from..to).step_by(ERASE) {
            self.erasures[page / ERASE] += 1;
            self.operate(
                |flash| flash.erase_page(page),
                |flash| flash.erase_some(page),
                |flash| flash.weak = Some((page, 0)),
            )?;
        }
        Ok(())
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), PowerGone> {
        let start = offset as usize;
        assert!(
            start.is_multiple_of(WRITE) && bytes.len().is_multiple_of(WRITE) && !bytes.is_empty(),
            "units are written whole"
        );
        let place = &self.bytes[start..start + bytes.len()];
        let is_erased = place.iter().all(|byte| *byte == 0xff);
        assert!(self.is_off || is_erased, "{start}: a unit is written twice between erasures");
        self.operate(|flash| flash.program(start, bytes), |flash| flash.program_some(start, bytes), |_| {})
    }
}
