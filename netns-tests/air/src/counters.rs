//! What each node counts.

use std::iter::Sum;
use std::ops::Add;
use std::time::Duration;

/// The counters of one node, or their sum over several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Data frames sent, every retry counted.
    pub frames: u64,
    /// Acknowledgement frames sent.
    pub acknowledgements: u64,
    /// Data frames sent once more because no acknowledgement came.
    pub retries: u64,
    /// Frames given up after the last retry.
    pub unacknowledged: u64,
    /// Frames given up because the channel was never found idle.
    pub channel_access_failures: u64,
    /// Frames for this node that another transmission, or this node's own, overlapped.
    pub collisions: u64,
    /// Frames for this node that the link lost.
    pub losses: u64,
    /// Datagrams that this node dropped because its queue was full.
    pub queue_drops: u64,
    /// Datagrams for which fragments were missing when their time was over, or their buffer was needed.
    pub reassembly_failures: u64,
    /// Packets and frames that this node could not understand, carry or route.
    pub undeliverable: u64,
    /// How long this node transmitted.
    pub transmitting: Duration,
}

impl Counters {
    /// What was counted since `earlier`.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        Self {
            frames: self.frames - earlier.frames,
            acknowledgements: self.acknowledgements - earlier.acknowledgements,
            retries: self.retries - earlier.retries,
            unacknowledged: self.unacknowledged - earlier.unacknowledged,
            channel_access_failures: self.channel_access_failures - earlier.channel_access_failures,
            collisions: self.collisions - earlier.collisions,
            losses: self.losses - earlier.losses,
            queue_drops: self.queue_drops - earlier.queue_drops,
            reassembly_failures: self.reassembly_failures - earlier.reassembly_failures,
            undeliverable: self.undeliverable - earlier.undeliverable,
            transmitting: self.transmitting - earlier.transmitting,
        }
    }
}

impl Add for Counters {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            frames: self.frames + other.frames,
            acknowledgements: self.acknowledgements + other.acknowledgements,
            retries: self.retries + other.retries,
            unacknowledged: self.unacknowledged + other.unacknowledged,
            channel_access_failures: self.channel_access_failures + other.channel_access_failures,
            collisions: self.collisions + other.collisions,
            losses: self.losses + other.losses,
            queue_drops: self.queue_drops + other.queue_drops,
            reassembly_failures: self.reassembly_failures + other.reassembly_failures,
            undeliverable: self.undeliverable + other.undeliverable,
            transmitting: self.transmitting + other.transmitting,
        }
    }
}

impl Sum for Counters {
    fn sum<I: Iterator<Item = Self>>(counters: I) -> Self {
        counters.fold(Self::default(), Add::add)
    }
}
