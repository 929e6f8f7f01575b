//! Flash that is read, written and erased in C.

use crate::status::SixfoldStatus;
use core::ffi::{c_int, c_void};
use core::ops::Range;
use embedded_storage::nor_flash::{ErrorType, NorFlash, NorFlashErrorKind, ReadNorFlash};
use sixfold_device::boot::Layout;

/// The size of an erase page in bytes: `SIXFOLD_PAGE_SIZE` when the library was built, otherwise 4096.
pub const PAGE_SIZE: usize = from_environment(option_env!("SIXFOLD_PAGE_SIZE"), 4096);
/// The smallest piece that is written, in bytes: `SIXFOLD_WRITE_SIZE` when the library was built, otherwise 4.
pub const WRITE_SIZE: usize = from_environment(option_env!("SIXFOLD_WRITE_SIZE"), 4);

const _: () = assert!(PAGE_SIZE.is_power_of_two() && PAGE_SIZE >= 64, "SIXFOLD_PAGE_SIZE");
const _: () = assert!(WRITE_SIZE.is_power_of_two() && WRITE_SIZE <= 16, "SIXFOLD_WRITE_SIZE");

/// Flash with the rules of NOR flash: what is erased reads 0xff, and is written once before it is erased again. Offsets are in
/// bytes. Each callback gets `context`, and returns 0, or anything else when it failed.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct SixfoldFlash {
    /// Handed to each callback.
    pub context: *mut c_void,
    /// Reads `length` bytes, from any offset.
    pub read:
        Option<unsafe extern "C" fn(context: *mut c_void, offset: u32, to: *mut u8, length: usize) -> c_int>,
    /// Writes `length` bytes; offset and length are multiples of `write_size`.
    pub write: Option<
        unsafe extern "C" fn(context: *mut c_void, offset: u32, from: *const u8, length: usize) -> c_int,
    >,
    /// Erases from one offset up to, not including, another; both are multiples of `page_size`.
    pub erase: Option<unsafe extern "C" fn(context: *mut c_void, from: u32, to: u32) -> c_int>,
    /// The size of an erase page. It must be what the library was built for: `sixfold_page_size()`.
    pub page_size: u32,
    /// The smallest piece that is written. It must be what the library was built for: `sixfold_write_size()`.
    pub write_size: u32,
}

/// A place in flash: from one offset up to, not including, another.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct SixfoldRange {
    /// Its first byte.
    pub start: u32,
    /// Behind its last byte.
    pub end: u32,
}

/// The places of a device; all begin and end with an erase page. The image of each record goes to the slot of the same
/// number. A device with one slot names it twice.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct SixfoldLayout {
    /// Where tickets, journals and chunk indexes are.
    pub records: [SixfoldRange; 2],
    /// Where images are.
    pub slots: [SixfoldRange; 2],
}

impl SixfoldLayout {
    pub(crate) fn layout(&self) -> Layout {
        let ranges = |[a, b]: [SixfoldRange; 2]| [a.start..a.end, b.start..b.end];
        Layout { records: ranges(self.records), slots: ranges(self.slots) }
    }
}

impl From<&Range<u32>> for SixfoldRange {
    fn from(range: &Range<u32>) -> Self {
        Self { start: range.start, end: range.end }
    }
}

/// Flash whose callbacks are all there.
#[derive(Debug)]
pub(crate) struct CFlash(SixfoldFlash);

impl CFlash {
    /// Checks what can be checked.
    pub(crate) fn new(flash: &SixfoldFlash) -> Result<Self, SixfoldStatus> {
        if flash.read.is_none() || flash.write.is_none() || flash.erase.is_none() {
            return Err(SixfoldStatus::Argument);
        }
        let fits = flash.page_size as usize == PAGE_SIZE && flash.write_size as usize == WRITE_SIZE;
        if fits { Ok(Self(*flash)) } else { Err(SixfoldStatus::Layout) }
    }
}

const fn done(result: Option<c_int>) -> Result<(), NorFlashErrorKind> {
    match result {
        Some(0) => Ok(()),
        _ => Err(NorFlashErrorKind::Other),
    }
}

impl ErrorType for CFlash {
    type Error = NorFlashErrorKind;
}

impl ReadNorFlash for CFlash {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), NorFlashErrorKind> {
        // SAFETY: the header says what the callback may do: write `length` bytes, which are there.
        done(self.0.read.map(|read| unsafe { read(self.0.context, offset, bytes.as_mut_ptr(), bytes.len()) }))
    }

    fn capacity(&self) -> usize {
        u32::MAX as usize
    }
}

impl NorFlash for CFlash {
    const WRITE_SIZE: usize = WRITE_SIZE;
    const ERASE_SIZE: usize = PAGE_SIZE;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), NorFlashErrorKind> {
        // SAFETY: the header says what the callback may do.
        done(self.0.erase.map(|erase| unsafe { erase(self.0.context, from, to) }))
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), NorFlashErrorKind> {
        // SAFETY: the header says what the callback may do: read `length` bytes, which are there.
        done(self.0.write.map(|write| unsafe { write(self.0.context, offset, bytes.as_ptr(), bytes.len()) }))
    }
}

/// The size of an erase page that the library was built for, in bytes.
#[unsafe(no_mangle)]
pub extern "C" fn sixfold_page_size() -> u32 {
    PAGE_SIZE as u32
}

/// The smallest piece of flash to be written that the library was built for, in bytes.
#[unsafe(no_mangle)]
pub extern "C" fn sixfold_write_size() -> u32 {
    WRITE_SIZE as u32
}

/// A decimal number, or the default. Anything else fails the build.
const fn from_environment(text: Option<&str>, default: usize) -> usize {
    let Some(text) = text else { return default };
    let (mut bytes, mut number) = (text.as_bytes(), 0);
    while let [digit, rest @ ..] = bytes {
        assert!(digit.is_ascii_digit(), "a decimal number of bytes");
        number = number * 10 + (*digit - b'0') as usize;
        bytes = rest;
    }
    number
}
