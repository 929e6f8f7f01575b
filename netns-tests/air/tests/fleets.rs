//! Fleets in virtual time: the real engine and the real device core, and their peers, over the modelled channel.

mod support;

use sixfold_air::loss::Loss;
use sixfold_air::outcome::{Outcome, bound};
use sixfold_air::scenario::{Disturbance, Fetch, Network, Origin, Radio, Scenario, Scope};
use sixfold_air::sim::{Server, run};
use sixfold_air::topology::{Hearing, Topology};
use std::time::Duration;
use support::{line, star, star_with};

fn scenario(topology: Topology, image_bytes: u32, block_bytes: u16) -> Scenario {
    Scenario {
        name: "test".to_owned(),
        radio: Radio::default(),
        network: Network::default(),
        topology,
        fetch: Fetch { image_bytes, block_bytes, ..Fetch::default() },
        origin: Origin::default(),
        disturbance: Disturbance::default(),
    }
}

fn is_right(outcome: &Outcome) -> bool {
    outcome.wrong_bytes == 0
        && outcome.done + outcome.gave_up == outcome.devices
        && outcome.first_done_s.is_none_or(|first| first >= outcome.bound_s)
        && outcome.done_s.is_sorted()
}

#[test]
fn one_device_gets_its_image_from_every_server() {
    for server in Server::ALL {
        for block in [16, 64, 256, 1024] {
            let outcome = run(&scenario(star(1), 5000, block), server, 1);
            assert!(is_right(&outcome) && outcome.done == 1, "{server:?} {block}: {outcome:?}");
            assert_eq!((outcome.retransmissions, outcome.collisions), (0, 0));
        }
    }
}

/// A block of 64 bytes and its headers: IPHC with two opaque identifiers 18, UDP 7, CoAP 4 + 4 of token, ETag 9, Block2 3,
/// Max-Age 3, payload marker 1. That is 113 octets, where a frame has room for 104: one frame asks, two answer.
#[test]
fn frames_are_those_that_the_messages_need() {
    let outcome = run(&scenario(star(1), 64 * 100, 64), Server::Ours, 1);
    assert_eq!(outcome.frames, 100 * (1 + 2));
    assert_eq!(outcome.frames_per_image_byte, 300.0 / 6400.0);
    // 100 requests and 200 acknowledgements: what the device sends at 32 µs an octet, PHY included.
    assert!(outcome.tx_ms_per_device > 100.0 * 32e-3 * f64::from(29 + 25 + 15 + 2 * 11));
    assert!(outcome.tx_ms_per_device < 100.0 * 32e-3 * f64::from(29 + 25 + 25 + 2 * 11));
}

#[test]
fn loss_delays_but_never_corrupts() {
    for server in Server::ALL {
        for seed in 0..10 {
            let topology = star_with(5, Loss::Bernoulli(0.25), Hearing::All);
            let outcome = run(&scenario(topology, 4000, 128), server, seed);
            assert!(is_right(&outcome), "{server:?} {seed}: {outcome:?}");
            assert!(outcome.done > 0 && outcome.mac_retries > 0, "{server:?} {seed}: {outcome:?}");
        }
    }
}

#[test]
fn a_hundred_boot_programs_all_get_their_image() {
    for loss in [0.0, 0.1] {
        let mut scenario = scenario(star_with(100, Loss::Bernoulli(loss), Hearing::All), 24 * 1024, 1024);
        scenario.fetch.give_up_after = Duration::from_secs(6 * 3600);
        let outcome = run(&scenario, Server::Boot, 1);
        assert!(is_right(&outcome) && outcome.done == 100, "{outcome:?}");
        assert!(outcome.retransmissions > 0, "they were in each other's way");
    }
}

#[test]
fn nobody_gets_anything_over_a_dead_link() {
    for server in Server::ALL {
        let topology = star_with(2, Loss::Bernoulli(1.0), Hearing::All);
        let outcome = run(&scenario(topology, 1000, 64), server, 1);
        assert_eq!((outcome.done, outcome.gave_up, outcome.last_done_s), (0, 2, None), "{server:?}");
        assert_eq!((outcome.goodput_bps, outcome.jain), (0.0, 0.0));
    }
}

#[test]
fn a_run_ends_when_its_time_is_over() {
    let mut scenario = scenario(star(3), 96 * 1024, 64);
    scenario.fetch.give_up_after = Duration::from_secs(5);
    let outcome = run(&scenario, Server::Ours, 1);
    assert_eq!((outcome.done, outcome.gave_up), (0, 3));
    assert!(outcome.rx_ms_per_device + outcome.tx_ms_per_device <= 5000.0);
}

#[test]
fn devices_may_power_on_over_hours_or_all_at_once() {
    let mut scenario = scenario(star(20), 64, 64);
    scenario.fetch.power_on_within = Duration::from_secs(5 * 3600);
    let outcome = run(&scenario, Server::Ours, 1);
    assert!(is_right(&outcome) && outcome.done == 20, "{outcome:?}");
    let last = outcome.last_done_s.unwrap_or_default();
    assert!(last > 3600.0 && last < 5.0 * 3600.0 + 1.0, "{outcome:?}");
    scenario.fetch.power_on_within = Duration::ZERO;
    assert!(is_right(&run(&scenario, Server::Ours, 1)));
}

#[test]
fn without_carrier_sense_a_radio_still_does_one_thing_at_a_time() {
    let mut scenario = scenario(star(1), 6400, 64);
    scenario.radio.csma = false;
    let outcome = run(&scenario, Server::Ours, 1);
    assert!(is_right(&outcome) && outcome.done == 1, "{outcome:?}");
    assert_eq!(outcome.collisions, 0);
}

#[test]
fn images_with_more_blocks_than_tftp_can_count_are_refused() {
    let mut scenario = scenario(star(1), 512 * 65_535 - 1, 64);
    assert_eq!(Server::Tftp.refuses(&scenario), None);
    scenario.fetch.image_bytes += 1;
    assert!(Server::Tftp.refuses(&scenario).is_some());
    assert!(Server::TftpOptions.refuses(&scenario).is_some());
    assert_eq!(Server::Ours.refuses(&scenario), None);
}

#[test]
fn the_same_seed_gives_the_same_fleet() {
    let outcome = |server, seed| {
        run(&scenario(star_with(10, Loss::Bernoulli(0.1), Hearing::All), 2000, 64), server, seed)
    };
    for server in Server::ALL {
        assert_eq!(outcome(server, 7), outcome(server, 7));
        assert_ne!(outcome(server, 7).frames, outcome(server, 8).frames);
    }
}

#[test]
fn the_origin_is_asked_once_for_all() {
    let outcome = run(&scenario(star(10), 20_000, 512), Server::Ours, 1);
    assert_eq!((outcome.done, outcome.origin_bytes), (10, 20_000));
}

#[test]
fn a_slow_origin_holds_everybody_up_and_nobody_fails() {
    let mut scenario = scenario(star(3), 10_000, 512);
    scenario.origin = Origin { delay: Duration::from_secs(4), bytes_per_s: 1000, ..Origin::default() };
    let outcome = run(&scenario, Server::Ours, 1);
    assert!(is_right(&outcome) && outcome.done == 3, "{outcome:?}");
    assert!(outcome.first_done_s > Some(13.0), "{outcome:?}");
}

#[test]
fn every_hop_costs_the_frames_of_the_first() {
    let frames = |hops| {
        let mut scenario = scenario(line(hops), 6400, 64);
        scenario.network.scope = Scope::Global;
        let outcome = run(&scenario, Server::Ours, 1);
        assert!(is_right(&outcome) && outcome.done == 1, "{outcome:?}");
        outcome.frames
    };
    assert_eq!(frames(3), 3 * frames(1));
}

#[test]
fn link_layer_security_makes_everything_slower() {
    let mut secured = scenario(star(1), 9600, 64);
    secured.radio.security = true;
    let open = run(&scenario(star(1), 9600, 64), Server::Ours, 1);
    let secured = run(&secured, Server::Ours, 1);
    assert!(secured.bound_s > open.bound_s && secured.first_done_s > open.first_done_s);
}

#[test]
fn ten_thousand_devices_fit_in_memory() {
    let outcome = run(&scenario(star(10_000), 64, 64), Server::Ours, 1);
    assert!(is_right(&outcome) && outcome.devices == 10_000, "{outcome:?}");
    assert!(outcome.done > 0);
}

/// 96 KiB: 893 frames of 110 bytes (127 − 15 of header − 2 of FCS) and one of 74, at 32 µs an octet with 6 octets of
/// PHY, and 640 µs between them.
#[test]
fn the_bound_is_the_arithmetic_of_the_standard() {
    let us = 893 * (32 * 133 + 640) + 32 * (6 + 17 + 74);
    assert_eq!(bound(98_304, false), Duration::from_micros(us));
    assert_eq!(bound(1, false), Duration::from_micros(32 * (6 + 17 + 1)));
    assert_eq!(bound(110, false), Duration::from_micros(32 * 133));
    assert_eq!(bound(111, false), Duration::from_micros(32 * 133 + 640 + 32 * 24));
}

#[test]
fn json_keys_are_stable() {
    let json = serde_json::to_string(&run(&scenario(star(1), 64, 64), Server::Ours, 1)).unwrap();
    let stable = [
        "devices",
        "done",
        "gave_up",
        "first_done_s",
        "median_done_s",
        "p95_done_s",
        "last_done_s",
        "bound_s",
        "goodput_bps",
        "frames",
        "frames_per_image_byte",
        "collisions",
        "retransmissions",
        "jain",
        "wrong_bytes",
        "seed",
    ];
    let places: Vec<_> = stable.map(|key| json.find(&format!("\"{key}\":"))).into();
    assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{json}");
}
