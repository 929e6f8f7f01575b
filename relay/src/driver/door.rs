//! Rate limits at the door: a client that asks faster than it may is not let in (governor, one cell an address). The first
//! request too many is dropped: a client with one request at a time (NSTART, RFC 7252 §4.7) waits for its time-out then, and goes
//! on. One that asks on is told 4.29 (RFC 8516) once a second; more answers would be more traffic.
//!
//! Fairness between clients that behave is not decided here.

use governor::clock::DefaultClock;
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use std::net::IpAddr;
use std::num::NonZeroU32;

/// One in ACK_TIMEOUT (2 s).
const SLIPS_A_MINUTE: NonZeroU32 = NonZeroU32::new(30).unwrap();
/// Addresses remembered before those are dropped whose budget is full again.
const SWEEP_ABOVE: usize = 4096;
/// Addresses remembered at most: beyond it all are forgotten, which costs a flood of spoofed sources nothing but
/// gives everybody else a fresh budget.
const FORGET_ABOVE: usize = 65_536;

/// Lets datagrams in, or not.
pub(crate) struct Door(Option<Limiters>);

struct Limiters {
    requests: DefaultKeyedRateLimiter<IpAddr>,
    /// How often a request too many is only dropped.
    slips: DefaultKeyedRateLimiter<IpAddr>,
    /// How often a client that is not let in is told so.
    refusals: DefaultKeyedRateLimiter<IpAddr>,
}

/// What becomes of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    /// It is let in.
    Admitted,
    /// It is not, and its sender is told so.
    Refused,
    /// It is not.
    Dropped,
}

impl Door {
    /// `rate` requests a second for each address, `burst` at once; no limit if either is zero.
    pub(crate) fn new(rate: u32, burst: u32) -> Self {
        let limiter = |quota| RateLimiter::dashmap_with_clock(quota, DefaultClock::default());
        let quota = NonZeroU32::new(rate).zip(NonZeroU32::new(burst));
        Self(quota.map(|(rate, burst)| Limiters {
            requests: limiter(Quota::per_second(rate).allow_burst(burst)),
            slips: limiter(Quota::per_minute(SLIPS_A_MINUTE).allow_burst(NonZeroU32::MIN)),
            refusals: limiter(Quota::per_second(NonZeroU32::MIN)),
        }))
    }

    pub(crate) fn judge(&self, address: IpAddr) -> Entry {
        let Some(Limiters { requests, slips, refusals }) = &self.0 else { return Entry::Admitted };
        if requests.check_key(&address).is_ok() {
            return Entry::Admitted;
        }
        if slips.check_key(&address).is_ok() {
            return Entry::Dropped;
        }
        refusals.check_key(&address).map_or(Entry::Dropped, |()| Entry::Refused)
    }

    /// Keeps the memory bounded; call it about once a second.
    pub(crate) fn sweep(&mut self, rate: u32, burst: u32) {
        let Some(Limiters { requests, slips, refusals }) = &self.0 else { return };
        for limiter in [requests, slips, refusals] {
            if limiter.len() > SWEEP_ABOVE {
                limiter.retain_recent();
            }
        }
        if requests.len().max(slips.len()) > FORGET_ABOVE {
            *self = Self::new(rate, burst);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv6Addr;

    fn address(n: u128) -> IpAddr {
        Ipv6Addr::from_bits(n).into()
    }

    #[test]
    fn each_address_has_its_own_budget() {
        let door = Door::new(1, 3);
        let entries: Vec<_> = (0..6).map(|_| door.judge(address(1))).collect();
        assert_eq!(entries[..3], [Entry::Admitted; 3]);
        assert_eq!(
            entries[3..],
            [Entry::Dropped, Entry::Refused, Entry::Dropped],
            "told once, and not at once"
        );
        assert_eq!(door.judge(address(2)), Entry::Admitted);
    }

    #[test]
    fn zero_means_no_limit() {
        let door = Door::new(0, 1);
        assert!((0..10_000).all(|_| door.judge(address(1)) == Entry::Admitted));
    }

    #[test]
    fn a_flood_of_addresses_is_forgotten() {
        let mut door = Door::new(1, 1);
        for n in 0..=FORGET_ABOVE as u128 {
            assert_eq!(door.judge(address(n)), Entry::Admitted);
        }
        door.sweep(1, 1);
        assert!(door.0.as_ref().is_some_and(|limiters| limiters.requests.len() <= FORGET_ABOVE));
    }
}
