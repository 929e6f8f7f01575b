//! Commands from the serial line, a SLIP frame each; every one is answered with a line of the console.
//!
//! ```text
//! "E"                                erase the record
//! "W" offset in flash (4) bytes      write
//! "R"                                restart; not answered
//! ```

use cortex_m::peripheral::SCB;
use embedded_storage::nor_flash::{NorFlash, NorFlashErrorKind};
use sixfold_firmware::console;
use sixfold_firmware::slip::Decoder;
use sixfold_microbit::layout::RECORD;
use sixfold_microbit::{Nvmc, Uart};

/// The longest command: a page, and what is before it.
const LONGEST: usize = 5 + 1024;

/// Carries out one command after another.
pub(crate) fn serve(uart: &mut Uart, flash: &mut Nvmc) -> ! {
    let mut decoder = Decoder::<LONGEST>::new();
    loop {
        if uart.receive().is_some_and(|byte| decoder.take(byte)) {
            match carry_out(flash, decoder.packet()) {
                None => console::print(uart, format_args!("app: unknown command")),
                Some(Ok(())) => console::print(uart, format_args!("app: done")),
                Some(Err(error)) => console::print(uart, format_args!("app: {error:?}")),
            }
        }
    }
}

/// Nothing when there is no such command.
fn carry_out(flash: &mut Nvmc, command: &[u8]) -> Option<Result<(), NorFlashErrorKind>> {
    match command {
        b"R" => SCB::sys_reset(),
        b"E" => Some(flash.erase(RECORD.start, RECORD.end)),
        [b'W', rest @ ..] => {
            let (offset, bytes) = rest.split_first_chunk()?;
            Some(flash.write(u32::from_be_bytes(*offset), bytes))
        }
        _ => None,
    }
}
