//! From nothing to a source address: which step is next, what is sent for it, and what follows from the answers.
//!
//! Link-local address, detection of its duplicates, routers, a global address, detection or registration again. The
//! time and messages come in; messages go out. It neither touches frames nor smoltcp's interface.

use crate::dad::{Probe, Step};
use crate::message::{self, Options, Packet, Received};
use crate::random::Random;
#[cfg(feature = "ieee802154")]
use crate::registration::{self, Outcome, Registration};
use crate::slaac::{Choice, Router, Routers};
use crate::solicitation::Solicitation;
use core::net::Ipv6Addr;
use sixfold_profile::Instant;
use smoltcp::wire::HardwareAddress;

/// How far it is.
#[derive(Debug)]
enum Phase {
    Probing(Probe),
    Soliciting(Solicitation),
    ProbingGlobal(Probe),
    #[cfg(feature = "ieee802154")]
    Registering,
    Ready,
    /// Tried again when the solicitation is due.
    Duplicate(Solicitation),
}

/// What a [`Stack`](crate::Stack) is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Duplicate address detection for the link-local address (RFC 4862 §5.4).
    Probing,
    /// Asking for router advertisements (RFC 4861 §6.3.7), for ever if need be (RFC 7559).
    Soliciting,
    /// Duplicate address detection for the global address.
    ProbingGlobal,
    /// Registering the global address with the router (RFC 6775, RFC 8505).
    Registering,
    /// Datagrams can be sent.
    Ready {
        /// The address that they come from.
        source: Ipv6Addr,
    },
    /// Somebody else on the link has the address, so that this device must be silent (RFC 4862 §5.4.5). It looks again
    /// after some seconds, and then less and less often: whoever it is may go away. The main program should choose
    /// another interface identifier (RFC 7217 §6).
    Duplicate,
}

/// The configuration of one interface's addresses.
#[derive(Debug)]
pub(crate) struct Addressing {
    own: HardwareAddress,
    identifier: [u8; 8],
    relay: Ipv6Addr,
    random: Random,
    routers: Routers,
    phase: Phase,
    link_local: Option<Ipv6Addr>,
    chosen: Option<Choice>,
    /// The intervals between attempts with an address that was taken.
    retry: Solicitation,
    /// An address of ours that somebody else probes for.
    attacked: Option<Ipv6Addr>,
    #[cfg(feature = "ieee802154")]
    registration: Option<Registration>,
}

/// A packet and the neighbour that it is for, if it is for one.
pub(crate) type Outgoing = (Packet, Option<HardwareAddress>);

impl Addressing {
    pub(crate) fn new(
        own: HardwareAddress,
        identifier: [u8; 8],
        relay: Ipv6Addr,
        seed: u32,
        now: Instant,
    ) -> Self {
        let mut random = Random::new(seed);
        let probe = Probe::new(link_local(identifier), now, &mut random);
        Self {
            own,
            identifier,
            relay,
            random,
            routers: Routers::default(),
            phase: Phase::Probing(probe),
            link_local: None,
            chosen: None,
            retry: Solicitation::new(now),
            attacked: None,
            #[cfg(feature = "ieee802154")]
            registration: None,
        }
    }

    pub(crate) const fn state(&self) -> State {
        match (&self.phase, self.source()) {
            (Phase::Probing(_), _) => State::Probing,
            (Phase::ProbingGlobal(_), _) => State::ProbingGlobal,
            #[cfg(feature = "ieee802154")]
            (Phase::Registering, _) => State::Registering,
            (Phase::Duplicate(_), _) => State::Duplicate,
            (Phase::Ready, Some(source)) => State::Ready { source },
            (Phase::Soliciting(_) | Phase::Ready, _) => State::Soliciting,
        }
    }

    /// The address that datagrams come from, when they can be sent.
    pub(crate) const fn source(&self) -> Option<Ipv6Addr> {
        match (&self.phase, self.chosen) {
            (Phase::Ready, Some(chosen)) => Some(chosen.address),
            (Phase::Ready, None) => self.link_local,
            _ => None,
        }
    }

    pub(crate) const fn link_local(&self) -> Option<Ipv6Addr> {
        self.link_local
    }

    /// The global address that is in use, and its router.
    pub(crate) fn global(&self) -> Option<Choice> {
        match self.phase {
            Phase::Ready => self.chosen,
            #[cfg(feature = "ieee802154")]
            Phase::Registering => self.chosen,
            _ => None,
        }
    }

    /// The address that is being probed.
    pub(crate) const fn tentative(&self) -> Option<Ipv6Addr> {
        match &self.phase {
            Phase::Probing(probe) | Phase::ProbingGlobal(probe) => Some(probe.address),
            _ => None,
        }
    }

    /// When [`Addressing::advance`] or [`Addressing::transmit`] has something to do.
    pub(crate) fn due(&self, now: Instant) -> Option<Instant> {
        let phase = match &self.phase {
            Phase::Probing(probe) | Phase::ProbingGlobal(probe) => Some(probe.due),
            Phase::Soliciting(solicitation) | Phase::Duplicate(solicitation) => Some(solicitation.due),
            _ => None,
        };
        let attacked = self.attacked.map(|_| now);
        #[cfg(feature = "ieee802154")]
        let registration = self.registration.as_ref().and_then(|registration| registration.due);
        #[cfg(not(feature = "ieee802154"))]
        let registration = None;
        [phase, attacked, registration, self.routers.next_change(now)].into_iter().flatten().min()
    }

    /// Does what time alone brings about.
    pub(crate) fn advance(&mut self, now: Instant) {
        match &self.phase {
            Phase::Probing(probe) if self.registers() || probe.step(now) == Step::Unique => {
                self.link_local = Some(probe.address);
                self.phase = Phase::Ready;
            }
            Phase::ProbingGlobal(probe) if probe.step(now) == Step::Unique => self.phase = Phase::Ready,
            Phase::Duplicate(retry) if retry.due <= now => self.restart(now),
            _ => {}
        }
        #[cfg(feature = "ieee802154")]
        self.give_up_silent_router(now);
        self.follow_routers(now);
    }

    /// What is to be sent now; [`Addressing::sent`] when it was.
    pub(crate) fn transmit(&self, now: Instant) -> Option<Outgoing> {
        if let Some(address) = self.attacked {
            return Some((message::defence(address, self.own), None));
        }
        match &self.phase {
            Phase::Probing(probe) | Phase::ProbingGlobal(probe) if probe.step(now) == Step::Solicit => {
                Some((message::probe(probe.address), None))
            }
            Phase::Soliciting(solicitation) if solicitation.due <= now => {
                self.link_local.map(|source| (message::router_solicitation(source, self.own), None))
            }
            _ => self.transmit_registration(now),
        }
    }

    /// What [`Addressing::transmit`] gave is on its way.
    pub(crate) fn sent(&mut self, now: Instant) {
        if self.attacked.take().is_some() {
            return;
        }
        match &mut self.phase {
            Phase::Probing(probe) | Phase::ProbingGlobal(probe) => probe.solicited(now),
            Phase::Soliciting(solicitation) => solicitation.sent(now, &mut self.random),
            #[cfg(feature = "ieee802154")]
            _ => self.registration.iter_mut().for_each(|registration| registration.sent(now)),
            #[cfg(not(feature = "ieee802154"))]
            _ => {}
        }
    }

    /// A message that was received.
    pub(crate) fn heard(&mut self, now: Instant, received: Received<'_>) {
        match received {
            Received::Router { source, lifetime, options } => {
                self.routers.advertised(now, router(source, options), lifetime, options);
            }
            Received::Neighbour { target, .. } if self.tentative() == Some(target) => self.duplicate(now),
            #[cfg(feature = "ieee802154")]
            Received::Neighbour { target, options } => self.registered(now, target, options),
            #[cfg(not(feature = "ieee802154"))]
            Received::Neighbour { .. } => {}
        }
        self.advance(now);
    }

    /// Somebody probes for an address of ours: it is defended, or given up while it is tentative (RFC 4862 §5.4.3).
    pub(crate) fn probed(&mut self, now: Instant, address: Ipv6Addr) {
        if self.tentative() == Some(address) {
            self.duplicate(now);
        } else {
            self.attacked = Some(address);
        }
    }

    /// The next hop does not answer.
    pub(crate) fn distrust_router(&mut self, now: Instant) {
        self.routers.distrust();
        self.advance(now);
    }

    /// Whether routers do what neighbours do elsewhere: then no probe is sent.
    pub(crate) const fn registers(&self) -> bool {
        match self.own {
            #[cfg(feature = "ieee802154")]
            HardwareAddress::Ieee802154(_) => true,
            #[allow(unreachable_patterns, reason = "another crate may give smoltcp more links")]
            _ => false,
        }
    }

    fn restart(&mut self, now: Instant) {
        self.link_local = None;
        self.phase = Phase::Probing(Probe::new(link_local(self.identifier), now, &mut self.random));
    }

    fn duplicate(&mut self, now: Instant) {
        self.retry.sent(now, &mut self.random);
        self.phase = Phase::Duplicate(Solicitation::new(self.retry.due));
        self.chosen = None;
        self.link_local = None;
        self.attacked = None;
        #[cfg(feature = "ieee802154")]
        self.registration.take();
    }

    /// Uses the address and the way that the advertisements suggest, if the relay is not on this link.
    fn follow_routers(&mut self, now: Instant) {
        if self.relay.is_unicast_link_local() || self.link_local.is_none() {
            return;
        }
        let before = self.chosen;
        self.chosen = self.routers.choose(now, self.relay, self.identifier);
        match (self.chosen, before) {
            (Some(chosen), Some(before)) if chosen.address == before.address => self.follow_router(now),
            (Some(chosen), _) => self.begin(now, chosen),
            (None, _) if matches!(self.phase, Phase::Soliciting(_)) => {}
            (None, _) => self.solicit(now),
        }
    }

    fn solicit(&mut self, now: Instant) {
        self.phase = Phase::Soliciting(Solicitation::new(now));
        #[cfg(feature = "ieee802154")]
        self.registration.take();
    }

    #[cfg(not(feature = "ieee802154"))]
    fn transmit_registration(&self, _: Instant) -> Option<Outgoing> {
        None
    }

    #[cfg(not(feature = "ieee802154"))]
    fn follow_router(&mut self, _: Instant) {}

    #[cfg(not(feature = "ieee802154"))]
    fn begin(&mut self, now: Instant, chosen: Choice) {
        self.phase = Phase::ProbingGlobal(Probe::new(chosen.address, now, &mut self.random));
    }
}

#[cfg(feature = "ieee802154")]
impl Addressing {
    fn begin(&mut self, now: Instant, chosen: Choice) {
        let router = chosen.router.filter(|_| self.registers());
        self.registration = router.map(|router| Registration::new(chosen.address, router, now));
        self.phase = match self.registers() {
            true if router.is_some() => Phase::Registering,
            true => Phase::Ready,
            false => Phase::ProbingGlobal(Probe::new(chosen.address, now, &mut self.random)),
        };
    }

    /// Registers with another router when that is the way now.
    fn follow_router(&mut self, now: Instant) {
        let Some(chosen) = self.chosen.filter(|_| self.registers()) else { return };
        let with = self.registration.as_ref().map(Registration::router);
        if chosen.router.map(|router| router.address) != with {
            self.begin(now, chosen);
        }
    }

    fn give_up_silent_router(&mut self, now: Instant) {
        let registration = self.registration.as_ref();
        if registration.is_some_and(|registration| registration.is_unanswered() && registration.is_due(now)) {
            self.routers.distrust();
        }
    }

    fn transmit_registration(&self, now: Instant) -> Option<Outgoing> {
        let registration = self.registration.as_ref().filter(|registration| registration.is_due(now))?;
        let router = self.chosen?.router?;
        Some((registration.solicitation(self.own), Some(router.neighbour())))
    }

    fn registered(&mut self, now: Instant, target: Ipv6Addr, options: Options<'_>) {
        let Some(registration) = &mut self.registration else { return };
        match registration.answered(now, target, options, self.own) {
            Some(Outcome::Accepted) => self.phase = Phase::Ready,
            Some(Outcome::Duplicate) => self.duplicate(now),
            Some(Outcome::Refused) => self.routers.distrust(),
            None => {}
        }
    }
}

/// The link-local address with an interface identifier (RFC 4291 §2.5.6).
fn link_local(identifier: [u8; 8]) -> Ipv6Addr {
    Ipv6Addr::from((0xfe80_u128 << 112) | u128::from(u64::from_be_bytes(identifier)))
}

#[cfg(feature = "ieee802154")]
fn router(address: Ipv6Addr, options: Options<'_>) -> Router {
    let extended = options.source_link_layer().filter(|octets| octets.len() == 14);
    let link_layer = extended.and_then(|octets| octets.first_chunk::<8>());
    let link_layer = link_layer.map(|octets| smoltcp::wire::Ieee802154Address::Extended(*octets).into());
    Router::new(address, link_layer, registration::is_extended(options))
}

#[cfg(not(feature = "ieee802154"))]
const fn router(address: Ipv6Addr, _: Options<'_>) -> Router {
    Router::new(address)
}
