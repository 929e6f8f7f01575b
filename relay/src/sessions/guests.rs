//! How many connections there may be: from one address, and in all. A place is given back when its [`Place`] is dropped.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Who is here.
#[derive(Clone, Debug, Default)]
pub(super) struct Guests(Arc<Mutex<HashMap<IpAddr, usize>>>);

/// The place of one connection.
#[derive(Debug)]
pub(super) struct Place {
    guests: Guests,
    address: IpAddr,
}

impl Guests {
    /// A place for one more connection of this address, if it has fewer than `limit`.
    pub(super) fn admit(&self, address: IpAddr, limit: usize) -> Option<Place> {
        let mut places = self.places();
        let count = places.entry(address).or_default();
        if *count >= limit {
            return None;
        }
        *count += 1;
        Some(Place { guests: self.clone(), address })
    }

    fn places(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut places = self.guests.places();
        if let Some(count) = places.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                places.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_address_has_its_places_and_gives_them_back() {
        let guests = Guests::default();
        let [a, b] = [[0, 1], [0, 2]].map(|[high, low]| IpAddr::from([high, low, 0, 0, 0, 0, 0, 0u16]));
        let first = guests.admit(a, 1).unwrap();
        assert!(guests.admit(a, 1).is_none());
        let _other = guests.admit(b, 1).unwrap();
        drop(first);
        assert_eq!(guests.places().len(), 1, "who has no connection is not remembered");
        assert!(guests.admit(a, 1).is_some());
    }
}
