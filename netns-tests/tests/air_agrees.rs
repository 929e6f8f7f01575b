//! The same scenario in virtual and in real time: the laboratory's two clocks must agree.

use anyhow::{Result, ensure};
use sixfold_air::outcome::Outcome;
use sixfold_air::scenario::{Overrides, Scenario};
use sixfold_air::sim::{self, Server};
use sixfold_netns_tests::lab::job;
use sixfold_netns_tests::lab::network::{Network, NodeSockets};
use sixfold_netns_tests::peer::Peer;
use sixfold_netns_tests::{sandbox, workspace};
use std::fs;

/// How far the two may be apart.
const TOLERANCE: f64 = 0.15;
/// Whatever else this machine has to do makes real time longer, and never shorter: of so many runs the least counts.
const RUNS: usize = 3;
const SEED: u64 = 1;
/// Chance moves the mean completion of ten devices by 4 % (standard deviation) from seed to seed: the mean over these is
/// what one run in real time is held against.
const SEEDS: u64 = 20;

fn star(devices: u32, image_bytes: u32, block_bytes: u16) -> Result<Scenario> {
    let overrides = Overrides {
        devices: Some(devices),
        loss: None,
        image_bytes: Some(image_bytes),
        block_bytes: Some(block_bytes),
    };
    let text = fs::read_to_string(workspace::root().join("netns-tests/scenarios/star.toml"))?;
    Ok(Scenario::read(&text, &overrides)?)
}

/// From power-on to the last byte, for a device on average.
fn completion_s(outcome: &Outcome) -> f64 {
    (outcome.tx_ms_per_device + outcome.rx_ms_per_device) / 1000.0
}

/// What is compared.
fn figures(outcome: &Outcome) -> [f64; 2] {
    [completion_s(outcome), outcome.frames as f64]
}

fn compare(scenario: &Scenario) -> Result<()> {
    let mut expected = [0.0; 2];
    for seed in 1..=SEEDS {
        let figures = figures(&sim::run(scenario, Server::Ours, seed));
        expected = [0, 1].map(|n| expected[n] + figures[n] / SEEDS as f64);
    }
    let mut least = [f64::INFINITY; 2];
    for _ in 0..RUNS {
        let network = Network::create(scenario, SEED, &NodeSockets::new(), None)?;
        let real = job::run(scenario, &network, SEED, |_| ())?;
        ensure!(real.done == real.devices && real.wrong_bytes == 0, "{real:?}");
        least = [0, 1].map(|n| figures(&real)[n].min(least[n]));
        println!(
            "{} devices: {:.2?} in real time, {expected:.2?} in virtual time",
            real.devices,
            figures(&real)
        );
        if [0, 1].iter().all(|n| least[*n] < expected[*n] * (1.0 + TOLERANCE)) {
            break;
        }
    }
    for (n, what) in ["completion (s)", "frames"].into_iter().enumerate() {
        let (real, expected) = (least[n], expected[n]);
        ensure!(
            (real / expected - 1.0).abs() < TOLERANCE,
            "{what}: {real} in real time, {expected} in virtual time"
        );
    }
    Ok(())
}

#[test]
fn one_device_takes_as_long_in_real_time_as_in_virtual_time() -> Result<()> {
    sandbox::run(&[Peer::Radvd, Peer::Tun], || compare(&star(1, 32 * 1024, 64)?))
}

#[test]
fn ten_devices_take_as_long_in_real_time_as_in_virtual_time() -> Result<()> {
    sandbox::run(&[Peer::Radvd, Peer::Tun], || compare(&star(10, 32 * 1024, 1024)?))
}
