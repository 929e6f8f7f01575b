//! The serial line to the relay: IPv6 packets in SLIP frames.

use sixfold_device::boot::Event;
use sixfold_firmware::console::{self, SerialPort};
use sixfold_firmware::packet::{self, HEADERS};
use sixfold_firmware::slip::{self, Decoder};
use sixfold_firmware::update::{Heard, LONGEST_REQUEST, Link};
use sixfold_microbit::{Timer, Uart};
use sixfold_profile::Instant;
use sixfold_profile::ticket::{Endpoint, Ticket};

/// The smallest MTU that IPv6 knows: what the other end may send.
const MTU: usize = 1280;
const FIRST_EPHEMERAL_PORT: u16 = 0xc000;

/// One end of the line, with the addresses of both.
#[derive(Debug)]
pub(crate) struct SerialLink<'u> {
    uart: &'u mut Uart,
    timer: Timer,
    decoder: Decoder<MTU>,
    device: Endpoint,
    relay: Endpoint,
    /// What is sent there is heard too.
    pub(crate) group: Option<Endpoint>,
}

impl<'u> SerialLink<'u> {
    /// Between the device and the relay that the ticket names. The port differs from one start to the next, so that
    /// answers to an earlier one find nobody.
    pub(crate) fn new(uart: &'u mut Uart, ticket: &Ticket<'_>, seed: u32) -> Self {
        let device = Endpoint {
            address: packet::link_local(*ticket.interface_identifier()),
            port: FIRST_EPHEMERAL_PORT | seed as u16,
        };
        Self {
            uart,
            timer: Timer::new(),
            decoder: Decoder::new(),
            device,
            relay: ticket.relay(),
            group: None,
        }
    }
}

impl Link for SerialLink<'_> {
    fn now(&mut self) -> Instant {
        self.timer.now()
    }

    fn send(&mut self, datagram: &[u8]) {
        let mut buffer = [0; HEADERS + LONGEST_REQUEST];
        let Some(packet) = buffer.get_mut(..HEADERS + datagram.len()) else { return };
        packet.iter_mut().skip(HEADERS).zip(datagram).for_each(|(to, from)| *to = *from);
        if packet::write_headers(packet, self.device, self.relay).is_some() {
            slip::encode(packet, |byte| self.uart.send(byte));
        }
    }

    fn receive(&mut self) -> Option<Heard<'_>> {
        while let Some(byte) = self.uart.receive() {
            if self.decoder.take(byte) {
                let packet = self.decoder.packet_mut();
                if packet::read(packet, self.relay, self.device).is_some() {
                    return packet.get_mut(HEADERS..).map(Heard::Own);
                }
                return packet::read(packet, self.relay, self.group?).map(Heard::Group);
            }
        }
        None
    }

    fn report(&mut self, event: Event) {
        let now = self.now();
        console::report(self.uart, now, event);
    }
}
