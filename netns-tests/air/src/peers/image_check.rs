//! What a client has of the image, compared with the true one while it arrives, so that no client stores it.

use crate::host::{Progress, State};
use std::sync::Arc;

/// The bytes that one client took so far, which must come in order.
#[derive(Clone, Debug)]
pub(crate) struct ImageCheck {
    image: Arc<[u8]>,
    received: u64,
    different: u64,
    discarded: u64,
    finished: bool,
}

impl ImageCheck {
    /// Nothing is there yet.
    pub(crate) const fn new(image: Arc<[u8]>) -> Self {
        Self { image, received: 0, different: 0, discarded: 0, finished: false }
    }

    /// `payload` is the client's next bytes, and it believes that they belong at `offset`. When they do not follow
    /// what it has, all of them are wrong; bytes behind the end of the image are found by [`Self::finish`].
    pub(crate) fn take(&mut self, offset: u64, payload: &[u8]) {
        self.different += if offset == self.received {
            let rest =
                usize::try_from(offset).ok().and_then(|start| self.image.get(start..)).unwrap_or_default();
            rest.iter().zip(payload).filter(|(is, got)| is != got).count() as u64
        } else {
            payload.len() as u64
        };
        self.received += payload.len() as u64;
    }

    /// No more will come: what is missing or too much is wrong now.
    pub(crate) const fn finish(&mut self) {
        self.finished = true;
    }

    /// The client threw away what it had: the bytes start again from 0.
    pub(crate) fn restart(&mut self) {
        let discarded = self.discarded + self.received;
        *self = Self { discarded, ..Self::new(self.image.clone()) };
    }

    /// How many bytes differ from the image; after the end, also those that are missing or too much.
    pub(crate) fn wrong(&self) -> u64 {
        let length = if self.finished { self.received.abs_diff(self.image.len() as u64) } else { 0 };
        self.different + length
    }

    /// How far a client in this state is.
    pub(crate) fn progress(&self, state: State) -> Progress {
        Progress { state, received: self.received, wrong: self.wrong(), discarded: self.discarded }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check() -> ImageCheck {
        ImageCheck::new(Arc::from([1, 2, 3, 4, 5]))
    }

    #[test]
    fn right_in_pieces() {
        let mut check = check();
        check.take(0, &[1, 2]);
        check.take(2, &[]);
        check.take(2, &[3, 4, 5]);
        check.finish();
        assert_eq!((check.received, check.wrong()), (5, 0));
    }

    #[test]
    fn differing_bytes_count_at_once() {
        let mut check = check();
        check.take(0, &[1, 9, 9]);
        assert_eq!((check.received, check.wrong()), (3, 2));
    }

    #[test]
    fn missing_and_surplus_bytes_count_at_the_end() {
        for (payload, wrong) in [(&[1, 2, 3][..], 2), (&[1, 2, 3, 4, 5, 6], 1), (&[], 5), (&[9, 2], 4)] {
            let mut check = check();
            check.take(0, payload);
            check.finish();
            check.finish();
            assert_eq!(check.wrong(), wrong, "{payload:?}");
        }
    }

    #[test]
    fn bytes_out_of_place_are_wrong() {
        let mut check = check();
        check.take(0, &[1, 2]);
        check.take(3, &[4, 5]);
        assert_eq!(check.wrong(), 2);
        check.take(u64::MAX, &[4]);
        assert_eq!(check.wrong(), 3);
    }

    #[test]
    fn a_restart_forgets() {
        let mut check = check();
        check.take(0, &[9]);
        check.finish();
        check.restart();
        assert_eq!((check.received, check.wrong()), (0, 0));
        let progress = Progress { state: State::Fetching, received: 0, wrong: 0, discarded: 1 };
        assert_eq!(check.progress(State::Fetching), progress);
        check.take(0, &[1, 2, 3, 4, 5]);
        assert_eq!(check.wrong(), 0);
    }
}
