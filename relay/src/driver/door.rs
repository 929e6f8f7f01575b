//! Rate limits at the door: a client that asks faster than it may is not let in (governor, one cell an address).
//!
//! Fairness between clients that behave is not decided here.

use governor::clock::DefaultClock;
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use std::net::IpAddr;
use std::num::NonZeroU32;

/// Addresses remembered before those are dropped whose budget is full again.
const SWEEP_ABOVE: usize = 4096;
/// Addresses remembered at most: beyond it all are forgotten, which costs a flood of spoofed sources nothing but
/// gives everybody else a fresh budget.
const FORGET_ABOVE: usize = 65_536;

/// Lets datagrams in, or not.
pub(crate) struct Door(Option<DefaultKeyedRateLimiter<IpAddr>>);

impl Door {
    /// `rate` requests a second for each address, `burst` at once; no limit if either is zero.
    pub(crate) fn new(rate: u32, burst: u32) -> Self {
        let quota = NonZeroU32::new(rate).zip(NonZeroU32::new(burst));
        Self(quota.map(|(rate, burst)| {
            let quota = Quota::per_second(rate).allow_burst(burst);
            RateLimiter::dashmap_with_clock(quota, DefaultClock::default())
        }))
    }

    pub(crate) fn admits(&self, address: IpAddr) -> bool {
        self.0.as_ref().is_none_or(|limiter| limiter.check_key(&address).is_ok())
    }

    /// Keeps the memory bounded; call it about once a second.
    pub(crate) fn sweep(&mut self, rate: u32, burst: u32) {
        let Some(limiter) = &self.0 else { return };
        if limiter.len() > SWEEP_ABOVE {
            limiter.retain_recent();
        }
        if limiter.len() > FORGET_ABOVE {
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
        let admitted = (0..10).filter(|_| door.admits(address(1))).count();
        assert_eq!(admitted, 3);
        assert!(door.admits(address(2)));
    }

    #[test]
    fn zero_means_no_limit() {
        let door = Door::new(0, 1);
        assert!((0..10_000).all(|_| door.admits(address(1))));
    }

    #[test]
    fn a_flood_of_addresses_is_forgotten() {
        let mut door = Door::new(1, 1);
        for n in 0..=FORGET_ABOVE as u128 {
            assert!(door.admits(address(n)));
        }
        door.sweep(1, 1);
        assert!(door.0.as_ref().is_some_and(|limiter| limiter.len() <= FORGET_ABOVE));
    }
}
