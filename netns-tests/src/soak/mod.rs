//! A relay under many devices for a long time, while everything around it goes wrong: what it must neither lose, nor mix
//! up, nor keep.
//!
//! `devices` fetch and compare every byte, `lamps` are a few real programs beside them, with a group and with sessions; `trouble` is
//! chosen at random, and `evidence` tells which of it the relay met; `ledger` has the figures and the verdicts.

mod devices;
mod evidence;
mod lamps;
mod ledger;
mod shared;
mod trouble;

pub use ledger::{Ledger, Sample};
pub use shared::Way;

use crate::netns::Netns;
use crate::peer::Peer;
use crate::scene::Scene;
use crate::{nginx, wait};
use anyhow::{Context, Result, anyhow};
use devices::Fleet;
use lamps::LAMPS;
use shared::{Phase, Shared};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};
use trouble::{Chance, Deck, Trouble, World};

/// What a soak needs of the machine.
pub const NEEDS: &[Peer] = &[Peer::Nginx, Peer::Radvd, Peer::Faketime];

/// How many images devices fetch.
const IMAGES: usize = 6;
/// After the last trouble each device has to get one more image within this time, and that is the newest.
const SETTLING: Duration = Duration::from_secs(200);
/// How often a relay is started in a soak. The last of its lives is the longest, so that what grows slowly is seen too.
const LIVES: u32 = 5;
/// The share of a soak that each of the others has.
const SHORT_LIFE: u32 = 12;
/// How many kinds of trouble there are.
pub const KINDS: usize = Trouble::KINDS;
/// Between two looks at the relay's memory and descriptors.
const SAMPLING: Duration = Duration::from_secs(1);

/// What is to be done.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Devices at the same time.
    pub devices: usize,
    /// How long there is trouble.
    pub duration: Duration,
    /// Decides which, and when.
    pub seed: u64,
}

/// Runs a soak, in [`crate::isolation`]. `tell` hears of each trouble.
///
/// # Errors
/// When the network or a program could not be made; what the relay did wrong is in the ledger.
pub fn run(plan: &Plan, tell: impl Fn(&str)) -> Result<Ledger> {
    let mut scene = Scene::with_devices(1 + LAMPS, "")?;
    // Others take its place.
    scene.kill_nginx()?;
    let mut chance = Chance::new(plan.seed);
    let shared = Arc::new(Shared::default());
    for image in 0..IMAGES {
        publish(&shared, image, &mut chance)?;
    }
    let (field, places) = scene.net.devices.split_first().context("no devices")?;
    let lamp_image = lamps::equip(field)?;
    let lamps = lamps::all(places, &shared, &lamp_image);
    let started = Instant::now();
    let mut ledger = Ledger::default();
    thread::scope(|scope| {
        let mut devices = vec![scope.spawn(|| drive(field, plan, &shared))];
        devices.extend(lamps.iter().map(|lamp| scope.spawn(|| lamp.run())));
        let outcome = disturb(plan, &scene, &shared, &mut chance, &mut ledger, started, &tell);
        shared.set_phase(Phase::Over);
        for device in devices {
            device.join().map_err(|_| anyhow!("the devices panicked"))??;
        }
        outcome
    })?;
    shared.settle(&mut ledger);
    Ok(ledger)
}

/// Publishes another version of an image, of another length.
fn publish(shared: &Shared, image: usize, chance: &mut Chance) -> Result<()> {
    let length = 2_000 + chance.below(14_000) as usize;
    let content = crate::image::image(chance.next(), length);
    // Known before it is there: a device may be faster than this.
    shared.add_version(image, content.clone());
    nginx::publish(&devices::name(image), &content)
}

fn drive(field: &Netns, plan: &Plan, shared: &Shared) -> Result<()> {
    let targets = devices::targets(IMAGES)?;
    field.enter(|| Fleet::new(&targets, plan.devices, plan.seed, shared)?.run())?
}

fn disturb(
    plan: &Plan,
    scene: &Scene,
    shared: &Shared,
    chance: &mut Chance,
    ledger: &mut Ledger,
    started: Instant,
    tell: &impl Fn(&str),
) -> Result<()> {
    let mut world = World::new(scene, shared)?;
    let mut deck = Deck::default();
    let mut next = started + Duration::from_secs(2);
    let mut ends = (1..LIVES).map(|life| started + plan.duration / SHORT_LIFE * life).peekable();
    let mut endings = [Trouble::Restart, Trouble::Kill].into_iter().cycle();
    while started.elapsed() < plan.duration {
        if Instant::now() >= next {
            let ending = ends.next_if(|end| *end <= Instant::now()).and_then(|_| endings.next());
            let trouble = ending.unwrap_or_else(|| deck.draw(chance));
            tell(&format!("{:>6.1} s  {}", started.elapsed().as_secs_f64(), trouble.label()));
            ledger.trouble(trouble.label());
            world.make(trouble, chance, ledger).with_context(|| trouble.label())?;
            next = Instant::now() + Duration::from_millis(500 + chance.below(3_500));
        }
        world.mend_what_is_due(ledger)?;
        sample(ledger, &world, started, shared);
        thread::sleep(SAMPLING);
    }
    world.mend_all(ledger)?;
    tell(&format!("{:>6.1} s  all is well again", started.elapsed().as_secs_f64()));
    shared.set_phase(Phase::Settling);
    let well = Instant::now();
    let settled = wait::until_true("a whole image for every device", SETTLING, || {
        sample(ledger, &world, started, shared);
        shared.waiting() == 0
    });
    ledger.recovery = well.elapsed();
    ledger.stranded = if settled.is_ok() { 0 } else { shared.waiting() };
    world.end(ledger)?;
    let unmet =
        evidence::unmet(ledger).into_iter().map(|label| format!("the relay's log has nothing of: {label}"));
    ledger.faults.extend(unmet.collect::<Vec<_>>());
    Ok(())
}

fn sample(ledger: &mut Ledger, world: &World<'_>, started: Instant, shared: &Shared) {
    let at = started.elapsed();
    if ledger.samples.last().is_some_and(|last: &Sample| at - last.at < SAMPLING / 2) {
        return;
    }
    // Between two lives there is nobody to ask.
    let Some(metrics) = world.relay().and_then(|relay| relay.metrics().ok()) else { return };
    let value = |name: &str| {
        let line =
            metrics.lines().find(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(' ')));
        line.and_then(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).unwrap_or_default() as u64
    };
    ledger.samples.push(Sample {
        at,
        life: world.lives(),
        rss_bytes: value("process_resident_memory_bytes"),
        descriptors: value("process_open_fds"),
        images: shared.finished(),
    });
}
