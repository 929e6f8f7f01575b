//! Ethernet to the relay: smoltcp with Sixfold's IPv6 edge.

use crate::clock::Clock;
use crate::ethernet::Ethernet;
use crate::uart::Uart;
use sixfold_device::boot::Event;
use sixfold_firmware::console;
use sixfold_firmware::update::{Heard, Link};
use sixfold_ip::{Received, Stack, State};
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

    fn receive(&mut self) -> Option<Heard<'_>> {
        let now = self.clock.now();
        self.stack.poll(now, self.ethernet);
        let Received { length, is_for_group } = self.stack.receive(&mut self.datagram)?;
        let datagram = self.datagram.get_mut(..length)?;
        Some(if is_for_group { Heard::Group(datagram) } else { Heard::Own(datagram) })
    }

    fn report(&mut self, event: Event) {
        let now = self.now();
        console::report(self.uart, now, event);
    }
}
