//! Complete images in memory, bounded by weight, the least recently used evicted first (moka).
//!
//! Least recently *used*, not moka's default of least frequently: an image that was just fetched must not be
//! turned away because an older one was popular. Its devices are about to ask for all of its blocks.

use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use sixfold_engine::{ETag, Image, Store};
use std::sync::Arc;

/// What an entry costs beside its body, roughly, in bytes: key, header, and the cache's own bookkeeping.
const OVERHEAD: usize = 512;

/// The engine's store in the relay.
#[derive(Debug)]
pub struct MemoryStore(Cache<ETag, Arc<Image>>);

impl MemoryStore {
    /// A store for bodies of `limit` bytes in all.
    pub fn new(limit: u64) -> Self {
        Self(cache(limit))
    }

    /// Changes the limit. Images that fit stay.
    pub fn resize(&mut self, limit: u64) {
        let resized = cache(limit);
        self.0.iter().for_each(|(etag, image)| resized.insert(*etag, image));
        resized.run_pending_tasks();
        self.0 = resized;
    }
}

fn cache(limit: u64) -> Cache<ETag, Arc<Image>> {
    let weigh = |_: &ETag, image: &Arc<Image>| u32::try_from(image.body.len() + OVERHEAD).unwrap_or(u32::MAX);
    Cache::builder().max_capacity(limit).weigher(weigh).eviction_policy(EvictionPolicy::lru()).build()
}

impl Store for MemoryStore {
    fn image(&self, etag: ETag) -> Option<Arc<Image>> {
        self.0.get(&etag)
    }

    fn holds(&self, etag: ETag) -> bool {
        self.0.contains_key(&etag)
    }

    fn insert(&mut self, image: Arc<Image>) {
        self.0.insert(image.etag, image);
        self.0.run_pending_tasks();
    }

    fn remove(&mut self, etag: ETag) {
        self.0.invalidate(&etag);
        self.0.run_pending_tasks();
    }

    fn bytes(&self) -> u64 {
        self.0.weighted_size()
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
        assert_eq!(store.image(ETag([1; 8])), None);
    }
}
