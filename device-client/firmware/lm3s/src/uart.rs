//! UART0 (LM3S6965 data sheet, chapter 12), for the console only.
#![allow(unsafe_code)] // names the registers

use sixfold_firmware::console::SerialPort;
use sixfold_firmware::register::Register;

// SAFETY: the data sheet's registers of UART0.
const DATA: Register = unsafe { Register::new(0x4000_c000) };
const FLAGS: Register = unsafe { Register::new(0x4000_c018) };
const INTEGER_DIVISOR: Register = unsafe { Register::new(0x4000_c024) };
const FRACTIONAL_DIVISOR: Register = unsafe { Register::new(0x4000_c028) };
const LINE_CONTROL: Register = unsafe { Register::new(0x4000_c02c) };
const CONTROL: Register = unsafe { Register::new(0x4000_c030) };

const TRANSMIT_FIFO_FULL: u32 = 1 << 5;
const EIGHT_BITS: u32 = 3 << 5;
const TRANSMIT: u32 = 1 << 8;
const ENABLE: u32 = 1;

/// The UART, switched on.
#[derive(Debug)]
pub(crate) struct Uart(());

impl Uart {
    /// Switches it on: 115,200 bit/s from 12.5 MHz.
    pub(crate) fn new() -> Self {
        crate::system::enable_uart();
        INTEGER_DIVISOR.write(6);
        FRACTIONAL_DIVISOR.write(50);
        LINE_CONTROL.write(EIGHT_BITS);
        CONTROL.write(TRANSMIT | ENABLE);
        Self(())
    }
}

impl SerialPort for Uart {
    fn send(&mut self, byte: u8) {
        while FLAGS.read() & TRANSMIT_FIFO_FULL != 0 {}
        DATA.write(u32::from(byte));
    }
}
