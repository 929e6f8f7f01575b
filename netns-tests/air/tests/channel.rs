//! The channel against arithmetic: what one link carries, how contention goes, what is lost.

mod support;

use sixfold_air::air::{Air, Event};
use sixfold_air::counters::Counters;
use sixfold_air::loss::Loss;
use sixfold_air::scenario::{Network, Radio};
use sixfold_air::topology::{Hearing, NodeId, Topology};
use sixfold_profile::Instant;
use std::collections::HashSet;
use std::time::Duration;
use support::{BORDER_ROUTER, broadcast_frame, frame_to, star, star_with};

const FOREVER: Duration = Duration::MAX;

/// What one sender achieves, derived from the standard. In µs, for a PSDU of n octets with extended addresses:
///
/// ```text
///   3.5 × 320   mean backoff: 0 to 7 unit backoff periods of 20 symbols
/// + 128         clear channel assessment: 8 symbols
/// + 192         turnaround: 12 symbols
/// + 32 × (6+n)  synchronisation and PHY header, PSDU, at 250 kbit/s
/// + 192 + 352   turnaround, acknowledgement of 5 octets with its 6 octets of PHY
/// + 640         long interframe space: 40 symbols (short, 192, for n ≤ 18)
/// ```
///
/// n is the payload and 23 octets: frame control 2, sequence number 1, PAN 2, addresses 16, FCS 2.
const GOODPUT: [(usize, f64); 6] = [
    // payload, µs a frame: 1120 + 128 + 192 + 32 × (29 + payload) + 544 + 640
    (1, 3584.0),
    (10, 3872.0),
    (20, 4192.0),
    (50, 5152.0),
    (80, 6112.0),
    (104, 6880.0),
];

#[test]
fn one_link_carries_what_the_standard_says() {
    for (payload, cycle_us) in GOODPUT {
        let elapsed = saturate(star(1), Radio::default(), payload, 4000, FOREVER).elapsed;
        let measured = elapsed.as_micros() as f64 / 4000.0;
        // The mean of 4000 backoffs is within 35 µs of 1120 (three standard errors).
        assert!((measured - cycle_us).abs() < 35.0, "{payload} bytes: {measured} µs, not {cycle_us}");
    }
}

#[test]
fn without_acknowledgements_their_time_is_saved() {
    let radio = Radio { acknowledged: false, ..Radio::default() };
    let run = saturate(star(1), radio, 104, 4000, FOREVER);
    assert_eq!(run.total.acknowledgements, 0);
    assert!((run.elapsed.as_micros() as f64 / 4000.0 - (6880.0 - 544.0)).abs() < 35.0);
}

#[test]
fn security_costs_ten_octets_a_frame() {
    let radio = Radio { security: true, ..Radio::default() };
    let run = saturate(star(1), radio, 50, 4000, FOREVER);
    assert!((run.elapsed.as_micros() as f64 / 4000.0 - (5152.0 + 320.0)).abs() < 35.0);
    assert_eq!(saturate(star(1), radio, 94, 1, FOREVER).total.undeliverable, 0);
    assert_eq!(saturate(star(1), radio, 95, 1, FOREVER).total.undeliverable, 1);
}

/// The shape that analyses of unslotted CSMA/CA agree on: with short frames a few senders fill each other's backoffs;
/// with more, collisions take back more than they add; with a hundred that never pause, hardly a frame survives.
#[test]
fn throughput_rises_to_a_peak_and_collapses_with_the_number_of_senders() {
    let throughput = [1, 2, 3, 10, 30, 100].map(saturation_throughput);
    let [one, two, three, ten, thirty, hundred] = throughput;
    assert!(one < two && two < three, "{throughput:?}");
    assert!(three > ten && ten > thirty && thirty > hundred, "{throughput:?}");
    assert!(hundred < 0.05 * one, "{throughput:?}");
}

/// Delivered frames a second when each of `senders` always has one to send.
fn saturation_throughput(senders: u32) -> f64 {
    saturate(star(senders), Radio::default(), 1, 9000, Duration::from_secs(20)).arrived as f64 / 20.0
}

#[test]
fn hidden_senders_collide_much_more() {
    let collisions = |hearing| {
        let mut topology = star_with(2, Loss::NONE, hearing);
        topology.nodes[2].cell = 1;
        saturate(topology, Radio::default(), 104, 1000, FOREVER).total.collisions
    };
    let (open, hidden) = (collisions(Hearing::All), collisions(Hearing::Family(HashSet::new())));
    assert!(hidden > 4 * open.max(1), "{open} collisions in the open, {hidden} when hidden");
}

#[test]
fn a_lossy_link_loses_its_share_and_retries_mend_it() {
    let topology = star_with(1, Loss::Bernoulli(0.2), Hearing::All);
    let counters = saturate(topology, Radio::default(), 50, 5000, FOREVER).total;
    // Each try takes a frame and an acknowledgement: 0.8 × 0.8. Four tries: 1 − 0.36⁴ = 98.3 % are acknowledged.
    let lost = counters.losses as f64 / (counters.frames + counters.acknowledgements) as f64;
    assert!((lost - 0.2).abs() < 0.01, "{lost}");
    let given_up = counters.unacknowledged as f64 / 5000.0;
    assert!((given_up - 0.36_f64.powi(4)).abs() < 0.005, "{given_up}");
}

#[test]
fn losses_come_in_bursts_from_gilbert_and_elliott() {
    let loss = Loss::GilbertElliott { to_bad: 0.02, to_good: 0.2, good: 0.0, bad: 0.9 };
    let radio = Radio { acknowledged: false, ..Radio::default() };
    let counters = saturate(star_with(1, loss, Hearing::All), radio, 50, 40_000, FOREVER).total;
    let lost = counters.losses as f64 / counters.frames as f64;
    assert!((lost - loss.mean()).abs() < 0.01, "{lost} lost, {} expected", loss.mean());
}

#[test]
fn broadcasts_reach_everybody_once_and_nobody_acknowledges() {
    let mut air = Air::new(star(20), Radio::default(), Network::default(), 1);
    air.use_frames(BORDER_ROUTER);
    (1..=20).for_each(|node| air.use_frames(NodeId(node)));
    air.send_frame(Instant::ZERO, BORDER_ROUTER, &broadcast_frame(BORDER_ROUTER, b"to all"));
    assert_eq!(run(&mut air, FOREVER).0, 20);
    let total = total(&mut air);
    assert_eq!((total.frames, total.acknowledgements), (1, 0));
}

#[test]
fn a_full_queue_drops_and_counts() {
    let mut air = Air::new(star(1), Radio { queue: 4, ..Radio::default() }, Network::default(), 1);
    for _ in 0..10 {
        air.send_frame(Instant::ZERO, NodeId(1), &frame_to(NodeId(1), BORDER_ROUTER, &[0; 10]));
    }
    assert_eq!(air.counters(NodeId(1)).queue_drops, 6);
}

#[test]
fn every_node_transmits_for_as_long_as_its_frames_take() {
    let run = saturate(star(1), Radio::default(), 50, 100, FOREVER);
    let frame_and_acknowledgement = Duration::from_micros(32 * (6 + 23 + 50) + 32 * (6 + 5));
    assert_eq!(run.total.transmitting, frame_and_acknowledgement * 100);
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let trace = |seed| {
        let topology = star_with(3, Loss::Bernoulli(0.1), Hearing::All);
        let mut air = Air::new(topology, Radio::default(), Network::default(), seed);
        air.sniff();
        for node in 1..=3 {
            let frame = frame_to(NodeId(node), BORDER_ROUTER, &[7; 30]);
            (0..30).for_each(|_| air.send_frame(Instant::ZERO, NodeId(node), &frame));
        }
        let mut sent = Vec::new();
        while let Some(now) = air.poll_timeout() {
            air.handle_timeout(now);
            while let Some(event) = air.poll_event() {
                sent.push(event);
            }
        }
        sent
    };
    assert_eq!(trace(1), trace(1));
    assert_ne!(trace(1), trace(2));
}

/// A star whose `senders` have `frames` frames each to send to the border router, as fast as they can, until all is
/// quiet or the limit is reached.
struct Saturated {
    total: Counters,
    arrived: u64,
    elapsed: Duration,
}

fn saturate(topology: Topology, radio: Radio, payload: usize, frames: u32, limit: Duration) -> Saturated {
    let mut air = Air::new(topology, Radio { queue: frames as usize, ..radio }, Network::default(), 1);
    air.use_frames(BORDER_ROUTER);
    let senders: Vec<NodeId> = air.topology().fetchers().collect();
    for node in senders {
        let frame = frame_to(node, BORDER_ROUTER, &vec![0; payload]);
        (0..frames).for_each(|_| air.send_frame(Instant::ZERO, node, &frame));
    }
    let (arrived, elapsed) = run(&mut air, limit);
    Saturated { total: total(&mut air), arrived, elapsed }
}

fn total(air: &mut Air) -> Counters {
    let nodes = air.topology().ids();
    nodes.map(|node| air.counters(node)).sum()
}

/// Gives how many frames arrived, and when the last thing happened.
fn run(air: &mut Air, limit: Duration) -> (u64, Duration) {
    let (mut arrived, mut now) = (0, Instant::ZERO);
    while let Some(next) = air.poll_timeout().filter(|next| next.since(Instant::ZERO) < limit) {
        now = next;
        air.handle_timeout(now);
        while let Some(event) = air.poll_event() {
            arrived += u64::from(matches!(event, Event::Frame { .. }));
        }
    }
    (arrived, now.since(Instant::ZERO))
}
