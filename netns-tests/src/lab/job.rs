//! The main job in real time: an origin, sixfold-relay, and a sixfold-device for every node that fetches.

use crate::device::{self, Fetch};
use crate::lab::network::Network;
use crate::lab::service::{self, Service};
use anyhow::{Context, Result};
use bytes::Bytes;
use serde_json::Value;
use sixfold_air::counters::Counters;
use sixfold_air::host::{Progress, State, Stream};
use sixfold_air::outcome::{Device, Outcome, Totals};
use sixfold_air::random::Random;
use sixfold_air::scenario::Scenario;
use sixfold_air::topology::NodeId;
use sixfold_profile::Instant;
use std::fs;
use std::thread;
use std::time::Duration;

/// sixfold-device's exit status when no answer came in time.
const NO_ANSWER: i32 = 4;
/// How often devices are looked at: finer than any figure that is reported.
const GLANCE: Duration = Duration::from_millis(2);
const POWER_ON_STREAM: u64 = 3;
const IMAGE_STREAM: u64 = 2;

/// A device's program, and what became of it.
struct Running {
    node: NodeId,
    name: String,
    power_on: Instant,
    /// When its program is started next.
    start: Instant,
    fetch: Option<Fetch>,
    end: Option<Instant>,
    /// It ended with the whole image.
    succeeded: bool,
    /// What its programs said that they had sent again.
    retransmissions: u64,
    /// How long it had transmitted when it ended.
    transmitting: Option<Duration>,
}

/// Runs the job over a network that has settled. `progress` is told how many devices have ended.
pub fn run(
    scenario: &Scenario,
    network: &Network,
    seed: u64,
    mut progress: impl FnMut(usize),
) -> Result<Outcome> {
    let mut random = Random::new(seed, IMAGE_STREAM);
    let image: Bytes = (0..scenario.fetch.image_bytes).map(|_| random.bits() as u8).collect();
    let service = Service::start(network, image.clone())?;
    let before = network.air.traffic()?.counters;
    let start = network.clock.now();
    let mut devices = power_ons(scenario, network, seed, start);
    let deadline = start + scenario.fetch.give_up_after;
    let mut ended = 0;
    while ended < devices.len() && network.clock.now() < deadline {
        for device in &mut devices {
            device.look(network, scenario)?;
        }
        ended = devices.iter().filter(|device| device.end.is_some()).count();
        progress(ended);
        thread::sleep(GLANCE);
    }
    let traffic = network.air.traffic()?.counters;
    let used: Vec<Counters> =
        traffic.iter().zip(&before).map(|(after, before)| after.since(before)).collect();
    let end = network.clock.now();
    let mut retransmissions = service.retransmissions()?;
    let devices: Vec<Device> = devices
        .iter_mut()
        .map(|device| {
            retransmissions += device.retransmissions;
            let before = before[device.node.index()].transmitting;
            let after = device.transmitting.unwrap_or(traffic[device.node.index()].transmitting);
            device.result(&image, end, after - before)
        })
        .collect();
    let origin_bytes = service.origin_bytes();
    let totals = Totals { counters: used, end, retransmissions, origin_bytes, stream: Stream::default() };
    Ok(Outcome::new(scenario, "ours", seed, &devices, &totals))
}

/// Devices with stacks of their own are somebody else's to run.
fn power_ons(scenario: &Scenario, network: &Network, seed: u64, start: Instant) -> Vec<Running> {
    let mut random = Random::new(seed, POWER_ON_STREAM);
    let within = scenario.fetch.power_on_within;
    let device = |node: NodeId| {
        network.netns(node)?;
        let power_on = start + within.mul_f64(f64::from(random.bits()) / f64::from(u32::MAX));
        let name = format!("device-{}", scenario.topology.node(node).name);
        Some(Running {
            node,
            name,
            power_on,
            start: power_on,
            fetch: None,
            end: None,
            succeeded: false,
            retransmissions: 0,
            transmitting: None,
        })
    };
    scenario.topology.fetchers().filter_map(device).collect()
}

impl Running {
    /// Starts the device when it is time, and notes its end.
    fn look(&mut self, network: &Network, scenario: &Scenario) -> Result<()> {
        let now = network.clock.now();
        match &mut self.fetch {
            None if now < self.start => {}
            None => self.fetch = Some(self.begin(network, scenario)?),
            Some(fetch) if self.end.is_none() => {
                let Some(status) = fetch.status()? else { return Ok(()) };
                self.retransmissions += retransmissions(&fetch.output());
                match scenario.fetch.restart_after {
                    Some(pause) if status.code() == Some(NO_ANSWER) => {
                        self.start = now + pause;
                        self.fetch = None;
                    }
                    _ => {
                        self.end = Some(now);
                        self.succeeded = status.success();
                        let counters = network.air.traffic()?.counters;
                        self.transmitting =
                            counters.get(self.node.index()).map(|counters| counters.transmitting);
                    }
                }
            }
            Some(_) => {}
        }
        Ok(())
    }

    /// Starts the program, which goes on where it was if it ran before.
    fn begin(&self, network: &Network, scenario: &Scenario) -> Result<Fetch> {
        let netns = network.netns(self.node).context("no namespace")?;
        let block = scenario.fetch.block_bytes.to_string();
        let arguments = ["--quiet", "--json", "--szx", &block];
        device::fetch_from(network.border_router(), netns, &self.name, service::PATH, &arguments)
    }

    fn result(&mut self, image: &[u8], now: Instant, transmitting: Duration) -> Device {
        let state = if self.succeeded { State::Done } else { State::GaveUp };
        // What it has so far is in a file of another name until it is complete.
        let file = device::file(&self.name, self.succeeded);
        let got = fs::read(file).unwrap_or_default();
        let differ = got.iter().zip(image).filter(|(got, wanted)| got != wanted).count();
        let surplus = if self.succeeded { got.len().abs_diff(image.len()) } else { 0 };
        let wrong = differ + surplus;
        let progress = Progress { state, received: got.len() as u64, wrong: wrong as u64, discarded: 0 };
        let end = self.end.unwrap_or(now);
        Device { node: self.node, power_on: self.power_on, end, progress, transmitting }
    }
}

/// What a device says about itself when it is done; nothing if it gave up.
fn retransmissions(report: &str) -> u64 {
    let report = serde_json::from_str::<Value>(report).ok();
    report.and_then(|report| report["retransmissions"].as_u64()).unwrap_or(0)
}
