//! What goes wrong around the relay, chosen at random, and how it is mended.

use super::devices::name;
use super::evidence::met;
use super::lamps::SESSIONS;
use super::ledger::Ledger;
use super::shared::Shared;
use super::{IMAGES, publish};
use crate::nginx::Nginx;
use crate::peer::Peer;
use crate::relay::{CONFIG, Relay};
use crate::scene::Scene;
use crate::{process, wait};
use anyhow::{Context, Result, ensure};
use std::fs;
use std::io::Write;
use std::process::Command;
use std::time::{Duration, Instant};

/// The relay's clock, as libfaketime reads it.
const CLOCK: &str = "/run/soak-clock";
/// A small disk, which holds what the relay keeps, and little else.
const DISK: &str = "/run/soak-disk";
const SPOOL: &str = "/run/soak-disk/spool";
const BALLAST: &str = "/run/soak-disk/ballast";
const ROTTEN: &str = "/run/soak-disk/rotten";
/// A cache that holds all images, and one that holds one or two.
const MEMORY: [(&str, u32); 2] = [("1 MiB", 1 << 20), ("48 KiB", 48 << 10)];
/// All that the relay gets of the machine, in bytes: one more, and it is at its end.
const ALL_MEMORY: u32 = 32 << 20;
/// How far the clock is off, one after the other. The first step is back already, which its log shows.
const STEPS: [&str; 5] = ["-3600", "+2d", "-30d", "+90", "+0"];

/// Numbers that follow from a seed: SplitMix64.
#[derive(Clone, Debug)]
pub(super) struct Chance(u64);

impl Chance {
    pub(super) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Less than `limit`.
    pub(super) const fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }
}

/// Troubles in an order that chance decides, each kind as often as the others: a soak has all of them early.
#[derive(Debug, Default)]
pub(super) struct Deck(Vec<Trouble>);

impl Deck {
    pub(super) fn draw(&mut self, chance: &mut Chance) -> Trouble {
        if self.0.is_empty() {
            self.0.extend(Trouble::LASTING_LIFE);
        }
        let place = chance.below(self.0.len() as u64) as usize;
        self.0.swap_remove(place)
    }
}

/// One kind of trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    OriginDies,
    OriginFails,
    OriginIsSlow,
    NewVersion,
    Reload,
    BadReload,
    LittleMemory,
    DiskFull,
    DiskRots,
    Restart,
    Kill,
    ClockSteps,
    InterfaceFlaps,
    Purge,
}

impl Trouble {
    /// How many kinds there are.
    pub(super) const KINDS: usize = Self::LASTING_LIFE.len() + 2;

    /// All that a relay has to live through: [`Self::Restart`] and [`Self::Kill`] have times of their own.
    pub(super) const LASTING_LIFE: [Self; 12] = [
        Self::OriginDies,
        Self::OriginFails,
        Self::OriginIsSlow,
        Self::NewVersion,
        Self::Reload,
        Self::BadReload,
        Self::LittleMemory,
        Self::DiskFull,
        Self::DiskRots,
        Self::ClockSteps,
        Self::InterfaceFlaps,
        Self::Purge,
    ];

    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::OriginDies => "the origin dies",
            Self::OriginFails => "the origin answers 503",
            Self::OriginIsSlow => "the origin is slow",
            Self::NewVersion => "a new version",
            Self::Reload => "reload",
            Self::BadReload => "reload with a mistake",
            Self::LittleMemory => "little memory for images",
            Self::DiskFull => "the disk is full",
            Self::DiskRots => "the disk changes bytes",
            Self::Restart => "restart",
            Self::Kill => "kill -9",
            Self::ClockSteps => "the clock steps",
            Self::InterfaceFlaps => "the interface goes and comes",
            Self::Purge => "purge",
        }
    }
}

/// What there is to break, and what is broken.
pub(super) struct World<'s> {
    scene: &'s Scene,
    shared: &'s Shared,
    origin: Option<Nginx>,
    relay: Option<Relay<'s>>,
    /// When the origin is itself again.
    origin_mends: Option<Instant>,
    interface_mends: Option<Instant>,
    disk_mends: Option<Instant>,
    memory: usize,
    /// How often the clock has stepped.
    steps: usize,
    lives: u32,
}

impl<'s> World<'s> {
    pub(super) fn new(scene: &'s Scene, shared: &'s Shared) -> Result<Self> {
        fs::write(CLOCK, "+0")?;
        fs::create_dir(DISK)?;
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", "size=256k", "tmpfs", DISK]).status()?;
        ensure!(mounted.success(), "a small disk cannot be made");
        fs::create_dir(SPOOL)?;
        let mut world = Self {
            scene,
            shared,
            origin: None,
            relay: None,
            origin_mends: None,
            interface_mends: None,
            disk_mends: None,
            memory: 0,
            steps: 0,
            lives: 0,
        };
        world.origin = Some(scene.another_nginx("")?);
        world.start_relay()?;
        Ok(world)
    }

    pub(super) const fn relay(&self) -> Option<&Relay<'s>> {
        self.relay.as_ref()
    }

    /// How often the relay was started.
    pub(super) const fn lives(&self) -> u32 {
        self.lives
    }

    fn config(&self) -> String {
        let (memory, _) = MEMORY[self.memory];
        format!(
            "{CONFIG}max_age = \"3 s\"\n[[link]]\ninterface = \"lowpan0\"\nbit_rate = 1000000\nframe = 2047\n[cache]\nmemory = \"{memory}\"\n\
             disk = {{ path = \"{SPOOL}\", limit = \"160 KiB\" }}\nmax_object = \"32 KiB\"\nnegative_ttl = \"1 s\"\n[origin]\nconnect_timeout = \"2 s\"\nheaders_timeout = \"5 s\"\n\
             retries = 2\n[limits]\nclient_rate = 0\n{SESSIONS}"
        )
    }

    fn start_relay(&mut self) -> Result<()> {
        self.lives += 1;
        let library = Peer::Faketime.program().with_context(|| Peer::Faketime.remedy())?;
        let environment = [
            ("LD_PRELOAD", library.display().to_string()),
            ("FAKETIME_TIMESTAMP_FILE", CLOCK.to_owned()),
            ("FAKETIME_NO_CACHE", "1".to_owned()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
        ];
        let relay = Relay::start_with(&self.scene.net.relay, "relay", &self.config(), &environment)?;
        let (all, pid) = (format!("--data={ALL_MEMORY}"), relay.id().to_string());
        process::run(Command::new("prlimit").args(["--pid", &pid, &all]))?;
        self.relay = Some(relay);
        Ok(())
    }

    /// The relay's life is over: what its log says of it.
    fn bury(relay: &Relay<'_>, ledger: &mut Ledger) {
        ledger.relay_log = relay.log();
        ledger.met.extend(met(&ledger.relay_log));
    }

    pub(super) fn make(&mut self, trouble: Trouble, chance: &mut Chance, ledger: &mut Ledger) -> Result<()> {
        let lasts = Duration::from_millis(500 + chance.below(4_000));
        match trouble {
            Trouble::OriginDies => self.replace_origin(None, lasts),
            Trouble::OriginFails => self.replace_origin(Some("location / { return 503; }"), lasts),
            Trouble::OriginIsSlow => self.replace_origin(Some("limit_rate 4k;"), lasts),
            Trouble::NewVersion => publish(self.shared, chance.below(IMAGES as u64) as usize, chance),
            Trouble::Reload => self.reload(0, ledger),
            Trouble::LittleMemory => self.reload(1, ledger),
            Trouble::BadReload => {
                let wrong = self.config().replace("path", "pth");
                self.relay.as_ref().map_or(Ok(()), |relay| relay.reload(&wrong))
            }
            Trouble::DiskFull => {
                self.disk_mends = Some(Instant::now() + lasts);
                fill(BALLAST)
            }
            Trouble::DiskRots => rot(chance),
            Trouble::Restart => self.restart(ledger),
            Trouble::Kill => {
                if let Some(relay) = self.relay.take() {
                    Self::bury(&relay, ledger);
                    relay.kill()?;
                }
                self.start_relay()
            }
            Trouble::ClockSteps => {
                fs::write(CLOCK, STEPS[self.steps % STEPS.len()])?;
                self.steps += 1;
                Ok(())
            }
            Trouble::InterfaceFlaps => {
                if self.interface_mends.is_none() {
                    self.scene.net.remove_device_interface()?;
                    self.interface_mends = Some(Instant::now() + lasts);
                }
                Ok(())
            }
            Trouble::Purge => {
                let (code, said) = self.relay.as_ref().context("no relay")?.command(&[
                    "purge",
                    &format!("/fw/{}", name(0)),
                    "/fw/image-1.bin",
                ])?;
                ensure!(code == 0, "{said}");
                Ok(())
            }
        }
    }

    /// Takes effect, or is a fault.
    fn reload(&mut self, memory: usize, ledger: &mut Ledger) -> Result<()> {
        self.memory = memory;
        let Some(relay) = &self.relay else { return Ok(()) };
        relay.reload(&self.config())?;
        let (text, bytes) = MEMORY[memory];
        let is_in_force =
            || relay.metric("sixfold_cache_limit_bytes").is_ok_and(|now| now == f64::from(bytes));
        if wait::until_true("the reload", wait::SOON, is_in_force).is_err() {
            ledger.faults.push(format!("after a reload the cache is not limited to {text}"));
        }
        Ok(())
    }

    /// An orderly end, and a start.
    fn restart(&mut self, ledger: &mut Ledger) -> Result<()> {
        self.end(ledger)?;
        self.start_relay()
    }

    /// An orderly end.
    pub(super) fn end(&mut self, ledger: &mut Ledger) -> Result<()> {
        let Some(relay) = self.relay.take() else { return Ok(()) };
        Self::bury(&relay, ledger);
        let status = relay.stop()?;
        if !status.success() {
            ledger.faults.push(format!("the relay ended with {status}"));
        }
        Ok(())
    }

    /// Another origin server in the place of that of the scene, for a while.
    fn replace_origin(&mut self, directives: Option<&str>, lasts: Duration) -> Result<()> {
        self.origin.take().map_or(Ok(()), Nginx::kill)?;
        if let Some(directives) = directives {
            self.origin = Some(self.scene.another_nginx(directives)?);
        }
        self.origin_mends = Some(Instant::now() + lasts);
        Ok(())
    }

    pub(super) fn mend_what_is_due(&mut self, ledger: &mut Ledger) -> Result<()> {
        let now = Instant::now();
        if self.interface_mends.is_some_and(|at| at <= now) {
            self.scene.net.create_device_interface()?;
            self.interface_mends = None;
        }
        if self.disk_mends.is_some_and(|at| at <= now) {
            fs::remove_file(BALLAST)?;
            self.disk_mends = None;
        }
        if self.origin_mends.is_some_and(|at| at <= now) {
            self.origin.take().map_or(Ok(()), Nginx::kill)?;
            self.origin = Some(self.scene.another_nginx("")?);
            self.origin_mends = None;
        }
        // One that ended by itself is a fault, and started again as its supervisor would.
        if self.relay.as_mut().is_some_and(|relay| !relay.is_running()) {
            if let Some(relay) = self.relay.take() {
                Self::bury(&relay, ledger);
            }
            let last = ledger.relay_log.lines().last().unwrap_or_default();
            ledger.faults.push(format!("the relay ended by itself: {last}"));
            self.start_relay()?;
        }
        Ok(())
    }

    pub(super) fn mend_all(&mut self, ledger: &mut Ledger) -> Result<()> {
        let now = Instant::now();
        self.interface_mends = self.interface_mends.map(|_| now);
        self.disk_mends = self.disk_mends.map(|_| now);
        self.origin_mends = Some(now);
        self.mend_what_is_due(ledger)?;
        fs::write(CLOCK, "+0")?;
        self.reload(0, ledger)
    }
}

/// Takes all the room that its disk has left.
fn fill(file: &str) -> Result<()> {
    let mut file = fs::File::create(file)?;
    loop {
        match file.write(&[0; 4096]) {
            Ok(written) if written > 0 => {}
            _ => return Ok(()),
        }
    }
}

/// One byte of every file that the relay keeps becomes another: it has to notice before it serves them. What it reads at this moment
/// stays as it is, because a digest holds for what was read.
fn rot(chance: &mut Chance) -> Result<()> {
    for entry in fs::read_dir(SPOOL)? {
        let file = entry?.path();
        // The relay may have removed it since.
        let Ok(mut bytes) = fs::read(&file) else { continue };
        if !bytes.is_empty() {
            let place = chance.below(bytes.len() as u64) as usize;
            bytes[place] ^= 1;
            // A disk that is full keeps its files.
            if fs::write(ROTTEN, bytes).is_ok() {
                fs::rename(ROTTEN, &file)?;
            }
        }
    }
    Ok(())
}
