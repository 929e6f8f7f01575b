//! Messages that nobody sends in good faith, without sessions: they cost what they are worth, and change nothing for others.
#![allow(clippy::unwrap_used, reason = "these are tests")]

mod support;

use sixfold_profile::coap::{Code, Type, option};
use support::{Ask, Bench, body};

/// RFC 7252 §3: a Token Length above 8 is a message format error; the longer ones of RFC 8974 are not understood.
#[test]
fn a_token_of_more_than_eight_bytes_is_a_format_error() {
    let mut bench = Bench::with_image(1000, 60);
    let ask = Ask { token: vec![1; 8], ..Ask::get(1, 1, "image.bin") };
    for nibble in 9..16 {
        let mut datagram = ask.datagram();
        datagram[0] = datagram[0] & 0xf0 | nibble;
        // As RFC 8974 §2.1 extends it: a length in one byte or two, and so many bytes.
        datagram.splice(4..4, [0xff, 0xff]);
        datagram.extend([0x55; 1000]);
        bench.datagram(1, &datagram);
        let answers = bench.answers();
        assert_eq!(answers.len(), 1, "{nibble}");
        assert_eq!((answers[0].message_type, answers[0].token.len()), (Type::Reset, 0), "{nibble}");
        let non = [&[datagram[0] | 0x10], &datagram[1..]].concat();
        bench.datagram(1, &non);
        assert_eq!(bench.answers(), [], "{nibble}: nobody is to be told");
    }
    assert_eq!(bench.engine.load().exchanges, 0);
    assert_eq!(bench.whole(2, "image.bin", 2).0, body(1, 1000));
}

#[test]
fn bombs_of_options_are_read_once_and_refused_or_ignored() {
    let mut bench = Bench::with_image(1000, 60);
    let elective = (0..400).fold(Ask::get(1, 1, "image.bin"), |ask, n| ask.with(2048 + 2 * n, &[]));
    assert_eq!(bench.ask(&elective).code, Code::CONTENT, "400 elective options are ignored");
    let critical = Ask { message_id: 2, ..elective.clone() }.with(2049, &[]);
    assert_eq!(bench.ask(&critical).code, Code::BAD_OPTION);
    let deep = (0..250).fold(Ask::get(1, 3, "x"), |ask, _| ask.with(option::URI_PATH, b"d"));
    bench.send(&deep);
    assert!(
        bench.answers().is_empty() && bench.command().is_some(),
        "a long path is one question to the origin"
    );
    // Deltas that run past 65535, lengths past the end, the reserved nibble.
    for bomb in [&[0xe0; 1200][..], &[0x0e; 1200], &[0xf0; 1200], &[0xdd; 1200], &[0xee; 1200]] {
        let mut datagram = Ask::get(1, 4, "image.bin").datagram();
        datagram.extend(bomb);
        bench.datagram(1, &datagram);
        assert!(bench.answers().iter().all(|answer| answer.message_type == Type::Reset));
    }
    assert_eq!(bench.whole(2, "image.bin", 2).0, body(1, 1000));
}
