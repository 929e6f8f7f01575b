//! Address registration with the router of a low-power link (RFC 6775 §5.5, RFC 8505 §5): it then knows where the
//! address is, defends it, and need not ask everybody.
//!
//! One address is registered with one router. It is never withdrawn: the lifetime ends by itself. Cryptographic
//! ownership (RFC 8928) is not offered.

use crate::message::{Options, Packet, neighbour_solicitation};
use crate::slaac::Router;
use core::net::Ipv6Addr;
use core::time::Duration;
use sixfold_profile::Instant;
use smoltcp::wire::HardwareAddress;

/// The Address Registration option (RFC 6775 §4.1), the extended one too (RFC 8505 §4.1).
const OPTION: u8 = 33;
/// In units of 8 bytes: with a ROVR of 64 bits.
const UNITS: u8 = 2;
/// T: the transaction is numbered (RFC 8505 §4.1).
const NUMBERED: u8 = 0x01;
/// In minutes.
const LIFETIME: u16 = 30;
/// Refreshed long before the lifetime ends, so that some loss does no harm.
const REFRESH: Duration = Duration::from_secs(20 * 60);
/// RETRANS_TIMER (RFC 6775 §9).
const RETRANS_TIMER: Duration = Duration::from_secs(1);
/// MAX_UNICAST_SOLICIT (RFC 4861 §10).
const MAX_UNICAST_SOLICIT: u8 = 3;
/// How long a router that answers nothing is left alone.
const PAUSE: Duration = Duration::from_secs(60);
const CAPABILITIES: u8 = 36;
/// E in the 6LoWPAN Capability Indication option (RFC 8505 §4.3).
const EXTENDED: u8 = 0x02;

/// An address that is registered, or on its way to be.
#[derive(Debug)]
pub(crate) struct Registration {
    address: Ipv6Addr,
    router: Router,
    /// When to solicit; `None`: the router does not register addresses.
    pub(crate) due: Option<Instant>,
    attempts: u8,
    transaction: u8,
}

/// What the router says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The address may be used.
    Accepted,
    /// Somebody else has it.
    Duplicate,
    /// Ask another router (RFC 6775 §5.5.2).
    Refused,
}

impl Registration {
    pub(crate) const fn new(address: Ipv6Addr, router: Router, now: Instant) -> Self {
        // RFC 8505 §5.2: a fresh counter starts above 128, so that it is taken for a restart.
        Self { address, router, due: Some(now), attempts: 0, transaction: 240 }
    }

    pub(crate) fn router(&self) -> Ipv6Addr {
        self.router.address
    }

    pub(crate) fn is_due(&self, now: Instant) -> bool {
        self.due.is_some_and(|due| due <= now)
    }

    /// Whether the router left the last solicitations unanswered.
    pub(crate) const fn is_unanswered(&self) -> bool {
        self.attempts == MAX_UNICAST_SOLICIT
    }

    /// The solicitation, and to whom. RFC 6775 registers its source, RFC 8505 its target.
    pub(crate) fn solicitation(&self, own: HardwareAddress) -> Packet {
        let target = if self.router.extended { self.address } else { self.router.address };
        neighbour_solicitation(self.address, self.router.address, target, own, &self.option(own))
    }

    /// The solicitation is on its way.
    pub(crate) fn sent(&mut self, now: Instant) {
        self.attempts = if self.attempts == MAX_UNICAST_SOLICIT { 1 } else { self.attempts + 1 };
        self.transaction = next(self.transaction);
        let wait = if self.attempts == MAX_UNICAST_SOLICIT { PAUSE } else { RETRANS_TIMER };
        self.due = Some(now + wait);
    }

    /// Takes a neighbour advertisement; `None`: it is about something else.
    pub(crate) fn answered(
        &mut self,
        now: Instant,
        target: Ipv6Addr,
        mut options: Options<'_>,
        own: HardwareAddress,
    ) -> Option<Outcome> {
        if target != self.address && target != self.router.address {
            return None;
        }
        let option = options.find(|option| option.first() == Some(&OPTION));
        let Some([_, _, status, rest @ ..]) = option else { return self.not_needed(target) };
        let ours = rest.get(5..).is_some_and(|rovr| rovr == rovr_of(own));
        ours.then(|| self.status(now, *status))
    }

    /// Without the option, the router's own address in answer means that it does not register (RFC 6775 §8.3).
    fn not_needed(&mut self, target: Ipv6Addr) -> Option<Outcome> {
        let waiting = self.attempts > 0 && target == self.router.address;
        waiting.then(|| {
            self.due = None;
            Outcome::Accepted
        })
    }

    fn status(&mut self, now: Instant, status: u8) -> Outcome {
        self.attempts = 0;
        match status {
            0 => {
                self.due = Some(now + REFRESH);
                Outcome::Accepted
            }
            1 => Outcome::Duplicate,
            _ => {
                self.due = Some(now + PAUSE);
                Outcome::Refused
            }
        }
    }

    fn option(&self, own: HardwareAddress) -> [u8; 16] {
        let mut option = [0; 16];
        let flags = if self.router.extended { [NUMBERED, self.transaction] } else { [0; 2] };
        let [minutes, of_it] = LIFETIME.to_be_bytes();
        let (fixed, rovr) = option.split_at_mut(8);
        fixed.copy_from_slice(&[OPTION, UNITS, 0, 0, flags[0], flags[1], minutes, of_it]);
        rovr.copy_from_slice(&rovr_of(own));
        option
    }
}

/// The owner verifier: the extended address (RFC 8505 §4.1).
fn rovr_of(own: HardwareAddress) -> [u8; 8] {
    crate::message::link_layer(&own).try_into().unwrap_or_default()
}

/// RFC 6550 §7.2: up to 255, then around in the lower half.
const fn next(transaction: u8) -> u8 {
    match transaction {
        127 | 255 => 0,
        other => other + 1,
    }
}

/// Whether an advertisement says that its router understands RFC 8505.
pub(crate) fn is_extended(mut options: Options<'_>) -> bool {
    options.any(|option| {
        option.first() == Some(&CAPABILITIES) && option.get(3).is_some_and(|flags| flags & EXTENDED != 0)
    })
}
