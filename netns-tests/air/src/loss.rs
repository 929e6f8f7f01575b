//! Frames that do not arrive although nothing collided: a process for each directed link.

use crate::random::Random;

/// How a directed link loses frames.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Loss {
    /// Each frame is lost with this probability, whatever happened to the others.
    Bernoulli(f64),
    /// Losses come in bursts (Gilbert 1960, Elliott 1963): a link is good or bad, and may change at each frame.
    GilbertElliott {
        /// The probability that a good link turns bad.
        to_bad: f64,
        /// The probability that a bad link turns good.
        to_good: f64,
        /// The probability that a frame is lost while the link is good.
        good: f64,
        /// The probability that a frame is lost while the link is bad.
        bad: f64,
    },
}

impl Loss {
    /// A link that loses nothing.
    pub const NONE: Self = Self::Bernoulli(0.0);

    /// The share of frames that are lost in the long run.
    pub fn mean(self) -> f64 {
        match self {
            Self::Bernoulli(loss) => loss,
            Self::GilbertElliott { to_bad: 0.0, good, .. } => good,
            Self::GilbertElliott { to_bad, to_good, good, bad } => {
                (to_good * good + to_bad * bad) / (to_good + to_bad)
            }
        }
    }
}

/// One directed link: its process and the state that it is in.
#[derive(Clone, Debug)]
pub(crate) struct Lossy {
    loss: Loss,
    bad: bool,
}

impl Lossy {
    /// Links begin good.
    pub(crate) const fn new(loss: Loss) -> Self {
        Self { loss, bad: false }
    }

    /// Whether the next frame is lost.
    pub(crate) fn loses(&mut self, random: &mut Random) -> bool {
        match self.loss {
            Loss::Bernoulli(loss) => random.chance(loss),
            Loss::GilbertElliott { to_bad, to_good, good, bad } => {
                let change = if self.bad { to_good } else { to_bad };
                self.bad ^= random.chance(change);
                random.chance(if self.bad { bad } else { good })
            }
        }
    }
}
