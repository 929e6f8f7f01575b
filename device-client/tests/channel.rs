//! Whole fetches over a channel that loses, repeats and reorders, in virtual time: each ends, soon enough, with
//! exactly the image or with an event that says why not.
#![allow(clippy::unwrap_used, clippy::expect_used)] // A panic is how a test fails.

mod model;

use coap_lite::MessageType;
use model::{Server, block2, image};
use proptest::prelude::*;
use sixfold_device::exchange::RESPONSE_WAIT;
use sixfold_device::fetch::Received;
use sixfold_device::{ETag, Event, Fetch};
use sixfold_profile::Instant;
use sixfold_profile::coap::params::MAX_TRANSMIT_WAIT;
use sixfold_profile::coap::{Block, Code, Options, Szx};
use std::net::{Ipv6Addr, SocketAddr};
use std::time::Duration;

/// Uri-Path: fw.
const TARGET: Options<'static> = Options::new(b"\xb2fw");
const CLIENT: SocketAddr = SocketAddr::new(std::net::IpAddr::V6(Ipv6Addr::LOCALHOST), 1);
/// More steps than any of these fetches needs; one that hangs or loops is stopped here.
const STEPS: usize = 100_000;

#[derive(Clone, Copy, Debug)]
struct Conditions {
    /// Of 256 datagrams, this many are lost.
    loss: u8,
    /// Of 256 datagrams, this many arrive twice.
    duplication: u8,
    /// The longest way of a datagram, in microseconds; the shortest is 100.
    delay: u64,
    seed: u64,
}

/// Everything under way, and the dice.
struct Channel {
    conditions: Conditions,
    under_way: Vec<(Instant, bool, Vec<u8>)>,
    state: u64,
}

impl Channel {
    fn new(conditions: Conditions) -> Self {
        Self { conditions, under_way: Vec::new(), state: conditions.seed | 1 }
    }

    fn dice(&mut self) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state >> 8
    }

    fn carry(&mut self, now: Instant, to_server: bool, datagram: &[u8]) {
        let copies = 1 + usize::from(self.dice() % 256 < u64::from(self.conditions.duplication));
        for _ in 0..copies {
            if self.dice() % 256 >= u64::from(self.conditions.loss) {
                let way = Duration::from_micros(100 + self.dice() % self.conditions.delay.max(1));
                self.under_way.push((now + way, to_server, datagram.to_vec()));
            }
        }
    }

    fn next_arrival(&self) -> Option<Instant> {
        self.under_way.iter().map(|datagram| datagram.0).min()
    }

    fn arrived(&mut self, now: Instant) -> Option<(bool, Vec<u8>)> {
        let at = self.under_way.iter().position(|datagram| datagram.0 <= now)?;
        let (_, to_server, datagram) = self.under_way.swap_remove(at);
        Some((to_server, datagram))
    }
}

/// How a fetch ended.
#[derive(Debug, PartialEq)]
enum End {
    Complete,
    TimedOut,
    Refused(Code),
    Other(String),
}

/// What the caller of a fetch keeps.
#[derive(Debug, Default)]
struct Body {
    bytes: Vec<u8>,
    etag: Option<ETag>,
    started_over: usize,
}

impl Body {
    fn take(&mut self, block: &Received<'_>) {
        assert_eq!(block.offset as usize, self.bytes.len(), "in order and without gap");
        assert!(block.offset == 0 || self.etag == block.etag, "of one version");
        self.etag = block.etag;
        self.bytes.extend_from_slice(block.payload);
    }

    fn event(&mut self, event: Event<'_>) -> Option<End> {
        match event {
            Event::Block(block) => {
                self.take(&block);
                return (!block.more).then_some(End::Complete);
            }
            Event::StartOver(_) => {
                self.bytes.clear();
                self.started_over += 1;
            }
            Event::Wait(_) => {}
            Event::TimedOut => return Some(End::TimedOut),
            Event::Refused { code, .. } => return Some(End::Refused(code)),
            event => return Some(End::Other(format!("{event:?}"))),
        }
        None
    }
}

/// Drives both ends to the end of the fetch; also returns when that was.
fn run(
    fetch: &mut Fetch<'_>,
    server: &mut Server,
    body: &mut Body,
    conditions: Conditions,
) -> (End, Duration) {
    let mut channel = Channel::new(conditions);
    let mut now = Instant::ZERO;
    let mut buffer = [0; 64];
    for _ in 0..STEPS {
        while let Some(length) = fetch.poll_transmit(now, &mut buffer).unwrap() {
            channel.carry(now, true, &buffer[..length]);
        }
        for (_, datagram) in server.poll_transmit(now) {
            channel.carry(now, false, &datagram);
        }
        let event = match channel.arrived(now) {
            Some((true, datagram)) => {
                server.handle_datagram(now, CLIENT, &datagram);
                continue;
            }
            Some((false, datagram)) => {
                fetch.handle_datagram(now, &datagram).and_then(|event| body.event(event))
            }
            None => {
                let timers = [fetch.poll_timeout(), server.poll_timeout(), channel.next_arrival()];
                now = timers.into_iter().flatten().min().expect("a fetch that goes on has a deadline");
                fetch.handle_timeout(now).and_then(|event| body.event(event))
            }
        };
        if let Some(end) = event {
            return (end, now.since(Instant::ZERO));
        }
        assert!(fetch.poll_timeout().is_some() || fetch.poll_transmit(now, &mut []).is_err(), "it hangs");
    }
    panic!("no end after {STEPS} steps");
}

fn conditions() -> impl Strategy<Value = Conditions> {
    (0u8..100, 0u8..200, prop_oneof![Just(0), 0u64..5_000, 0u64..3_000_000], any::<u64>())
        .prop_map(|(loss, duplication, delay, seed)| Conditions { loss, duplication, delay, seed })
}

fn szx() -> impl Strategy<Value = Szx> {
    (0u8..=6).prop_map(|szx| Szx::new(szx).unwrap())
}

fn separate() -> impl Strategy<Value = Option<(MessageType, Duration)>> {
    let types = prop_oneof![Just(MessageType::Confirmable), Just(MessageType::NonConfirmable)];
    proptest::option::of((types, (0u64..20_000).prop_map(Duration::from_millis)))
}

/// Lengths around block boundaries, and any up to 4000 bytes.
fn length() -> impl Strategy<Value = usize> {
    prop_oneof![0usize..4000, (0usize..4, -1isize..=1).prop_map(|(n, d)| (n * 1024).saturating_add_signed(d))]
}

/// As long as an exchange can take at most, for each block and each answer that makes us wait.
fn bound(requests: usize) -> Duration {
    (MAX_TRANSMIT_WAIT + RESPONSE_WAIT + Duration::from_secs(60)) * (requests as u32 + 1)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    /// Whatever the server and the channel do to blocks, the bytes are the image's, or the fetch timed out.
    #[test]
    fn ends_with_the_image_or_timed_out(
        conditions in conditions(),
        length in length(),
        ours in szx(),
        (theirs, smaller, smaller_at) in (szx(), szx(), 0usize..40),
        separate in separate(),
        (busy_at, max_age) in (0usize..60, 0u32..100),
        has_etag: bool,
    ) {
        let body = image(length, conditions.seed as u32);
        let mut server = Server::new(body.clone()).script(move |number, server| {
            if number == smaller_at {
                server.szx = server.szx.min(smaller);
            }
            server.error = (number == busy_at).then_some((Code::SERVICE_UNAVAILABLE, max_age));
        });
        server.szx = theirs;
        server.separate = separate;
        if !has_etag {
            server.etag.clear();
        }
        let mut fetch = Fetch::new(TARGET, ours, conditions.seed as u32);
        let mut got = Body::default();
        let (end, time) = run(&mut fetch, &mut server, &mut got, conditions);
        prop_assert!(time <= bound(server.requests.len()), "{time:?}");
        prop_assert_eq!(got.started_over, 0);
        match end {
            End::Complete => prop_assert!(got.bytes == body, "other bytes"),
            End::TimedOut => prop_assert!(conditions.loss > 0 || conditions.delay > 900_000),
            end => prop_assert!(false, "{end:?}"),
        }
        if conditions.loss == 0 && conditions.delay < 900_000 {
            prop_assert_eq!(fetch.exchange().retransmissions(), 0, "nothing was lost or late");
        }
    }

    /// The image changes once or twice meanwhile; what is complete is one version, whole.
    #[test]
    fn versions_never_mix(
        conditions in conditions(),
        lengths in [length(), length(), length()],
        szx in szx(),
        changes in [1usize..40, 1usize..40],
        separate in separate(),
    ) {
        let versions: Vec<_> = (0..3).map(|n| image(lengths[n], n as u32)).collect();
        let images = versions.clone();
        let mut server = Server::new(images[0].clone()).script(move |number, server| {
            let version = changes.iter().filter(|at| **at <= number).count();
            server.image.clone_from(&images[version]);
            server.etag = vec![version as u8; 4];
        });
        server.separate = separate;
        let mut fetch = Fetch::new(TARGET, szx, conditions.seed as u32);
        let mut got = Body::default();
        let (end, time) = run(&mut fetch, &mut server, &mut got, conditions);
        prop_assert!(time <= bound(server.requests.len()), "{time:?}");
        prop_assert!(got.started_over <= 2);
        match end {
            End::Complete => {
                let version = usize::from(got.etag.unwrap().as_bytes()[0]);
                prop_assert!(got.bytes == versions[version], "other bytes");
            }
            End::TimedOut => prop_assert!(conditions.loss > 0 || conditions.delay > 900_000),
            end => prop_assert!(false, "{end:?}"),
        }
    }

    /// A fetch that goes on from any block has the rest of the image; of another version it starts over.
    #[test]
    fn resumes_anywhere(length in 1usize..4000, szx in szx(), at: prop::sample::Index, changed: bool, seed: u32) {
        let body = image(length, seed);
        let mut server = Server::new(body.clone());
        let block = Block::new(at.index(length.div_ceil(szx.size())) as u32, false, szx).unwrap();
        let etag = ETag::new(if changed { b"old" } else { b"one" });
        let mut fetch = Fetch::resume(TARGET, block, etag.unwrap(), seed);
        let mut got = Body { bytes: body[..block.offset()].to_vec(), etag, started_over: 0 };
        let calm = Conditions { loss: 0, duplication: 0, delay: 0, seed: 1 };
        let (end, _) = run(&mut fetch, &mut server, &mut got, calm);
        prop_assert_eq!((end, got.started_over), (End::Complete, usize::from(changed)));
        prop_assert!(got.bytes == body, "other bytes");
        prop_assert_eq!(block2(&server.requests[0].1), Some(block));
    }

    /// Whatever bytes come, nothing panics, and the fetch has a deadline until it is over.
    #[test]
    fn any_datagrams(
        datagrams in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..20),
        seed: u32,
        keep in 0usize..9,
    ) {
        let mut fetch = Fetch::new(TARGET, Szx::MAX, seed);
        let mut buffer = [0; 64];
        let length = fetch.poll_transmit(Instant::ZERO, &mut buffer).unwrap().unwrap();
        let request = buffer[..length].to_vec();
        for (n, tail) in datagrams.iter().enumerate() {
            let now = Instant::from_micros(n as u64);
            // Headers that match the request lead deeper than random ones.
            let mut datagram = request[..keep].to_vec();
            datagram.extend_from_slice(tail);
            if keep > 1 {
                datagram[0] = 0x64;
                datagram[1] = if n % 2 == 0 { 0x45 } else { 0xa3 };
            }
            let event = fetch.handle_datagram(now, &datagram).map(|event| Body::default().event(event));
            while fetch.poll_transmit(now, &mut buffer).unwrap().is_some() {}
            prop_assert!(fetch.poll_timeout().is_some() || event.is_some(), "silently over");
            if fetch.poll_timeout().is_none() {
                break;
            }
        }
    }
}

#[test]
fn a_dead_server_is_given_up() {
    let mut server = Server::new(image(100, 0));
    server.silent = true;
    let calm = Conditions { loss: 0, duplication: 0, delay: 0, seed: 1 };
    let mut fetch = Fetch::new(TARGET, Szx::MAX, 9);
    let (end, time) = run(&mut fetch, &mut server, &mut Body::default(), calm);
    assert_eq!(end, End::TimedOut);
    assert!((Duration::from_secs(62)..=MAX_TRANSMIT_WAIT).contains(&time), "{time:?}");
}

/// Half of all datagrams are lost, so that exchanges time out; a caller that goes on where it stopped gets there.
#[test]
fn a_patient_caller_gets_the_image() {
    let body = image(5000, 3);
    let mut time_outs = 0;
    for seed in 0..200 {
        let conditions = |attempt| Conditions {
            loss: 128,
            duplication: 25,
            delay: 50_000,
            seed: u64::from(seed + 1) << 20 | attempt,
        };
        let mut server = Server::new(body.clone());
        let mut got = Body::default();
        let mut fetch = Fetch::new(TARGET, Szx::MAX, seed);
        for attempt in 1.. {
            assert!(attempt < 50, "seed {seed}");
            let (end, _) = run(&mut fetch, &mut server, &mut got, conditions(attempt));
            if end == End::Complete {
                break;
            }
            assert_eq!(end, End::TimedOut, "seed {seed}");
            time_outs += 1;
            fetch = match got.etag {
                Some(etag) => {
                    let block = Block::new(got.bytes.len() as u32 / 1024, false, Szx::MAX).unwrap();
                    Fetch::resume(TARGET, block, etag, seed ^ attempt as u32)
                }
                None => Fetch::new(TARGET, Szx::MAX, seed ^ attempt as u32),
            };
        }
        assert!(got.bytes == body, "seed {seed}");
    }
    assert!(time_outs > 50, "{time_outs} time-outs: the channel is not as bad as it says");
}
