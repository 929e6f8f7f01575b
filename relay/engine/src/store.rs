//! Where complete images are kept. The relay keeps them in a weighted cache; tests and simulations in a map.

use crate::image::{ETag, Image};
use std::collections::HashMap;
use std::sync::Arc;

/// Keeps complete images by their ETag, within a limit of its own: anything but the image stored last may be
/// gone at the next look.
pub trait Store {
    /// The image of this ETag, if it is still here. Counts as a use of it.
    fn image(&self, etag: ETag) -> Option<Arc<Image>>;

    /// Whether the image of this ETag is still here. Does not count as a use of it: whoever looks changes nothing.
    fn holds(&self, etag: ETag) -> bool;

    /// Keeps an image, at the cost of others if need be.
    fn insert(&mut self, image: Arc<Image>);

    /// Forgets an image.
    fn remove(&mut self, etag: ETag);

    /// Bytes of bodies that are kept now.
    fn bytes(&self) -> u64;
}

/// A store without limit.
#[derive(Debug, Default)]
pub struct UnboundedStore(HashMap<ETag, Arc<Image>>);

impl Store for UnboundedStore {
    fn image(&self, etag: ETag) -> Option<Arc<Image>> {
        self.0.get(&etag).cloned()
    }

    fn holds(&self, etag: ETag) -> bool {
        self.0.contains_key(&etag)
    }

    fn insert(&mut self, image: Arc<Image>) {
        self.0.insert(image.etag, image);
    }

    fn remove(&mut self, etag: ETag) {
        self.0.remove(&etag);
    }

    fn bytes(&self) -> u64 {
        self.0.values().map(|image| image.body.len() as u64).sum()
    }
}
