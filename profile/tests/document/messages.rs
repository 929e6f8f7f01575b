//! The messages of the example: requests, and a parity symbol.

use crate::example::{OPTIONS, image};
use crate::{fenced, hex_lines};
use sixfold_profile::coap::{Block, Code, Message, Options, Szx, Type, Writer, option};
use sixfold_profile::{missing, parity};

#[test]
fn the_request_of_the_example() {
    let mut buffer = [0; 64];
    let mut writer =
        Writer::new(&mut buffer, Type::Confirmable, Code::GET, 0x1234, b"\xa1\xb2\xc3\xd4").unwrap();
    Options::new(OPTIONS).for_each(|option| writer.option(option.number, option.value).unwrap());
    let block = Block::new(64, false, Szx::B64).unwrap();
    assert_eq!(block.offset(), 4096);
    writer.uint_option(option::BLOCK2, block.encode()).unwrap();
    let length = writer.finish();
    assert_eq!(fenced("B.4. A request", ""), hex_lines(&buffer[..length]));
    assert!(Message::parse(&buffer[..length]).is_ok());
}

/// Word by word as the document has it, in 64 bits.
fn by_the_formula(seed: u64, w: u64) -> u32 {
    let cut = |x: u64| x & 0xffff_ffff;
    let x = cut((seed << 16 | w) + 0x9e37_79b9);
    let x = cut((x ^ x >> 16) * 0x7feb_352d);
    let x = cut((x ^ x >> 15) * 0x846c_a68b);
    (x ^ x >> 16) as u32
}

#[test]
fn the_parity_symbol_of_the_example() {
    let (image, seed) = (image(), 0x1234);
    assert_eq!(image.len().div_ceil(64), 157);
    let words: Vec<u32> = (0..5).map(|w| by_the_formula(seed.into(), w)).collect();
    assert!(words.iter().zip(0..).all(|(word, w)| *word == parity::word(seed, w)));
    let shown: String = words.iter().map(|word| format!("{word:08x}\n")).collect();
    assert_eq!(fenced("B.5. A parity symbol", "words"), shown);
    let mut payload = Vec::from(parity::Parity::header(0, seed));
    payload.resize(parity::HEADER + 64, 0);
    for (place, symbol) in image.chunks(64).enumerate() {
        if words[place / 32] >> (place % 32) & 1 != 0 {
            payload[parity::HEADER..].iter_mut().zip(symbol).for_each(|(to, from)| *to ^= from);
        }
    }
    assert_eq!(fenced("B.5. A parity symbol", "payload"), hex_lines(&payload));
    let read = parity::Parity::read(&payload).unwrap();
    assert_eq!((read.segment, read.seed, read.szx), (0, seed, Szx::B64));
}

#[test]
fn the_request_of_a_member() {
    let mut buffer = [0; 128];
    let mut writer =
        Writer::new(&mut buffer, Type::Confirmable, Code::GET, 0x1234, b"\xa1\xb2\xc3\xd4").unwrap();
    writer.uint_option(option::OBSERVE, 0).unwrap();
    Options::new(OPTIONS).for_each(|option| writer.option(option.number, option.value).unwrap());
    let first = Block::new(3, true, Szx::B64).unwrap();
    writer.uint_option(option::Q_BLOCK2, first.encode()).unwrap();
    // 157 blocks are counted by eights: 20 counts.
    let mut value = vec![0, 18, missing::group(157)];
    assert_eq!(value[2], 3);
    value.extend((0..20).map(|group| match group {
        0 => 2,
        8 | 9 => 8,
        _ => 0,
    }));
    writer.option(option::MISSING, &value).unwrap();
    let length = writer.finish();
    assert_eq!(fenced("B.6. A request of a member", ""), hex_lines(&buffer[..length]));
    let read = missing::Missing::read(&value).unwrap();
    let groups: Vec<_> = read.groups().filter(|(.., count)| *count > 0).collect();
    assert_eq!((read.deficit, groups), (18, vec![(0, 8, 2), (64, 8, 8), (72, 8, 8)]));
}
