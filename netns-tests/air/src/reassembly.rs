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
    fn expire(&mut self, now: Instant) {
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
