//! The boot program: brings the image in the slot up to date over Ethernet, and says its digest.
//!
//! It does not start the image: the slot is RAM here, see `flash`.
#![no_std]
#![no_main]
#![allow(unsafe_code)] // takes hold of the flash

mod clock;
mod ethernet;
mod flash;
mod link;
mod seed;
mod system;
mod uart;

use clock::Clock;
use core::fmt;
use cortex_m::Peripherals;
use cortex_m_rt::entry;
use embedded_storage::nor_flash::NorFlashErrorKind;
use ethernet::Ethernet;
use flash::{LAYOUT, RamFlash, SLOT};
use link::{DATAGRAM, EthernetLink};
use sixfold_device::Boot;
use sixfold_device::boot::{BootError, Choice, choose, record};
use sixfold_firmware::console::{self, Hex};
use sixfold_firmware::digest;
use sixfold_firmware::update;
use sixfold_ip::{Buffers, Config, ConfigError, HardwareAddress, Sockets, Stack};
use sixfold_profile::ticket::{MAX_TICKET, Ticket, TicketError};
use uart::Uart;

/// To hear what the relay sends to many, in bytes: the map of the slot, and parity symbols for some 50 missing blocks of 64 bytes.
const LISTENING: usize = 4096;

#[entry]
fn main() -> ! {
    let mut uart = Uart::new();
    console::print(&mut uart, format_args!("boot"));
    // SAFETY: this is the only place, and it is passed once.
    let mut flash = unsafe { RamFlash::new() };
    match update(&mut flash, &mut uart) {
        Ok(digest) => {
            console::print(&mut uart, format_args!("boot: the slot has SHA-256 {}", Hex(&digest)));
        }
        Err(error) => console::print(&mut uart, format_args!("boot: stopped: {error}")),
    }
    loop {
        cortex_m::asm::wfi();
    }
}

/// Why there is no image.
enum Failure {
    Boot(BootError<NorFlashErrorKind>),
    Stack(ConfigError),
}

impl From<BootError<NorFlashErrorKind>> for Failure {
    fn from(error: BootError<NorFlashErrorKind>) -> Self {
        Self::Boot(error)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Boot(error) => error.fmt(f),
            Self::Stack(error) => error.fmt(f),
        }
    }
}

/// Fetches what the ticket in flash asks for, and gives the digest of what the slot then holds.
fn update(flash: &mut RamFlash, uart: &mut Uart) -> Result<[u8; 32], Failure> {
    let mut buffer = [0; MAX_TICKET];
    let which = match choose(flash, &LAYOUT, &mut buffer)? {
        Choice::Run(which) | Choice::Update { record: which, .. } => which,
        Choice::Nothing | Choice::Lost => return Err(BootError::Ticket(TicketError::NotATicket).into()),
    };
    let ticket = record::read_ticket(flash, LAYOUT.record(which), &mut buffer)?;
    let seed = seed::seed(&ticket);
    let mut memory = [0; LISTENING];
    let mut boot = Boot::new(&mut *flash, &LAYOUT, which, ticket, seed)?;
    boot.listen(&mut memory);
    if !boot.is_bootable() {
        fetch(boot, &ticket, uart, seed)?;
    }
    let image = SLOT.start..SLOT.start.saturating_add(ticket.image_size());
    Ok(digest::sha256(flash, image).map_err(BootError::Flash)?)
}

fn fetch(
    boot: Boot<'_, &mut RamFlash>,
    ticket: &Ticket<'_>,
    uart: &mut Uart,
    seed: u32,
) -> Result<(), Failure> {
    // Taken once: every start comes here at most once.
    let Some(peripherals) = Peripherals::take() else { return Ok(()) };
    let mut clock = Clock::new(peripherals.SYST);
    let mut ethernet = Ethernet::new();
    let (mut buffers, mut sockets) = (Buffers::<DATAGRAM>::new(), Sockets::default());
    let config = Config {
        hardware_address: HardwareAddress::Ethernet(Ethernet::address()),
        pan_id: None,
        interface_identifier: *ticket.interface_identifier(),
        relay: ticket.relay(),
        group: boot.group().map(|group| group.endpoint).filter(|group| group.port != 0),
        seed,
    };
    let now = clock.now();
    let stack = Stack::new(config, &mut buffers, &mut sockets, &mut ethernet, now).map_err(Failure::Stack)?;
    let mut link =
        EthernetLink { stack, ethernet: &mut ethernet, clock: &mut clock, uart, datagram: [0; DATAGRAM] };
    link.wait_until_ready();
    Ok(update::run(boot, &mut link)?)
}
