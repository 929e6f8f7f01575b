//! A device and the relay, driven until the device has what it wants.

use super::script::{Fate, Scenario};
use super::step::{Step, To, What};
use super::{RELAY_SEED, ROUTE};
use crate::flash::PAGE;
use crate::{manifests, release};
use sixfold_device::boot::Layout;
use sixfold_edhoc::Agreed;
use sixfold_engine::{
    Config, Engine, FetchCommand, FetchId, Id, Instant, LinkConfig, Master, NewSession, OriginEvent, Path,
    Route, UnboundedStore,
};
use std::error::Error;
use std::net::{Ipv6Addr, SocketAddr};

/// More than any of the scenarios needs.
const MOST_STEPS: usize = 1000;

/// Pages of a record, with the count of a session, and of a slot.
const RECORD: u32 = 8;
const SLOT: u32 = 4;
/// The bytes of a device's flash.
pub(super) const FLASH: u32 = (2 * RECORD + SLOT) * PAGE;

/// Two records, and one slot.
pub(super) fn layout() -> Layout {
    let place = |first: u32, pages: u32| first * PAGE..(first + pages) * PAGE;
    Layout::single([place(0, RECORD), place(RECORD, RECORD)], place(2 * RECORD, SLOT))
}

fn path() -> Path {
    let address = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0xff, 0xfe00, 1);
    Path { peer: SocketAddr::from((address, 5683)), local: None, socket: 0, interface: 0, multicast: false }
}

/// Of another member of the group, which asks once.
fn other_path() -> Path {
    let address = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0xff, 0xfe00, 2);
    Path { peer: SocketAddr::from((address, 5683)), ..path() }
}

/// What a device does: it gets datagrams and the time, and sends.
pub(super) trait Device {
    fn transmit(&mut self, now: Instant, buffer: &mut [u8]) -> Result<Option<usize>, String>;
    fn hear(&mut self, now: Instant, datagram: &[u8]) -> Result<(), String>;
    /// What went to the group of its ticket.
    fn hear_group(&mut self, _now: Instant, _datagram: &[u8]) -> Result<(), String> {
        Ok(())
    }
    fn time_out(&mut self, now: Instant) -> Result<(), String>;
    /// When it wants to be told the time.
    fn due(&self) -> Option<Instant>;
    /// Whether it has what it wants.
    fn is_done(&self) -> bool;
}

pub(super) struct Simulation<'a> {
    scenario: &'a Scenario,
    engine: Engine<UnboundedStore>,
    /// What the origin has beside the image.
    manifest: Vec<u8>,
    now: Instant,
    /// What the origin will say, and when.
    due: Vec<(Instant, FetchId, OriginEvent)>,
    fetches: usize,
    datagrams: usize,
    /// Everything that happened, in order.
    pub(super) steps: Vec<Step>,
}

impl<'a> Simulation<'a> {
    /// The device's link has a group when the relay `fans_out`.
    pub(super) fn new(scenario: &'a Scenario, fans_out: bool) -> Result<Self, Box<dyn Error>> {
        let (name, origin) = ROUTE;
        let route = Route { path: vec![name.to_owned()], origin: origin.to_owned(), require_session: None };
        let config = Config { routes: vec![route], ..Config::default() };
        let mut engine = Engine::new(config, UnboundedStore::default(), [RELAY_SEED; 32]);
        if fans_out {
            engine.set_link(Instant::ZERO, path().interface, Some(LinkConfig::default()));
        }
        Ok(Self {
            scenario,
            engine,
            manifest: manifests::plain()?,
            now: Instant::ZERO,
            due: Vec::new(),
            fetches: 0,
            datagrams: 0,
            steps: Vec::new(),
        })
    }

    /// When it is now.
    pub(super) const fn now(&self) -> Instant {
        self.now
    }

    /// The relay has a session with the device.
    pub(super) fn agree(&mut self, session: Option<&Agreed>) -> Result<(), Box<dyn Error>> {
        let Some(session) = session else { return Ok(()) };
        let id = |bytes: &[u8]| Id::new(bytes).ok_or("an identifier is too long");
        let master = Master {
            secret: session.master_secret.to_vec(),
            salt: session.master_salt.to_vec(),
            id_context: None,
        };
        let new = NewSession {
            name: "lamp-7".into(),
            recipient_id: id(&session.device_id)?,
            sender_id: id(&session.relay_id)?,
            master,
            lifetime: None,
        };
        self.engine.add_session(self.now, new).map_err(|error| format!("{error:?}").into())
    }

    /// The other member asks.
    pub(super) fn other(&mut self, bytes: Vec<u8>) {
        self.engine.handle_datagram(self.now, other_path(), &bytes);
        self.push(What::Other { bytes });
    }

    /// Until the device is done and nobody has anything to say.
    pub(super) fn drive(&mut self, device: &mut dyn Device) -> Result<(), String> {
        while self.steps.len() < MOST_STEPS {
            let before = self.steps.len();
            self.device(device)?;
            self.origin();
            self.relay(device)?;
            if self.steps.len() > before {
                continue;
            }
            if device.is_done() {
                return Ok(());
            }
            self.sleep(device)?;
        }
        Err(format!("{}: the device does not get what it wants", self.scenario.name))
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

    fn device(&mut self, device: &mut dyn Device) -> Result<(), String> {
        let mut buffer = [0; 256];
        while let Some(length) = device.transmit(self.now, &mut buffer)? {
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
            let FetchCommand::Start { id, url, .. } = command else { continue };
            let Some(fetch) = self.scenario.origin.get(self.fetches) else { continue };
            self.fetches += 1;
            let body = if url.ends_with(".suit") { self.manifest.clone() } else { release::image() };
            let (after, events) = fetch.answer(&body);
            self.due.extend(events.into_iter().map(|event| (self.now + after, id, event)));
        }
        let now = self.now;
        let due: Vec<_> = self.due.extract_if(.., |(at, ..)| *at <= now).collect();
        for (_, id, event) in due {
            self.engine.handle_origin(self.now, id, event.clone());
            self.push(What::Origin(event));
        }
    }

    fn relay(&mut self, device: &mut dyn Device) -> Result<(), String> {
        while let Some(transmit) = self.engine.poll_transmit() {
            let fate = self.fate();
            let to = To::of(transmit.path.peer, path().peer);
            match (fate.of(&transmit.bytes), to) {
                (Some(bytes), To::Device) => device.hear(self.now, &bytes)?,
                (Some(bytes), To::Group) => device.hear_group(self.now, &bytes)?,
                (Some(_), To::Other) | (None, _) => {}
            }
            self.push(What::Relay { bytes: transmit.bytes, fate, to });
        }
        Ok(())
    }

    /// Until the next deadline of anybody.
    fn sleep(&mut self, device: &mut dyn Device) -> Result<(), String> {
        let origin = self.due.iter().map(|(at, ..)| *at).min();
        let deadlines = [device.due(), self.engine.poll_timeout(), origin];
        self.now = deadlines.into_iter().flatten().min().unwrap_or(self.now).max(self.now);
        self.engine.handle_timeout(self.now);
        device.time_out(self.now)
    }
}
