//! Several devices on one lossy link with a relay that fans out, in virtual time.
#![allow(dead_code, unreachable_pub)] // Every test program uses its own part of this module.

use super::device::Release;
use super::flash::{Cut, Flash, PowerGone};
use super::relay::Relay;
use sixfold_device::boot::{Boot, BootError, Cause, Choice, Event, Layout, Which, choose, install, record};
use sixfold_profile::Instant;
use sixfold_profile::ticket::{Endpoint, Fields, Group, MAX_TICKET, Session};
use std::collections::VecDeque;
use std::net::Ipv6Addr;
use std::time::Duration;

pub const GROUP: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0xfd);
/// How long a datagram is under way.
const DELAY: Duration = Duration::from_millis(2);
/// Between a power cut and the next start.
const OFF: Duration = Duration::from_millis(500);
/// More steps than any of these updates needs.
const STEPS: usize = 3_000_000;

pub type Store = Flash<4, 256>;
/// What becomes of a datagram of the stream on its way to a device.
type Tamper = Box<dyn FnMut(usize, &mut Vec<u8>)>;

/// What a relay does with what is protected.
pub trait Guard {
    /// What of the ticket of a device is the session.
    fn session(&self, device: usize) -> Session<'_>;
    /// The request in a datagram of a device, which must be protected; `None` for a message without a request.
    fn open(&mut self, device: usize, datagram: &[u8]) -> Option<Vec<u8>>;
    /// The answer, protected.
    fn seal(&mut self, device: usize, answer: &[u8]) -> Vec<u8>;
}

/// Release as a ticket for a member.
pub fn ticket<'a>(release: &'a Release, relay: &'a Relay) -> Fields<'a> {
    let endpoint = Endpoint { address: GROUP, port: 5685 };
    let group = Some(Group { endpoint, token: &relay.token });
    Fields { etag: Some(&relay.etag), group, szx: relay.szx, ..release.ticket() }
}

pub struct Member {
    pub flash: Option<Store>,
    pub layout: Layout,
    pub boot: Option<Boot<'static, Store>>,
    /// When it starts, or starts again.
    pub starts: Instant,
    /// It hears nothing until then.
    pub deaf_until: Instant,
    pub memory: usize,
    pub events: Vec<Event>,
    /// When it ran the new image.
    pub done: Option<Instant>,
    /// How often the power went.
    pub resets: u32,
    /// When the power goes, one after the other, each counted from the last.
    pub cuts: VecDeque<Cut>,
    /// What its slots must hold when their image may run.
    images: [Vec<u8>; 2],
    seed: u32,
}

pub struct Fleet {
    pub relay: Relay,
    pub members: Vec<Member>,
    pub now: Instant,
    /// Percent of the datagrams that each receiver loses.
    pub loss: u32,
    /// Changes a datagram of the stream on its way to a device.
    pub tamper: Tamper,
    /// Requests and answers are protected.
    pub guard: Option<Box<dyn Guard>>,
    /// For how long the fleet is watched.
    pub patience: Duration,
    mail: Vec<(Instant, usize, Vec<u8>)>,
    dice: u64,
}

impl Member {
    fn new(layout: Layout, flash: Store, images: [Vec<u8>; 2], memory: usize, seed: u32) -> Self {
        Self {
            flash: Some(flash),
            layout,
            boot: None,
            starts: Instant::ZERO,
            deaf_until: Instant::ZERO,
            memory,
            events: Vec::new(),
            done: None,
            resets: 0,
            cuts: VecDeque::new(),
            images,
            seed,
        }
    }

    fn is_on(&self) -> bool {
        self.boot.is_some()
    }

    /// The power goes; the program starts again later.
    pub fn reset(&mut self, now: Instant) {
        if let Some(boot) = self.boot.take() {
            self.flash = Some(boot.into_flash());
            self.starts = now + OFF;
            self.resets += 1;
        }
    }

    fn start(&mut self, now: Instant) {
        let mut flash = self.flash.take().unwrap();
        let operations = flash.operations;
        flash.power_on(None, 0);
        let mut buffer = [0; MAX_TICKET];
        let record = match choose(&mut flash, &self.layout, &mut buffer).unwrap() {
            Choice::Update { record, fallback } => {
                self.flash = Some(flash);
                assert!(fallback.is_none_or(|which| self.holds(which)), "wrong bytes run meanwhile");
                flash = self.flash.take().unwrap();
                record
            }
            Choice::Run(_) => {
                // The power went after the last mark.
                flash.operations = operations;
                self.flash = Some(flash);
                return self.finished(now);
            }
            choice => panic!("{choice:?}"),
        };
        let buffer = Box::leak(Box::new(buffer));
        let place = self.layout.record(record).clone();
        self.seed = self.seed.wrapping_add(0x1_0000);
        flash.power_on(self.cuts.pop_front(), self.seed.into());
        let ticket = record::read_ticket(&mut flash, &place, buffer).unwrap();
        match Boot::new(&mut flash, &self.layout, record, ticket, self.seed) {
            // Retiring the other record is a flash operation, too.
            Err(BootError::Flash(PowerGone)) => {
                self.flash = Some(flash);
                self.starts = now + OFF;
                self.resets += 1;
                return;
            }
            boot => drop(boot.unwrap()),
        }
        let mut boot = Boot::new(flash, &self.layout, record, ticket, self.seed).unwrap();
        boot.listen(vec![0xaa; self.memory].leak());
        self.boot = Some(boot);
    }

    fn finished(&mut self, now: Instant) {
        self.done = Some(now);
        assert!(self.holds(Which::A), "wrong bytes run");
        let is_lost = |event: &Event| matches!(event, Event::Sleep { cause: Cause::WrongImage, .. });
        assert!(!self.events.iter().any(is_lost), "a chunk was marked that is not there");
    }

    /// Whether the image that the record vouches for is in its slot.
    fn holds(&self, which: Which) -> bool {
        let start = self.layout.slot(which).start as usize;
        let flash = self.flash.as_ref().unwrap();
        flash.bytes()[start..].starts_with(which.of::<Vec<u8>>(&self.images))
    }

    pub fn boot(&self) -> Option<&Boot<'static, Store>> {
        self.boot.as_ref()
    }
}

/// What a device's main program has left.
pub struct Prepared<'a> {
    pub relay: &'a Relay,
    pub release: &'a Release,
    pub old: &'a Release,
    pub two_slots: bool,
    /// For listening, in bytes.
    pub memory: usize,
    pub session: Option<Session<'a>>,
}

impl Fleet {
    /// So many devices, which all start at once and have one slot with the old release, and a relay with the new one.
    pub fn new(relay: Relay, release: &Release, old: &Release, devices: usize, memory: usize) -> Self {
        Self::guarded(relay, release, old, devices, memory, None)
    }

    /// The same, each with a session.
    pub fn guarded(
        relay: Relay,
        release: &Release,
        old: &Release,
        devices: usize,
        memory: usize,
        guard: Option<Box<dyn Guard>>,
    ) -> Self {
        let prepared = |n: usize| {
            let session = guard.as_ref().map(|guard| guard.session(n));
            let prepared = Prepared { relay: &relay, release, old, two_slots: false, memory, session };
            Member::prepared(&prepared, n as u32)
        };
        let members = (0..devices).map(prepared).collect();
        Self {
            relay,
            members,
            now: Instant::ZERO,
            loss: 0,
            tamper: Box::new(|_, _| {}),
            guard,
            patience: Duration::from_secs(3600),
            mail: Vec::new(),
            dice: 0x2545_f491_4f6c_dd1d,
        }
    }

    /// Other datagrams get lost.
    pub fn roll(&mut self, seed: u64) {
        self.dice = self.dice.wrapping_add(seed << 1);
    }

    fn is_lost(&mut self) -> bool {
        self.dice ^= self.dice << 13;
        self.dice ^= self.dice >> 7;
        self.dice ^= self.dice << 17;
        (self.dice >> 33) % 100 < self.loss.into()
    }

    /// Until every device is done, or patience is over. True when they are.
    pub fn run(&mut self) -> bool {
        self.run_until(|_| false)
    }

    /// The same, or until `stop`.
    pub fn run_until(&mut self, mut stop: impl FnMut(&Self) -> bool) -> bool {
        let end = self.now + self.patience;
        for _ in 0..STEPS {
            if self.members.iter().all(|member| member.done.is_some()) {
                return true;
            }
            if self.now > end || stop(self) {
                return false;
            }
            self.step();
        }
        panic!("after {STEPS} steps the fleet still does something, at {:?}", self.now);
    }

    fn step(&mut self) {
        let now = self.now;
        while let Some(datagram) = self.relay.poll_stream(now) {
            self.say(&datagram);
        }
        let (due, later) = std::mem::take(&mut self.mail).into_iter().partition(|(due, ..)| *due <= now);
        self.mail = later;
        for (_, n, datagram) in Vec::into_iter(due) {
            self.hear(n, |boot, now| boot.handle_datagram(now, &mut datagram.clone()));
        }
        for n in 0..self.members.len() {
            let member = &mut self.members[n];
            if member.done.is_none() && !member.is_on() && now >= member.starts {
                member.start(now);
            }
            let is_due = self.members[n].boot().and_then(Boot::poll_timeout).is_none_or(|due| due <= now);
            if is_due || self.members[n].boot().is_some_and(|boot| boot.poll_timeout().is_none()) {
                self.hear(n, |_, _| Ok(None));
            }
        }
        self.advance();
    }

    /// A datagram goes to the group.
    pub fn say(&mut self, datagram: &[u8]) {
        for n in 0..self.members.len() {
            if !self.is_lost() && self.now >= self.members[n].deaf_until {
                let mut datagram = datagram.to_vec();
                (self.tamper)(n, &mut datagram);
                self.hear(n, |boot, now| boot.handle_group_datagram(now, &datagram));
            }
        }
    }

    /// One thing happens to a device, and everything that follows from it.
    fn hear(
        &mut self,
        n: usize,
        what: impl FnOnce(&mut Boot<'static, Store>, Instant) -> Result<Option<Event>, BootError<PowerGone>>,
    ) {
        let (now, mut sent) = (self.now, Vec::new());
        let member = &mut self.members[n];
        let Some(boot) = &mut member.boot else { return };
        let events = &mut member.events;
        let outcome = drive(boot, now, what, events, &mut sent);
        let is_bootable = boot.is_bootable();
        match outcome {
            Ok(()) if is_bootable => {
                member.flash = member.boot.take().map(Boot::into_flash);
                member.finished(now);
            }
            Ok(()) => {}
            Err(BootError::Flash(PowerGone)) => {
                member.reset(now);
            }
            Err(error) => panic!("{error}"),
        }
        for datagram in sent {
            if self.is_lost() {
                continue;
            }
            let answer = match &mut self.guard {
                None => self.relay.answer(now, n, &datagram),
                Some(guard) => guard
                    .open(n, &datagram)
                    .and_then(|request| self.relay.answer(now, n, &request))
                    .map(|answer| guard.seal(n, &answer)),
            };
            if !self.is_lost() {
                self.mail.extend(answer.map(|answer| (now + DELAY, n, answer)));
            }
        }
    }

    fn advance(&mut self) {
        let timers = self.members.iter().filter(|member| member.done.is_none()).filter_map(|member| {
            match member.boot() {
                Some(boot) => boot.poll_timeout(),
                None => Some(member.starts),
            }
        });
        let mail = self.mail.iter().map(|(due, ..)| *due);
        let next = timers.chain(mail).chain(self.relay.poll_timeout()).min();
        self.now = next.unwrap_or(self.now).max(self.now);
    }
}

impl Member {
    /// With the ticket for the new release, and the old one installed and running. `n` makes its randomness another one.
    pub fn prepared(prepared: &Prepared<'_>, n: u32) -> Self {
        let &Prepared { relay, release, old, two_slots, memory, session } = prepared;
        let pages = |bytes: usize| bytes.div_ceil(256) as u32;
        let size =
            record::Record::size(release.image.len() as u32, release.chunk_size, 256, 4, session.is_some())
                .unwrap();
        let (record, slot) = (pages(size as usize), pages(release.image.len()));
        let place = |first: u32, pages: u32| first * 256..(first + pages) * 256;
        let records = [place(0, record), place(record, record)];
        let slots = [place(2 * record, slot), place(2 * record + slot, slot)];
        let layout = if two_slots {
            Layout { records, slots }
        } else {
            Layout::single(records, place(2 * record, slot))
        };
        let mut flash = Store::erased((2 * record + 2 * slot) as usize);
        let which = install(&mut flash, &layout, &old.ticket(), &old.index).unwrap();
        assert_eq!(which, Which::B);
        let start = layout.slot(which).start as usize;
        flash.bytes_mut()[start..start + old.image.len()].copy_from_slice(&old.image);
        run_from_factory(&mut flash, &layout, which);
        let ticket = Fields { session, ..ticket(release, relay) };
        let which = install(&mut flash, &layout, &ticket, &release.index).unwrap();
        assert_eq!(which, Which::A);
        let images = [release.image.clone(), old.image.clone()];
        Self::new(layout, flash, images, memory, 1 + n)
    }
}

/// All chunks are there: the first step finds and marks them.
fn run_from_factory(flash: &mut Store, layout: &Layout, which: Which) {
    let mut buffer = [0; MAX_TICKET];
    let place = layout.record(which).clone();
    let ticket = record::read_ticket(flash, &place, &mut buffer).unwrap();
    let mut boot = Boot::new(flash, layout, which, ticket, 1).unwrap();
    assert_eq!(boot.handle_timeout(Instant::ZERO), Ok(Some(Event::Bootable)));
}

/// As firmware does.
fn drive(
    boot: &mut Boot<'static, Store>,
    now: Instant,
    what: impl FnOnce(&mut Boot<'static, Store>, Instant) -> Result<Option<Event>, BootError<PowerGone>>,
    events: &mut Vec<Event>,
    sent: &mut Vec<Vec<u8>>,
) -> Result<(), BootError<PowerGone>> {
    events.extend(what(boot, now)?);
    for _ in 0..10_000 {
        events.extend(boot.handle_timeout(now)?);
        let mut buffer = [0; 640];
        while let Some(length) = boot.poll_transmit(now, &mut buffer)? {
            sent.push(buffer[..length].to_vec());
        }
        if boot.poll_timeout().is_none_or(|due| due > now) {
            return Ok(());
        }
    }
    panic!("it never rests");
}
