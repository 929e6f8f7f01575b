//! What a client has received, held against the image. Clients of the laboratory store no bytes.

use crate::host::{Progress, State};
use std::sync::Arc;

/// The image, and how much of it has come.
#[derive(Clone, Debug)]
pub struct ImageCheck {
    image: Arc<[u8]>,
    received: u64,
    wrong: u64,
}

impl ImageCheck {
    /// Nothing has come yet.
    pub const fn new(image: Arc<[u8]>) -> Self {
        Self { image, received: 0, wrong: 0 }
    }

    /// Takes the bytes at `offset`.
    pub fn take(&mut self, offset: u64, payload: &[u8]) {
        self.received += payload.len() as u64;
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(self.image.len());
        let expected = &self.image[start..];
        let differ = payload.iter().zip(expected).filter(|(got, wanted)| got != wanted).count();
        self.wrong += (differ + payload.len().saturating_sub(expected.len())) as u64;
    }

    /// The client starts again from the first byte.
    pub fn restart(&mut self) {
        self.received = 0;
        self.wrong = 0;
    }

    /// How far a client in this state is.
    pub fn progress(&self, state: State) -> Progress {
        let missing = match state {
            State::Done => (self.image.len() as u64).saturating_sub(self.received),
            State::Fetching | State::GaveUp => 0,
        };
        Progress { state, received: self.received, wrong: self.wrong + missing }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(pieces: &[(u64, &[u8])]) -> u64 {
        let mut check = ImageCheck::new(Arc::from(&b"abcdef"[..]));
        pieces.iter().for_each(|(offset, bytes)| check.take(*offset, bytes));
        check.progress(State::Done).wrong
    }

    #[test]
    fn every_byte_that_is_not_the_images_counts() {
        assert_eq!(wrong(&[(0, b"abc"), (3, b"def")]), 0);
        assert_eq!(wrong(&[(0, b"abX"), (3, b"Yef")]), 2);
        assert_eq!(wrong(&[(0, b"abcdefgh")]), 2);
        assert_eq!(wrong(&[(0, b"abcd")]), 2);
        assert_eq!(wrong(&[(0, b"abcdef"), (u64::MAX, b"g")]), 1);
    }

    #[test]
    fn who_has_not_finished_misses_nothing_yet() {
        let check = ImageCheck::new(Arc::from(&b"abcdef"[..]));
        assert_eq!(check.progress(State::GaveUp), Progress { state: State::GaveUp, received: 0, wrong: 0 });
    }
}
