//! A device with the device client's core.

use crate::host::{Client, Datagram, Host, Progress, State};
use crate::peers::ImageCheck;
use crate::random::Random;
use crate::sim::target;
use sixfold_device::ETag;
use sixfold_device::fetch::{Event, Fetch, Received};
use sixfold_profile::Instant;
use sixfold_profile::coap::{Block, Options, Szx};
use std::net::SocketAddrV6;
use std::sync::Arc;
use std::time::Duration;

const LONGEST_REQUEST: usize = 64;

/// One device. It gives up when its core says that no answer came, or that the answer is of no use; but after silence it
/// may be told to begin again, where it was.
#[derive(Debug)]
pub struct Device {
    local: SocketAddrV6,
    relay: SocketAddrV6,
    target: Options<'static>,
    fetch: Fetch<'static>,
    szx: Szx,
    /// Where to begin again.
    next: Option<(Block, ETag)>,
    restart_after: Option<Duration>,
    restart: Option<Instant>,
    random: Random,
    check: ImageCheck,
    state: State,
    /// Of the cores before this one.
    retransmissions: u64,
}

impl Device {
    /// A device that fetches `image`, which has this number, from `relay` when it is first polled.
    pub fn new(
        local: SocketAddrV6,
        relay: SocketAddrV6,
        image_number: u32,
        image: Arc<[u8]>,
        szx: Szx,
        restart_after: Option<Duration>,
        mut random: Random,
    ) -> Self {
        Self {
            local,
            relay,
            target: target(image_number),
            fetch: Fetch::new(target(image_number), szx, random.bits()),
            szx,
            next: None,
            restart_after,
            restart: None,
            random,
            check: ImageCheck::new(image),
            state: State::Fetching,
            retransmissions: 0,
        }
    }

    fn handle(&mut self, now: Instant, event: Event<'_>) {
        match event {
            Event::Block(block) => self.take(&block),
            Event::StartOver(_) => self.start_over(),
            Event::Wait(_) => {}
            Event::TimedOut if self.restart_after.is_some() => {
                self.restart = self.restart_after.map(|pause| now + pause);
            }
            Event::Refused { .. } | Event::TimedOut | Event::Reset | Event::Violation(_) => {
                self.state = State::GaveUp;
            }
        }
    }

    fn take(&mut self, block: &Received<'_>) {
        self.check.take(u64::from(block.offset), block.payload);
        let num = (block.offset as usize + block.payload.len()) / block.szx.size();
        let next = u32::try_from(num).ok().and_then(|num| Block::new(num, false, block.szx));
        self.next = next.zip(block.etag);
        if !block.more {
            self.check.finish();
            self.state = State::Done;
        }
    }

    fn start_over(&mut self) {
        self.check.restart();
        self.next = None;
    }

    /// Begins again, as after a power cut.
    fn begin_again(&mut self) {
        self.restart = None;
        self.retransmissions += u64::from(self.fetch.exchange().retransmissions());
        let seed = self.random.bits();
        self.fetch = match self.next {
            Some((block, etag)) => Fetch::resume(self.target.clone(), block, etag, seed),
            None => {
                self.start_over();
                Fetch::new(self.target.clone(), self.szx, seed)
            }
        };
    }
}

impl Host for Device {
    fn handle_datagram(&mut self, now: Instant, datagram: &Datagram) {
        if self.state != State::Fetching || datagram.from != self.relay || datagram.to != self.local {
            return;
        }
        // The event borrows the datagram alone, not the core.
        if let Some(event) = self.fetch.handle_datagram(now, &datagram.payload) {
            self.handle(now, event);
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        if self.restart.is_some_and(|at| now >= at) {
            self.begin_again();
        }
        if let Some(event) = self.fetch.handle_timeout(now) {
            self.handle(now, event);
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
        self.restart.or(self.fetch.poll_timeout())
    }

    fn retransmissions(&self) -> u64 {
        self.retransmissions + u64::from(self.fetch.exchange().retransmissions())
    }
}

impl Client for Device {
    fn progress(&self) -> Progress {
        self.check.progress(self.state)
    }

    fn power_cut(&mut self) {
        self.begin_again();
    }
}
