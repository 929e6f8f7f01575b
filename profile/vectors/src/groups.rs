//! What is said of a group and goes to it, and what a member says that it misses: informative responses, parity symbols, and values
//! of the option MISSING.

use crate::{hex, informative, release};
use serde_json::{Value, json};
use sixfold_profile::coap::Szx;
use sixfold_profile::missing::{self, NO_PARITY, NO_ROOM};
use sixfold_profile::parity::{HEADER, Parity, word};

pub(crate) fn vectors() -> Value {
    let largest = u16::MAX;
    json!({
        "format": "group",
        "version": 1,
        "image": hex(&release::image()),
        "vectors": [
            parity("blocks of 64 bytes", Szx::B64, 0),
            parity("another seed", Szx::B64, 1),
            parity("the last seed", Szx::B64, largest),
            parity("two bytes of seed", Szx::B64, 0x1234),
            parity("blocks of 128 bytes", Szx::from_size(128).unwrap_or(Szx::MAX), 7),
            parity("one symbol, filled up with zeros", Szx::MAX, 1),
        ],
        "missing": [
            value("one block of sixteen", 16, 1, &[5]),
            value("everything", 16, 16, &(0..16).collect::<Vec<_>>()),
            value("the groups have two blocks", 33, 2, &[0, 1, 31, 32]),
            value("no parity symbol helps", 16, NO_PARITY, &[0, 15]),
            value("three more are missing than there is room for", 16, NO_ROOM + 3, &[0, 1, 2, 15]),
            value("the groups have 256 blocks, and counts are rounded up", 8192, 300, &(100..401).collect::<Vec<_>>()),
        ],
        "informative": informative::vectors(),
        "uninformative": informative::refused(),
        "refused": [
            refused("no symbol", "parity", &[0, 0, 1]),
            refused("a symbol of 32 bytes", "parity", &[0; HEADER + 32]),
            refused("a symbol of 65 bytes", "parity", &[0; HEADER + 65]),
            refused("no counts", "missing", &[0, 1, 0]),
            refused("33 counts", "missing", &[0; 3 + 33]),
            refused("groups of 2^21 blocks", "missing", &[0, 1, 21, 1]),
        ],
    })
}

fn parity(name: &str, szx: Szx, seed: u16) -> Value {
    let image = release::image();
    let mut symbol = vec![0; szx.size()];
    let is_in = |place: usize| word(seed, (place >> 5) as u8) >> (place & 31) & 1 != 0;
    for (_, block) in image.chunks(szx.size()).enumerate().filter(|(place, _)| is_in(*place)) {
        symbol.iter_mut().zip(block).for_each(|(to, from)| *to ^= *from);
    }
    let bytes = [&Parity::header(0, seed)[..], &symbol].concat();
    json!({ "name": name, "block_size": szx.size(), "segment": 0, "seed": seed, "bytes": hex(&bytes) })
}

/// Of so many `blocks` these are missing.
fn value(name: &str, blocks: u32, deficit: u16, missing: &[u32]) -> Value {
    let group = missing::group(blocks);
    let count = |first: u32| missing.iter().filter(|num| **num >> group == first).count() as u32;
    let counts = (0..=(blocks - 1) >> group).map(|place| missing::count(group, count(place)));
    let [high, low] = deficit.to_be_bytes();
    let bytes: Vec<u8> = [high, low, group].into_iter().chain(counts).collect();
    json!({ "name": name, "blocks": blocks, "deficit": deficit, "missing": missing, "bytes": hex(&bytes) })
}

fn refused(name: &str, what: &str, bytes: &[u8]) -> Value {
    json!({ "name": name, "what": what, "bytes": hex(bytes) })
}
