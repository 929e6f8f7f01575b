//! Commands from the serial line, a SLIP frame each; every one is answered with a line of the console.
//!
//! ```text
//! "T" ticket                         the ticket to install; forgets the chunk index
//! "I" bytes                          the next bytes of its chunk index
//! "P"                                install both for the boot program
//! "R"                                restart; not answered
//! ```

use cortex_m::peripheral::SCB;
use embedded_storage::nor_flash::NorFlashErrorKind;
use sixfold_device::boot::{BootError, install};
use sixfold_firmware::console;
use sixfold_firmware::slip::Decoder;
use sixfold_microbit::layout::{LAYOUT, PAGE, SLOT};
use sixfold_microbit::{Nvmc, Uart};
use sixfold_profile::index::DIGEST;
use sixfold_profile::ticket::{Fields, MAX_TICKET};

/// The longest command.
const LONGEST: usize = 1 + 1024;
/// The chunk index of the largest image.
const LONGEST_INDEX: usize = (SLOT.end - SLOT.start) as usize / PAGE as usize * DIGEST;

/// Bytes that come in pieces.
struct Bytes<const N: usize> {
    bytes: [u8; N],
    length: usize,
}

impl<const N: usize> Bytes<N> {
    const fn new() -> Self {
        Self { bytes: [0; N], length: 0 }
    }

    /// Nothing when there is no room.
    fn extend(&mut self, more: &[u8]) -> Option<()> {
        let place = self.bytes.get_mut(self.length..)?.get_mut(..more.len())?;
        place.copy_from_slice(more);
        self.length = self.length.saturating_add(more.len());
        Some(())
    }

    fn get(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

/// What was sent, and not installed yet.
struct Update {
    ticket: Bytes<MAX_TICKET>,
    index: Bytes<LONGEST_INDEX>,
}

/// Carries out one command after another.
pub(crate) fn serve(uart: &mut Uart, flash: &mut Nvmc) -> ! {
    let mut update = Update { ticket: Bytes::new(), index: Bytes::new() };
    let mut decoder = Decoder::<LONGEST>::new();
    loop {
        if uart.receive().is_some_and(|byte| decoder.take(byte)) {
            match update.carry_out(flash, decoder.packet()) {
                None => console::print(uart, format_args!("app: unknown command")),
                Some(Ok(())) => console::print(uart, format_args!("app: done")),
                Some(Err(error)) => console::print(uart, format_args!("app: {error}")),
            }
        }
    }
}

impl Update {
    /// Nothing when there is no such command, or no room for its bytes.
    fn carry_out(
        &mut self,
        flash: &mut Nvmc,
        command: &[u8],
    ) -> Option<Result<(), BootError<NorFlashErrorKind>>> {
        match command {
            b"R" => SCB::sys_reset(),
            b"P" => return Some(self.install(flash)),
            [b'T', ticket @ ..] => {
                (self.ticket.length, self.index.length) = (0, 0);
                self.ticket.extend(ticket)?;
            }
            [b'I', bytes @ ..] => self.index.extend(bytes)?,
            _ => return None,
        }
        Some(Ok(()))
    }

    fn install(&self, flash: &mut Nvmc) -> Result<(), BootError<NorFlashErrorKind>> {
        let fields = Fields::read(self.ticket.get()).map_err(BootError::Ticket)?;
        install(flash, &LAYOUT, &fields, self.index.get()).map(|_which| ())
    }
}
