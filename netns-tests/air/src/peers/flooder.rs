//! A hostile client: requests for random blocks, so many a second, whatever is answered.

use super::coap_client::write_request;
use super::image_name;
use crate::host::{Client, Datagram, Host, Progress, State};
use crate::random::Random;
use sixfold_profile::Instant;
use sixfold_profile::coap::{Block, Szx};
use std::net::SocketAddrV6;
use std::time::Duration;

/// The client. It reads nothing.
#[derive(Clone, Debug)]
pub struct Flooder {
    local: SocketAddrV6,
    server: SocketAddrV6,
    blocks: u32,
    szx: Szx,
    interval: Duration,
    random: Random,
    message_id: u16,
    next: Option<Instant>,
}

impl Flooder {
    /// A client that sends `per_s` requests a second for one of `blocks` blocks, from when it is first polled.
    pub fn new(
        local: SocketAddrV6,
        server: SocketAddrV6,
        blocks: u32,
        szx: Szx,
        per_s: u32,
        random: Random,
    ) -> Self {
        let interval = Duration::from_secs(1) / per_s.max(1);
        Self { local, server, blocks, szx, interval, random, message_id: 0, next: None }
    }
}

impl Host for Flooder {
    fn handle_datagram(&mut self, _now: Instant, _datagram: &Datagram) {}

    fn handle_timeout(&mut self, _now: Instant) {}

    fn poll_transmit(&mut self, now: Instant) -> Option<Datagram> {
        let due = self.next.unwrap_or(now);
        if now < due {
            return None;
        }
        self.next = Some(due + self.interval);
        self.message_id = self.message_id.wrapping_add(1);
        let token = self.random.bits().to_be_bytes();
        let block = Block::new(self.random.below(self.blocks), false, self.szx)?;
        let payload = write_request(self.message_id, token, &image_name(0), block).ok()?;
        Some(Datagram { from: self.local, to: self.server, payload })
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.next
    }

    fn retransmissions(&self) -> u64 {
        0
    }
}

impl Client for Flooder {
    fn progress(&self) -> Progress {
        Progress { state: State::Fetching, received: 0, wrong: 0, discarded: 0 }
    }

    fn power_cut(&mut self) {
        self.next = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_a_second_as_it_is_told() {
        let (local, server) = ("[fe80::2]:61616".parse().unwrap(), "[fe80::1]:5683".parse().unwrap());
        let mut flooder = Flooder::new(local, server, 10, Szx::B64, 20, Random::new(1, 0));
        let mut sent = 0;
        for millisecond in 0..1000 {
            let now = Instant::from_micros(millisecond * 1000);
            let datagrams = std::iter::from_fn(|| flooder.poll_transmit(now));
            sent += datagrams.inspect(|datagram| assert_eq!(datagram.payload[1], 1, "a GET")).count();
        }
        assert_eq!(sent, 20);
    }
}
