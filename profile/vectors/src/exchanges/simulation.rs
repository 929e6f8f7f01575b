//! The device and the relay, driven until the device has its image.

use super::script::{Fate, Scenario};
use super::step::{Step, What};
use super::{DEVICE_SEED, RELAY_SEED, ROUTE};
use crate::flash::{Flash, PAGE};
use crate::release;
use sixfold_device::boot::{Boot, BootError, Layout, install};
use sixfold_engine::{
    Config, Engine, FetchCommand, FetchId, Instant, OriginEvent, Path, Route, UnboundedStore,
};
use sixfold_profile::ticket::{Ticket, TicketError};
use std::error::Error;
use std::net::{Ipv6Addr, SocketAddr};

/// More than any of the scenarios needs.
const MOST_STEPS: usize = 1000;

/// Two records of four pages, and one slot of four.
fn layout() -> Layout {
    let place = |number: u32| 4 * number * PAGE..4 * (number + 1) * PAGE;
    Layout::single([place(0), place(1)], place(2))
}

fn path() -> Path {
    let address = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0xff, 0xfe00, 1);
    Path { peer: SocketAddr::from((address, 5683)), local: None, socket: 0, interface: 0, multicast: false }
}

struct Simulation<'a, 't> {
    scenario: &'a Scenario,
    boot: Boot<'t, Flash>,
    engine: Engine<UnboundedStore>,
    now: Instant,
    /// What the origin will say, and when.
    due: Vec<(Instant, FetchId, OriginEvent)>,
    fetches: usize,
    datagrams: usize,
    steps: Vec<Step>,
}

/// Everything that happens, in order.
pub(super) fn run(scenario: &Scenario, ticket: &Ticket<'_>) -> Result<Vec<Step>, Box<dyn Error>> {
    let mut flash = Flash::erased(12 * PAGE);
    let fields = ticket.fields().map_err(TicketError::Field)?;
    let which = install(&mut flash, &layout(), &fields, &release::index()).map_err(say)?;
    let boot = Boot::new(flash, &layout(), which, *ticket, DEVICE_SEED).map_err(say)?;
    let (name, origin) = ROUTE;
    let route = Route { path: vec![name.to_owned()], origin: origin.to_owned() };
    let config = Config { routes: vec![route], ..Config::default() };
    let simulation = Simulation {
        scenario,
        boot,
        engine: Engine::new(config, UnboundedStore::default(), [RELAY_SEED; 32]),
        now: Instant::ZERO,
        due: Vec::new(),
        fetches: 0,
        datagrams: 0,
        steps: Vec::new(),
    };
    simulation.until_bootable()
}

fn say<E: std::fmt::Debug>(error: BootError<E>) -> String {
    error.to_string()
}

impl Simulation<'_, '_> {
    fn until_bootable(mut self) -> Result<Vec<Step>, Box<dyn Error>> {
        while self.steps.len() < MOST_STEPS {
            let before = self.steps.len();
            self.device()?;
            self.origin();
            self.relay()?;
            if self.steps.len() > before {
                continue;
            }
            if self.boot.is_bootable() {
                return Ok(self.steps);
            }
            self.sleep()?;
        }
        Err(format!("{}: the device does not get its image", self.scenario.name).into())
    }

    fn push(&mut self, what: What) {
        self.steps.push(Step { at: self.now, what });
    }

    /// What becomes of the next datagram.
    fn fate(&mut self) -> Fate {
        let number = self.datagrams;
        self.datagrams += 1;
        let fate = self.scenario.fates.iter().find(|(of, _)| *of == number);
        fate.map_or(Fate::Arrives, |(_, fate)| *fate)
    }

    fn device(&mut self) -> Result<(), String> {
        let mut buffer = [0; 256];
        while let Some(length) = self.boot.poll_transmit(self.now, &mut buffer).map_err(say)? {
            let bytes = buffer.get(..length).unwrap_or_default().to_vec();
            let fate = self.fate();
            if let Some(bytes) = fate.of(&bytes) {
                self.engine.handle_datagram(self.now, path(), &bytes);
            }
            self.push(What::Device { bytes, fate });
        }
        Ok(())
    }

    /// Takes new fetches, and says what is due about earlier ones.
    fn origin(&mut self) {
        while let Some(command) = self.engine.poll_fetch() {
            let FetchCommand::Start { id, .. } = command else { continue };
            let Some(fetch) = self.scenario.origin.get(self.fetches) else { continue };
            self.fetches += 1;
            let (after, events) = fetch.answer(&release::image());
            self.due.extend(events.into_iter().map(|event| (self.now + after, id, event)));
        }
        let now = self.now;
        let due: Vec<_> = self.due.extract_if(.., |(at, ..)| *at <= now).collect();
        for (_, id, event) in due {
            self.engine.handle_origin(self.now, id, event.clone());
            self.push(What::Origin(event));
        }
    }

    fn relay(&mut self) -> Result<(), String> {
        while let Some(transmit) = self.engine.poll_transmit() {
            let fate = self.fate();
            if let Some(bytes) = fate.of(&transmit.bytes) {
                self.boot.handle_datagram(self.now, &bytes).map_err(say)?;
            }
            self.push(What::Relay { bytes: transmit.bytes, fate });
        }
        Ok(())
    }

    /// Until the next deadline of anybody.
    fn sleep(&mut self) -> Result<(), String> {
        let origin = self.due.iter().map(|(at, ..)| *at).min();
        let deadlines = [self.boot.poll_timeout(), self.engine.poll_timeout(), origin];
        self.now = deadlines.into_iter().flatten().min().unwrap_or(self.now).max(self.now);
        self.engine.handle_timeout(self.now);
        self.boot.handle_timeout(self.now).map_err(say)?;
        Ok(())
    }
}
