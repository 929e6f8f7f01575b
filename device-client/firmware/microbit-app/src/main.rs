//! A main program that does nothing but what an update needs of it: it says its version and the digest of the slot, and
//! takes ticket and chunk index for the boot program from the serial line.
//!
//! Whoever is at the other end has verified the manifest: there is no cryptography here but the digest.
#![no_std]
#![no_main]
#![allow(unsafe_code)] // takes hold of the flash

mod command;

use core::ops::Range;
use cortex_m_rt::entry;
use sixfold_device::boot::{Choice, Which, choose, record};
use sixfold_firmware::console::{self, Hex};
use sixfold_firmware::digest;
use sixfold_microbit::layout::{LAYOUT, SLOT};
use sixfold_microbit::{Nvmc, Uart};
use sixfold_profile::ticket::MAX_TICKET;

/// Which version this is: `scripts/firmware` builds two.
const VERSION: &str = match option_env!("SIXFOLD_APP_VERSION") {
    Some(version) => version,
    None => "0",
};

#[entry]
fn main() -> ! {
    let mut uart = Uart::new();
    // SAFETY: this program is in the slot, and the boot program below the records.
    let mut flash = unsafe { Nvmc::new(LAYOUT.record(Which::A).start..LAYOUT.record(Which::B).end) };
    let image = image(&mut flash);
    let size = image.end.saturating_sub(image.start);
    match digest::sha256(&mut flash, image) {
        Ok(digest) => console::print(
            &mut uart,
            format_args!("app: version {VERSION}, {size} bytes, SHA-256 {}", Hex(&digest)),
        ),
        Err(error) => console::print(&mut uart, format_args!("app: version {VERSION}, flash: {error:?}")),
    }
    command::serve(&mut uart, &mut flash)
}

/// Where the image is: as long as the ticket says that the boot program followed; without one, the whole slot.
fn image(flash: &mut Nvmc) -> Range<u32> {
    let mut buffer = [0; MAX_TICKET];
    let size = match choose(flash, &LAYOUT, &mut buffer) {
        Ok(Choice::Run(which)) => record::read_ticket(flash, LAYOUT.record(which), &mut buffer)
            .ok()
            .map(|ticket| ticket.image_size()),
        _ => None,
    };
    SLOT.start..size.map_or(SLOT.end, |size| SLOT.start.saturating_add(size).min(SLOT.end))
}
