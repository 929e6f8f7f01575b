//! Multicast Listener Discovery, version 2 (RFC 3810): which groups this host hears.
//!
//! smoltcp has that too, but panics when it must report over 802.15.4, which any node on the link can make it do. Here
//! every report says everything, as does an answer to a general query. There are no sources to choose from, and no
//! leaving: the device runs until it restarts.

use crate::message::{Octets, Packet};
use crate::random::Random;
use core::net::Ipv6Addr;
use core::time::Duration;
use sixfold_profile::Instant;
use smoltcp::wire::{Icmpv6Packet, IpProtocol};

/// ff02::16 (RFC 3810 §5.2.14).
const MLDV2_ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x16);
/// Unsolicited Report Interval (RFC 3810 §9.11).
const INTERVAL: Duration = Duration::from_secs(1);
/// Robustness Variable (RFC 3810 §9.1): reports are sent so often, as one may be lost.
const ROBUSTNESS: u8 = 2;
/// Hop-by-Hop Options: ICMPv6 follows, Router Alert for MLD, padding (RFC 2711 §2.1).
const ROUTER_ALERT: [u8; 8] = [58, 0, 5, 2, 0, 0, 1, 0];
const REPORT: u8 = 143;
/// MODE_IS_EXCLUDE with no sources: everything sent to the group (RFC 3810 §5.2.12).
const EVERY_SOURCE: [u8; 4] = [2, 0, 0, 0];

/// When to report.
#[derive(Debug, Default)]
pub(crate) struct Membership {
    pub(crate) due: Option<Instant>,
    left: u8,
}

impl Membership {
    /// The groups changed: report at once, and once more.
    pub(crate) const fn changed(&mut self, now: Instant) {
        self.left = ROBUSTNESS;
        self.due = Some(now);
    }

    /// A router asks (RFC 3810 §6.2). The answer comes within a second, whatever longer time it offers.
    pub(crate) fn asked(&mut self, now: Instant, random: &mut Random) {
        if self.due.is_none() {
            self.left = 1;
            self.due = Some(now + random.up_to(INTERVAL));
        }
    }

    pub(crate) fn is_due(&self, now: Instant) -> bool {
        self.due.is_some_and(|due| due <= now)
    }

    /// A report is on its way.
    pub(crate) fn reported(&mut self, now: Instant, random: &mut Random) {
        self.left = self.left.saturating_sub(1);
        self.due = (self.left > 0).then(|| now + random.up_to(INTERVAL));
    }
}

/// The report of all `groups`, at most two; `source` is link-local, or unspecified while there is none.
pub(crate) fn report(source: Ipv6Addr, groups: impl Iterator<Item = Ipv6Addr> + Clone) -> Packet {
    let mut payload = Octets::new();
    payload.put(&ROUTER_ALERT);
    payload.put(&[REPORT, 0, 0, 0, 0, 0, 0, groups.clone().count() as u8]);
    for group in groups {
        payload.put(&EVERY_SOURCE);
        payload.put(&group.octets());
    }
    if let Some(message) = payload.as_mut().get_mut(ROUTER_ALERT.len()..) {
        Icmpv6Packet::new_unchecked(message).fill_checksum(&source, &MLDV2_ROUTERS);
    }
    Packet { source, destination: MLDV2_ROUTERS, hop_limit: 1, next_header: IpProtocol::HopByHop, payload }
}
