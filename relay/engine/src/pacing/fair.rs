//! Who is next: deficit round robin in airtime (Shreedhar and Varghese, 1995) over devices that ask for one block
//! after another.
//!
//! Such a device has nothing waiting in the moment after its answer left. Its turn goes on nevertheless: what is
//! left of its credit is there when it asks again, and then it comes before those that wait for a turn. So a turn
//! can be several answers long, and only the first of them has waited.

use foldhash::quality::FixedState;
use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

/// The queue of one link. Each operation takes constant time, however many devices wait; only taking back the last answer
/// that a device waits for, which is rare, walks the queue.
#[derive(Debug)]
pub(crate) struct Fair<T> {
    accounts: HashMap<SocketAddr, Account<T>, FixedState>,
    /// Those in the middle of their turn.
    current: VecDeque<SocketAddr>,
    /// Those that wait for a turn.
    ring: VecDeque<SocketAddr>,
    /// The longest answer so far: a turn is never shorter, so that it always suffices for one.
    longest: Duration,
    waiting: usize,
}

#[derive(Debug)]
struct Account<T> {
    /// For how many devices it is.
    weight: u32,
    credit: Duration,
    /// What it has used beyond its turns.
    debt: Duration,
    queue: VecDeque<(T, Duration)>,
}

impl<T> Fair<T> {
    pub(crate) fn new(hasher: FixedState) -> Self {
        Self {
            accounts: HashMap::with_hasher(hasher),
            current: VecDeque::new(),
            ring: VecDeque::new(),
            longest: Duration::ZERO,
            waiting: 0,
        }
    }

    /// Answers that wait.
    pub(crate) const fn len(&self) -> usize {
        self.waiting
    }

    /// Devices that wait.
    pub(crate) fn devices(&self) -> usize {
        self.current.len() + self.ring.len()
    }

    /// Whether a device waits.
    pub(crate) fn waits(&self, device: SocketAddr) -> bool {
        self.accounts.get(&device).is_some_and(|account| !account.queue.is_empty())
    }

    /// The longest answer so far.
    pub(crate) const fn longest(&self) -> Duration {
        self.longest
    }

    /// Whose turn it is, and what the next answer costs.
    pub(crate) fn next(&self) -> Option<(SocketAddr, Duration)> {
        let next = *self.current.front().or(self.ring.front())?;
        Some((next, self.cost_of(next)?))
    }

    /// Lets an answer pass those that wait, if there are none, or if the device is in its turn and has nothing
    /// waiting itself.
    pub(crate) fn pass(&mut self, device: SocketAddr, cost: Duration) -> bool {
        self.longest = self.longest.max(cost);
        match self.accounts.get_mut(&device) {
            Some(account) if account.queue.is_empty() && account.credit >= cost => {
                account.credit -= cost;
                true
            }
            _ => self.waiting == 0,
        }
    }

    /// Puts an answer into the queue.
    pub(crate) fn push(&mut self, device: SocketAddr, item: T, cost: Duration) {
        self.longest = self.longest.max(cost);
        self.waiting += 1;
        let account = self.accounts.entry(device).or_insert_with(|| Account {
            weight: 1,
            credit: Duration::ZERO,
            debt: Duration::ZERO,
            queue: VecDeque::with_capacity(1),
        });
        account.queue.push_back((item, cost));
        if account.queue.len() > 1 {
            return;
        }
        let place = if account.credit >= cost / account.weight { &mut self.current } else { &mut self.ring };
        place.push_back(device);
    }

    /// What waits in this name is for `weight` devices, 1 at least, and gets as many shares.
    pub(crate) fn weigh(&mut self, device: SocketAddr, weight: u32) {
        if let Some(account) = self.accounts.get_mut(&device) {
            account.weight = weight.max(1);
        }
    }

    /// A device that waits used airtime for something else than answers in its turn: its next turns are shorter, or pass without
    /// it. More than `most` is forgiven.
    pub(crate) fn charge(&mut self, device: SocketAddr, cost: Duration, most: Duration) {
        if let Some(account) = self.accounts.get_mut(&device) {
            account.debt = (account.debt + cost).min(most);
        }
    }

    /// What a device has used beyond its turns.
    pub(crate) fn debt(&self, device: SocketAddr) -> Duration {
        self.accounts.get(&device).map_or(Duration::ZERO, |account| account.debt)
    }

    /// Lets devices pass that owe a whole turn: they go behind those that owe none. Every step takes a turn off a debt, so that
    /// there are never more steps than turns were owed.
    pub(crate) fn settle(&mut self, quantum: Duration) {
        let turn = quantum.max(self.longest).max(Duration::from_micros(1));
        while self.current.is_empty()
            && let Some(&device) = self.ring.front()
            && let Some(account) = self.accounts.get_mut(&device)
            && account.debt >= turn
        {
            account.debt -= turn;
            self.ring.rotate_left(1);
        }
    }

    /// Takes the next answer, and charges it. A new turn is `quantum` of airtime long.
    pub(crate) fn pop(&mut self, quantum: Duration) -> Option<(SocketAddr, T, Duration)> {
        loop {
            let device = match self.current.pop_front() {
                Some(device) => device,
                None => self.begin_turn(quantum)?,
            };
            let Some(account) = self.accounts.get_mut(&device) else { continue };
            let Some((item, cost)) = account.queue.pop_front() else { continue };
            let share = cost / account.weight;
            account.debt += share.saturating_sub(account.credit);
            account.credit = account.credit.saturating_sub(share);
            self.waiting -= 1;
            match account.queue.front() {
                Some((_, next)) if account.credit >= *next / account.weight => {
                    self.current.push_front(device);
                }
                Some(_) => self.ring.push_back(device),
                None => {}
            }
            return Some((device, item, cost));
        }
    }

    /// What the next answer of one device costs.
    pub(crate) fn cost_of(&self, device: SocketAddr) -> Option<Duration> {
        self.accounts.get(&device)?.queue.front().map(|(_, cost)| *cost)
    }

    /// Takes the next answer of one device before its turn. It is not charged: the time was of no use to whose turn it is.
    pub(crate) fn pop_of(&mut self, device: SocketAddr) -> Option<(T, Duration)> {
        let account = self.accounts.get_mut(&device)?;
        let (item, cost) = account.queue.pop_front()?;
        self.waiting -= 1;
        if account.queue.is_empty() {
            self.leave(device);
        }
        Some((item, cost))
    }

    fn begin_turn(&mut self, quantum: Duration) -> Option<SocketAddr> {
        let device = self.ring.pop_front()?;
        if let Some(account) = self.accounts.get_mut(&device) {
            let turn = account.credit.min(self.longest) + quantum.max(self.longest);
            account.credit = turn.saturating_sub(account.debt);
            account.debt = account.debt.saturating_sub(turn);
        }
        Some(device)
    }

    /// Everything that waits, in no order.
    pub(crate) fn into_waiting(self) -> impl Iterator<Item = T> {
        self.accounts.into_values().flat_map(|account| account.queue).map(|(item, _)| item)
    }

    /// Takes answers back that nobody waits for any more.
    pub(crate) fn withdraw(&mut self, device: SocketAddr, unwanted: impl Fn(&T) -> bool) {
        let Some(account) = self.accounts.get_mut(&device) else { return };
        let before = account.queue.len();
        account.queue.retain(|(queued, _)| !unwanted(queued));
        self.waiting -= before - account.queue.len();
        if before > 0 && account.queue.is_empty() {
            self.leave(device);
        }
    }

    /// Forgets a device, with what it waits for.
    pub(crate) fn forget(&mut self, device: SocketAddr) {
        let Some(account) = self.accounts.remove(&device) else { return };
        self.waiting -= account.queue.len();
        if !account.queue.is_empty() {
            self.leave(device);
        }
    }

    fn leave(&mut self, device: SocketAddr) {
        self.current.retain(|&other| other != device);
        self.ring.retain(|&other| other != device);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    const MS: Duration = Duration::from_millis(1);

    fn device(n: u16) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], n))
    }

    fn fair() -> Fair<u32> {
        Fair::new(FixedState::with_seed(1))
    }

    #[test]
    fn a_turn_goes_on_when_its_device_asks_again() {
        let mut fair = fair();
        (0..3).for_each(|n| fair.push(device(n), u32::from(n), MS * 10));
        assert_eq!(fair.pop(MS * 25), Some((device(0), 0, MS * 10)));
        assert!(fair.pass(device(0), MS * 10), "10 of 25 are used");
        assert!(!fair.pass(device(0), MS * 10), "20 are used");
        assert!(!fair.pass(device(7), MS * 10), "others wait");
        fair.push(device(0), 9, MS * 10);
        let order: Vec<_> = std::iter::from_fn(|| fair.pop(MS * 25)).map(|(_, item, _)| item).collect();
        assert_eq!(order, [1, 2, 9]);
        assert!(fair.pass(device(7), MS * 10), "nobody waits");
    }

    #[test]
    fn who_waits_for_many_gets_as_many_shares() {
        let mut fair = fair();
        let mut served = [0; 2];
        for n in [0, 1] {
            fair.push(device(n), u32::from(n), MS * 10);
        }
        for _ in 0..90 {
            let (_, item, cost) = fair.pop(Duration::ZERO).unwrap();
            served[item as usize] += 1;
            fair.push(device(item as u16), item, cost);
            fair.weigh(device(1), 8);
        }
        assert_eq!(served, [10, 80]);
        assert_eq!((fair.cost_of(device(1)), fair.cost_of(device(7))), (Some(MS * 10), None));
        assert_eq!(fair.pop_of(device(1)), Some((1, MS * 10)));
        assert_eq!((fair.len(), fair.devices(), fair.pop_of(device(1))), (1, 1, None));
    }

    #[test]
    fn who_owes_turns_passes_them() {
        let mut fair = fair();
        let turn = MS * 20;
        (0..2).for_each(|n| (0..12).for_each(|_| fair.push(device(n), u32::from(n), MS * 10)));
        fair.charge(device(0), MS * 50, MS * 80);
        fair.charge(device(7), MS * 50, MS * 80);
        assert_eq!(
            (fair.debt(device(0)), fair.debt(device(7))),
            (MS * 50, Duration::ZERO),
            "strangers owe nothing"
        );
        let order: Vec<_> = std::iter::from_fn(|| {
            fair.settle(turn);
            fair.pop(turn)
        })
        .map(|(_, item, _)| item)
        .collect();
        // Two turns of four answers pass, and half of the third.
        assert_eq!(order[..10], [1, 1, 1, 1, 0, 1, 1, 0, 0, 1], "{order:?}");
        assert_eq!(order.len(), 24, "and nothing is lost");
        fair.charge(device(0), MS * 500, MS * 80);
        assert_eq!(fair.debt(device(0)), MS * 80, "forgiven");
    }

    #[test]
    fn a_quantum_of_nothing_is_one_answer() {
        let mut fair = fair();
        for n in [0, 0, 1] {
            fair.push(device(n), u32::from(n), MS * 10);
        }
        let order: Vec<_> =
            std::iter::from_fn(|| fair.pop(Duration::ZERO)).map(|(_, item, _)| item).collect();
        assert_eq!(order, [0, 1, 0]);
    }

    #[test]
    fn what_was_withdrawn_or_forgotten_never_comes() {
        let mut fair = fair();
        (0..4).for_each(|n| fair.push(device(n), u32::from(n), MS));
        fair.withdraw(device(1), |&item| item == 1);
        fair.forget(device(2));
        assert_eq!((fair.len(), fair.devices()), (2, 2));
        let order: Vec<_> = std::iter::from_fn(|| fair.pop(MS)).map(|(_, item, _)| item).collect();
        assert_eq!(order, [0, 3]);
    }

    proptest! {
        /// Devices that always have something waiting get the same airtime, whatever the size of their answers: they
        /// differ by no more than a turn and an answer.
        #[test]
        fn airtime_is_shared_equally(costs in proptest::collection::vec(1_u32..100, 2..20), quantum in 0_u32..300) {
            let mut fair = fair();
            let mut used = BTreeMap::new();
            for (n, cost) in (0..).zip(&costs) {
                (0..3).for_each(|item| fair.push(device(n), item, MS * *cost));
            }
            let longest = fair.longest();
            for _ in 0..2000 {
                let (device, item, cost) = fair.pop(MS * quantum).unwrap();
                *used.entry(device).or_insert(Duration::ZERO) += cost;
                fair.push(device, item, cost);
            }
            let (least, most) = (used.values().min().unwrap(), used.values().max().unwrap());
            prop_assert!(*most - *least <= (MS * quantum).max(longest) + 2 * longest, "{used:?}");
        }

        /// Whatever is put in comes out once, unless it was taken back.
        #[test]
        fn nothing_is_lost(steps in proptest::collection::vec((0_u16..8, 1_u32..50, 0_u8..4), 0..200)) {
            let mut fair = fair();
            let mut inside = std::collections::BTreeSet::new();
            for (number, (n, cost, step)) in (0..).zip(steps) {
                match step {
                    0 => if let Some((_, item, _)) = fair.pop(MS * 60) { prop_assert!(inside.remove(&item)); },
                    1 => if let Some(&item) = inside.iter().next() {
                        (0..8).for_each(|n| fair.withdraw(device(n), |&queued| queued == item));
                        inside.remove(&item);
                    },
                    _ => { fair.push(device(n), number, MS * cost); inside.insert(number); }
                }
                prop_assert_eq!(fair.len(), inside.len());
            }
            while let Some((_, item, _)) = fair.pop(MS) { prop_assert!(inside.remove(&item)); }
            prop_assert!(inside.is_empty());
        }
    }
}
