//! What a client has received, held against the image. Clients of the laboratory store no bytes.

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

    /// The client says that it has all of the image.
    pub fn finish(&mut self) {
        self.wrong += (self.image.len() as u64).saturating_sub(self.received);
    }

    /// The client starts again from the first byte.
    pub fn restart(&mut self) {
        self.received = 0;
        self.wrong = 0;
    }

    /// How many bytes have come.
    pub const fn received(&self) -> u64 {
        self.received
    }

    /// How many of them differ from the image, are beyond its end or, at the end, are missing.
    pub const fn wrong(&self) -> u64 {
        self.wrong
    }
}
