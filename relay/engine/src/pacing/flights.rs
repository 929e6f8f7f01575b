//! Answers on their way, and when nothing more is to be heard of them.

use super::parcel::Parcel;
use foldhash::quality::FixedState;
use sixfold_profile::Instant;
use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;
use std::time::Duration;

/// An answer on its way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flight {
    pub(crate) parcel: Parcel,
    /// Its airtime, with that of those before it of which nothing was heard.
    pub(crate) cost: Duration,
    pub(crate) left: Instant,
    pub(crate) expires: Instant,
    /// Nothing else was on its way when it left.
    pub(crate) alone: bool,
}

/// At most one for each device.
#[derive(Debug)]
pub(crate) struct Flights {
    by_device: HashMap<SocketAddr, Flight, FixedState>,
    expiries: BTreeSet<(Instant, SocketAddr)>,
}

impl Flights {
    pub(crate) fn new(hasher: FixedState) -> Self {
        Self { by_device: HashMap::with_hasher(hasher), expiries: BTreeSet::new() }
    }

    /// An answer leaves. One that is on its way to the same device already is counted with it.
    pub(crate) fn depart(&mut self, device: SocketAddr, mut flight: Flight) {
        if let Some(before) = self.land(device) {
            flight.cost += before.cost;
        }
        self.expiries.insert((flight.expires, device));
        self.by_device.insert(device, flight);
    }

    /// The answer on its way is another one than was thought, with this airtime; says what was counted for it instead.
    pub(crate) fn resize(
        &mut self,
        device: SocketAddr,
        parcel: Parcel,
        cost: Duration,
        cost_of: impl Fn(Parcel) -> Duration,
    ) -> Option<Duration> {
        let flight = self.by_device.get_mut(&device).filter(|flight| flight.parcel != parcel)?;
        let before = cost_of(std::mem::replace(&mut flight.parcel, parcel));
        flight.cost = flight.cost.saturating_sub(before) + cost;
        Some(before)
    }

    pub(crate) fn get(&self, device: SocketAddr) -> Option<&Flight> {
        self.by_device.get(&device)
    }

    /// Nothing is on its way to a device any more.
    pub(crate) fn land(&mut self, device: SocketAddr) -> Option<Flight> {
        let flight = self.by_device.remove(&device)?;
        self.expiries.remove(&(flight.expires, device));
        Some(flight)
    }

    /// The next one of which nothing was heard in time.
    pub(crate) fn expire(&mut self, now: Instant) -> Option<(SocketAddr, Flight)> {
        let &(at, device) = self.expiries.first()?;
        (at <= now).then(|| self.land(device)).flatten().map(|flight| (device, flight))
    }

    /// When the next one expires.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.expiries.first().map(|(at, _)| *at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pacing::Sign;

    #[test]
    fn what_shrank_costs_less_and_what_is_counted_with_it_stays() {
        const MS: Duration = Duration::from_millis(1);
        let cost_of = |parcel: Parcel| MS * parcel.bytes as u32;
        let parcel = |bytes| Parcel { bytes, payload: bytes, sign: Sign::Request };
        let device = SocketAddr::from(([127, 0, 0, 1], 1));
        let mut flights = Flights::new(FixedState::with_seed(1));
        assert_eq!(flights.resize(device, parcel(5), MS * 5, cost_of), None, "nothing is on its way");
        for bytes in [10, 20] {
            let (cost, left) = (cost_of(parcel(bytes)), Instant::ZERO);
            flights.depart(device, Flight { parcel: parcel(bytes), cost, left, expires: left, alone: true });
        }
        assert_eq!(flights.resize(device, parcel(20), MS * 20, cost_of), None, "as it was");
        assert_eq!(flights.resize(device, parcel(5), MS * 5, cost_of), Some(MS * 20));
        assert_eq!(flights.land(device).map(|flight| flight.cost), Some(MS * 15), "with the one before it");
    }
}
