//! One link: what is known of its devices, what is on its way, and what may leave next.

use super::admission::{Admission, Verdict};
use super::block::BlockSize;
use super::config::LinkConfig;
use super::device::Device;
use super::estimate::Estimate;
use super::fair::Fair;
use super::flights::{Flight, Flights};
use super::parcel::{EMPTY, Parcel, REQUEST, Sign};
use super::quiet::Quiet;
use super::rto::Rto;
use super::window::Window;
use crate::event::LinkDecision;
use crate::status::LinkStatus;
use foldhash::quality::FixedState;
use sixfold_profile::Instant;
use sixfold_profile::coap::Szx;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

/// Nothing is given up earlier than this many maximal frames take: collisions happen.
const PATIENCE_FRAMES: u32 = 8;
/// A device that has not asked again after this many usual round trips is not waited for: its request was lost, or it
/// writes to its flash.
const USUAL: f64 = 2.0;
/// While everybody's turn comes within this time nobody needs an empty ACK, and turns are one answer long: half of what
/// `requests` waits before it sends one, because at the edge every second answer would be acknowledged for nothing.
const SHORT_ROUND: Duration = Duration::from_millis(500);
/// Turns are shorter where otherwise a device would wait longer than this for the next one: clients that have an empty ACK
/// wait 93 s for their answer (RFC 7252 §4.8.2: MAX_TRANSMIT_WAIT is what most take).
const ROUND: Duration = Duration::from_secs(45);
/// Otherwise a turn costs two empty messages more, and is this many times as long: 3 %.
const TURN: u32 = 48;
/// Newcomers are let in for as long as turns need not be shorter than one part in so many.
const SHORTEST: u32 = 3;
/// How many turns a device can owe: then what it used is forgotten.
const OWED_TURNS: u32 = 4;
/// What a stream may send late: no longer than this, so that timers may be a few milliseconds late without making it slower.
const BURST: Duration = Duration::from_millis(20);
/// A datagram to a group keeps the channel as long as it takes: up to this stretch everybody hears everybody.
const ONE_HOP: f64 = 1.5;
/// One paced link. `T` names an answer that waits.
#[derive(Debug)]
pub(crate) struct Link<T> {
    pub(super) config: LinkConfig,
    pub(super) window: Window,
    pub(super) fair: Fair<(T, Parcel)>,
    admission: Admission,
    pub(super) devices: HashMap<SocketAddr, Device, FixedState>,
    pub(super) flights: Flights,
    pub(super) quiet: Quiet,
    /// Of all devices: what a new one begins with.
    pub(super) estimator: Box<dyn Rto>,
    pub(super) estimate: Estimate,
    pub(super) block_size: BlockSize,
    /// What was sent keeps the channel until then, with the silence that the duty cycle wants after it.
    pub(super) free_at: Instant,
    pub(super) decisions: Vec<LinkDecision>,
    /// How many times longer than needed what goes to a group keeps the link.
    slow: f64,
    /// In whose name streams wait.
    stream: Option<SocketAddr>,
    /// A unicast answer and the request that follows are on the air until then.
    exchange_until: Instant,
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
            quiet: Quiet::new(),
            estimator: config.algorithm.estimator(),
            estimate: Estimate::default(),
            block_size: BlockSize::new(config.radio, config.mtu),
            free_at: Instant::ZERO,
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

    fn device(&mut self, address: SocketAddr) -> &mut Device {
        let estimator = &self.estimator;
        self.devices.entry(address).or_insert_with(|| Device::new(estimator.copy()))
    }

    /// Whether a device may be told once more that it is not served.
    pub(crate) fn may_refuse(&mut self, now: Instant, address: SocketAddr) -> bool {
        let may = self.device(address).may_refuse(now);
        if !may {
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
        if !self.devices.contains_key(&address) && self.quiet.arrived(now) {
            self.decisions.push(LinkDecision::Quiet);
        }
        let device = self.device(address);
        device.asked = num;
        // Who repeats what it was answered last needs no place: it may be the end of its image that was lost.
        if device.member || device.answered.is_some_and(|(answered, _)| answered == num) {
            return Verdict::Admitted;
        }
        let appointment = device.appointment;
        let turn = self.window.time_for(cost.max(turn / SHORTEST));
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
        self.fair.settle(self.quantum());
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

    /// The answer that counts as sent was made only now, and is no longer what it was when it began to wait: block sizes follow
    /// the link.
    pub(crate) fn resized(&mut self, address: SocketAddr, parcel: Parcel) {
        let cost = self.airtime(parcel);
        let Some(before) =
            self.flights.resize(address, parcel, cost, |before| self.config.radio.airtime(before.bytes))
        else {
            return;
        };
        self.window.resized(before, cost);
        if let Some(device) = self.devices.get_mut(&address) {
            device.size = parcel.bytes;
            device.payload = parcel.payload;
        }
    }

    /// What counts as sent to a device was not sent: there was nothing to be said any more.
    pub(crate) fn stayed(&mut self, address: SocketAddr) {
        if let Some(flight) = self.flights.land(address) {
            self.window.ended(flight.cost);
        }
        if let Some(device) = self.devices.get_mut(&address) {
            device.answered = None;
        }
    }

    /// Something left, whatever it is: it keeps the channel.
    pub(crate) fn spend(&mut self, now: Instant, bytes: usize) {
        let cost = self.cost(bytes);
        self.estimate.sent(now, cost);
        self.free_at = now.max(self.free_at) + cost * 100 / u32::from(self.config.duty_cycle.max(1));
    }

    /// A device made others wait otherwise than by an answer in its turn: by a message of so many bytes to it, or from it.
    pub(crate) fn charge(&mut self, address: SocketAddr, bytes: usize) {
        self.owe(address, self.cost(bytes));
    }

    pub(super) fn owe(&mut self, address: SocketAddr, time: Duration) {
        self.fair.charge(address, time, self.turn() * OWED_TURNS);
    }

    /// A device has used up its next turn already.
    pub(crate) fn owes(&self, address: SocketAddr) -> bool {
        self.fair.debt(address) >= self.quantum().max(self.fair.longest())
    }

    /// What was decided since this was asked last.
    pub(crate) fn decisions(&mut self) -> impl Iterator<Item = LinkDecision> {
        self.decisions.drain(..)
    }

    /// When something may leave, or is given up.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let next =
            self.fair.next().filter(|&(next, cost)| self.stream != Some(next) && self.window.has_room(cost));
        let release = next.map(|_| self.free_at.max(self.quiet.until()));
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
            self.quiet.found(since, address);
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
            missing: self.quiet.missing(),
            groups: Vec::new(),
        }
    }

    /// Whether an answer to a device waits, and whether the device is missing; `None` if it is not known here.
    pub(crate) fn describe_device(&self, address: SocketAddr) -> Option<(bool, bool)> {
        let device = self.devices.get(&address)?;
        Some((self.fair.waits(address), device.missing.is_some()))
    }

    fn is_open(&self, now: Instant, cost: Duration) -> bool {
        self.window.has_room(cost) && now >= self.free_at && now >= self.quiet.until()
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
        if self.quiet.after(now, exchange, self.config.radio.longest_frame()) {
            self.decisions.push(LinkDecision::Quiet);
        }
        let patience = self.config.radio.longest_frame() * PATIENCE_FRAMES;
        let usual = exchange.mul_f64(self.window.stretch() * USUAL);
        let timeout =
            self.devices.get(&address).map_or(self.estimator.timeout(), |device| device.estimator.timeout());
        let expires = now + timeout.min(usual).max(patience);
        self.flights.depart(address, Flight { parcel, cost, left: now, expires, alone });
        if let Some(device) = self.devices.get_mut(&address).filter(|_| parcel.sign == Sign::Request) {
            device.again = device.answered.is_some_and(|(answered, _)| answered == device.asked);
            device.answered = Some((device.asked, now));
            device.size = parcel.bytes;
            device.payload = parcel.payload;
        }
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
