//! One link: what is known of its devices, what is on its way, and what may leave next.

use super::admission::{Admission, Verdict};
use super::airtime::Radio;
use super::fair::Fair;
use super::rto::{Algorithm, Estimator, Rto};
use super::window::Window;
use crate::fanout::Fanout;
use foldhash::quality::FixedState;
use sixfold_profile::Instant;
use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;
use std::time::Duration;

/// The usual request for a block: header, Token, Uri-Path, Block2.
const REQUEST: usize = 24;
/// Nothing is given up earlier than this many maximal frames take: collisions happen.
const PATIENCE_FRAMES: u32 = 8;
/// A device that has not asked again after this many usual round trips is not waited for: its request was lost, or it
/// writes to its flash.
const USUAL: f64 = 2.0;
/// For how long a device counts as missing: as long as most clients repeat a request (RFC 7252 §4.2: up to 45 s after the
/// first transmission), and when its first repetition did not arrive either.
const MISSING: Duration = Duration::from_secs(45);
const MISSED_TWICE: Duration = Duration::from_secs(4);
/// An empty message.
const EMPTY: usize = 4;
/// While everybody's turn comes within this time nobody needs an empty ACK, and turns are one answer long: half of what
/// `requests` waits before it sends one, because at the edge every second answer would be acknowledged for nothing.
const SHORT_ROUND: Duration = Duration::from_millis(500);
/// Turns are shorter where otherwise a device would wait longer than this for the next one: clients that have an empty ACK
/// wait 93 s for their answer (RFC 7252 §4.8.2: MAX_TRANSMIT_WAIT is what most take).
const ROUND: Duration = Duration::from_secs(45);
/// Otherwise a turn costs two empty messages more, and is this many times as long: 3 %.
const TURN: u32 = 32;
/// What a stream may send late: no longer than this, so that timers may be a few milliseconds late without making it slower.
const BURST: Duration = Duration::from_millis(20);
/// A datagram to a group keeps the channel as long as it takes: up to this stretch everybody hears everybody.
const ONE_HOP: f64 = 1.5;

/// How a link is paced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkConfig {
    /// Its radio.
    pub radio: Radio,
    /// How much of the time the relay may send, in percent: 1 to 100.
    pub duty_cycle: u8,
    /// How time-outs are estimated.
    pub algorithm: Algorithm,
    /// How blocks leave once for many devices; `None`: they do not.
    pub fanout: Option<Fanout>,
}

impl Default for LinkConfig {
    fn default() -> Self {
        let (radio, algorithm, fanout) = (Radio::default(), Algorithm::default(), Some(Fanout::default()));
        Self { radio, duty_cycle: 100, algorithm, fanout }
    }
}

/// What a request says about the answer before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    /// It arrived: the next block is asked for.
    Delivered,
    /// It was lost: the same block is asked for again, after the time-out.
    Lost,
    /// It was on its way still when the same block was asked for.
    Late,
}

/// One paced link. `T` names an answer that waits.
#[derive(Debug)]
pub(crate) struct Link<T> {
    config: LinkConfig,
    window: Window,
    fair: Fair<T>,
    admission: Admission,
    devices: HashMap<SocketAddr, Device, FixedState>,
    /// When answers are given up that nothing was heard of.
    expiries: BTreeSet<(Instant, SocketAddr)>,
    /// Devices that should have asked again, and since when they are missed.
    missing: BTreeSet<(Instant, SocketAddr)>,
    /// Of all devices: what a new one begins with.
    estimator: Estimator,
    /// The duty cycle, or what goes to a group, lets the next answer leave then.
    free_at: Instant,
    /// How many times longer than needed what goes to a group keeps the link.
    slow: f64,
}

#[derive(Debug)]
struct Device {
    estimator: Estimator,
    flight: Option<Flight>,
    /// The block that was asked for last, and the one that was answered last.
    asked: u32,
    answered: Option<(u32, Instant)>,
    member: bool,
    appointment: Option<Instant>,
    missing: Option<Instant>,
}

/// An answer on its way.
#[derive(Clone, Copy, Debug)]
struct Flight {
    cost: Duration,
    expires: Instant,
    /// Nothing else was on its way when it left.
    alone: bool,
}

impl<T: PartialEq> Link<T> {
    pub(crate) fn new(config: LinkConfig, hasher: FixedState) -> Self {
        Self {
            config,
            window: Window::new(),
            fair: Fair::new(hasher.clone()),
            admission: Admission::default(),
            devices: HashMap::with_hasher(hasher),
            expiries: BTreeSet::new(),
            missing: BTreeSet::new(),
            estimator: Estimator::new(config.algorithm),
            free_at: Instant::ZERO,
            slow: 1.0,
        }
    }

    /// Its configuration.
    pub(crate) const fn config(&self) -> &LinkConfig {
        &self.config
    }

    /// How long a datagram with `bytes` of payload to a group keeps the link, `slow` times longer than needed.
    pub(crate) fn cost_to_group(&mut self, bytes: usize, slow: f64) -> Duration {
        self.slow = slow;
        self.config.radio.airtime_to_group(bytes)
    }

    /// The same with all that is kept for others between two of them.
    pub(crate) fn interval(&self, cost: Duration) -> Duration {
        let stretch = if self.window.stretch() > ONE_HOP { self.window.stretch() } else { 1.0 };
        let interval = cost.mul_f64(stretch * self.slow);
        interval.max(cost * 100 / u32::from(self.config.duty_cycle.clamp(1, 100)))
    }

    /// How long a datagram with `bytes` of payload keeps the channel.
    pub(crate) fn cost(&self, bytes: usize) -> Duration {
        self.config.radio.airtime(bytes)
    }

    /// A device asks for block `num`.
    pub(crate) fn heard(&mut self, now: Instant, address: SocketAddr, num: u32) -> Option<Signal> {
        let wanted = self.fair.len() > 0;
        let device = self.devices.get_mut(&address)?;
        device.asked = num;
        if let Some(since) = device.missing.take() {
            self.missing.remove(&(since, address));
        }
        let (answered, left) = device.answered?;
        let round_trip = now.since(left);
        let in_time = round_trip < device.estimator.timeout();
        let flight = device.flight.take();
        if let Some(flight) = flight {
            self.expiries.remove(&(flight.expires, address));
        }
        if answered == num {
            self.window.ended(flight.map_or(Duration::ZERO, |flight| flight.cost));
            if in_time {
                return Some(Signal::Late);
            }
            self.window.lost(now);
            return Some(Signal::Lost);
        }
        device.answered = None;
        if let Some(flight) = flight {
            let airtime = flight.cost + self.config.radio.airtime(REQUEST);
            let stretch = round_trip.as_secs_f64() / airtime.as_secs_f64();
            self.window.delivered(now, flight.cost, flight.alone.then_some(stretch), wanted);
        }
        let repeats = u8::from(flight.is_none());
        device.estimator.sample(round_trip, repeats);
        self.estimator.sample(round_trip, repeats);
        Some(Signal::Delivered)
    }

    /// A device acknowledged a separate response. Its place in the window stays until it asks for more.
    pub(crate) fn acknowledged(&mut self, now: Instant, address: SocketAddr) {
        let Some(device) = self.devices.get_mut(&address) else { return };
        if let (Some((_, left)), Some(_)) = (device.answered, device.flight) {
            device.estimator.sample(now.since(left), 0);
            self.estimator.sample(now.since(left), 0);
        }
    }

    /// Whether a device may be served; if it is new and there is no place, when it is to come back. `transfer` is the
    /// airtime of all that it came for.
    pub(crate) fn admit(
        &mut self,
        now: Instant,
        address: SocketAddr,
        num: u32,
        cost: Duration,
        transfer: Duration,
    ) -> Verdict {
        let (estimator, turn) = (self.estimator, self.turn());
        let device = self.devices.entry(address).or_insert_with(|| Device {
            estimator,
            flight: None,
            asked: num,
            answered: None,
            member: false,
            appointment: None,
            missing: None,
        });
        if device.member {
            return Verdict::Admitted;
        }
        let turn = self.window.time_for(cost.max(turn / 2));
        let transfer = self.window.time_for(transfer);
        let verdict = self.admission.judge(now, device.appointment, turn, transfer);
        device.member = verdict == Verdict::Admitted;
        device.appointment = match verdict {
            Verdict::Admitted => None,
            Verdict::ComeBack(at) => Some(at),
        };
        verdict
    }

    /// Lets an answer leave now, if nobody is before it.
    pub(crate) fn pass(&mut self, now: Instant, address: SocketAddr, cost: Duration) -> bool {
        let passes = self.is_open(now, cost) && self.fair.pass(address, cost);
        if passes {
            self.sent(now, address, cost);
        }
        passes
    }

    /// Lets an answer wait.
    pub(crate) fn push(&mut self, address: SocketAddr, item: T, cost: Duration) {
        self.fair.push(address, item, cost);
    }

    /// The next answer that may leave now: it counts as sent.
    pub(crate) fn poll(&mut self, now: Instant) -> Option<T> {
        if !self.is_open(now, self.fair.next_cost()?) {
            return None;
        }
        let (address, item, cost) = self.fair.pop(self.quantum())?;
        self.sent(now, address, cost);
        Some(item)
    }

    /// Gives up answers of which nothing was heard; says how many.
    pub(crate) fn handle_timeout(&mut self, now: Instant) -> usize {
        let mut expired = 0;
        while let Some(&(at, address)) = self.expiries.first()
            && at <= now
        {
            self.expiries.pop_first();
            let Some(device) = self.devices.get_mut(&address) else { continue };
            let Some(flight) = device.flight.take() else { continue };
            self.window.ended(flight.cost);
            expired += 1;
            if device.member {
                let since = *device.missing.get_or_insert(now);
                self.missing.insert((since, address));
            }
        }
        expired
    }

    /// When something may leave, or is given up.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let expiry = self.expiries.first().map(|(at, _)| *at);
        let next = self.fair.next_cost().filter(|&cost| self.window.has_room(cost));
        let release = next.map(|_| self.free_at);
        expiry.into_iter().chain(release).min()
    }

    /// A device has all that it came for.
    pub(crate) fn finished(&mut self, address: SocketAddr) {
        if let Some(device) = self.devices.get_mut(&address)
            && std::mem::take(&mut device.member)
        {
            self.admission.left();
        }
    }

    /// Everything that waits, in no order.
    pub(crate) fn into_waiting(self) -> impl Iterator<Item = T> {
        self.fair.into_waiting()
    }

    /// An answer is not wanted any more.
    pub(crate) fn withdraw(&mut self, address: SocketAddr, item: &T) {
        self.fair.withdraw(address, item);
    }

    /// How long to wait for the acknowledgement of a separate response after its `repeats`-th retransmission.
    pub(crate) fn retransmission(&self, address: SocketAddr, repeats: u8) -> Option<Duration> {
        self.devices.get(&address).map(|device| device.estimator.after(repeats))
    }

    /// A device is gone.
    pub(crate) fn forget(&mut self, address: SocketAddr) {
        self.finished(address);
        self.fair.forget(address);
        let Some(device) = self.devices.remove(&address) else { return };
        if let Some(since) = device.missing {
            self.missing.remove(&(since, address));
        }
        if let Some(flight) = device.flight {
            self.expiries.remove(&(flight.expires, address));
            self.window.ended(flight.cost);
        }
    }

    fn is_open(&self, now: Instant, cost: Duration) -> bool {
        self.window.has_room(cost) && now >= self.free_at
    }

    fn sent(&mut self, now: Instant, address: SocketAddr, cost: Duration) {
        if address.ip().is_multicast() {
            // Nobody acknowledges it: the link is taken for as long as it is on the air, and free again then.
            self.free_at = self.free_at.max(now - BURST) + self.interval(cost);
            return;
        }
        let alone = self.window.sent(now, cost, self.fair.len() > 0);
        let exchange = cost + self.config.radio.airtime(REQUEST);
        if self.config.duty_cycle < 100 {
            self.free_at = now.max(self.free_at) + cost * 100 / u32::from(self.config.duty_cycle.max(1));
        }
        if let Some(missing_for) = self.longest_missing(now) {
            let pause = if missing_for > MISSED_TWICE || self.missing.len() > 1 {
                exchange / 2
            } else {
                Duration::ZERO
            };
            let quiet = exchange + pause + self.config.radio.longest_frame();
            self.free_at = self.free_at.max(now + quiet);
        }
        let Some(device) = self.devices.get_mut(&address) else { return self.window.ended(cost) };
        let before = device.flight.take();
        if let Some(flight) = before {
            self.expiries.remove(&(flight.expires, address));
        }
        let patience = self.config.radio.longest_frame() * PATIENCE_FRAMES;
        let usual = exchange.mul_f64(self.window.stretch() * USUAL);
        let expires = now + device.estimator.timeout().min(usual).max(patience);
        let cost = cost + before.map_or(Duration::ZERO, |flight| flight.cost);
        device.flight = Some(Flight { cost, expires, alone });
        device.answered = Some((device.asked, now));
        self.expiries.insert((expires, address));
    }

    /// For how long a device has been missing. Its requests need a quiet moment: CSMA/CA gives up on a channel that never has
    /// one, and a client that was not heard five times gives up for good.
    fn longest_missing(&mut self, now: Instant) -> Option<Duration> {
        while let Some(&(since, _)) = self.missing.first() {
            if now.since(since) < MISSING {
                return Some(now.since(since));
            }
            self.missing.pop_first();
        }
        None
    }

    /// A turn as it should be.
    fn turn(&self) -> Duration {
        self.cost(EMPTY) * 2 * TURN
    }

    /// A turn as it is now.
    fn quantum(&self) -> Duration {
        let devices = u32::try_from(self.fair.devices()).unwrap_or(u32::MAX).max(1);
        if self.window.time_for(self.fair.longest() * devices) < SHORT_ROUND {
            return Duration::ZERO;
        }
        let share = self.window.airtime_in(ROUND) / devices;
        self.turn().min(share)
    }
}
