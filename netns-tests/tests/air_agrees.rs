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
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// How far the two may be apart.
const TOLERANCE: f64 = 0.15;
/// Whatever else this machine has to do makes real time longer, and never shorter: of so many runs one must agree.
const RUNS: usize = 3;
/// Where threads wake up later than this on average, the machine is too busy to say that real time is too long: a block
/// takes 15 ms, and some six threads wake up for it one after the other.
const QUIET: Duration = Duration::from_micros(300);
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

/// Does something, and tells how late threads woke up meanwhile, on average.
fn and_lateness<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    const NAP: Duration = Duration::from_millis(1);
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let naps = scope.spawn(|| {
            let (start, mut naps) = (Instant::now(), 0);
            while !is_over.load(Ordering::Relaxed) {
                thread::sleep(NAP);
                naps += 1;
            }
            start.elapsed() / naps.max(1) - NAP
        });
        let done = work();
        is_over.store(true, Ordering::Relaxed);
        (done, naps.join().unwrap_or_default())
    })
}

fn compare(scenario: &Scenario) -> Result<()> {
    let virtual_: Vec<Outcome> = (1..=SEEDS).map(|seed| sim::run(scenario, Server::Ours, seed)).collect();
    let mean = |figure: fn(&Outcome) -> f64| virtual_.iter().map(figure).sum::<f64>() / SEEDS as f64;
    let frames = |outcome: &Outcome| outcome.frames as f64;
    let (expected_s, expected_frames) = (mean(completion_s), mean(frames));
    let mut was_quiet = false;
    for _ in 0..RUNS {
        let network = Network::create(scenario, SEED, &NodeSockets::new(), None)?;
        let (real, lateness) = and_lateness(|| job::run(scenario, &network, SEED, |_| ()));
        let real = real?;
        let text = format!(
            "{} devices: {:.2} s and {} frames in real time, {expected_s:.2} s and {expected_frames:.0} frames \
             in virtual time; threads woke up {lateness:?} too late",
            real.devices,
            completion_s(&real),
            real.frames
        );
        eprintln!("{text}");
        ensure!(real.done == real.devices && real.wrong_bytes == 0, "{real:?}");
        ensure!((frames(&real) / expected_frames - 1.0).abs() < TOLERANCE, "{text}");
        let excess = completion_s(&real) / expected_s - 1.0;
        ensure!(excess > -TOLERANCE, "{text}");
        if excess < TOLERANCE {
            return Ok(());
        }
        was_quiet |= lateness < QUIET;
    }
    ensure!(!was_quiet, "real time is longer than virtual time, and not for a busy machine");
    eprintln!("this machine is too busy to say whether real time is too long");
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
