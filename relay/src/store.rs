//! Complete images in memory, bounded by weight, the least recently used evicted first (lru).
//!
//! Least recently, not least frequently used: an image that was just fetched must not be turned away because an older one
//! was popular. Its devices are about to ask for all of its blocks.

use lru::LruCache;
use sixfold_engine::{ETag, Image, Store};
use std::cell::RefCell;
use std::sync::Arc;

/// What an entry costs beside its body, roughly, in bytes: key, header, and the cache's own bookkeeping.
const OVERHEAD: u64 = 512;

/// The engine's store in the relay.
#[derive(Debug)]
pub struct MemoryStore {
    /// In order of use, which a look changes.
    images: RefCell<LruCache<ETag, Arc<Image>>>,
    limit: u64,
    weight: u64,
}

impl MemoryStore {
    /// A store for bodies of `limit` bytes in all.
    pub fn new(limit: u64) -> Self {
        Self { images: RefCell::new(LruCache::unbounded()), limit, weight: 0 }
    }

    /// Changes the limit. Images that fit stay.
    pub fn resize(&mut self, limit: u64) {
        self.limit = limit;
        self.make_room(0);
    }

    /// Evicts until this weight fits in, or nothing is left.
    fn make_room(&mut self, weight: u64) {
        let images = self.images.get_mut();
        while self.weight.saturating_add(weight) > self.limit
            && let Some((_, evicted)) = images.pop_lru()
        {
            self.weight -= weigh(&evicted);
        }
    }
}

fn weigh(image: &Image) -> u64 {
    image.body.len() as u64 + OVERHEAD
}

impl Store for MemoryStore {
    fn image(&self, etag: ETag) -> Option<Arc<Image>> {
        self.images.borrow_mut().get(&etag).cloned()
    }

    fn holds(&self, etag: ETag) -> bool {
        self.images.borrow().contains(&etag)
    }

    fn insert(&mut self, image: Arc<Image>) {
        self.remove(image.etag);
        let weight = weigh(&image);
        // What could never fit drives nothing out.
        if weight <= self.limit {
            self.make_room(weight);
            self.weight += weight;
            self.images.get_mut().put(image.etag, image);
        }
    }

    fn remove(&mut self, etag: ETag) {
        if let Some(removed) = self.images.get_mut().pop(&etag) {
            self.weight -= weigh(&removed);
        }
    }

    fn bytes(&self) -> u64 {
        self.weight
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn image(name: u8, length: usize) -> Arc<Image> {
        Arc::new(Image {
            etag: ETag([name; 8]),
            validator: None,
            content_format: None,
            body: Bytes::from(vec![name; length]),
        })
    }

    #[test]
    fn the_newest_image_is_always_kept_and_the_least_recently_used_goes() {
        let mut store = MemoryStore::new(10_000);
        store.insert(image(1, 4000));
        store.insert(image(2, 4000));
        for _ in 0..100 {
            assert!(store.image(ETag([1; 8])).is_some());
        }
        store.insert(image(3, 4000));
        assert!(store.image(ETag([3; 8])).is_some(), "never turned away");
        assert!(store.image(ETag([2; 8])).is_none(), "least recently used");
        assert!(store.image(ETag([1; 8])).is_some());
        assert!(store.bytes() <= 10_000);
    }

    #[test]
    fn whoever_looks_does_not_keep_an_image_from_making_room() {
        let mut store = MemoryStore::new(10_000);
        store.insert(image(1, 4000));
        store.insert(image(2, 4000));
        for _ in 0..100 {
            assert!(store.holds(ETag([1; 8])));
        }
        store.insert(image(3, 4000));
        assert!(!store.holds(ETag([1; 8])) && store.holds(ETag([2; 8])) && store.holds(ETag([3; 8])));
    }

    #[test]
    fn resizes() {
        let mut store = MemoryStore::new(10_000);
        store.insert(image(1, 4000));
        store.resize(100_000);
        assert!(store.image(ETag([1; 8])).is_some());
        store.resize(1000);
        assert_eq!((store.image(ETag([1; 8])), store.bytes()), (None, 0));
    }

    #[test]
    fn forgets_on_request() {
        let mut store = MemoryStore::new(10_000);
        store.insert(image(1, 10));
        store.remove(ETag([1; 8]));
        assert_eq!((store.image(ETag([1; 8])), store.bytes()), (None, 0));
    }

    #[test]
    fn what_comes_again_counts_once_and_what_never_fits_drives_nothing_out() {
        let mut store = MemoryStore::new(10_000);
        store.insert(image(1, 4000));
        let bytes = store.bytes();
        store.insert(image(1, 4000));
        store.insert(image(2, 10_000));
        assert_eq!(store.bytes(), bytes);
        assert!(store.holds(ETag([1; 8])) && !store.holds(ETag([2; 8])));
    }
}
