//! The ticket's layout: golden bytes, what goes in comes out, and nothing torn is believed.
#![allow(clippy::unwrap_used, reason = "these are tests")]

use proptest::prelude::*;
use sixfold_profile::coap::Szx;
use sixfold_profile::index::ChunkSize;
use sixfold_profile::ticket::{
    ContentKey, Endpoint, Field, Fields, Group, MAX_TICKET, Numbers, Session, Ticket, TicketError,
};
use sixfold_profile::{Hex, crc32};
use std::net::Ipv6Addr;

/// Uri-Path "fw", "image".
const OPTIONS: &[u8] = b"\xb2fw\x05image";

fn full() -> Fields<'static> {
    Fields {
        image_size: 98_304,
        image_digest: [0x11; 32],
        index_digest: [0x22; 32],
        chunk_size: ChunkSize::from_bytes(1024).unwrap(),
        szx: Szx::B64,
        sequence_number: 7,
        relay: Endpoint { address: "fe80::1".parse().unwrap(), port: 5683 },
        interface_identifier: *b"\x3a\x1b\x2c\x4d\x5e\x6f\x70\x81",
        etag: Some(b"\x01\x02\x03\x04\x05\x06\x07\x08"),
        group: Some(Group {
            endpoint: Endpoint { address: "ff02::fd".parse().unwrap(), port: 5683 },
            token: b"\xaa\xbb",
        }),
        session: Some(Session {
            sender_id: b"\x01",
            recipient_id: b"",
            sender_key: &[0x33; 16],
            recipient_key: &[0x44; 16],
            common_iv: &[0x55; 13],
            numbers: Numbers { first: 0x12_3456_789a, exponent: 20 },
            plain_allowed: true,
        }),
        content_key: None,
        options: OPTIONS,
    }
}

fn written(ticket: &Fields<'_>) -> Vec<u8> {
    let mut buffer = [0xff; MAX_TICKET];
    let length = ticket.write(&mut buffer).unwrap();
    buffer[..length].to_vec()
}

#[test]
fn no_key_is_shown() {
    let bytes = written(&full());
    let ticket = Ticket::read(&bytes).unwrap();
    let texts = [format!("{ticket:?}"), format!("{:?}", full()), format!("{:?}", ticket.session())];
    for text in texts {
        // 0x33 and 0x44: Sender Key and Recipient Key.
        assert!(!text.contains("51, 51") && !text.contains("68, 68"), "{text}");
    }
    assert!(format!("{ticket:?}").contains("sequence_number: 7"), "{ticket:?}");
    let key = ContentKey { key: &[0x66; 16], iv: &[0x77; 16] };
    assert_eq!(format!("{key:?}"), "(secret)");
}

/// If this fails, the layout has changed: give it a new version number, and leave this test as it is.
#[test]
fn version_1_is_these_bytes() {
    let hex = Hex(&written(&full())).to_string();
    let golden = [
        "5336544b",                             // "S6TK"
        "0107",                                 // version, flags: group, session, plain mode allowed
        "00e5",                                 // 229 bytes
        "00018000",                             // 98304
        "0a02",                                 // chunks of 2^10, blocks of 2^(2+4)
        "1633fe800000000000000000000000000001", // port, address
        "3a1b2c4d5e6f7081",                     // interface identifier
        "0000000000000007",                     // sequence number
        &"11".repeat(32),
        &"22".repeat(32),
        "080102030405060708",                   // ETag
        "02aabb000000000000",                   // group Token
        "1633ff0200000000000000000000000000fd", // group port, address
        "0101000000000000",                     // Sender ID
        "0000000000000000",                     // Recipient ID
        &"33".repeat(16),
        &"44".repeat(16),
        &"55".repeat(13),
        "123456789a", // first sequence number
        "1400",       // 2^20 of them
        "b266770569", // Uri-Path "fw", Uri-Path "image"
        "6d616765",
    ]
    .concat();
    assert_eq!(hex[..hex.len() - 8], golden);
    let crc = crc32(&written(&full())[..225]);
    assert_eq!(hex[hex.len() - 8..], format!("{crc:08x}"));
}

#[test]
fn the_smallest_ticket_and_the_largest_are_read_again() {
    let smallest = Fields { etag: None, group: None, session: None, options: b"", ..full() };
    assert_eq!(Fields::read(&written(&smallest)), Ok(smallest));
    // One option of 286 bytes: 3 bytes of header.
    let options = [&b"\xbe\x00\x11"[..], &[b'x'; 286]].concat();
    let largest = Fields { options: &options[..289], ..full() };
    assert_eq!(written(&largest).len(), 216 + 289 + 4);
    assert_eq!(Fields::read(&written(&largest)), Ok(largest));
    let too_long = [OPTIONS; 40].concat();
    assert_eq!(
        Fields { options: &too_long, ..full() }.write(&mut [0; 1024]),
        Err(TicketError::Field(Field::Options))
    );
}

#[test]
fn erased_flash_and_other_things_are_no_ticket() {
    for bytes in [&[][..], &[0xff; 512], &[0; 512], b"S6T", b"S6TX and so on"] {
        assert_eq!(Fields::read(bytes), Err(TicketError::NotATicket));
    }
    let mut later = written(&full());
    later[4] = 2;
    assert_eq!(Fields::read(&later), Err(TicketError::Version(2)));
}

/// Power may go at any byte, and flash then holds the old bits behind it: erased ones.
#[test]
fn a_torn_ticket_is_never_believed() {
    let whole = written(&full());
    for written in 0..whole.len() {
        let mut torn = whole.clone();
        torn[written..].fill(0xff);
        if torn != whole {
            assert!(Fields::read(&torn).is_err(), "torn at {written}");
        }
        assert!(Fields::read(&whole[..written]).is_err(), "cut at {written}");
    }
}

#[test]
fn no_single_bit_can_be_wrong() {
    let whole = written(&full());
    for bit in 0..whole.len() * 8 {
        let mut wrong = whole.clone();
        wrong[bit / 8] ^= 1 << (bit % 8);
        assert!(Fields::read(&wrong).is_err(), "bit {bit}");
    }
}

/// Places a value and mends the CRC: somebody wrote this on purpose.
fn with(offset: usize, bytes: &[u8]) -> Vec<u8> {
    let mut ticket = written(&full());
    ticket[offset..offset + bytes.len()].copy_from_slice(bytes);
    let body = ticket.len() - 4;
    let crc = crc32(&ticket[..body]);
    ticket[body..].copy_from_slice(&crc.to_be_bytes());
    ticket
}

#[test]
fn values_out_of_range_are_refused_by_name() {
    let table: [(usize, &[u8], Field); 15] = [
        (5, &[0x13], Field::Reserved),
        (5, &[0x05], Field::Session),
        (8, &[0; 4], Field::ImageSize),
        (8, &[0xff; 4], Field::ImageSize),
        (12, &[7], Field::ChunkSize),
        (12, &[17], Field::ChunkSize),
        (13, &[7], Field::Szx),
        (112, &[9], Field::ETag),
        (112, &[7], Field::ETag),
        (121, &[9], Field::Group),
        (132, &[0xfe], Field::Group),
        (148, &[8], Field::Session),
        (214, &[7], Field::Session),
        (215, &[1], Field::Content),
        (216, &[0xf0], Field::Options),
    ];
    for (offset, bytes, field) in table {
        assert_eq!(Fields::read(&with(offset, bytes)), Err(TicketError::Field(field)), "{offset}");
    }
    assert_eq!(Fields::read(&with(6, &[2, 1])), Err(TicketError::Length));
    assert_eq!(Fields::read(&with(6, &[0, 100])), Err(TicketError::Length));
}

#[test]
fn what_would_not_be_read_is_not_written() {
    let mut buffer = [0; MAX_TICKET];
    let mut write = |ticket: Fields<'_>| ticket.write(&mut buffer);
    let address = "2001:db8::1".parse::<Ipv6Addr>().unwrap();
    let unicast = Group { endpoint: Endpoint { address, port: 1 }, token: b"" };
    let session = full().session.unwrap();
    for (first, exponent) in
        [(1 << 40, 8), ((1 << 40) - 255, 8), (1, 40), (0, 41), (0, 7), (0, 255), (u64::MAX, 8)]
    {
        let many = Session { numbers: Numbers { first, exponent }, ..session };
        assert_eq!(write(Fields { session: Some(many), ..full() }), Err(TicketError::Field(Field::Session)));
    }
    for (first, exponent) in [((1 << 40) - 256, 8), (0, 40), (1 << 39, 39)] {
        let numbers = Numbers { first, exponent };
        let most = Fields { session: Some(Session { numbers, ..session }), ..full() };
        assert!(write(most).is_ok(), "{numbers:?}");
    }
    let split = Fields { options: b"\xd1\x16u", ..full() };
    assert_eq!(write(split), Err(TicketError::Field(Field::Options)), "Proxy-Uri cannot be protected");
    assert!(write(Fields { session: None, ..split }).is_ok());
    assert_eq!(write(Fields { image_size: 0, ..full() }), Err(TicketError::Field(Field::ImageSize)));
    assert_eq!(write(Fields { etag: Some(b""), ..full() }), Err(TicketError::Field(Field::ETag)));
    assert_eq!(write(Fields { etag: Some(&[0; 9]), ..full() }), Err(TicketError::Field(Field::ETag)));
    assert_eq!(write(Fields { group: Some(unicast), ..full() }), Err(TicketError::Field(Field::Group)));
    let same = Session { recipient_id: session.sender_id, ..session };
    assert_eq!(write(Fields { session: Some(same), ..full() }), Err(TicketError::Field(Field::Session)));
    assert_eq!(write(Fields { options: b"\xff", ..full() }), Err(TicketError::Field(Field::Options)));
    for options in [&b"\xd0\x0a"[..], b"\xd0\x0f"] {
        let error = write(Fields { options, ..full() });
        assert_eq!(error, Err(TicketError::Field(Field::Options)), "the boot program adds Block2 and Size2");
    }
    for (address, port) in [("2001:db8::1", 0), ("ff02::1", 5683), ("::", 5683)] {
        let relay = Endpoint { address: address.parse().unwrap(), port };
        assert_eq!(
            write(Fields { relay, ..full() }),
            Err(TicketError::Field(Field::Relay)),
            "{address} {port}"
        );
    }
    assert_eq!(full().write(&mut [0; 228]), Err(TicketError::Full));
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..600), length in 0_u16..600) {
        let _ = Fields::read(&bytes);
        if bytes.len() > 8 {
            bytes[..6].copy_from_slice(b"S6TK\x01\x07");
            bytes[6..8].copy_from_slice(&length.to_be_bytes());
            let end = usize::from(length).min(bytes.len());
            if end >= 12 {
                let crc = crc32(&bytes[..end - 4]);
                bytes[end - 4..end].copy_from_slice(&crc.to_be_bytes());
            }
            let _ = Fields::read(&bytes);
        }
    }

    #[test]
    fn what_is_written_is_read_again(
        image_size in 1_u32..60_000_000,
        exponent in 8_u8..=16,
        sequence_number in any::<u64>(),
        etag in prop::option::of(prop::collection::vec(any::<u8>(), 1..=8)),
        with_group in any::<bool>(),
        with_session in any::<bool>(),
    ) {
        let ticket = Fields {
            image_size,
            chunk_size: ChunkSize::new(exponent).unwrap(),
            sequence_number,
            etag: etag.as_deref(),
            group: full().group.filter(|_| with_group),
            session: full().session.filter(|_| with_session),
            ..full()
        };
        let bytes = written(&ticket);
        prop_assert_eq!(Fields::read(&bytes), Ok(ticket));
    }
}
