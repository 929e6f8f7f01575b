//! Sessions in the boot program, against sixfold-oscore's server side: what is lost, forged, replayed, cut or used up, no number ever
//! makes two datagrams ([`model::session::Guarded`] watches), and nothing unprotected is believed.
#![cfg(feature = "oscore")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "these are tests")]

mod model;

use coap_lite::MessageType;
use model::device::{DEVICE, Device, End, Release};
use model::flash::{Cut, How};
use model::session::{Agreement, Forge, Guarded, answer, empty};
use model::{Peer, Server, image};
use sixfold_device::boot::{BootError, Cause, Event, SessionState, Which, install, session_state};
use sixfold_oscore::ReplayWindow;
use sixfold_profile::Instant;
use sixfold_profile::coap::{Code, Message};
use sixfold_profile::index::ChunkSize;
use sixfold_profile::ticket::{Fields, MAX_TICKET, Numbers, Session};
use std::collections::HashSet;
use std::net::SocketAddr;
use std::time::Duration;

const CHUNK: usize = 256;
const SECRET: &[u8] = b"a master secret!";

/// Of five chunks, 21 blocks.
fn release() -> Release {
    Release::new(image(5 * CHUNK + 3, 2), ChunkSize::from_bytes(CHUNK as u32).unwrap(), 8)
}

/// A device whose ticket has a session with 2^`exponent` numbers.
fn device<const WRITE: usize, const ERASE: usize>(
    release: &Release,
    exponent: u8,
    plain_allowed: bool,
) -> Device<WRITE, ERASE> {
    let pages = |bytes: usize| bytes.div_ceil(ERASE) as u32;
    let record = pages(512) + 2 * pages(1024) + pages(130 * 16 * 2);
    let mut device = Device::new(false, record, pages(release.image.len()));
    let agreement = Agreement::new(SECRET);
    let fields = Fields { session: Some(agreement.session(exponent, plain_allowed)), ..release.ticket() };
    install(&mut device.flash, &device.layout, &fields, &release.index).unwrap();
    device
}

fn relay(release: &Release) -> Guarded {
    Guarded::new(Server::new(release.image.clone()), Agreement::new(SECRET))
}

fn state<const WRITE: usize, const ERASE: usize>(device: &mut Device<WRITE, ERASE>) -> SessionState {
    let place = device.layout.record(Which::B).clone();
    session_state(&mut device.flash, &place, &mut [0; MAX_TICKET]).unwrap()
}

fn causes<const WRITE: usize, const ERASE: usize>(device: &Device<WRITE, ERASE>) -> Vec<Cause> {
    let cause = |event: &Event| if let Event::Sleep { cause, .. } = event { Some(*cause) } else { None };
    device.events.iter().filter_map(cause).collect()
}

fn runs<const WRITE: usize, const ERASE: usize>(
    device: &mut Device<WRITE, ERASE>,
    relay: &mut Guarded,
    release: &Release,
) {
    assert_eq!(device.boot(relay), Ok(End::Runs(Which::B)));
    assert_eq!(device.slot(Which::B, release.image.len()), release.image);
}

#[test]
fn an_update_is_protected_from_the_first_request_to_the_last() {
    let release = release();
    let mut device = device::<4, 256>(&release, 16, true);
    let mut relay = relay(&release);
    runs(&mut device, &mut relay, &release);
    assert_eq!((relay.plain, relay.ledger.len()), (0, 21));
    assert!((1000..1021).all(|number| relay.ledger.contains_key(&number)), "each is one more");
    assert_eq!((state(&mut device), causes(&device)), (SessionState::Usable, vec![]));
}

/// Section 9 of the profile: no two tickets with one Sender Key have a number in common.
#[test]
fn numbers_that_an_earlier_record_has_are_refused() {
    let release = release();
    let agreements = [SECRET, b"another secret!!"].map(Agreement::new);
    let install_with = |agreement: &Agreement, first: u64| {
        // It has the numbers from 1000 on.
        let mut device = device::<4, 256>(&release, 16, false);
        let session = agreement.session(8, false);
        let session = Session { numbers: Numbers { first, ..session.numbers }, ..session };
        let fields = Fields { session: Some(session), ..release.ticket() };
        let before = device.flash.operations;
        let outcome = install(&mut device.flash, &device.layout, &fields, &release.index);
        assert_eq!(outcome.is_err(), device.flash.operations == before, "what is refused changes nothing");
        outcome
    };
    let [same, other] = &agreements;
    let end = 1000 + (1 << 16);
    for first in [1000 - 255, 1000, 1001, end - 256, end - 1] {
        assert_eq!(install_with(same, first), Err(BootError::Session), "{first}");
        assert_eq!(install_with(other, first), Ok(Which::A), "{first}");
    }
    for first in [0, 1000 - 256, end] {
        assert_eq!(install_with(same, first), Ok(Which::A), "{first}");
    }
}

#[test]
fn what_gets_lost_comes_again_with_the_same_number() {
    let release = release();
    for separate in [None, Some((MessageType::Confirmable, Duration::from_millis(300)))] {
        let mut device = device::<4, 256>(&release, 16, false);
        let mut relay = relay(&release);
        relay.server.separate = separate;
        let mut n = 0_u32;
        device.link = Box::new(move |datagram| {
            n += 1;
            if n.is_multiple_of(3) { vec![] } else { vec![datagram.clone(), datagram] }
        });
        runs(&mut device, &mut relay, &release);
        assert_eq!((relay.plain, relay.ledger.len()), (0, 21), "{separate:?}");
    }
}

/// Before each answer, another one comes from somebody on the link: the right block in plain text, wrong bytes, a refusal in each way
/// that OSCORE has, and whatever else ends an exchange.
#[test]
fn nothing_unprotected_is_believed() {
    fn wrong(request: &Message<'_>) -> Vec<u8> {
        [&answer(request, Code::CONTENT)[..], b"\xd1\x0a\x02\xff", &[0xee; 64]].concat()
    }
    let release = release();
    let forgeries: [Forge; 11] = [
        |request| vec![wrong(request)],
        |request| vec![answer(request, Code::UNAUTHORIZED)],
        |request| vec![answer(request, Code::BAD_REQUEST)],
        |request| vec![answer(request, Code::BAD_OPTION)],
        |request| vec![answer(request, Code::NOT_FOUND)],
        |request| vec![answer(request, Code::SERVICE_UNAVAILABLE)],
        // Confirmable.
        |request| {
            let mut separate = answer(request, Code::CONTENT);
            separate[0] = 0x44;
            vec![separate]
        },
        // A request, as an acknowledgement.
        |request| vec![answer(request, Code::GET)],
        |request| vec![empty(request, 0x70)],
        // What is no RST, but has its type.
        |request| {
            let mut reset = answer(request, Code::CONTENT);
            reset[0] |= 0x30;
            vec![reset]
        },
        |request| [vec![empty(request, 0x60); 50], vec![empty(request, 0x70); 50]].concat(),
    ];
    for (n, forge) in forgeries.into_iter().enumerate() {
        let mut device = device::<4, 256>(&release, 16, true);
        let mut relay = relay(&release);
        relay.forge = Some(forge);
        runs(&mut device, &mut relay, &release);
        assert_eq!((relay.plain, relay.ledger.len(), causes(&device)), (0, 21, vec![]), "forgery {n}");
        assert_eq!(state(&mut device), SessionState::Usable);
    }
}

/// After an RST for each transmission the request is transmitted again, as if the RST had got lost (RFC 7252 §4.2).
#[test]
fn an_rst_does_not_end_retransmission() {
    let release = release();
    let mut device = device::<4, 256>(&release, 16, true);
    let mut relay = relay(&release);
    relay.forge = Some(|request| vec![empty(request, 0x70)]);
    let mut seen = HashSet::new();
    device.link = Box::new(move |datagram| {
        let is_answer = datagram[1] != Code::EMPTY.0;
        let is_first = is_answer && seen.insert(datagram.clone());
        if is_first { vec![] } else { vec![datagram] }
    });
    runs(&mut device, &mut relay, &release);
    assert_eq!((relay.plain, relay.ledger.len(), causes(&device)), (0, 21, vec![]));
    assert_eq!(state(&mut device), SessionState::Usable);
}

#[test]
fn a_response_is_for_its_request_alone() {
    let release = release();
    let mut device = device::<4, 256>(&release, 16, false);
    let mut relay = relay(&release);
    let mut before: Option<Vec<u8>> = None;
    device.link = Box::new(move |datagram| {
        // The one before, as if it were the answer to this request.
        let replayed = before.replace(datagram.clone()).map(|mut old| {
            old[2..8].copy_from_slice(&datagram[2..8]);
            old
        });
        replayed.into_iter().chain([datagram]).collect()
    });
    runs(&mut device, &mut relay, &release);
    assert_eq!((relay.ledger.len(), causes(&device)), (21, vec![]));
}

#[test]
fn every_bit_of_a_protected_response_counts() {
    let release = release();
    let mut device = device::<4, 256>(&release, 16, false);
    let mut relay = relay(&release);
    let mut bit = 0;
    device.link = Box::new(move |datagram| {
        let flipped = (0..20).map(|_| {
            let mut flipped = datagram.clone();
            // The type, the Message ID and the Token are nobody's secret.
            let at = 64 + bit % ((flipped.len() - 8) * 8);
            bit += 1;
            flipped[at / 8] ^= 1 << (at % 8);
            flipped
        });
        flipped.collect::<Vec<_>>().into_iter().chain([datagram]).collect()
    });
    runs(&mut device, &mut relay, &release);
    assert_eq!((relay.ledger.len(), causes(&device)), (21, vec![]));
}

/// RFC 8613, Appendix B.1.2.
#[test]
fn a_relay_that_lost_its_window_asks_for_an_echo() {
    let release = release();
    for length in [1, 8, 40] {
        let mut device = device::<4, 256>(&release, 16, false);
        let mut relay = relay(&release);
        relay.window = ReplayWindow::lost();
        relay.echo = Some(vec![7; length]);
        runs(&mut device, &mut relay, &release);
        assert_eq!(
            (relay.ledger.len(), causes(&device)),
            (22, vec![]),
            "the first one twice, with two numbers"
        );
    }
}

/// Three requests in a row are not enough.
#[test]
fn refusals_for_a_while_do_not_end_a_session() {
    let release = release();
    let mut device = device::<4, 256>(&release, 16, true);
    let mut relay = relay(&release);
    let agreement = relay.agreement.take();
    device.patience = Duration::from_secs(180);
    assert_eq!(device.boot(&mut relay), Ok(End::StillTrying));
    let rounds = causes(&device);
    assert!(!rounds.is_empty() && rounds.len() <= 3 && rounds.iter().all(|cause| *cause == Cause::Unknown));
    assert_eq!((relay.plain, state(&mut device)), (0, SessionState::Usable));
    relay.agreement = agreement;
    device.patience = Duration::from_secs(100_000);
    runs(&mut device, &mut relay, &release);
    assert_eq!((relay.plain, state(&mut device)), (0, SessionState::Usable));
}

#[test]
fn a_relay_that_does_not_know_the_session_is_gone_around_only_if_the_ticket_says_so() {
    let release = release();
    for plain_allowed in [true, false] {
        for other in [None, Some(Agreement::new(b"of somebody else"))] {
            let mut device = device::<4, 256>(&release, 16, plain_allowed);
            let mut relay = relay(&release);
            relay.agreement = other;
            device.patience = Duration::from_secs(20_000);
            let end = device.boot(&mut relay).unwrap();
            assert_eq!(state(&mut device), SessionState::Refused);
            let unknown = causes(&device).iter().filter(|cause| **cause == Cause::Unknown).count();
            if plain_allowed {
                assert_eq!((end, relay.plain, unknown), (End::Runs(Which::B), 21, 4));
                assert_eq!(device.slot(Which::B, release.image.len()), release.image);
            } else {
                assert_eq!((end, relay.plain), (End::StillTrying, 0));
                assert!(unknown > 4);
                // It comes back with the keys.
                relay.agreement = Some(Agreement::new(SECRET));
                device.patience = Duration::from_secs(100_000);
                runs(&mut device, &mut relay, &release);
            }
        }
    }
}

#[test]
fn what_flash_says_of_a_session_is_heeded_after_a_reset() {
    let release = release();
    let mut device = device::<4, 256>(&release, 16, true);
    let mut relay = relay(&release);
    relay.agreement = None;
    device.patience = Duration::from_secs(400);
    relay.server.silent = true;
    assert_eq!(device.boot(&mut relay), Ok(End::StillTrying));
    assert_eq!(state(&mut device), SessionState::Refused);
    let protected = relay.ledger.len();
    relay.server.silent = false;
    relay.agreement = Some(Agreement::new(SECRET));
    runs(&mut device, &mut relay, &release);
    assert_eq!((relay.ledger.len(), relay.plain > 20), (protected, true), "plain from the start");
}

#[test]
fn numbers_are_used_up() {
    let release = Release::new(image(70 * CHUNK, 2), ChunkSize::from_bytes(CHUNK as u32).unwrap(), 8);
    for plain_allowed in [true, false] {
        // 256 numbers, and 280 blocks.
        let mut device = device::<4, 256>(&release, 8, plain_allowed);
        let mut relay = relay(&release);
        device.patience = Duration::from_secs(100_000);
        let end = device.boot(&mut relay).unwrap();
        assert_eq!((relay.ledger.len(), state(&mut device)), (256, SessionState::UsedUp));
        if plain_allowed {
            assert_eq!((end, relay.plain), (End::Runs(Which::B), 24));
        } else {
            assert_eq!((end, relay.plain), (End::StillTrying, 0));
            let causes = causes(&device);
            assert!(causes.len() > 10 && causes.iter().all(|cause| *cause == Cause::UsedUp), "{causes:?}");
        }
    }
}

/// A relay, and somebody who guesses Tokens and Message IDs once all numbers are used up: both count up.
struct Guesser {
    relay: Guarded,
    latest: Option<(u16, u32)>,
    /// When it guessed last.
    at: Option<Instant>,
    guess: fn(u16, u32) -> Vec<u8>,
}

impl Peer for Guesser {
    fn handle_datagram(&mut self, now: Instant, peer: SocketAddr, datagram: &[u8]) {
        if let &[_, code, a, b, c, d, e, f, ..] = datagram
            && code != Code::EMPTY.0
        {
            self.latest = Some((u16::from_be_bytes([a, b]), u32::from_be_bytes([c, d, e, f])));
        }
        self.relay.handle_datagram(now, peer, datagram);
    }

    fn poll_transmit(&mut self, now: Instant) -> Vec<(SocketAddr, Vec<u8>)> {
        let mut all = self.relay.poll_transmit(now);
        if let Some((message_id, token)) = self.latest.filter(|_| self.relay.ledger.len() == 256)
            && self.at.replace(now) != Some(now)
        {
            let guesses =
                (1..40).map(|n| (self.guess)(message_id.wrapping_add(n), token.wrapping_add(n.into())));
            all.extend(guesses.map(|guess| (DEVICE, guess)));
        }
        all
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.relay.poll_timeout()
    }
}

/// Section 9.4 of the profile: without flag P nothing unprotected is taken, also when nothing can be protected any more.
#[test]
fn nothing_is_believed_when_numbers_are_used_up() {
    let release = Release::new(image(70 * CHUNK, 2), ChunkSize::from_bytes(CHUNK as u32).unwrap(), 8);
    let guesses: [fn(u16, u32) -> Vec<u8>; 3] = [
        // Block 256, with wrong bytes.
        |_, token| {
            [&[0x54, 0x45, 0, 1], &token.to_be_bytes()[..], b"\xd2\x0a\x10\x0a\xff", &[0xee; 64]].concat()
        },
        |_, token| [&[0x54, 0xa3, 0, 1][..], &token.to_be_bytes()].concat(),
        |message_id, _| [&[0x70, 0][..], &message_id.to_be_bytes()].concat(),
    ];
    for (n, guess) in guesses.into_iter().enumerate() {
        let mut device = device::<4, 256>(&release, 8, false);
        device.patience = Duration::from_secs(20_000);
        let mut relay = Guesser { relay: relay(&release), latest: None, at: None, guess };
        assert_eq!(device.boot(&mut relay), Ok(End::StillTrying));
        assert_eq!((relay.relay.ledger.len(), relay.relay.plain), (256, 0), "guess {n}");
        assert!(relay.at.is_some_and(|at| at > Instant::ZERO + Duration::from_secs(10_000)), "it goes on");
        let is_expected =
            |event: &Event| matches!(event, Event::Chunks { .. } | Event::Sleep { cause: Cause::UsedUp, .. });
        assert!(device.events.iter().all(is_expected), "guess {n}: {:?}", device.events);
        assert!(device.slot(Which::B, 70 * CHUNK)[64 * CHUNK..].iter().all(|byte| *byte == 0xff));
    }
}

#[test]
fn numbers_go_on_behind_what_was_reserved_at_each_of_many_resets() {
    let release = release();
    let mut device = device::<4, 256>(&release, 16, true);
    let mut relay = relay(&release);
    relay.server.silent = true;
    device.patience = Duration::from_secs(1);
    for reset in 1..=150 {
        assert_eq!(device.boot(&mut relay), Ok(End::StillTrying));
        assert_eq!(relay.ledger.len(), reset);
        assert!(relay.ledger.contains_key(&(1000 + 256 * (reset as u64 - 1))), "{reset}");
    }
    relay.server.silent = false;
    device.patience = Duration::from_secs(100_000);
    runs(&mut device, &mut relay, &release);
    assert_eq!((relay.plain, state(&mut device)), (0, SessionState::Usable));
}

/// What a life is to be like.
#[derive(Clone, Copy)]
struct Life {
    /// How many numbers the ticket has, as a power of two.
    exponent: u8,
    /// A block comes at the last of so many requests for it; the others are put off, which takes a number and no flash.
    requests: usize,
}

/// 21 requests, all with numbers of one entry.
const SHORT: Life = Life { exponent: 16, requests: 1 };
/// More than 1100: over four entries, until the numbers are used up and the device goes on without.
const WHOLE: Life = Life { exponent: 10, requests: 55 };

/// The life of a device with power cuts, each counted from the last: every datagram of it is in the ledger of one relay.
fn live<const WRITE: usize, const ERASE: usize>(
    release: &Release,
    life: Life,
    cuts: &[Cut],
    seed: u64,
) -> (u32, bool) {
    let is_short = life.requests == 1;
    let mut device = device::<WRITE, ERASE>(release, life.exponent, !is_short);
    let mut relay = relay(release);
    relay.server = relay.server.script(move |n, server| {
        let is_put_off = n % life.requests < life.requests - 1;
        server.error = is_put_off.then_some((Code::SERVICE_UNAVAILABLE, 1));
    });
    let mut later = cuts.iter().copied();
    device.flash.power_on(later.next(), seed);
    let mut came = 0;
    for turn in 0..=cuts.len() as u64 {
        match device.boot_or_power_gone(&mut relay) {
            End::PowerGone => {
                came += 1;
                device.flash.power_on(later.next(), seed + turn);
            }
            End::Runs(which) => {
                assert_eq!(device.slot(which, release.image.len()), release.image);
                assert_eq!(relay.plain > 0, !is_short);
                // A cut costs the rest of an entry, and one more when it tears that.
                let least = (1 << life.exponent) - 512 * cuts.len();
                assert!(is_short || relay.ledger.len() >= least, "{} numbers", relay.ledger.len());
                return (device.flash.operations, came == cuts.len());
            }
            end => panic!("{end:?}"),
        }
    }
    panic!("the image never came");
}

/// A cut at each operation, and torn operations in `ways` ways.
fn every_cut<const WRITE: usize, const ERASE: usize>(life: Life, ways: u64) {
    let release = release();
    let (operations, _) = live::<WRITE, ERASE>(&release, life, &[], 0);
    for at in 0..operations {
        for how in How::ALL {
            for seed in 0..if how == How::Torn { ways } else { 1 } {
                assert!(live::<WRITE, ERASE>(&release, life, &[Cut { at, how }], seed).1, "{at} {how:?}");
            }
        }
    }
}

fn pairs_of_cuts<const WRITE: usize, const ERASE: usize>() {
    let release = release();
    let (operations, _) = live::<WRITE, ERASE>(&release, SHORT, &[], 0);
    let mut both = 0;
    for seed in 0..500_u64 {
        let cut = |salt: u64| {
            let x = (seed * 2 + salt).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            // The second one among the first operations after the reset more often than not: that is where numbers are reserved.
            let at = (x >> 33) as u32 % if salt == 0 { operations } else { 6 };
            Cut { at, how: How::ALL[(x >> 20) as usize % 3] }
        };
        both += u32::from(live::<WRITE, ERASE>(&release, SHORT, &[cut(0), cut(1)], seed).1);
    }
    assert!(both > 300, "{both}");
}

#[test]
fn a_power_cut_at_any_flash_operation_repeats_no_nonce() {
    every_cut::<4, 256>(SHORT, 8);
    every_cut::<1, 256>(SHORT, 8);
    every_cut::<16, 256>(SHORT, 8);
    pairs_of_cuts::<4, 256>();
    pairs_of_cuts::<1, 256>();
    pairs_of_cuts::<16, 256>();
}

/// Over the whole life of a ticket: the numbers of one entry after the other, until they are used up.
#[test]
fn a_power_cut_in_the_whole_life_of_a_ticket_repeats_no_nonce() {
    every_cut::<4, 256>(WHOLE, 4);
    every_cut::<1, 256>(WHOLE, 4);
    every_cut::<16, 256>(WHOLE, 4);
}
