//! What each node counts.

use std::iter::Sum;
use std::ops::Add;
use std::time::Duration;

/// Declares the counters once, for all that is done to each of them.
macro_rules! counters {
    ($($(#[$about:meta])* $name:ident: $kind:ty,)*) => {
        /// The counters of one node, or their sum over several.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Counters {
            $($(#[$about])* pub $name: $kind,)*
        }

        impl Counters {
            /// What was counted since `earlier`.
            #[must_use]
            pub fn since(&self, earlier: &Self) -> Self {
                Self { $($name: self.$name - earlier.$name,)* }
            }
        }

        impl Add for Counters {
            type Output = Self;

            fn add(self, other: Self) -> Self {
                Self { $($name: self.$name + other.$name,)* }
            }
        }
    };
}

counters! {
    /// Data frames sent, every retry counted.
    frames: u64,
    /// Acknowledgement frames sent.
    acknowledgements: u64,
    /// Data frames sent once more because no acknowledgement came.
    retries: u64,
    /// Frames given up after the last retry.
    unacknowledged: u64,
    /// Frames given up because the channel was never found idle.
    channel_access_failures: u64,
    /// Frames for this node that another transmission, or this node's own, overlapped.
    collisions: u64,
    /// Frames for this node that the link lost.
    losses: u64,
    /// Datagrams that this node dropped because its queue was full.
    queue_drops: u64,
    /// Datagrams for which fragments were missing when their time was over, or their buffer was needed.
    reassembly_failures: u64,
    /// Packets and frames that this node could not understand, carry or route.
    undeliverable: u64,
    /// How long this node transmitted.
    transmitting: Duration,
}

impl Sum for Counters {
    fn sum<I: Iterator<Item = Self>>(counters: I) -> Self {
        counters.fold(Self::default(), Add::add)
    }
}
