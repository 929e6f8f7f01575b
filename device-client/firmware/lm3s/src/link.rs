//! Ethernet to the relay: smoltcp with Sixfold's IPv6 edge.

use crate::clock::Clock;
use crate::ethernet::Ethernet;
use crate::uart::Uart;
use sixfold_device::boot::Event;
use sixfold_firmware::console;
use sixfold_firmware::update::Link;
use sixfold_ip::{Stack, State};
use sixfold_profile::Instant;

/// The longest datagram: a block, and what a response has before it.
pub(crate) const DATAGRAM: usize = 1152;

/// The device's end.
pub(crate) struct EthernetLink<'l, 's> {
    pub(crate) stack: Stack<'s>,
    pub(crate) ethernet: &'l mut Ethernet,
    pub(crate) clock: &'l mut Clock,
    pub(crate) uart: &'l mut Uart,
    pub(crate) datagram: [u8; DATAGRAM],
}

impl EthernetLink<'_, '_> {
    /// Waits for an address that reaches the relay, for ever.
    pub(crate) fn wait_until_ready(&mut self) {
        while !matches!(self.stack.state(), State::Ready { .. }) {
            let now = self.clock.now();
            self.stack.poll(now, self.ethernet);
        }
    }
}

impl Link for EthernetLink<'_, '_> {
    fn now(&mut self) -> Instant {
        self.clock.now()
    }

    fn send(&mut self, datagram: &[u8]) {
        let now = self.clock.now();
        // One that cannot be sent now is sent again later, like one that is lost.
        let _ = self.stack.send(now, datagram);
    }

    fn receive(&mut self) -> Option<&[u8]> {
        let now = self.clock.now();
        self.stack.poll(now, self.ethernet);
        let length = self.stack.receive(&mut self.datagram)?.length;
        self.datagram.get(..length)
    }

    fn report(&mut self, event: Event) {
        let now = self.now();
        console::report(self.uart, now, event);
    }
}
