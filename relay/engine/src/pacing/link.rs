//! One link: what is known of its devices, what is on its way, and what may leave next.

use super::admission::{Admission, Verdict};
use super::airtime::Radio;
use super::block::{BlockSize, Change};
use super::estimate::Estimate;
use super::fair::Fair;
use super::flights::{Flight, Flights};
use super::rto::{Algorithm, Rto};
use super::window::Window;
use crate::event::LinkDecision;
use crate::fanout::Fanout;
use crate::status::LinkStatus;
use foldhash::quality::FixedState;
use sixfold_profile::Instant;
use sixfold_profile::coap::Szx;
use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;
use std::time::Duration;

/// The usual request for a block: header, Token, Uri-Path, Block2.
pub(super) const REQUEST: usize = 24;
/// Header, ETag, Block2, Max-Age, payload marker, as they usually are, in bytes.
pub(crate) const AROUND_PAYLOAD: usize = 4 + 9 + 4 + 3 + 1;
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
/// A device is refused something once in this time (less than ACK_TIMEOUT, so that a repetition is heard), after a few at once:
/// otherwise refusals would be a way to fill the link.
const REFUSAL_EVERY: Duration = Duration::from_secs(1);
const REFUSALS_AT_ONCE: u32 = 3;

/// How a link is paced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkConfig {
    /// Its radio.
    pub radio: Radio,
    /// The relay's own link-layer address there, if it is known: IPv6 addresses that are made of it are not sent.
    pub eui64: Option<[u8; 8]>,
    /// The longest IPv6 packet that devices take, in bytes: blocks are not larger than it allows.
    pub mtu: usize,
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
        Self { radio, eui64: None, mtu: 1280, duty_cycle: 100, algorithm, fanout }
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

/// What tells that an answer arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sign {
    /// The next request: it is a block.
    Request,
    /// An acknowledgement: it is a notification.
    Acknowledgement,
    /// Nothing: the client has what it wanted.
    Nothing,
    /// Nothing, because it goes to a group, behind so many bytes of compressed headers. The link is taken for as long as it is on
    /// the air, and free again then.
    Group(usize),
}

/// An answer, as far as a link cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Parcel {
    /// Its CoAP message.
    pub(crate) bytes: usize,
    /// What of it is payload.
    pub(crate) payload: usize,
    pub(crate) sign: Sign,
}

/// One paced link. `T` names an answer that waits.
#[derive(Debug)]
pub(crate) struct Link<T> {
    config: LinkConfig,
    window: Window,
    fair: Fair<(T, Parcel)>,
    admission: Admission,
    devices: HashMap<SocketAddr, Device, FixedState>,
    flights: Flights,
    /// Devices that should have asked again, and since when they are missed.
    missing: BTreeSet<(Instant, SocketAddr)>,
    /// Of all devices: what a new one begins with.
    estimator: Box<dyn Rto>,
    estimate: Estimate,
    block_size: BlockSize,
    /// What was sent keeps the channel until then, with the silence that the duty cycle wants after it.
    free_at: Instant,
    /// A missing device has a quiet moment until then.
    quiet_until: Instant,
    decisions: Vec<LinkDecision>,
    /// How many times longer than needed what goes to a group keeps the link.
    slow: f64,
    /// In whose name streams wait.
    stream: Option<SocketAddr>,
    /// A unicast answer and the request that follows are on the air until then.
    exchange_until: Instant,
}

#[derive(Debug)]
struct Device {
    estimator: Box<dyn Rto>,
    /// The block that was asked for last, and the one that was answered last.
    asked: u32,
    answered: Option<(u32, Instant)>,
    /// The answer to it, and its payload, in bytes.
    size: usize,
    payload: usize,
    member: bool,
    appointment: Option<Instant>,
    missing: Option<Instant>,
    /// When all its refusals so far would have been due, one in each [`REFUSAL_EVERY`].
    refusals_until: Instant,
}

impl<T> Link<T> {
    pub(crate) fn new(config: LinkConfig, hasher: FixedState) -> Self {
        Self {
            config,
            window: Window::new(f64::from(config.duty_cycle) / 100.0),
            fair: Fair::new(hasher.clone()),
            admission: Admission::default(),
            flights: Flights::new(hasher.clone()),
            devices: HashMap::with_hasher(hasher),
            missing: BTreeSet::new(),
            estimator: config.algorithm.estimator(),
            estimate: Estimate::default(),
            block_size: BlockSize::new(config.radio, config.mtu),
            free_at: Instant::ZERO,
            quiet_until: Instant::ZERO,
            slow: 1.0,
            stream: None,
            exchange_until: Instant::ZERO,
            decisions: Vec::new(),
        }
    }

    /// Its configuration.
    pub(crate) const fn config(&self) -> &LinkConfig {
        &self.config
    }

    /// The largest block that suits the link now.
    pub(crate) const fn block_size(&self) -> Szx {
        self.block_size.now()
    }

    /// Lets what goes to groups keep the link `slow` times longer than needed from now on.
    pub(crate) const fn slow_down(&mut self, slow: f64) {
        self.slow = slow;
    }

    /// How far apart datagrams to a group with `bytes` of payload behind compressed `headers` are.
    pub(crate) fn interval(&self, headers: usize, bytes: usize) -> Duration {
        let cost = self.config.radio.airtime_to_group(headers, bytes);
        let stretch = if self.window.stretch() > ONE_HOP { self.window.stretch() } else { 1.0 };
        let interval = cost.mul_f64(stretch * self.slow);
        interval.max(cost * 100 / u32::from(self.config.duty_cycle.clamp(1, 100)))
    }

    /// How long a datagram with `bytes` of payload keeps the channel.
    pub(crate) fn cost(&self, bytes: usize) -> Duration {
        self.config.radio.airtime(bytes)
    }

    fn airtime(&self, parcel: Parcel) -> Duration {
        match parcel.sign {
            Sign::Group(headers) => self.config.radio.airtime_to_group(headers, parcel.bytes),
            _ => self.cost(parcel.bytes),
        }
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
        let flight = self.flights.land(address);
        if flight.is_some() {
            // Until now the link was not free: nothing is late.
            self.free_at = self.free_at.max(now);
        }
        if answered == num {
            self.window.ended(flight.map_or(Duration::ZERO, |flight| flight.cost));
            if in_time {
                return Some(Signal::Late);
            }
            if self.window.lost(now) {
                self.decisions.push(LinkDecision::Cut);
            }
            self.estimate.lost(self.config.radio.frames(device.size));
            self.choose_block_size();
            return Some(Signal::Lost);
        }
        device.answered = None;
        let repeats = u8::from(flight.is_none());
        device.estimator.sample(round_trip, repeats);
        self.estimator.sample(round_trip, repeats);
        let (frames, payload) = (self.config.radio.frames(device.size), device.payload);
        self.estimate.delivered(now, frames, payload, round_trip);
        if let Some(flight) = flight {
            self.landed(now, &flight, round_trip, wanted);
        }
        self.choose_block_size();
        Some(Signal::Delivered)
    }

    /// An answer arrived.
    fn landed(&mut self, now: Instant, flight: &Flight, round_trip: Duration, wanted: bool) {
        let airtime = flight.cost + self.config.radio.airtime(REQUEST);
        let stretch = round_trip.as_secs_f64() / airtime.as_secs_f64();
        self.window.delivered(now, flight.cost, flight.alone.then_some(stretch), wanted);
    }

    fn choose_block_size(&mut self) {
        let change = self.block_size.update(self.estimate.frame_loss());
        self.decisions.extend(change.map(|change| match change {
            Change::Smaller => LinkDecision::SmallerBlocks,
            Change::Larger => LinkDecision::LargerBlocks,
        }));
    }

    /// A device acknowledged a separate response, which keeps its place in the window until the device asks for more, or a
    /// notification, which does not.
    pub(crate) fn acknowledged(&mut self, now: Instant, address: SocketAddr) {
        let Some(&flight) = self.flights.get(address) else { return };
        let round_trip = now.since(flight.left);
        self.estimator.sample(round_trip, 0);
        if let Some(device) = self.devices.get_mut(&address) {
            device.estimator.sample(round_trip, 0);
        }
        if flight.parcel.sign == Sign::Acknowledgement {
            self.flights.land(address);
            let wanted = self.fair.len() > 0;
            self.landed(now, &flight, round_trip, wanted);
        }
    }

    fn device(&mut self, address: SocketAddr) -> &mut Device {
        let estimator = &self.estimator;
        self.devices.entry(address).or_insert_with(|| Device {
            estimator: estimator.copy(),
            asked: 0,
            answered: None,
            size: 0,
            payload: 0,
            member: false,
            appointment: None,
            missing: None,
            refusals_until: Instant::ZERO,
        })
    }

    /// Whether a device may be told once more that it is not served.
    pub(crate) fn may_refuse(&mut self, now: Instant, address: SocketAddr) -> bool {
        let device = self.device(address);
        let until = device.refusals_until.max(now) + REFUSAL_EVERY;
        let may = until.since(now) <= REFUSAL_EVERY * REFUSALS_AT_ONCE;
        if may {
            device.refusals_until = until;
        } else {
            self.decisions.push(LinkDecision::Silenced);
        }
        may
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
        let turn = self.turn();
        let device = self.device(address);
        device.asked = num;
        // Who repeats what it was answered last needs no place: it may be the end of its image that was lost.
        if device.member || device.answered.is_some_and(|(answered, _)| answered == num) {
            return Verdict::Admitted;
        }
        let appointment = device.appointment;
        let turn = self.window.time_for(cost.max(turn / 2));
        let transfer = self.window.time_for(transfer);
        let verdict = self.admission.judge(now, appointment, turn, transfer);
        let device = self.device(address);
        device.member = verdict == Verdict::Admitted;
        device.appointment = match verdict {
            Verdict::Admitted => None,
            Verdict::ComeBack(at) => Some(at),
        };
        verdict
    }

    /// Lets an answer leave now, if nobody is before it.
    pub(crate) fn pass(&mut self, now: Instant, address: SocketAddr, parcel: Parcel) -> bool {
        let cost = self.airtime(parcel);
        let passes = self.is_open(now, cost) && self.fair.pass(address, cost);
        if passes {
            self.decisions.push(LinkDecision::Passed);
            self.sent(now, address, parcel);
        }
        passes
    }

    /// Lets an answer wait.
    pub(crate) fn push(&mut self, address: SocketAddr, item: T, parcel: Parcel) {
        let cost = self.airtime(parcel);
        if !matches!(parcel.sign, Sign::Group(_)) {
            self.decisions.push(LinkDecision::Queued);
        }
        self.fair.push(address, (item, parcel), cost);
    }

    /// What waits in the name of `address` are streams, for so many devices.
    pub(crate) fn weigh_stream(&mut self, address: SocketAddr, devices: u32) {
        self.stream = Some(address);
        self.fair.weigh(address, devices);
    }

    /// The next answer that may leave now: it counts as sent.
    pub(crate) fn poll(&mut self, now: Instant) -> Option<T> {
        let (next, cost) = self.fair.next()?;
        let stream = self.stream.filter(|_| now >= self.free_at.max(self.exchange_until));
        let is_open = if self.stream == Some(next) { stream.is_some() } else { self.is_open(now, cost) };
        let (address, (item, parcel)) = if is_open {
            let (address, item, _) = self.fair.pop(self.quantum())?;
            (address, item)
        } else {
            // Whose turn it is has to wait for others. A stream waits for nobody's answer: it takes the time between.
            let stream = stream?;
            (stream, self.fair.pop_of(stream)?.0)
        };
        self.sent(now, address, parcel);
        Some(item)
    }

    /// Something left, whatever it is: it keeps the channel.
    pub(crate) fn spend(&mut self, now: Instant, bytes: usize) {
        let cost = self.cost(bytes);
        self.estimate.sent(now, cost);
        self.free_at = now.max(self.free_at) + cost * 100 / u32::from(self.config.duty_cycle.max(1));
    }

    /// What was decided since this was asked last.
    pub(crate) fn decisions(&mut self) -> impl Iterator<Item = LinkDecision> {
        self.decisions.drain(..)
    }

    /// Gives up answers of which nothing was heard; says how many.
    pub(crate) fn handle_timeout(&mut self, now: Instant) -> usize {
        let mut expired = 0;
        while let Some((address, flight)) = self.flights.expire(now) {
            self.window.ended(flight.cost);
            self.free_at = self.free_at.max(now);
            expired += 1;
            if let Some(device) = self.devices.get_mut(&address).filter(|device| device.member) {
                let since = *device.missing.get_or_insert(now);
                self.missing.insert((since, address));
            }
        }
        expired
    }

    /// When something may leave, or is given up.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let next =
            self.fair.next().filter(|&(next, cost)| self.stream != Some(next) && self.window.has_room(cost));
        let release = next.map(|_| self.free_at.max(self.quiet_until));
        let stream = self.stream.and_then(|stream| self.fair.cost_of(stream));
        let stream = stream.map(|_| self.free_at.max(self.exchange_until));
        self.flights.next().into_iter().chain(release).chain(stream).min()
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
        self.fair.into_waiting().map(|(item, _)| item)
    }

    /// Answers are not wanted any more.
    pub(crate) fn withdraw(&mut self, address: SocketAddr, unwanted: impl Fn(&T) -> bool) {
        self.fair.withdraw(address, |(item, _)| unwanted(item));
    }

    /// How long to wait for the acknowledgement of a separate response after its `repeats`-th retransmission.
    pub(crate) fn retransmission(&self, address: SocketAddr, repeats: u8) -> Option<Duration> {
        self.devices.get(&address).map(|device| device.estimator.after(repeats))
    }

    /// A device is gone.
    pub(crate) fn forget(&mut self, address: SocketAddr) {
        self.finished(address);
        self.fair.forget(address);
        if let Some(since) = self.devices.remove(&address).and_then(|device| device.missing) {
            self.missing.remove(&(since, address));
        }
        if let Some(flight) = self.flights.land(address) {
            self.window.ended(flight.cost);
        }
    }

    /// What is known of the link, for people.
    pub(crate) fn describe(&self, now: Instant, interface: u32) -> LinkStatus {
        LinkStatus {
            interface,
            config: self.config,
            rate_bytes: self.estimate.rate(now),
            loss: self.estimate.loss(),
            round_trip: self.estimate.round_trip(),
            timeout: self.estimator.timeout(),
            window: self.window.size(),
            in_flight: self.window.in_flight(),
            busy: self.estimate.busy(now),
            block_size: self.block_size(),
            waiting: self.fair.len(),
            members: self.admission.members(),
            missing: self.missing.len(),
            groups: Vec::new(),
        }
    }

    /// Whether an answer to a device waits, and whether the device is missing; `None` if it is not known here.
    pub(crate) fn describe_device(&self, address: SocketAddr) -> Option<(bool, bool)> {
        let device = self.devices.get(&address)?;
        Some((self.fair.waits(address), device.missing.is_some()))
    }

    fn is_open(&self, now: Instant, cost: Duration) -> bool {
        self.window.has_room(cost) && now >= self.free_at && now >= self.quiet_until
    }

    fn sent(&mut self, now: Instant, address: SocketAddr, parcel: Parcel) {
        let cost = self.airtime(parcel);
        match parcel.sign {
            Sign::Nothing => return,
            Sign::Group(headers) => {
                self.estimate.sent(now, cost);
                self.free_at = self.free_at.max(now - BURST) + self.interval(headers, parcel.bytes);
                return;
            }
            Sign::Request | Sign::Acknowledgement => {}
        }
        let alone = self.window.sent(now, cost, self.fair.len() > 0);
        let exchange = cost + self.config.radio.airtime(REQUEST);
        self.exchange_until = now + exchange;
        self.be_quiet(now, exchange);
        let patience = self.config.radio.longest_frame() * PATIENCE_FRAMES;
        let usual = exchange.mul_f64(self.window.stretch() * USUAL);
        let timeout =
            self.devices.get(&address).map_or(self.estimator.timeout(), |device| device.estimator.timeout());
        let expires = now + timeout.min(usual).max(patience);
        self.flights.depart(address, Flight { parcel, cost, left: now, expires, alone });
        if let Some(device) = self.devices.get_mut(&address).filter(|_| parcel.sign == Sign::Request) {
            device.answered = Some((device.asked, now));
            device.size = parcel.bytes;
            device.payload = parcel.payload;
        }
    }

    /// Leaves room for the requests of missing devices.
    fn be_quiet(&mut self, now: Instant, exchange: Duration) {
        let Some(missing_for) = self.longest_missing(now) else { return };
        let pause =
            if missing_for > MISSED_TWICE || self.missing.len() > 1 { exchange / 2 } else { Duration::ZERO };
        let quiet = exchange + pause + self.config.radio.longest_frame();
        self.quiet_until = self.quiet_until.max(now + quiet);
        self.decisions.push(LinkDecision::Quiet);
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
