//! How many connections a TCP port holds: of one source and in all, and who makes room when there is no place left.
//!
//! A place is not for whoever came first. Where all are taken, the oldest connection that has not shown yet that it is worth one
//! ([`Place::keep`]) makes room, and of these one of the source that has the most: so nobody keeps others out by being slow. Whoever
//! connects faster than honest clients are served, from many sources, still can; `sessions.handshakes` says how many that takes.
//!
//! It knows no sockets and no time: a connection is told that it has to end ([`Place::displaced`]), and its place is given back when
//! its [`Place`] is dropped.

mod source;

pub(crate) use source::{Neighbours, Source};

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// How many connections there may be at the same time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) total: usize,
    pub(crate) per_source: usize,
}

/// Why there is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoPlace {
    /// The source has all that it may have, and none of them makes room.
    OfSource,
    /// All are taken, and none makes room.
    AtAll,
}

/// Who is here.
#[derive(Clone, Debug, Default)]
pub(crate) struct Guests(Arc<Mutex<Table>>);

#[derive(Debug, Default)]
struct Table {
    /// In the order in which they came.
    guests: BTreeMap<u64, Guest>,
    next: u64,
}

#[derive(Debug)]
struct Guest {
    source: Source,
    /// How it is told to make room; `None` for one that does not.
    bell: Option<Arc<Notify>>,
}

/// The place of one connection.
#[derive(Debug)]
pub(crate) struct Place {
    guests: Guests,
    number: u64,
    bell: Arc<Notify>,
}

impl Guests {
    /// A place for one more connection of this source, which another one may have to make.
    pub(crate) fn admit(&self, source: Source, limits: Limits) -> Result<Place, NoPlace> {
        let mut table = self.table();
        let own = table.guests.values().filter(|guest| guest.source == source).count();
        if own >= limits.per_source {
            table.displace(&[source]).ok_or(NoPlace::OfSource)?;
        } else if table.guests.len() >= limits.total {
            let busiest = table.busiest_first();
            table.displace(&busiest).ok_or(NoPlace::AtAll)?;
        }
        let (number, bell) = (table.next, Arc::new(Notify::new()));
        table.next += 1;
        table.guests.insert(number, Guest { source, bell: Some(bell.clone()) });
        Ok(Place { guests: self.clone(), number, bell })
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    /// Sources with a connection that would make room: those with the most connections first, and of these the one whose oldest
    /// is the oldest.
    fn busiest_first(&self) -> Vec<Source> {
        let mut counts: HashMap<Source, (usize, u64)> = HashMap::new();
        for (&number, guest) in &self.guests {
            counts.entry(guest.source).or_insert((0, number)).0 += 1;
        }
        let mut sources: Vec<_> = counts.into_iter().collect();
        sources.sort_unstable_by_key(|&(_, (count, oldest))| (usize::MAX - count, oldest));
        sources.into_iter().map(|(source, _)| source).collect()
    }

    /// Ends the oldest connection that makes room, of the first of these sources that has one.
    fn displace(&mut self, sources: &[Source]) -> Option<()> {
        let oldest_of = |source: &Source| {
            self.guests.iter().find(|(_, guest)| guest.source == *source && guest.bell.is_some())
        };
        let number = *sources.iter().find_map(oldest_of)?.0;
        self.guests.remove(&number)?.bell?.notify_one();
        Some(())
    }
}

impl Place {
    /// From now on this connection makes room for nobody.
    pub(crate) fn keep(&self) {
        if let Some(guest) = self.guests.table().guests.get_mut(&self.number) {
            guest.bell = None;
        }
    }

    /// Waits until this connection has to end, because another one has its place. Cancel safe.
    pub(crate) async fn displaced(&self) {
        self.bell.notified().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.guests.table().guests.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::pin;
    use std::task::{Context, Waker};

    fn source(n: u16) -> Source {
        Source::of(std::net::IpAddr::from([0xfd00, 0, 0, n, 0, 0, 0, 1]), &[])
    }

    /// Places for these sources, in this order.
    fn seat(guests: &Guests, sources: &[u16], limits: Limits) -> Vec<Place> {
        sources.iter().map(|&n| guests.admit(source(n), limits).unwrap()).collect()
    }

    /// Which of them have to end.
    fn displaced(places: &[Place]) -> Vec<usize> {
        let is_displaced = |&index: &usize| {
            let told = pin!(places[index].displaced());
            told.poll(&mut Context::from_waker(Waker::noop())).is_ready()
        };
        (0..places.len()).filter(is_displaced).collect()
    }

    #[test]
    fn the_oldest_makes_room() {
        let (guests, limits) = (Guests::default(), Limits { total: 3, per_source: 3 });
        let places = seat(&guests, &[1, 2, 3, 4, 5], limits);
        assert_eq!(displaced(&places), [0, 1]);
        assert_eq!(guests.table().guests.len(), 3);
    }

    #[test]
    fn who_has_the_most_makes_room_first() {
        let (guests, limits) = (Guests::default(), Limits { total: 4, per_source: 3 });
        let places = seat(&guests, &[1, 2, 2, 2, 3, 4], limits);
        assert_eq!(displaced(&places), [1, 2], "the one connection of the first is as good as others");
    }

    #[test]
    fn a_source_makes_room_for_itself() {
        let (guests, limits) = (Guests::default(), Limits { total: 9, per_source: 2 });
        let places = seat(&guests, &[1, 2, 2, 2], limits);
        assert_eq!(displaced(&places), [1]);
        let [kept, other] = &places[2..] else { panic!() };
        kept.keep();
        other.keep();
        assert_eq!(guests.admit(source(2), limits).unwrap_err(), NoPlace::OfSource);
        assert!(guests.admit(source(1), limits).is_ok());
    }

    #[test]
    fn who_is_kept_is_not_displaced_and_places_are_given_back() {
        let (guests, limits) = (Guests::default(), Limits { total: 2, per_source: 2 });
        let mut places = seat(&guests, &[1, 2], limits);
        places[0].keep();
        places.extend(seat(&guests, &[3], limits));
        assert_eq!(displaced(&places), [1]);
        places[2].keep();
        assert_eq!(guests.admit(source(4), limits).unwrap_err(), NoPlace::AtAll);
        drop(places);
        assert!(guests.table().guests.is_empty(), "who has no connection is not remembered");
        seat(&guests, &[4, 5], limits);
    }
}
