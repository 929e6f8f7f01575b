//! Fragments into packets (RFC 4944 §5.3), for one node.

use crate::sixlowpan::Fragment;
use crate::topology::NodeId;
use sixfold_profile::Instant;
use std::collections::VecDeque;
use std::time::Duration;

/// The packets that a node is putting together. When there are too many, the oldest makes room.
#[derive(Debug)]
pub(crate) struct Reassembly {
    capacity: usize,
    timeout: Duration,
    partial: VecDeque<Partial>,
    /// How many packets were given up.
    failures: u64,
}

#[derive(Debug)]
struct Partial {
    from: NodeId,
    tag: u16,
    bytes: Vec<u8>,
    /// For each 8 bytes, whether they are here.
    present: Vec<bool>,
    /// How many of `present` are not set.
    missing: usize,
    since: Instant,
}

impl Reassembly {
    pub(crate) const fn new(capacity: usize, timeout: Duration) -> Self {
        Self { capacity, timeout, partial: VecDeque::new(), failures: 0 }
    }

    /// How many packets were given up so far.
    pub(crate) const fn failures(&self) -> u64 {
        self.failures
    }

    /// Takes a fragment; gives the packet when it was the last one missing.
    pub(crate) fn take(&mut self, now: Instant, from: NodeId, fragment: &Fragment<'_>) -> Option<Vec<u8>> {
        self.expire(now);
        let index = self.find(from, fragment).unwrap_or_else(|| self.begin(now, from, fragment));
        let partial = self.partial.get_mut(index)?;
        partial.take(fragment);
        (partial.missing == 0).then(|| self.partial.remove(index))?.map(|partial| partial.bytes)
    }

    /// Gives up what is older than the time-out.
    pub(crate) fn expire(&mut self, now: Instant) {
        while self.partial.front().is_some_and(|oldest| now.since(oldest.since) >= self.timeout) {
            self.partial.pop_front();
            self.failures += 1;
        }
    }

    fn find(&self, from: NodeId, fragment: &Fragment<'_>) -> Option<usize> {
        self.partial.iter().position(|partial| {
            partial.from == from && partial.tag == fragment.tag && partial.bytes.len() == fragment.size
        })
    }

    fn begin(&mut self, now: Instant, from: NodeId, fragment: &Fragment<'_>) -> usize {
        if self.partial.len() >= self.capacity {
            self.partial.pop_front();
            self.failures += 1;
        }
        let units = fragment.size.div_ceil(8);
        self.partial.push_back(Partial {
            from,
            tag: fragment.tag,
            bytes: vec![0; fragment.size],
            present: vec![false; units],
            missing: units,
            since: now,
        });
        self.partial.len() - 1
    }
}

impl Partial {
    fn take(&mut self, fragment: &Fragment<'_>) {
        let end = fragment.offset + fragment.bytes.len();
        self.bytes[fragment.offset..end].copy_from_slice(&fragment.bytes);
        // A fragment that does not end on a multiple of 8 is the last one, and its last unit is short.
        let units = fragment.offset / 8..if end == self.bytes.len() { self.present.len() } else { end / 8 };
        for present in &mut self.present[units] {
            self.missing -= usize::from(!*present);
            *present = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::borrow::Cow;

    const TIMEOUT: Duration = Duration::from_secs(60);
    const SENDER: NodeId = NodeId(1);

    fn fragment(tag: u16, offset: usize, bytes: &[u8]) -> Fragment<'_> {
        Fragment { size: 20, tag, offset, bytes: Cow::Borrowed(bytes) }
    }

    fn at(seconds: u64) -> Instant {
        Instant::ZERO + Duration::from_secs(seconds)
    }

    #[test]
    fn fragments_come_in_any_order_and_more_than_once() {
        let mut node = Reassembly::new(1, TIMEOUT);
        assert_eq!(node.take(at(0), SENDER, &fragment(7, 16, b"qrst")), None);
        assert_eq!(node.take(at(0), SENDER, &fragment(7, 8, b"ijklmnop")), None);
        assert_eq!(node.take(at(0), SENDER, &fragment(7, 8, b"ijklmnop")), None);
        let whole = node.take(at(0), SENDER, &fragment(7, 0, b"abcdefgh"));
        assert_eq!(whole.as_deref(), Some(&b"abcdefghijklmnopqrst"[..]));
        assert_eq!(node.failures(), 0);
    }

    #[test]
    fn tags_and_senders_are_told_apart() {
        let mut node = Reassembly::new(3, TIMEOUT);
        for (sender, tag) in [(SENDER, 1), (SENDER, 2), (NodeId(2), 1)] {
            assert_eq!(node.take(at(0), sender, &fragment(tag, 0, b"abcdefgh")), None);
            assert_eq!(node.take(at(0), sender, &fragment(tag, 16, b"qrst")), None);
        }
        assert!(node.take(at(0), SENDER, &fragment(2, 8, b"ijklmnop")).is_some());
    }

    #[test]
    fn what_is_incomplete_for_too_long_is_given_up_and_counted() {
        let mut node = Reassembly::new(4, TIMEOUT);
        node.take(at(0), SENDER, &fragment(1, 0, b"abcdefgh"));
        node.take(at(30), SENDER, &fragment(2, 0, b"abcdefgh"));
        node.expire(at(59));
        assert_eq!(node.failures(), 0);
        node.expire(at(60));
        assert_eq!(node.failures(), 1);
        // What comes late begins anew, and is not enough.
        assert_eq!(node.take(at(61), SENDER, &fragment(1, 16, b"qrst")), None);
        assert_eq!(node.take(at(61), SENDER, &fragment(1, 8, b"ijklmnop")), None);
    }

    #[test]
    fn when_buffers_are_full_the_oldest_makes_room() {
        let mut node = Reassembly::new(2, TIMEOUT);
        for tag in 1..=3 {
            node.take(at(0), SENDER, &fragment(tag, 0, b"abcdefgh"));
        }
        assert_eq!(node.failures(), 1);
        for tag in [2, 3] {
            node.take(at(0), SENDER, &fragment(tag, 8, b"ijklmnop"));
            assert!(node.take(at(0), SENDER, &fragment(tag, 16, b"qrst")).is_some());
        }
    }
}
