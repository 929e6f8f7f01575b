//! The Ethernet MAC (LM3S6965 data sheet, chapter 16) as a device of smoltcp.
//!
//! Polled. The PHY is left as it starts: it negotiates by itself.
#![allow(unsafe_code)] // names the registers

use sixfold_firmware::register::Register;
use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::time::Instant;
use smoltcp::wire::EthernetAddress;

// SAFETY: the data sheet's registers of the MAC.
const RECEIVE_CONTROL: Register = unsafe { Register::new(0x4004_8008) };
const TRANSMIT_CONTROL: Register = unsafe { Register::new(0x4004_800c) };
const DATA: Register = unsafe { Register::new(0x4004_8010) };
const ADDRESS_0: Register = unsafe { Register::new(0x4004_8014) };
const ADDRESS_1: Register = unsafe { Register::new(0x4004_8018) };
const PACKETS: Register = unsafe { Register::new(0x4004_8034) };
const TRANSMISSION: Register = unsafe { Register::new(0x4004_8038) };

const RECEIVE: u32 = 1;
const ALL_MULTICAST: u32 = 1 << 1;
const RESET_FIFO: u32 = 1 << 4;
const TRANSMIT: u32 = 1;
const PAD: u32 = 1 << 1;
const ADD_CRC: u32 = 1 << 2;
const FULL_DUPLEX: u32 = 1 << 4;
const NEW_TRANSMISSION: u32 = 1;

/// Addresses and type.
const HEADER: usize = 14;
/// Header, the MTU of every link, and the CRC that comes with what is received.
const LONGEST: usize = HEADER + MTU + CRC;
const MTU: usize = 1280;
const CRC: usize = 4;
/// The length before each frame.
const LENGTH: usize = 2;

/// The MAC, switched on, and room for a frame.
#[derive(Debug)]
pub(crate) struct Ethernet {
    frame: [u8; LONGEST],
}

impl Ethernet {
    /// Switches it on.
    pub(crate) fn new() -> Self {
        crate::system::enable_ethernet();
        RECEIVE_CONTROL.write(RESET_FIFO);
        RECEIVE_CONTROL.write(RECEIVE | ALL_MULTICAST);
        TRANSMIT_CONTROL.write(TRANSMIT | PAD | ADD_CRC | FULL_DUPLEX);
        Self { frame: [0; LONGEST] }
    }

    /// The address that the board has.
    pub(crate) fn address() -> EthernetAddress {
        let ([a, b, c, d], [e, f, ..]) = (ADDRESS_0.read().to_le_bytes(), ADDRESS_1.read().to_le_bytes());
        EthernetAddress([a, b, c, d, e, f])
    }

    /// Takes the next frame out of the FIFO, if there is one; nothing of one that is too long.
    fn read(&mut self) -> Option<usize> {
        if PACKETS.read() == 0 {
            return None;
        }
        // The first word holds the length of it all, and the frame's first two bytes.
        let [low, high, first, second] = DATA.read().to_le_bytes();
        let length = usize::from(u16::from_le_bytes([low, high])).saturating_sub(LENGTH);
        let mut put = |at: usize, byte: u8| self.frame.get_mut(at).map(|place| *place = byte);
        put(0, first);
        put(1, second);
        for at in (2..length).step_by(4) {
            (at..).zip(DATA.read().to_le_bytes()).for_each(|(at, byte)| _ = put(at, byte));
        }
        (CRC..=LONGEST).contains(&length).then(|| length.saturating_sub(CRC))
    }
}

/// Gives a frame to the MAC, with the length of its payload before it.
fn write(frame: &[u8]) {
    let length = frame.len().saturating_sub(HEADER) as u16;
    let mut word = [0; 4];
    let [low, high] = length.to_le_bytes();
    let bytes = [low, high].into_iter().chain(frame.iter().copied());
    let mut filled = 0;
    for byte in bytes {
        if let Some(place) = word.get_mut(filled) {
            *place = byte;
        }
        filled = (filled + 1) % word.len();
        if filled == 0 {
            DATA.write(u32::from_le_bytes(core::mem::take(&mut word)));
        }
    }
    if filled != 0 {
        DATA.write(u32::from_le_bytes(word));
    }
    TRANSMISSION.write(NEW_TRANSMISSION);
}

/// A frame that was received.
pub(crate) struct Received<'f>(&'f [u8]);

impl RxToken for Received<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, take: F) -> R {
        take(self.0)
    }
}

/// Leave to send a frame.
pub(crate) struct Leave;

impl TxToken for Leave {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, fill: F) -> R {
        let mut frame = [0; HEADER + MTU];
        // smoltcp keeps to the capabilities: the frame fits.
        let frame = frame.get_mut(..length).unwrap_or_default();
        let filled = fill(frame);
        write(frame);
        filled
    }
}

impl Device for Ethernet {
    type RxToken<'a> = Received<'a>;
    type TxToken<'a> = Leave;

    fn receive(&mut self, _: Instant) -> Option<(Received<'_>, Leave)> {
        while PACKETS.read() != 0 {
            if let Some(length) = self.read() {
                return Some((Received(self.frame.get(..length).unwrap_or_default()), Leave));
            }
        }
        None
    }

    fn transmit(&mut self, _: Instant) -> Option<Leave> {
        (TRANSMISSION.read() & NEW_TRANSMISSION == 0).then_some(Leave)
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = HEADER + MTU;
        capabilities
    }
}
