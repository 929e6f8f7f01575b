//! What was received already (RFC 8613 §3.2.2, §7.4).

use crate::sequence::LAST;

/// How many numbers below the highest one are told apart. The default of §3.2.2 is 32; 64 cost no more memory, and a relay
/// that answers late sees requests overtake each other.
pub const WINDOW: u32 = 64;

/// The Partial IVs of requests that a server has accepted from one client: an anti-replay window (RFC 4303 §3.4.3) of
/// [`WINDOW`] numbers in 16 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplayWindow {
    /// One above the highest number that was accepted.
    next: u64,
    /// Bit *n* stands for the number `next - 1 - n`.
    accepted: u64,
}

impl ReplayWindow {
    /// Nothing was received yet: the context is new.
    pub const fn new() -> Self {
        Self { next: 0, accepted: 0 }
    }

    /// What was received is not known: everything counts as received. So nothing but repeated safe requests is unprotected
    /// ([`Repetition::Safe`](crate::Repetition::Safe)), and no nonce of a request is used for its response: the server may have used it
    /// before it lost the window. It asks for freshness with Echo (Appendix B.1.2).
    pub const fn lost() -> Self {
        Self::up_to(LAST)
    }

    /// All up to this number count as received. For a server that lost its window: the number is that of a request that was
    /// shown to be fresh (Appendix B.1.2), which [`ReplayWindow::accept`] would refuse from now on.
    pub const fn up_to(number: u64) -> Self {
        Self { next: number.saturating_add(1), accepted: u64::MAX }
    }

    /// Was this number not received yet? What is too old to tell counts as received.
    pub const fn is_new(&self, number: u64) -> bool {
        match self.next.checked_sub(number) {
            None | Some(0) => true,
            Some(age) if age <= WINDOW as u64 => self.accepted >> (age - 1) & 1 == 0,
            Some(_) => false,
        }
    }

    /// Notes a number whose message was verified; false, and nothing changes, if it was received before.
    pub const fn accept(&mut self, number: u64) -> bool {
        if !self.is_new(number) {
            return false;
        }
        match self.next.checked_sub(number) {
            Some(age @ 1..) => self.accepted |= 1 << (age - 1),
            _ => {
                let moved = number - self.next + 1;
                let kept = if moved < WINDOW as u64 { self.accepted << moved } else { 0 };
                self.accepted = kept | 1;
                self.next = number + 1;
            }
        }
        true
    }
}

impl Default for ReplayWindow {
    fn default() -> Self {
        Self::new()
    }
}

/// The Notification Number of one observation on the client's side (§7.4.1): notifications that come late or again are
/// found by it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NotificationNumber(Option<Option<u64>>);

impl NotificationNumber {
    /// Nothing came yet.
    pub const fn new() -> Self {
        Self(None)
    }

    /// Notes a notification that was verified; false when it is not newer than all before. Only the first may come without
    /// a Partial IV (§4.1.3.5.2).
    pub fn accept(&mut self, partial_iv: Option<u64>) -> bool {
        let is_newer = self.0.is_none_or(|newest| partial_iv > newest);
        if is_newer {
            self.0 = Some(partial_iv);
        }
        is_newer
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[test]
    fn each_number_once_in_any_order() {
        let mut window = ReplayWindow::new();
        for number in [0, 5, 3, 4, 68, 67, 40] {
            assert!(window.accept(number), "{number}");
        }
        for number in [0, 3, 4, 5, 40, 67, 68] {
            assert!(!window.accept(number), "{number}");
        }
        assert!(window.accept(6), "64 below the next");
        assert!(!window.accept(2), "too old to tell");
        assert!(window.accept(LAST));
        assert!(!window.accept(68));
    }

    #[test]
    fn a_lost_window_begins_behind_a_fresh_request() {
        let mut window = ReplayWindow::up_to(100);
        assert!([0, 36, 37, 99, 100].into_iter().all(|number| !window.is_new(number)));
        assert!(window.accept(101) && window.accept(103) && window.accept(102) && !window.accept(100));
    }

    #[test]
    fn nothing_is_new_to_a_lost_window() {
        let mut window = ReplayWindow::lost();
        assert!([0, 1, 1 << 20, LAST - 64, LAST - 1, LAST].into_iter().all(|number| !window.accept(number)));
        assert_eq!(window, ReplayWindow::lost());
    }

    #[test]
    fn notifications_only_get_newer() {
        let mut number = NotificationNumber::new();
        let came = [None, None, Some(3), Some(3), Some(2), None, Some(4)];
        assert_eq!(came.map(|iv| number.accept(iv)), [true, false, true, false, false, false, true]);
    }

    proptest! {
        /// A set that forgets nothing is the model.
        #[test]
        fn as_a_set_that_forgets_what_is_old(numbers in prop::collection::vec(0_u64..300, 0..200)) {
            let (mut window, mut set) = (ReplayWindow::new(), BTreeSet::new());
            for number in numbers {
                let oldest = set.last().map_or(0, |highest: &u64| (highest + 1).saturating_sub(WINDOW.into()));
                let is_new = number >= oldest && !set.contains(&number);
                prop_assert_eq!(window.is_new(number), is_new);
                prop_assert_eq!(window.accept(number), is_new);
                if is_new {
                    set.insert(number);
                }
            }
        }
    }
}
