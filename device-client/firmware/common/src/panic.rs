//! What a panic does: the core starts again. What was reached is in flash.

use core::panic::PanicInfo;
use cortex_m::peripheral::SCB;

#[panic_handler]
fn restart(_: &PanicInfo<'_>) -> ! {
    SCB::sys_reset()
}
