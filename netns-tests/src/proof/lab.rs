//! Runs of the same scenario with every seed, on all cores.

use crate::proof::{Case, Limit, Scale, Spread};
use anyhow::{Result, anyhow};
use sixfold_air::outcome::Outcome;
use sixfold_air::scenario::{Overrides, Scenario};
use sixfold_air::sim::{self, Server};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// Memory of a device for listening, in bytes: for the blocks that the worst of a thousand devices misses after one pass.
const LISTEN_MEMORY: u32 = 24 * 1024;

/// Where runs are made.
#[derive(Clone, Copy, Debug)]
pub struct Lab {
    /// How large they are.
    pub scale: Scale,
    threads: usize,
}

/// A fleet, and who serves it.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Who serves.
    pub server: Server,
    /// How many devices.
    pub devices: u32,
    /// Lost frames, in percent.
    pub loss_percent: u32,
    /// The size of a block in bytes.
    pub block_bytes: u16,
    /// More of `[topology]`; a star unless it says otherwise.
    pub topology: &'static str,
    /// More of `[fetch]`.
    pub fetch: String,
    /// The whole of `[network]`.
    pub network: &'static str,
    /// The whole of `[radio]`.
    pub radio: &'static str,
    /// The whole of `[disturbance]`.
    pub disturbance: String,
}

impl Setup {
    /// A star of devices, blocks of one frame.
    pub fn star(server: Server, devices: u32, loss_percent: u32) -> Self {
        let (fetch, disturbance) = (String::new(), String::new());
        Self {
            server,
            devices,
            loss_percent,
            block_bytes: 64,
            network: "",
            radio: "",
            topology: "shape = \"star\"",
            fetch,
            disturbance,
        }
    }

    /// What it is called in the report.
    pub fn name(&self) -> String {
        let Self { server, devices, loss_percent, block_bytes, .. } = self;
        format!("{} × {devices}, {loss_percent} %, {block_bytes}-byte blocks", server.label())
    }

    fn scenario(&self, scale: Scale) -> Result<Scenario> {
        let Self { topology, fetch, network, radio, disturbance, .. } = self;
        let memory = if fetch.contains("listen_memory") {
            String::new()
        } else {
            format!("listen_memory = {LISTEN_MEMORY}\n")
        };
        let text = format!(
            "name = \"proof\"\n[topology]\ndevices = 1\n{topology}\n[fetch]\n{memory}{fetch}\n[network]\n{network}\n[radio]\n{radio}\n[disturbance]\n{disturbance}"
        );
        let overrides = Overrides {
            devices: Some(self.devices),
            loss: Some(f64::from(self.loss_percent) / 100.0),
            image_bytes: Some(scale.image_bytes),
            block_bytes: Some(self.block_bytes),
        };
        let scenario = Scenario::read(&text, &overrides).map_err(|mistakes| anyhow!("{mistakes}"))?;
        match self.server.refuses(&scenario) {
            Some(refusal) => Err(anyhow!(refusal)),
            None => Ok(scenario),
        }
    }
}

impl Lab {
    /// A laboratory with so many threads.
    pub const fn new(scale: Scale, threads: usize) -> Self {
        Self { scale, threads }
    }

    /// One outcome for each seed.
    pub fn run(&self, setup: &Setup) -> Result<Vec<Outcome>> {
        let setups: Vec<Setup> = (0..self.scale.seeds).map(|_| setup.clone()).collect();
        self.run_each(&setups)
    }

    /// One outcome for each seed, whose setups differ.
    pub fn run_each(&self, setups: &[Setup]) -> Result<Vec<Outcome>> {
        let next = AtomicUsize::new(0);
        let outcomes = Mutex::new(Vec::new());
        let work = || {
            while let Some((place, setup)) = {
                let place = next.fetch_add(1, Ordering::Relaxed);
                setups.get(place).map(|setup| (place, setup))
            } {
                let run = |scenario| sim::run(&scenario, setup.server, place as u64 + 1);
                let outcome = setup.scenario(self.scale).map(run);
                outcomes.lock().unwrap_or_else(|broken| broken.into_inner()).push((place, outcome));
            }
        };
        thread::scope(|scope| {
            for _ in 0..self.threads.max(1) {
                scope.spawn(work);
            }
        });
        let mut outcomes = outcomes.into_inner().unwrap_or_else(|broken| broken.into_inner());
        outcomes.sort_by_key(|(place, _)| *place);
        outcomes.into_iter().map(|(_, outcome)| outcome).collect()
    }
}

/// A case of these outcomes, one a seed.
pub fn case(
    name: String,
    outcomes: &[Outcome],
    figure: (&'static str, &dyn Fn(&Outcome) -> f64),
    required: Option<Limit>,
) -> Case {
    let (label, value) = figure;
    let all = |value: &dyn Fn(&Outcome) -> f64| Spread::of(outcomes.iter().map(value).collect());
    Case {
        name,
        figure: label,
        measured: all(value),
        required,
        done: outcomes.iter().fold((0, 0), |(done, all), run| (done + run.done, all + run.devices)),
        all_must_finish: required.is_some(),
        last_s: all(&last_s),
        frames_per_image_byte: all(&|outcome| outcome.frames_per_image_byte).median,
        jain: all(&|outcome| outcome.jain).min,
    }
}

/// When the last device was done; never, if somebody gave up.
pub fn last_s(outcome: &Outcome) -> f64 {
    outcome.last_done_s.unwrap_or(f64::INFINITY)
}

/// The same over the bound.
pub fn over_bound(outcome: &Outcome) -> f64 {
    last_s(outcome) / outcome.bound_s
}

/// The median goodput in kbit/s.
pub fn goodput_kbps(outcomes: &[Outcome]) -> f64 {
    Spread::of(outcomes.iter().map(|outcome| outcome.goodput_bps / 1000.0).collect()).median
}
