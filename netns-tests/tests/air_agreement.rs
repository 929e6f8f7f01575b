//! Virtual and real time agree: one scenario, simulated and run with real programs, ends after the same time.

use anyhow::{Result, ensure};
use sixfold_air::outcome::Outcome;
use sixfold_air::scenario::{Overrides, Scenario};
use sixfold_air::sim::{self, Server};
use sixfold_netns_tests::lab::job;
use sixfold_netns_tests::lab::network::{FrameSockets, Network};
use sixfold_netns_tests::peer::Peer;
use sixfold_netns_tests::sandbox;

const STAR: &str = include_str!("../scenarios/star.toml");
/// How far the completion may be off.
const TOLERANCE: f64 = 0.15;
/// One run of many devices says little: chance spreads their medians by a tenth.
const SIMULATED: u64 = 40;

fn agree(
    what: &str,
    virtual_time: &[Outcome],
    real_time: &[Outcome],
    figure: fn(&Outcome) -> f64,
) -> Result<()> {
    let mean = |outcomes: &[Outcome]| outcomes.iter().map(figure).sum::<f64>() / outcomes.len() as f64;
    let (expected, measured) = (mean(virtual_time), mean(real_time));
    println!("{what}: {expected:.3} in virtual time, {measured:.3} in real time");
    ensure!(
        (measured / expected - 1.0).abs() <= TOLERANCE,
        "{what}: {expected:.3} in virtual time, {measured:.3} in real time"
    );
    Ok(())
}

fn compare(devices: u32, image_bytes: u32, block_bytes: u16, runs: u64) -> Result<()> {
    let (devices, image_bytes, block_bytes) = (Some(devices), Some(image_bytes), Some(block_bytes));
    let overrides = Overrides { devices, image_bytes, block_bytes, loss: None };
    let scenario = Scenario::read(STAR, &overrides)?;
    let simulated: Vec<_> = (1..=SIMULATED).map(|seed| sim::run(&scenario, Server::Ours, seed)).collect();
    let network = Network::create(&scenario, 1, &FrameSockets::new(), None)?;
    let run =
        (1..=runs).map(|seed| job::run(&scenario, &network, seed, |_| ())).collect::<Result<Vec<_>>>()?;
    for outcome in simulated.iter().chain(&run) {
        ensure!(outcome.gave_up == 0 && outcome.wrong_bytes == 0, "{outcome:?}");
    }
    agree("time until the median device is done", &simulated, &run, |run| run.median_done_s.unwrap_or(0.0))?;
    agree("frames", &simulated, &run, |run| run.frames as f64)
}

#[test]
fn one_device() -> Result<()> {
    sandbox::run(&[Peer::Radvd], || compare(1, 10_000, 64, 1))
}

#[test]
fn ten_devices() -> Result<()> {
    sandbox::run(&[Peer::Radvd], || compare(10, 8_000, 1024, 4))
}
