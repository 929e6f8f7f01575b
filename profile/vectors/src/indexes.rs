//! Chunk indexes: images and what the index of each is.

use crate::{hex, release};
use hmac_sha256::Hash;
use serde_json::{Value, json};
use sixfold_manifest::chunk_index;
use sixfold_profile::index::ChunkSize;

pub(crate) fn vectors() -> Value {
    let image = release::image();
    let vector = |name: &str, image: &[u8], chunk_size: ChunkSize| {
        let bytes = chunk_index(image, chunk_size);
        json!({
            "name": name,
            "image": hex(image),
            "chunk_size": chunk_size.bytes(),
            "bytes": hex(&bytes),
            "digest": hex(&Hash::hash(&bytes)),
        })
    };
    json!({
        "format": "chunk index",
        "version": 1,
        "vectors": [
            vector("the last chunk is shorter", &image, ChunkSize::MIN),
            vector("only whole chunks", image.get(..512).unwrap_or_default(), ChunkSize::MIN),
            vector("one chunk of one byte", &[0], ChunkSize::MIN),
            vector("the image is shorter than a chunk", &image, ChunkSize::MAX),
        ],
        "refused": refused(),
    })
}

/// Indexes that are not the one that [`release::manifest`] names.
fn refused() -> Vec<Value> {
    let index = release::index();
    let mut flipped = index.clone();
    flipped.iter_mut().take(1).for_each(|byte| *byte ^= 1);
    let truncated = index.get(..index.len() - 32).unwrap_or_default();
    let longer = [&index[..], &[0; 32]].concat();
    let manifest = release::manifest();
    let refused = |name: &str, bytes: &[u8]| {
        json!({
            "name": name,
            "image_size": manifest.image_size,
            "chunk_size": manifest.chunk_size.bytes(),
            "digest": hex(&manifest.index_digest),
            "bytes": hex(bytes),
            "error": "Index",
        })
    };
    vec![
        refused("a bit flipped", &flipped),
        refused("the last digest is missing", truncated),
        refused("a digest too many", &longer),
        refused("empty", &[]),
    ]
}
