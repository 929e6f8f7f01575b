//! Which host is due when.

use crate::topology::NodeId;
use sixfold_profile::Instant;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// One deadline for each node at most; a new one takes the place of the old.
#[derive(Debug)]
pub(super) struct Agenda {
    deadlines: Vec<Option<Instant>>,
    /// May hold deadlines that are void by now.
    queue: BinaryHeap<Reverse<(Instant, NodeId)>>,
}

impl Agenda {
    pub(super) fn new(nodes: usize) -> Self {
        Self { deadlines: vec![None; nodes], queue: BinaryHeap::new() }
    }

    pub(super) fn set(&mut self, node: NodeId, deadline: Option<Instant>) {
        let current = &mut self.deadlines[node.index()];
        if *current != deadline {
            *current = deadline;
            self.queue.extend(deadline.map(|deadline| Reverse((deadline, node))));
        }
    }

    /// The earliest deadline.
    pub(super) fn next(&mut self) -> Option<Instant> {
        while let Some(&Reverse((at, node))) = self.queue.peek() {
            if self.deadlines[node.index()] == Some(at) {
                return Some(at);
            }
            self.queue.pop();
        }
        None
    }

    /// A node whose deadline is not after `now`.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<NodeId> {
        self.next().filter(|at| *at <= now)?;
        let Reverse((_, node)) = self.queue.pop()?;
        self.deadlines[node.index()] = None;
        Some(node)
    }
}
