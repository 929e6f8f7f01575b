//! A device with the device client's core.

use crate::host::{Client, Datagram, Host, Progress, State};
use crate::peers::ImageCheck;
use crate::sim::PATH;
use sixfold_device::fetch::{Event, Fetch};
use sixfold_profile::Instant;
use sixfold_profile::coap::{Opt, Szx, option};
use std::net::SocketAddrV6;
use std::sync::Arc;

const LONGEST_REQUEST: usize = 64;
static TARGET: [Opt<'static>; 2] = [
    Opt { number: option::URI_PATH, value: PATH[0].as_bytes() },
    Opt { number: option::URI_PATH, value: PATH[1].as_bytes() },
];

/// One device. It gives up when its core says that no answer came, or that the answer is of no use.
#[derive(Debug)]
pub struct Device {
    local: SocketAddrV6,
    relay: SocketAddrV6,
    fetch: Fetch<'static>,
    check: ImageCheck,
    state: State,
}

impl Device {
    /// A device that fetches `image` from `relay` when it is first polled.
    pub fn new(local: SocketAddrV6, relay: SocketAddrV6, image: Arc<[u8]>, szx: Szx, seed: u32) -> Self {
        let fetch = Fetch::new(&TARGET, szx, seed);
        Self { local, relay, fetch, check: ImageCheck::new(image), state: State::Fetching }
    }

    fn handle(&mut self, event: Event<'_>) {
        match event {
            Event::Block(block) => {
                self.check.take(u64::from(block.offset), block.payload);
                if !block.more {
                    self.state = State::Done;
                }
            }
            Event::StartOver(_) => self.check.restart(),
            Event::Wait(_) => {}
            Event::Refused { .. } | Event::TimedOut | Event::Reset | Event::Violation(_) => {
                self.state = State::GaveUp;
            }
        }
    }
}

impl Host for Device {
    fn handle_datagram(&mut self, now: Instant, datagram: &Datagram) {
        if self.state != State::Fetching || datagram.from != self.relay || datagram.to != self.local {
            return;
        }
        // The event borrows the datagram alone, not the core.
        if let Some(event) = self.fetch.handle_datagram(now, &datagram.payload) {
            self.handle(event);
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        if let Some(event) = self.fetch.handle_timeout(now) {
            self.handle(event);
        }
    }

    fn poll_transmit(&mut self, now: Instant) -> Option<Datagram> {
        let mut buffer = [0; LONGEST_REQUEST];
        match self.fetch.poll_transmit(now, &mut buffer) {
            Ok(length) => {
                let payload = buffer[..length?].to_vec();
                Some(Datagram { from: self.local, to: self.relay, payload })
            }
            Err(_) => {
                self.state = State::GaveUp;
                None
            }
        }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.fetch.poll_timeout()
    }

    fn retransmissions(&self) -> u64 {
        u64::from(self.fetch.exchange().retransmissions())
    }
}

impl Client for Device {
    fn progress(&self) -> Progress {
        self.check.progress(self.state)
    }
}
