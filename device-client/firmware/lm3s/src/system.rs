//! System control (LM3S6965 data sheet, chapter 5): which peripherals have a clock.
#![allow(unsafe_code)] // names the registers

use sixfold_firmware::register::Register;

// SAFETY: the data sheet's run mode clock gating registers 1 and 2.
const GATES_1: Register = unsafe { Register::new(0x400f_e104) };
const GATES_2: Register = unsafe { Register::new(0x400f_e108) };

const UART0: u32 = 1;
const GPIO_A: u32 = 1;
const GPIO_F: u32 = 1 << 5;
const ETHERNET: u32 = 1 << 28 | 1 << 30;

/// Gives UART0 a clock, and its pins.
pub(crate) fn enable_uart() {
    GATES_1.write(GATES_1.read() | UART0);
    GATES_2.write(GATES_2.read() | GPIO_A);
}

/// Gives Ethernet MAC and PHY a clock, and its pins.
pub(crate) fn enable_ethernet() {
    GATES_2.write(GATES_2.read() | GPIO_F | ETHERNET);
}
