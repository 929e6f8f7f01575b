//! The peers against each other in virtual time: a pair of hosts and a wire that delays, loses, doubles and reorders.

use proptest::prelude::*;
use sixfold_air::host::{Client, Datagram, Host, Progress, State};
use sixfold_air::peers::{CoapClient, CoapServer, TFTP_BLOCK_SIZE, TftpClient, TftpOptions, TftpServer};
use sixfold_air::random::Random;
use sixfold_profile::Instant;
use sixfold_profile::coap::Szx;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddrV6;
use std::sync::Arc;
use std::time::Duration;

const ALL: [Protocol; 3] = [Protocol::Coap, Protocol::Tftp, Protocol::TftpWithOptions];
const DELAY: Duration = Duration::from_millis(20);

#[derive(Clone, Copy, Debug, PartialEq)]
enum Protocol {
    Coap,
    Tftp,
    TftpWithOptions,
}

fn address(node: u16, port: u16) -> SocketAddrV6 {
    SocketAddrV6::new([0xfe80, 0, 0, 0, 0, 0, 0, node].into(), port, 0, 0)
}

fn image(length: usize) -> Arc<[u8]> {
    (0..length).map(|place| (place * 7 + place / 256) as u8).collect()
}

impl Protocol {
    fn port(self) -> u16 {
        if self == Self::Coap { 5683 } else { 69 }
    }

    fn block_size(self) -> usize {
        if self == Self::Tftp { TFTP_BLOCK_SIZE.into() } else { 64 }
    }

    fn options(self) -> TftpOptions {
        match self {
            Self::TftpWithOptions => {
                TftpOptions { block_size: Some(64), timeout: Some(3), transfer_size: Some(0) }
            }
            _ => TftpOptions::default(),
        }
    }

    fn client(self, image: &Arc<[u8]>, seed: u64) -> Box<dyn Client> {
        let (local, server, image) = (address(2, 61616), address(1, self.port()), image.clone());
        match self {
            Self::Coap => Box::new(CoapClient::new(local, server, image, Szx::B64, Random::new(seed, 0))),
            _ => Box::new(TftpClient::new(local, server, image, self.options())),
        }
    }

    fn server(self, image: &Arc<[u8]>) -> Box<dyn Host> {
        let local = address(1, self.port());
        match self {
            Self::Coap => Box::new(CoapServer::new(local, image.clone(), Szx::MAX)),
            _ => Box::new(TftpServer::new(local, image.clone(), self == Self::TftpWithOptions)),
        }
    }

    /// How many datagrams a lossless fetch takes.
    fn datagrams(self, length: usize) -> u32 {
        let count = match self {
            Self::Coap => 2 * length.div_ceil(64).max(1),
            // A request, then each block and its acknowledgement, the last one not full.
            Self::Tftp => 1 + 2 * (length / 512 + 1),
            Self::TftpWithOptions => 3 + 2 * (length / 64 + 1),
        };
        count as u32
    }
}

/// What happens to datagrams between the two.
struct Wire {
    random: Random,
    loss: f64,
    duplication: f64,
    /// Each datagram takes up to so much longer.
    jitter: Duration,
    in_flight: BTreeMap<(Instant, u32), Datagram>,
    sent: Vec<Datagram>,
}

impl Wire {
    fn new(seed: u64, loss: f64) -> Self {
        let (random, in_flight) = (Random::new(seed, 1), BTreeMap::new());
        Self { random, loss, duplication: 0.0, jitter: Duration::ZERO, in_flight, sent: Vec::new() }
    }

    fn send(&mut self, now: Instant, datagram: Datagram) {
        for _ in 0..1 + u32::from(self.random.chance(self.duplication)) {
            let jitter = self.random.below(self.jitter.as_micros() as u32);
            let key = (now + DELAY + Duration::from_micros(jitter.into()), self.random.bits());
            if !self.random.chance(self.loss) {
                self.in_flight.insert(key, datagram.clone());
            }
        }
        self.sent.push(datagram);
    }

    fn arrival(&mut self, now: Instant) -> Option<Datagram> {
        self.in_flight.first_entry().filter(|entry| entry.key().0 <= now).map(|entry| entry.remove())
    }
}

/// Runs until nothing is due any more, and says when the client ended: the end of time if it waits for nothing.
fn run(client: &mut dyn Client, server: &mut dyn Host, wire: &mut Wire) -> Instant {
    let mut now = Instant::ZERO;
    let mut ended = None;
    loop {
        for host in [&mut *client as &mut dyn Host, &mut *server] {
            while let Some(datagram) = host.poll_transmit(now) {
                wire.send(now, datagram);
            }
        }
        if client.progress().state != State::Fetching {
            ended.get_or_insert(now);
        }
        let arrival = wire.in_flight.keys().next().map(|key| key.0);
        let due = [arrival, client.poll_timeout(), server.poll_timeout()].into_iter().flatten().min();
        let Some(due) = due else { return ended.unwrap_or(Instant::from_micros(u64::MAX)) };
        now = now.max(due);
        assert!(now < Instant::ZERO + Duration::from_secs(1_000_000), "it goes on for ever");
        if let Some(datagram) = wire.arrival(now) {
            let host: &mut dyn Host = if datagram.to.ip() == address(1, 0).ip() { server } else { client };
            host.handle_datagram(now, &datagram);
        }
        client.handle_timeout(now);
        server.handle_timeout(now);
    }
}

/// A fetch of an image of `length` bytes: how it ended, and when.
fn fetch(protocol: Protocol, length: usize, seed: u64, wire: &mut Wire) -> (Progress, Instant) {
    let image = image(length);
    let (mut client, mut server) = (protocol.client(&image, seed), protocol.server(&image));
    let ended = run(&mut *client, &mut *server, wire);
    (client.progress(), ended)
}

#[test]
fn a_lossless_fetch_is_right_and_takes_no_datagram_too_many() {
    for protocol in ALL {
        for length in [0, 1, 63, 64, 65, 511, 512, 513, 1024, 5000] {
            let mut wire = Wire::new(1, 0.0);
            let (progress, ended) = fetch(protocol, length, 1, &mut wire);
            let expected = Progress { state: State::Done, received: length as u64, wrong: 0, discarded: 0 };
            assert_eq!(progress, expected, "{protocol:?} {length}");
            let datagrams = protocol.datagrams(length);
            assert_eq!(wire.sent.len() as u32, datagrams, "{protocol:?} {length}");
            // The last acknowledgement of TFTP does not have to arrive.
            let flights = datagrams - u32::from(protocol != Protocol::Coap);
            assert_eq!(ended, Instant::ZERO + DELAY * flights, "{protocol:?} {length}");
        }
    }
}

#[test]
fn losses_cost_time_but_no_byte() {
    for protocol in ALL {
        let ends: Vec<_> =
            (0..200).map(|seed| fetch(protocol, 3000, seed, &mut Wire::new(seed, 0.2))).collect();
        assert!(ends.iter().all(|(progress, _)| progress.wrong == 0), "{protocol:?}");
        let done = ends.iter().filter(|(progress, _)| progress.state == State::Done).count();
        assert!(done > 100, "{protocol:?}: {done} of 200 got done");
        assert!(ends.iter().any(|(_, ended)| ended.since(Instant::ZERO) > Duration::from_secs(3)));
    }
}

#[test]
fn a_run_is_decided_by_its_seeds() {
    for protocol in ALL {
        let ended = |seed| fetch(protocol, 3000, seed, &mut Wire::new(seed, 0.3)).1;
        assert_eq!(ended(5), ended(5));
        assert_ne!(ended(5), ended(6));
    }
}

#[test]
fn duplicates_and_disorder_do_no_harm() {
    for protocol in ALL {
        for seed in 0..50 {
            let mut wire = Wire::new(seed, 0.0);
            (wire.duplication, wire.jitter) = (0.5, Duration::from_secs(4));
            let (progress, _) = fetch(protocol, 3000, seed, &mut wire);
            let expected = Progress { state: State::Done, received: 3000, wrong: 0, discarded: 0 };
            assert_eq!(progress, expected, "{protocol:?} {seed}");
        }
    }
}

/// RFC 1123 §4.2.3.1: without the fix every block after a duplicate is sent twice.
#[test]
fn duplicate_acknowledgements_wake_no_sorcerers_apprentice() {
    for protocol in [Protocol::Tftp, Protocol::TftpWithOptions] {
        let mut wire = Wire::new(1, 0.0);
        wire.duplication = 1.0;
        let (progress, _) = fetch(protocol, 3000, 1, &mut wire);
        assert_eq!((progress.state, progress.wrong), (State::Done, 0));
        let blocks = wire.sent.iter().filter(|datagram| datagram.payload.starts_with(&[0, 3]));
        // The request came twice, before its answer was acknowledged, and was answered twice.
        let answered_twice = usize::from(protocol == Protocol::Tftp);
        assert_eq!(blocks.count(), 3000 / protocol.block_size() + 1 + answered_twice, "{protocol:?}");
    }
}

#[test]
fn without_any_answer_clients_give_up_in_time() {
    for (protocol, timeouts, requests) in
        [(Protocol::Coap, 1 + 2 + 4 + 8 + 16, 5), (Protocol::Tftp, 5, 5), (Protocol::TftpWithOptions, 5, 5)]
    {
        let mut ends = BTreeSet::new();
        for seed in 0..20 {
            let mut probe = protocol.client(&image(1), seed);
            probe.poll_transmit(Instant::ZERO);
            let first = probe.poll_timeout().unwrap().since(Instant::ZERO);
            let expected = match protocol {
                Protocol::Coap => Duration::from_secs(2)..=Duration::from_secs(3),
                Protocol::Tftp => Duration::from_secs(5)..=Duration::from_secs(5),
                Protocol::TftpWithOptions => Duration::from_secs(3)..=Duration::from_secs(3),
            };
            assert!(expected.contains(&first), "{protocol:?} {first:?}");

            let mut wire = Wire::new(seed, 1.0);
            let (progress, ended) = fetch(protocol, 1000, seed, &mut wire);
            assert_eq!(progress, Progress { state: State::GaveUp, received: 0, wrong: 0, discarded: 0 });
            assert_eq!(ended, Instant::ZERO + first * timeouts, "{protocol:?} {seed}");
            assert_eq!(wire.sent.len(), requests, "{protocol:?} {seed}");
            assert!(wire.sent.windows(2).all(|two| two[0] == two[1]), "the same request again");
            ends.insert(ended);
        }
        assert_eq!(ends.len() > 1, protocol == Protocol::Coap, "ACK_RANDOM_FACTOR is CoAP's alone");
    }
}

#[test]
fn retransmissions_are_counted() {
    for protocol in ALL {
        let image = image(3000);
        let (mut client, mut server) = (protocol.client(&image, 3), protocol.server(&image));
        let mut wire = Wire::new(3, 0.1);
        run(&mut *client, &mut *server, &mut wire);
        assert!(client.retransmissions() + server.retransmissions() > 0, "{protocol:?}");
        if protocol == Protocol::Coap {
            let requests: Vec<_> = wire.sent.iter().filter(|datagram| datagram.to.port() == 5683).collect();
            let again = requests.windows(2).filter(|two| two[0] == two[1]).count() as u64;
            assert_eq!((client.retransmissions(), server.retransmissions()), (again, 0));
        }
    }
}

#[test]
fn nothing_happens_before_power_on() {
    for protocol in ALL {
        let mut client = protocol.client(&image(100), 1);
        assert_eq!(client.poll_timeout(), None);
        client.handle_timeout(Instant::from_micros(9));
        let (from, to) = (address(1, protocol.port()), address(2, 61616));
        for payload in [&[0x40, 0, 0, 1][..], &[0, 3, 0, 1, 1, 2, 3]] {
            client
                .handle_datagram(Instant::from_micros(9), &Datagram { from, to, payload: payload.to_vec() });
        }
        let first = client.poll_transmit(Instant::from_micros(10)).unwrap();
        assert_eq!(first.to, from);
        assert_eq!(client.poll_transmit(Instant::from_micros(10)), None);
        assert_eq!(
            client.progress(),
            Progress { state: State::Fetching, received: 0, wrong: 0, discarded: 0 }
        );
    }
}

/// Bytes that are almost messages of one of the two protocols.
fn almost() -> impl Strategy<Value = Vec<u8>> {
    let body = || prop::collection::vec(any::<u8>(), 0..80);
    prop_oneof![
        body(),
        (0u8..8, 0u8..4, body())
            .prop_map(|(opcode, block, body)| [&[0, opcode, 0, block][..], &body].concat()),
        (0x40u8..0x79, prop_oneof![Just(0x45), any::<u8>()], any::<u16>(), body())
            .prop_map(|(first, code, id, body)| [&[first, code][..], &id.to_be_bytes(), &body].concat()),
    ]
}

proptest! {
    #[test]
    fn garbage_never_panics(garbage in prop::collection::vec((almost(), any::<bool>()), 1..20)) {
        for protocol in ALL {
            let image = image(300);
            let (mut client, mut server) = (protocol.client(&image, 1), protocol.server(&image));
            let mut wire = Wire::new(1, 0.0);
            for (number, (payload, to_server)) in garbage.iter().enumerate() {
                let (there, here) = (address(1, protocol.port()), address(2, 61616));
                let (from, to) = if *to_server { (here, there) } else { (there, here) };
                let datagram = Datagram { from, to, payload: payload.clone() };
                wire.in_flight.insert((Instant::from_micros(1_000 * number as u64), 0), datagram);
            }
            run(&mut *client, &mut *server, &mut wire);
            prop_assert!(client.progress().state != State::Fetching);
        }
    }
}
