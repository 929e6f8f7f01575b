//! The UART (reference manual §29), on the pins that lead to the micro:bit's USB interface; 115,200 bit/s.
#![allow(unsafe_code)] // names the registers

use sixfold_firmware::console::SerialPort;
use sixfold_firmware::register::Register;

// SAFETY: the reference manual's registers of UART0.
const START_RX: Register = unsafe { Register::new(0x4000_2000) };
const START_TX: Register = unsafe { Register::new(0x4000_2008) };
const RX_READY: Register = unsafe { Register::new(0x4000_2108) };
const TX_READY: Register = unsafe { Register::new(0x4000_211c) };
const ENABLE: Register = unsafe { Register::new(0x4000_2500) };
const PIN_TXD: Register = unsafe { Register::new(0x4000_250c) };
const PIN_RXD: Register = unsafe { Register::new(0x4000_2514) };
const RXD: Register = unsafe { Register::new(0x4000_2518) };
const TXD: Register = unsafe { Register::new(0x4000_251c) };
const BAUD_RATE: Register = unsafe { Register::new(0x4000_2524) };

const ENABLED: u32 = 4;
const BAUD_115200: u32 = 0x01d7_e000;
const MICROBIT_TXD: u32 = 24;
const MICROBIT_RXD: u32 = 25;

/// The UART, switched on.
#[derive(Debug)]
pub struct Uart(());

impl Uart {
    /// Switches it on.
    pub fn new() -> Self {
        PIN_TXD.write(MICROBIT_TXD);
        PIN_RXD.write(MICROBIT_RXD);
        BAUD_RATE.write(BAUD_115200);
        ENABLE.write(ENABLED);
        START_RX.write(1);
        START_TX.write(1);
        Self(())
    }

    /// The next byte, if one has come.
    pub fn receive(&mut self) -> Option<u8> {
        if RX_READY.read() == 0 {
            return None;
        }
        RX_READY.write(0);
        Some(RXD.read() as u8)
    }
}

impl SerialPort for Uart {
    fn send(&mut self, byte: u8) {
        TX_READY.write(0);
        TXD.write(u32::from(byte));
        while TX_READY.read() == 0 {}
    }
}

impl Default for Uart {
    fn default() -> Self {
        Self::new()
    }
}
