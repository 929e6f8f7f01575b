//! What the engine has been told in the course of one fetch, and the copy of it that goes to disk.

use super::trouble::Trouble;
use crate::spool::{Draft, Spool, Stored};
use bytes::Bytes;
use sixfold_engine::{Failure, FetchId, Head, OriginEvent, Validator};
use std::sync::Arc;
use tokio::sync::mpsc;

/// The most bytes that one [`OriginEvent::Data`] carries.
const MAX_DATA: usize = 64 << 10;

/// Why a fetch does not go on.
#[derive(Debug)]
pub(super) enum Stop {
    /// Nobody listens to the events any more.
    Unwanted,
    Failed(Trouble),
}

impl From<Trouble> for Stop {
    fn from(trouble: Trouble) -> Self {
        Self::Failed(trouble)
    }
}

/// The state of one delivery.
#[derive(Debug)]
pub(super) struct Delivery {
    id: FetchId,
    url: String,
    events: mpsc::Sender<(FetchId, OriginEvent)>,
    spool: Option<Arc<Spool>>,
    head: Option<Head>,
    delivered: u64,
    draft: Option<Draft>,
}

impl Delivery {
    pub(super) fn new(
        id: FetchId,
        url: String,
        events: mpsc::Sender<(FetchId, OriginEvent)>,
        spool: Option<Arc<Spool>>,
    ) -> Self {
        Self { id, url, events, spool, head: None, delivered: 0, draft: None }
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// The representation that is being delivered.
    pub(super) fn head(&self) -> Option<&Head> {
        self.head.as_ref()
    }

    /// Its bytes that were delivered.
    pub(super) fn delivered(&self) -> u64 {
        self.delivered
    }

    /// Is this the representation that is being delivered, byte by byte?
    pub(super) fn continues(&self, head: &Head) -> bool {
        self.head.as_ref().is_some_and(|known| {
            matches!(known.validator, Some(Validator::Strong(_)))
                && known.validator == head.validator
                && known.length == head.length
        })
    }

    /// Waits until there is room for one more event.
    pub(super) async fn tell(&self, event: OriginEvent) -> Result<(), Stop> {
        self.events.send((self.id, event)).await.map_err(|_| Stop::Unwanted)
    }

    /// A representation begins, maybe in place of one that was begun. `keep` puts a copy on disk.
    pub(super) async fn begin(&mut self, head: Head, keep: bool) -> Result<(), Stop> {
        self.delivered = 0;
        self.draft = None;
        if keep {
            let (url, head) = (self.url.clone(), head.clone());
            self.draft = self.on_disk(move |spool| spool.begin(&url, &head)).await.flatten();
        }
        self.head = Some(head.clone());
        self.tell(OriginEvent::Head(head)).await
    }

    /// The next bytes.
    pub(super) async fn data(&mut self, mut bytes: Bytes) -> Result<(), Stop> {
        while !bytes.is_empty() {
            let piece = bytes.split_to(bytes.len().min(MAX_DATA));
            self.tell(OriginEvent::Data(piece.clone())).await?;
            self.delivered += piece.len() as u64;
            if let Some(draft) = self.draft.take() {
                self.draft = blocking(move || draft.append(&piece)).await.flatten();
            }
        }
        Ok(())
    }

    /// All bytes were delivered. The copy on disk replaces the older one; an older one that was not replaced
    /// is deleted, for it is out of date.
    pub(super) async fn complete(&mut self) -> Result<(), Stop> {
        self.tell(OriginEvent::Complete).await?;
        let (draft, url) = (self.draft.take(), self.url.clone());
        self.on_disk(move |spool| {
            if !draft.is_some_and(Draft::commit) {
                spool.remove(&url);
            }
        })
        .await;
        Ok(())
    }

    /// Delivers a representation from disk.
    pub(super) async fn replay(&mut self, mut stored: Stored, head: Head) -> Result<(), Stop> {
        self.begin(head, false).await?;
        loop {
            let read = blocking(move || stored.read().map(|bytes| (bytes, stored))).await;
            match read {
                Some(Ok((bytes, _))) if bytes.is_empty() => return self.tell(OriginEvent::Complete).await,
                Some(Ok((bytes, rest))) => {
                    stored = rest;
                    self.data(bytes).await?;
                }
                Some(Err(error)) => {
                    return Err(
                        Trouble::new(Failure::Interrupted, format!("the copy on disk: {error}")).into()
                    );
                }
                None => return Err(Stop::Unwanted),
            }
        }
    }

    /// The verified copy on disk.
    pub(super) async fn load_stored(&self) -> Option<Stored> {
        let url = self.url.clone();
        self.on_disk(move |spool| spool.load(&url)).await.flatten()
    }

    /// The origin vouched for the copy on disk.
    pub(super) async fn confirm_stored(&self) {
        let url = self.url.clone();
        self.on_disk(move |spool| spool.confirm(&url)).await;
    }

    /// The copy on disk, if there is one, must not be used again.
    pub(super) async fn forget_stored(&self) {
        let url = self.url.clone();
        self.on_disk(move |spool| spool.remove(&url)).await;
    }

    async fn on_disk<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Arc<Spool>) -> T + Send + 'static,
    ) -> Option<T> {
        let spool = Arc::clone(self.spool.as_ref()?);
        blocking(move || work(&spool)).await
    }
}

/// Runs `work` where it may block. `None` only while the runtime shuts down.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    tokio::task::spawn_blocking(work).await.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn long_pieces_are_cut() {
        let (sender, mut events) = mpsc::channel(16);
        let mut delivery = Delivery::new(FetchId(1), "https://h/".to_owned(), sender, None);
        let bytes: Bytes = (0..200_000u32).map(|i| (i >> 6) as u8).collect();
        assert!(delivery.data(bytes.clone()).await.is_ok());
        assert_eq!(delivery.delivered(), 200_000);
        drop(delivery);
        let mut received = Vec::new();
        while let Some((FetchId(1), OriginEvent::Data(data))) = events.recv().await {
            assert!(!data.is_empty() && data.len() <= MAX_DATA);
            received.extend_from_slice(&data);
        }
        assert!(received == bytes);
    }
}
