//! Values of the Echo option (RFC 9175 §2.2, Appendix A.3): nothing is kept to know them again.
//!
//! ```text
//! +-------+--------------------------------------------+
//! | epoch | the first 8 bytes of                       |
//! |       | HMAC-SHA-256(secret, epoch and subject)    |
//! +-------+--------------------------------------------+
//!  1 byte
//! ```

use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use sixfold_profile::Instant;

const MAC: usize = 8;

/// The length of a value.
pub(crate) const ECHO: usize = 1 + MAC;

/// How many seconds a value is given out; it is accepted for as long again. A device behind a slow link has a minute at least.
const EPOCH_S: u64 = 64;

/// Makes and knows values.
pub(crate) struct Echo {
    secret: [u8; 32],
}

impl Echo {
    /// With a secret of its own, from another stream of the engine's seed than its other numbers: values of another run of the relay
    /// are not known.
    pub(crate) fn new(seed: [u8; 32]) -> Self {
        let mut rng = ChaCha12Rng::from_seed(seed);
        rng.set_stream(1);
        let mut secret = [0; 32];
        rng.fill_bytes(&mut secret);
        Self { secret }
    }

    /// What `subject`, an address or a session at an address, has to bring back.
    pub(crate) fn value(&self, now: Instant, subject: &[u8]) -> [u8; ECHO] {
        self.of_epoch(epoch(now), subject)
    }

    /// Whether it was made for `subject` lately.
    pub(crate) fn is_ours(&self, now: Instant, subject: &[u8], value: &[u8]) -> bool {
        let current = epoch(now);
        let epochs = [Some(current), current.checked_sub(1)];
        epochs.into_iter().flatten().any(|epoch| is_same(&self.of_epoch(epoch, subject), value))
    }

    fn of_epoch(&self, epoch: u64, subject: &[u8]) -> [u8; ECHO] {
        let mut mac = hmac_sha256::HMAC::new(self.secret);
        mac.update(epoch.to_be_bytes());
        mac.update(subject);
        let mut value = [0; ECHO];
        let bytes = [epoch as u8].into_iter().chain(mac.finalize());
        value.iter_mut().zip(bytes).for_each(|(to, from)| *to = from);
        value
    }
}

fn epoch(now: Instant) -> u64 {
    now.as_micros() / 1_000_000 / EPOCH_S
}

/// Takes the same time wherever they differ.
fn is_same(ours: &[u8; ECHO], theirs: &[u8]) -> bool {
    ours.len() == theirs.len() && ours.iter().zip(theirs).fold(0, |sum, (a, b)| sum | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_value_is_for_one_subject_and_a_while() {
        let echo = Echo::new([1; 32]);
        let other = Echo::new([2; 32]);
        let at = |seconds| Instant::ZERO + Duration::from_secs(seconds);
        let value = echo.value(at(100), b"a");
        for seconds in [100, 127, 128, 191] {
            assert!(echo.is_ours(at(seconds), b"a", &value), "{seconds}");
        }
        assert!(!echo.is_ours(at(192), b"a", &value), "too old");
        assert!(!echo.is_ours(at(10), b"a", &value), "not made yet");
        assert!(!echo.is_ours(at(100), b"b", &value) && !other.is_ours(at(100), b"a", &value));
        assert!(!echo.is_ours(at(100), b"a", &value[..8]) && !echo.is_ours(at(100), b"a", &[]));
        for place in 0..ECHO {
            let mut changed = value;
            changed[place] ^= 1;
            assert!(!echo.is_ours(at(100), b"a", &changed), "byte {place}");
        }
    }
}
