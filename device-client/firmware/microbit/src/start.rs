//! Starting the image in the slot.
#![allow(unsafe_code)] // hands the core over

use core::ptr;
use cortex_m::asm;
use sixfold_firmware::console;
use sixfold_microbit::Uart;
use sixfold_microbit::layout::{RAM, SLOT};

/// Starts the image, or stops when there is none.
///
/// A Cortex-M0 takes exceptions through the vector table at address 0 wherever the image is: the image must not enable
/// interrupts.
pub(crate) fn image(uart: &mut Uart) -> ! {
    let vectors = ptr::with_exposed_provenance::<u32>(SLOT.start as usize);
    // SAFETY: the slot is flash, and begins with a page.
    let [stack, reset] = unsafe { vectors.cast::<[u32; 2]>().read_volatile() };
    if !is_vector_table(stack, reset) {
        console::print(uart, format_args!("boot: there is no image"));
        loop {
            asm::wfi();
        }
    }
    // SAFETY: these are a stack in RAM and code in the slot. Nothing of the boot program is used any more.
    unsafe { asm::bootload(vectors) }
}

/// Whether these can be the initial stack pointer and the reset vector of an image in the slot.
fn is_vector_table(stack: u32, reset: u32) -> bool {
    let in_ram = stack > RAM.start && stack <= RAM.end && stack.is_multiple_of(8);
    in_ram && SLOT.contains(&reset) && reset & 1 == 1
}
