//! A relay and a link that never tire: what is done to the device here is done for hours. It never runs anything but the
//! image that was signed, asks a bounded number of times, wears no page out, and recovers as soon as it is let.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "these are tests")]

mod model;

use coap_lite::{CoapOption, MessageClass, MessageType, Packet};
use model::device::{Device, End, Release};
use model::{Server, block2, image, shortest};
use sixfold_device::boot::{Cause, Choice, Event, Which, choose};
use sixfold_profile::coap::{Block, Code, Szx};
use sixfold_profile::index::ChunkSize;
use sixfold_profile::ticket::MAX_TICKET;
use std::time::Duration;

const CHUNK: usize = 256;
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);
/// From two seconds, doubled ten times to 34 minutes, and then that often for the rest of a day.
const TRIES_A_DAY: usize = 11 + 24 * 60 / 34;
/// So many are due in the first hour.
const TRIES_AN_HOUR: usize = 12;
/// Blocks of a chunk.
const BLOCKS: usize = CHUNK / 64;

type Small = Device<4, 256>;
type Link = Box<dyn FnMut(Vec<u8>) -> Vec<Vec<u8>>>;

fn release(length: usize, seed: u32, sequence_number: u64) -> Release {
    Release::new(image(length, seed), ChunkSize::from_bytes(CHUNK as u32).unwrap(), sequence_number)
}

/// A device that runs release 7 and has a ticket for release 8.
struct Siege {
    device: Small,
    server: Server,
    old: Release,
    new: Release,
}

impl Siege {
    fn new(two_slots: bool) -> Self {
        let (old, new) = (release(3 * CHUNK, 1, 7), release(4 * CHUNK + 10, 2, 8));
        let mut device = Small::new(two_slots, 5, 8);
        device.prepare(&old).unwrap();
        assert_eq!(device.boot(&mut Server::new(old.image.clone())), Ok(End::Runs(Which::B)));
        device.prepare(&new).unwrap();
        device.events.clear();
        device.flash.erasures.fill(0);
        Self { device, server: Server::new(new.image.clone()), old, new }
    }

    /// Every datagram goes through `change`, for ever.
    fn link(&mut self, change: impl FnMut(Vec<u8>) -> Vec<Vec<u8>> + 'static) {
        self.device.link = Box::new(change);
    }

    /// So long the image does not come, and whatever can run is the old one. Returns the number of requests.
    fn withstands(&mut self, time: Duration) -> usize {
        self.device.patience = time;
        let before = self.server.requests.len();
        assert_eq!(self.device.boot(&mut self.server), Ok(End::StillTrying));
        let layout = &self.device.layout;
        match choose(&mut self.device.flash, layout, &mut [0; MAX_TICKET]).unwrap() {
            Choice::Update { fallback: None, .. } => assert!(layout.is_single()),
            Choice::Update { fallback: Some(which), .. } => {
                assert!(self.device.slot(which, self.old.image.len()) == self.old.image);
            }
            choice => panic!("{choice:?}"),
        }
        self.server.requests.len() - before
    }

    /// The siege is over.
    fn recovers(&mut self) {
        self.device.link = Box::new(|datagram| vec![datagram]);
        self.device.patience = DAY;
        self.server.error = None;
        self.server.image.clone_from(&self.new.image);
        self.arrives();
    }

    fn arrives(&mut self) {
        let end = self.device.boot(&mut self.server).unwrap();
        let End::Runs(which) = end else { panic!("{end:?}") };
        assert!(self.device.slot(which, self.new.image.len()) == self.new.image, "wrong bytes run");
    }

    fn causes(&self) -> Vec<Cause> {
        let cause = |event: &Event| match event {
            Event::Sleep { cause, .. } => Some(*cause),
            _ => None,
        };
        self.device.events.iter().filter_map(cause).collect()
    }
}

/// Takes each response apart and puts it together again, changed.
fn forged(mut change: impl FnMut(&mut Packet) + 'static) -> impl FnMut(Vec<u8>) -> Vec<Vec<u8>> + 'static {
    move |datagram| {
        let mut packet = Packet::from_bytes(&datagram).unwrap();
        change(&mut packet);
        vec![packet.to_bytes().unwrap()]
    }
}

fn set_block(packet: &mut Packet, value: Vec<u8>) {
    packet.clear_option(CoapOption::Block2);
    packet.add_option(CoapOption::Block2, value);
}

/// For ever, and not once as in the tests of `boot`: most bits make an answer useless, a few do not matter.
#[test]
fn the_same_bit_flipped_in_every_datagram() {
    let mut harmless = 0;
    for bit in 0..80 * 8 {
        let mut siege = Siege::new(bit % 2 == 0);
        siege.link(move |mut datagram| {
            if let Some(byte) = datagram.get_mut(bit / 8) {
                *byte ^= 1 << (bit % 8);
            }
            vec![datagram]
        });
        siege.device.patience = HOUR;
        match siege.device.boot(&mut siege.server).unwrap() {
            End::StillTrying => siege.recovers(),
            _ => harmless += 1,
        }
        siege.arrives();
    }
    assert!((1..64).contains(&harmless), "{harmless} of 640 bits do not matter");
}

/// Right token, right version, right place: only the digest tells.
#[test]
fn blocks_of_an_older_image_for_a_day_wear_no_page_out() {
    for two_slots in [false, true] {
        let mut siege = Siege::new(two_slots);
        siege.server.image = image(siege.new.image.len(), 1);
        let requests = siege.withstands(DAY);
        let erasures = *siege.device.flash.erasures.iter().max().unwrap() as usize;
        assert!(requests <= TRIES_A_DAY * BLOCKS, "{requests} requests in a day");
        assert!((2..=TRIES_A_DAY).contains(&erasures), "a page was erased {erasures} times in a day");
        assert!(siege.causes().iter().all(|cause| *cause == Cause::WrongChunk));
        siege.recovers();
    }
}

#[test]
fn one_wrong_chunk_among_right_ones_is_the_only_one_that_is_fetched_again() {
    let mut siege = Siege::new(false);
    siege.server.image[2 * CHUNK + 5] ^= 1;
    siege.withstands(DAY);
    let slot = siege.device.layout.slots[0].start as usize / 256;
    let erasures = &siege.device.flash.erasures[slot..slot + 5];
    assert!(erasures[2] as usize <= TRIES_A_DAY, "{erasures:?}");
    assert_eq!([erasures[0], erasures[1], erasures[3], erasures[4]], [1, 1, 0, 0]);
    siege.recovers();
}

#[test]
fn replayed_datagrams_of_an_older_transfer_are_nobodys() {
    let mut siege = Siege::new(true);
    let mut recorded = Vec::new();
    let mut other = Siege::new(true);
    other.server.image = image(other.new.image.len(), 1);
    other.withstands(HOUR);
    for (_, request) in &other.server.requests {
        recorded.push(answer(request, &other.server.image));
    }
    siege.link(move |datagram| recorded.iter().cloned().chain([datagram]).collect());
    siege.arrives();
    assert_eq!(siege.causes(), []);
}

/// What a relay with another image says to this request.
fn answer(request: &Packet, image: &[u8]) -> Vec<u8> {
    let block = block2(request).unwrap();
    let mut packet = Packet::new();
    packet.header.set_type(MessageType::Acknowledgement);
    // Neither Message ID nor token is today's.
    packet.header.message_id = request.header.message_id ^ 0x5555;
    packet.set_token(request.get_token().iter().map(|byte| byte ^ 0x55).collect());
    packet.header.code = MessageClass::from(Code::CONTENT.0);
    packet.add_option(CoapOption::ETag, b"one".to_vec());
    let more = Block::new(block.num(), true, block.szx).unwrap();
    packet.add_option(CoapOption::Block2, shortest(more.encode()));
    packet.payload = image[block.offset()..image.len().min(block.offset() + 64)].to_vec();
    packet.to_bytes().unwrap()
}

/// Each with one thing that shows it is not the answer to what was asked.
#[test]
fn forged_answers_beside_the_genuine_one() {
    type Forge = fn(&mut Packet);
    let forges: [Forge; 5] = [
        |packet| packet.header.message_id ^= 1,
        |packet| packet.set_token(vec![1, 2, 3, 4, 5]),
        |packet| packet.set_token(Vec::new()),
        |packet| packet.header.set_type(MessageType::Confirmable),
        |packet| packet.header.code = MessageClass::from(Code::GET.0),
    ];
    for (number, forge) in forges.into_iter().enumerate() {
        let mut siege = Siege::new(false);
        siege.link(move |datagram| {
            let mut packet = Packet::from_bytes(&datagram).unwrap();
            packet.payload.fill(0xee);
            if number == 3 {
                packet.set_token(vec![9; 8]);
            }
            forge(&mut packet);
            let forged = packet.to_bytes().unwrap();
            vec![forged.clone(), datagram, forged]
        });
        siege.arrives();
        assert_eq!(siege.causes(), [], "forgery {number}");
    }
}

#[test]
fn a_version_that_changes_with_every_block_is_nothing_to_a_device_that_knows_the_digests() {
    for two_slots in [false, true] {
        let mut siege = Siege::new(two_slots);
        let mut count = 0_u32;
        siege.link(forged(move |packet| {
            count += 1;
            packet.clear_option(CoapOption::ETag);
            packet.add_option(CoapOption::ETag, count.to_be_bytes().to_vec());
        }));
        siege.arrives();
        assert_eq!(siege.causes(), []);
    }
}

#[test]
fn block_options_that_lie() {
    let last = (4 * CHUNK as u32 + 10) / 64;
    type Lie = fn(Block) -> Option<u32>;
    let lies: [(&str, Lie); 7] = [
        ("the next number", |block| Some(block.encode() + 16)),
        ("the highest number", |block| Some(block.encode() & 15 | 0xfffff << 4)),
        ("the reserved size", |block| Some(block.encode() | 7)),
        ("larger blocks", |block| Some(block.encode() & !7 | 6)),
        ("more after the last one", |block| Some(block.encode() | 8)),
        ("never more", |block| Some(block.encode() & !8)),
        ("no option", |_| None),
    ];
    for (name, lie) in lies {
        let mut siege = Siege::new(true);
        siege.link(forged(move |packet| {
            let Some(block) = block2(packet) else { return };
            packet.clear_option(CoapOption::Block2);
            // The last block alone would be nothing but short.
            if block.num() == last {
                packet.payload.resize(64, 0);
            }
            let value = lie(block);
            value.into_iter().for_each(|value| set_block(packet, shortest(value)));
        }));
        let requests = siege.withstands(HOUR);
        assert!(requests <= TRIES_AN_HOUR + last as usize, "{name}: {requests} requests in an hour");
        assert!(!siege.causes().is_empty(), "{name}");
        siege.recovers();
    }
}

/// An option of four bytes, with a number that does not fit 20 bits.
#[test]
fn block_numbers_beyond_their_20_bits() {
    let mut siege = Siege::new(false);
    siege.link(forged(|packet| {
        let value = block2(packet).map_or(0, Block::encode) | 1 << 24;
        set_block(packet, value.to_be_bytes().to_vec());
    }));
    let requests = siege.withstands(HOUR);
    assert!(requests <= TRIES_AN_HOUR, "{requests} requests in an hour");
    siege.recovers();
}

/// The last chunk begins where blocks of 16 bytes have no number any more: taken modulo 2^20, it is that of the first.
#[test]
fn block_numbers_that_wrap_around() {
    const LENGTH: usize = (16 << 20) + 1000;
    let new = Release::new(image(LENGTH, 5), ChunkSize::MAX, 8);
    let mut device = Device::<16, 65_536>::new(false, 5, 257);
    let start = device.layout.slots[0].start as usize;
    device.flash.bytes_mut()[start..start + (16 << 20)].copy_from_slice(&new.image[..16 << 20]);
    device.prepare(&new).unwrap();
    let mut answers = 0;
    device.link = wraps(move |packet, block: Block| {
        answers += 1;
        if answers < 4 {
            set_block(packet, shortest(((block.offset() as u32 / 16) & 0xfffff) << 4 | 8));
            packet.payload.truncate(16);
        }
    });
    let end = device.boot(&mut Server::new(new.image.clone())).unwrap();
    assert_eq!(end, End::Runs(Which::B));
    assert!(device.slot(Which::B, LENGTH) == new.image);
    let slept = device.events.iter().filter(|event| matches!(event, Event::Sleep { .. })).count();
    assert_eq!(slept, 3);
}

fn wraps(mut change: impl FnMut(&mut Packet, Block) + 'static) -> Link {
    Box::new(forged(move |packet| {
        if let Some(block) = block2(packet) {
            change(packet, block);
        }
    }))
}

#[test]
fn payloads_that_are_too_short_too_long_or_missing() {
    for length in [0, 1, 16, 63, 65, 128, 1024] {
        let mut siege = Siege::new(true);
        siege.link(forged(move |packet| packet.payload.resize(length, 0)));
        let requests = siege.withstands(HOUR);
        assert!(requests <= TRIES_AN_HOUR, "{length}: {requests} requests in an hour");
        siege.recovers();
    }
}

#[test]
fn smaller_blocks_with_each_answer() {
    let mut siege = Siege::new(false);
    let mut szx = 3_u8;
    siege.link(forged(move |packet| {
        let Some(block) = block2(packet).filter(|block| block.szx.exponent() > 0) else { return };
        szx = if szx == 0 { 2 } else { szx - 1 };
        let Some(smaller) = Szx::new(szx).filter(|szx| *szx < block.szx) else { return };
        let smaller = block.at_most(smaller).unwrap();
        let more = Block::new(smaller.num(), true, smaller.szx).unwrap();
        packet.payload.truncate(more.szx.size());
        if packet.payload.len() == more.szx.size() {
            set_block(packet, shortest(more.encode()));
        }
    }));
    siege.arrives();
    assert_eq!(siege.causes(), []);
}

/// A Max-Age of 0, and none, which is 60 seconds.
#[test]
fn a_relay_that_is_busy_for_ever_is_asked_once_a_second_at_most() {
    for code in [Code::SERVICE_UNAVAILABLE, Code::TOO_MANY_REQUESTS] {
        for (max_age, at_most) in [(Some(0), 3600), (Some(1), 3600), (None, 60), (Some(600), 6)] {
            let mut siege = Siege::new(true);
            siege.server.error = Some((code, max_age.unwrap_or(0)));
            if max_age.is_none() {
                siege.link(forged(|packet| packet.clear_option(CoapOption::MaxAge)));
            }
            let requests = siege.withstands(HOUR);
            let expected = at_most - at_most / 10..=at_most + 1;
            assert!(expected.contains(&requests), "{max_age:?}: {requests} requests in an hour");
            assert_eq!(siege.device.flash.erasures.iter().max(), Some(&1), "waiting costs no flash");
            siege.recovers();
        }
    }
}

#[test]
fn a_flood_beside_the_genuine_answers() {
    let mut siege = Siege::new(false);
    let mut dice = 1_u32;
    siege.link(move |datagram| {
        let flood = (0..200).map(|_| {
            let mut noise = datagram.clone();
            for _ in 0..1 + dice % 4 {
                dice = dice.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                // The token and the Message ID are what a stranger cannot know.
                let at = (dice >> 8) as usize % noise.len();
                noise[at] ^= (dice >> 24) as u8;
            }
            noise[2] ^= 0x80;
            noise[4] ^= 0x80;
            noise
        });
        flood.collect::<Vec<_>>().into_iter().chain([datagram]).collect()
    });
    siege.arrives();
    assert_eq!(siege.causes(), []);
}

/// A relay that is gone for a year must not cost a page ten thousand erasures.
#[test]
fn tries_that_write_nothing_erase_nothing() {
    let mut siege = Siege::new(false);
    siege.server.silent = true;
    siege.withstands(DAY);
    assert_eq!(siege.device.flash.erasures.iter().max(), Some(&1));
}
