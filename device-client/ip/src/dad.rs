//! Duplicate address detection (RFC 4862 §5.4): one solicitation, and a second to hear of an owner.
//!
//! It decides when to speak and when an address may be used. It neither sends nor reads messages.

use crate::random::Random;
use core::net::Ipv6Addr;
use core::time::Duration;
use sixfold_profile::Instant;

/// RetransTimer (RFC 4861 §10); with DupAddrDetectTransmits of 1, all that there is to wait for.
const RETRANS_TIMER: Duration = Duration::from_secs(1);
/// MAX_RTR_SOLICITATION_DELAY (RFC 4861 §10), the longest wait before the solicitation.
const MAX_DELAY: Duration = Duration::from_secs(1);

/// An address that is tentative.
#[derive(Debug)]
pub(crate) struct Probe {
    pub(crate) address: Ipv6Addr,
    pub(crate) due: Instant,
    solicited: bool,
}

/// What is to be done about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Wait,
    Solicit,
    /// Nobody answered: the address may be used.
    Unique,
}

impl Probe {
    pub(crate) fn new(address: Ipv6Addr, now: Instant, random: &mut Random) -> Self {
        Self { address, due: now + random.up_to(MAX_DELAY), solicited: false }
    }

    pub(crate) fn step(&self, now: Instant) -> Step {
        match (now < self.due, self.solicited) {
            (true, _) => Step::Wait,
            (false, false) => Step::Solicit,
            (false, true) => Step::Unique,
        }
    }

    /// The solicitation is on its way.
    pub(crate) fn solicited(&mut self, now: Instant) {
        self.solicited = true;
        self.due = now + RETRANS_TIMER;
    }
}
