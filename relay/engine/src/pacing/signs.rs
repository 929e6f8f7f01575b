//! What the deeds of devices say of a link: what arrived, what was lost, who is missing.

use super::block::Change;
use super::flights::Flight;
use super::link::Link;
use super::parcel::{REQUEST, Sign, Signal};
use crate::event::LinkDecision;
use sixfold_profile::Instant;
use std::net::SocketAddr;
use std::time::Duration;

impl<T> Link<T> {
    /// A device asks for block `num`.
    pub(crate) fn heard(&mut self, now: Instant, address: SocketAddr, num: u32) -> Option<Signal> {
        let wanted = self.fair.len() > 0;
        let device = self.devices.get_mut(&address)?;
        device.asked = num;
        if let Some(since) = device.missing.take() {
            self.quiet.found(since, address);
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
        if flight.is_some() {
            device.followed(answered, num);
        }
        let repeats = u8::from(flight.is_none() || device.again);
        device.estimator.sample(round_trip, repeats);
        self.estimator.sample(round_trip, repeats);
        let (frames, payload) = (self.config.radio.frames(device.size), device.payload);
        self.estimate.delivered(now, frames, payload, round_trip);
        if let Some(mut flight) = flight {
            flight.alone &= repeats == 0;
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

    /// Gives up answers of which nothing was heard; says how many.
    pub(crate) fn handle_timeout(&mut self, now: Instant) -> usize {
        let mut expired = 0;
        while let Some((address, flight)) = self.flights.expire(now) {
            self.window.ended(flight.cost);
            self.free_at = self.free_at.max(now);
            expired += 1;
            // The link had nothing else to do meanwhile.
            let waited = now.since(flight.left).saturating_sub(flight.cost);
            self.owe(address, waited);
            if let Some(device) = self.devices.get_mut(&address)
                && device.is_missed()
            {
                let since = *device.missing.get_or_insert(now);
                self.quiet.miss(since, address);
            }
        }
        expired
    }
}
