//! What is where in the 256 KiB of flash.
//!
//! ```text
//! 0x00000  boot program            28 KiB
//! 0x07000  record A                10 KiB: ticket 1, journal up to 2, chunk index up to 6, count of a session 1
//! 0x09800  record B                10 KiB
//! 0x0c000  slot: the main program 176 KiB
//! 0x38000  the main program's own  32 KiB
//! ```
//!
//! The image in the slot begins with its vector table. All of this is for whoever lays out the boot program, the main
//! program's linker script and the tests alike.

use core::ops::Range;
use sixfold_device::boot::Layout;

/// The size of an erase page, and so of a chunk, in bytes.
pub const PAGE: u32 = 1024;
/// All of the flash.
pub const FLASH: Range<u32> = 0..0x4_0000;
/// Where the main program itself is.
pub const SLOT: Range<u32> = 0xc000..0x3_8000;
/// Where the main program leaves ticket, journal and chunk index.
pub const RECORDS: [Range<u32>; 2] = [0x7000..0x9800, 0x9800..0xc000];
/// All of it.
pub const LAYOUT: Layout = Layout::single(RECORDS, SLOT);
/// All of the RAM.
pub const RAM: Range<u32> = 0x2000_0000..0x2000_4000;
