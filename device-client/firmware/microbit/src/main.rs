//! The boot program: brings the image in the slot up to date, if the main program left a ticket, and starts it.
#![no_std]
#![no_main]
#![allow(unsafe_code)] // takes hold of the flash

mod link;
mod start;

use cortex_m_rt::entry;
use embedded_storage::nor_flash::NorFlashErrorKind;
use link::SerialLink;
use sixfold_device::Boot;
use sixfold_device::boot::{BootError, Choice, Which, choose, record};
use sixfold_firmware::console;
use sixfold_firmware::update;
use sixfold_microbit::layout::{LAYOUT, SLOT};
use sixfold_microbit::{Nvmc, Uart, rng};
use sixfold_profile::ticket::{MAX_TICKET, TicketError};

/// To hear what the relay sends to many, in bytes: the map of the slot, and parity symbols for some 40 missing blocks of 64 bytes.
const LISTENING: usize = 3328;

#[entry]
fn main() -> ! {
    let mut uart = Uart::new();
    console::print(&mut uart, format_args!("boot"));
    match update(&mut uart) {
        Ok(()) => start::image(&mut uart),
        Err(error) => stop(&mut uart, &error),
    }
}

/// Does what the records in flash ask for, if anything, until the slot holds an image that may run.
fn update(uart: &mut Uart) -> Result<(), BootError<NorFlashErrorKind>> {
    // SAFETY: the boot program is below the records. An image in the slot does not run while this program does.
    let mut flash = unsafe { Nvmc::new(LAYOUT.record(Which::A).start..SLOT.end) };
    let mut buffer = [0; MAX_TICKET];
    let (which, fallback) = match choose(&mut flash, &LAYOUT, &mut buffer)? {
        Choice::Run(_) => return Ok(()),
        Choice::Nothing => {
            console::print(uart, format_args!("boot: {}", TicketError::NotATicket));
            return Ok(());
        }
        Choice::Lost => return Err(BootError::Ticket(TicketError::NotATicket)),
        Choice::Update { record, fallback } => (record, fallback),
    };
    let ticket = record::read_ticket(&mut flash, LAYOUT.record(which), &mut buffer)?;
    let seed = rng::random_bits();
    let mut memory = [0; LISTENING];
    let mut link = SerialLink::new(uart, &ticket, seed);
    match Boot::new(flash, &LAYOUT, which, ticket, seed) {
        Ok(mut boot) => {
            boot.listen(&mut memory);
            link.group = boot.group().map(|group| group.endpoint);
            update::run(boot, &mut link)
        }
        // The update cannot begin, and the image before is whole: better that one than none.
        Err(error) if fallback.is_some() => {
            console::print(uart, format_args!("boot: no update: {error}"));
            Ok(())
        }
        Err(error) => Err(error),
    }
}

/// Nothing can be done here: the flash is broken, or the main program left something that cannot be.
fn stop(uart: &mut Uart, error: &BootError<NorFlashErrorKind>) -> ! {
    console::print(uart, format_args!("boot: stopped: {error}"));
    loop {
        cortex_m::asm::wfi();
    }
}
