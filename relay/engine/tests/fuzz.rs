//! The fuzz targets without a fuzzer: every corpus file once, and a flood of random and mutated datagrams.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "these are tests")]

#[path = "../../../fuzz/src/corpus.rs"]
#[allow(unreachable_pub, reason = "a library of its own for cargo-fuzz")]
mod corpus;
#[path = "../../../fuzz/src/relay/mod.rs"]
#[allow(unreachable_pub, reason = "a library of its own for cargo-fuzz")]
mod targets;

use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use sixfold_engine::Failure;
use sixfold_profile::coap::{Code, Type, Writer, option};
use std::time::Duration;
use targets::world::{Kind, OriginMove, World};

/// Datagrams of an ordinary run; `SIXFOLD_FLOOD` says another number, as `make fuzz-long` does.
const FLOOD: u64 = 200_000;

fn replay(target: &str, run: fn(&[u8])) {
    // The flood below has mutants of its own.
    corpus::replay(env!("CARGO_MANIFEST_DIR"), target, 0, run);
}

#[test]
fn corpus_of_profile_message() {
    replay("profile_message", targets::profile_message);
}

#[test]
fn corpus_of_codecs_agree() {
    replay("codecs_agree", targets::codecs_agree);
}

#[test]
fn corpus_of_engine_datagram() {
    replay("engine_datagram", targets::engine_datagram);
}

#[test]
fn a_flood_of_datagrams_neither_panics_nor_stays() {
    let count = std::env::var("SIXFOLD_FLOOD").map_or(FLOOD, |count| count.parse().unwrap());
    let mut flood = Flood { rng: ChaCha12Rng::from_seed([7; 32]), seeds: seeds() };
    let mut world = World::new(7);
    for _ in 0..count {
        match flood.below(64) {
            0 => world.origin(flood.below(8), flood.origin_move()),
            1 => world.pass(Duration::from_millis(flood.below(3000) as u64)),
            2 => world.pass_to_deadline(),
            _ => {}
        }
        let datagram = if flood.below(3) == 0 { flood.random() } else { flood.mutated() };
        world.datagram(flood.below(60) as u8, flood.below(50) == 0, &datagram);
    }
    assert!(world.blocks() > count / 40, "only {} blocks: the flood does not get far", world.blocks());
    world.come_to_rest();
}

struct Flood {
    rng: ChaCha12Rng,
    seeds: Vec<Vec<u8>>,
}

impl Flood {
    fn below(&mut self, limit: usize) -> usize {
        self.rng.next_u32() as usize % limit
    }

    fn random(&mut self) -> Vec<u8> {
        let mut bytes = vec![0; self.below(80)];
        self.rng.fill_bytes(&mut bytes);
        // Every second one gets past the version.
        if let (Some(first), 0) = (bytes.first_mut(), self.below(2)) {
            *first = 0x40 | *first & 0x37;
        }
        bytes
    }

    /// A message that makes sense, with a Message ID of its own and up to three bytes changed.
    fn mutated(&mut self) -> Vec<u8> {
        let seed = self.below(self.seeds.len());
        let mut bytes = self.seeds[seed].clone();
        bytes[2..4].copy_from_slice(&(self.rng.next_u32() as u16).to_be_bytes());
        for _ in 0..self.below(4) {
            let at = self.below(bytes.len());
            bytes[at] = self.rng.next_u32() as u8;
        }
        match self.below(16) {
            0 => bytes.truncate(self.below(bytes.len())),
            1 => bytes.extend([0xff, 1, 2, 3]),
            _ => {}
        }
        bytes
    }

    fn origin_move(&mut self) -> OriginMove {
        match self.below(8) {
            0..=2 => OriginMove::Head {
                version: self.below(20) as u8,
                length: self.below(21_000),
                announced: self.below(2) == 0,
                validator: Kind::ALL[self.below(3)],
            },
            3 => OriginMove::Data(self.below(5000)),
            4 | 5 => OriginMove::Finish,
            6 => OriginMove::NotModified,
            _ => OriginMove::Fail([Failure::Status(404), Failure::TimedOut][self.below(2)]),
        }
    }
}

/// One message of each sort that devices send.
fn seeds() -> Vec<Vec<u8>> {
    let fw = |name| vec![(option::URI_PATH, &b"fw"[..]), (option::URI_PATH, name)];
    let with = |mut options: Vec<(u16, &'static [u8])>, number, value| {
        options.push((number, value));
        options.sort_by_key(|(number, _)| *number);
        options
    };
    let requests = [
        fw(b"a"),
        with(fw(b"a"), option::BLOCK2, &[0x16]),
        with(fw(b"b"), option::BLOCK2, &[0x02]),
        with(fw(b"b"), option::OBSERVE, &[]),
        with(fw(b"b"), option::OBSERVE, &[1]),
        with(fw(b"c"), option::ETAG, &[1; 8]),
        with(with(fw(b"a"), option::OBSERVE, &[]), option::Q_BLOCK2, &[0x02]),
        with(
            with(with(fw(b"a"), option::OBSERVE, &[]), option::Q_BLOCK2, &[0x02]),
            option::Q_BLOCK2,
            &[0x32],
        ),
        with(
            with(with(fw(b"b"), option::OBSERVE, &[]), option::Q_BLOCK2, &[0x0a]),
            option::MISSING,
            &[0, 20, 3, 1, 8, 0, 2, 8, 1],
        ),
        with(with(fw(b"a"), option::OBSERVE, &[]), option::ACCEPT, &[0xfd, 0xf2]),
        with(fw(b"c"), option::SIZE2, &[]),
        with(fw(b"d"), option::HOP_LIMIT, &[1]),
        with(fw(b"d"), option::NO_RESPONSE, &[2]),
        vec![(option::PROXY_URI, b"https://forward/f")],
        vec![(option::URI_HOST, b"forward"), (option::URI_PATH, b"f"), (option::PROXY_SCHEME, b"https")],
        vec![(option::URI_PATH, b".well-known"), (option::URI_PATH, b"core")],
    ];
    let types = [Type::Confirmable, Type::NonConfirmable];
    let messages = requests.iter().flat_map(|options| types.map(|kind| message(kind, Code::GET, options)));
    let empty = [Type::Confirmable, Type::Acknowledgement, Type::Reset];
    messages.chain(empty.map(|kind| vec![0x40 | (kind as u8) << 4, 0, 0, 0])).collect()
}

fn message(kind: Type, code: Code, options: &[(u16, &[u8])]) -> Vec<u8> {
    let mut buffer = [0; 128];
    let mut writer = Writer::new(&mut buffer, kind, code, 0, &[1]).unwrap();
    options.iter().for_each(|(number, value)| writer.option(*number, value).unwrap());
    let length = writer.finish();
    buffer[..length].to_vec()
}
