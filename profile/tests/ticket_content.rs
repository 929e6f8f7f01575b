//! The ticket of an encrypted image: where its key is, and what is refused.
#![allow(clippy::unwrap_used, reason = "these are tests")]

use sixfold_profile::coap::Szx;
use sixfold_profile::crc32;
use sixfold_profile::index::ChunkSize;
use sixfold_profile::ticket::{
    ContentKey, Endpoint, Field, Fields, MAX_OPTIONS_LENGTH, MAX_TICKET, Ticket, TicketError,
};

const KEY: ContentKey<'static> = ContentKey { key: &[0x66; 16], iv: &[0x77; 16] };

fn encrypted() -> Fields<'static> {
    Fields {
        image_size: 1000,
        image_digest: [0x11; 32],
        index_digest: [0x22; 32],
        chunk_size: ChunkSize::MIN,
        szx: Szx::B64,
        sequence_number: 7,
        relay: Endpoint { address: "fe80::1".parse().unwrap(), port: 5683 },
        interface_identifier: [0x33; 8],
        etag: None,
        group: None,
        session: None,
        content_key: Some(KEY),
        options: b"\xb2fw",
    }
}

fn written(ticket: &Fields<'_>) -> Vec<u8> {
    let mut buffer = [0xff; MAX_TICKET];
    let length = ticket.write(&mut buffer).unwrap();
    buffer[..length].to_vec()
}

/// Places a value and mends the CRC.
fn with(offset: usize, value: u8) -> Vec<u8> {
    let mut ticket = written(&encrypted());
    ticket[offset] = value;
    let body = ticket.len() - 4;
    let crc = crc32(&ticket[..body]);
    ticket[body..].copy_from_slice(&crc.to_be_bytes());
    ticket
}

#[test]
fn the_key_is_before_the_options() {
    let bytes = written(&encrypted());
    assert_eq!((bytes[5], bytes[214], bytes[215], bytes.len()), (8, 0, 1, 216 + 32 + 3 + 4));
    assert_eq!(
        (&bytes[216..232], &bytes[232..248], &bytes[248..251]),
        (&KEY.key[..], &KEY.iv[..], &b"\xb2fw"[..])
    );
    let ticket = Ticket::read(&bytes).unwrap();
    assert_eq!((ticket.content_key(), ticket.options()), (Some(KEY), &b"\xb2fw"[..]));
    assert_eq!(Fields::read(&bytes), Ok(encrypted()));
    let plain = Fields { content_key: None, ..encrypted() };
    assert_eq!(Ticket::read(&written(&plain)).unwrap().content_key(), None);
}

#[test]
fn an_algorithm_is_for_an_encrypted_image_and_known() {
    for algorithm in [0, 2, 0xff] {
        assert_eq!(Fields::read(&with(215, algorithm)), Err(TicketError::Field(Field::Content)));
    }
    // Without the flag, the key would be taken for options.
    assert_eq!(Fields::read(&with(5, 0)), Err(TicketError::Field(Field::Content)));
}

#[test]
fn a_ticket_that_is_too_short_for_its_key_is_refused() {
    let short = Fields { content_key: None, options: b"", ..encrypted() };
    let mut ticket = written(&short);
    (ticket[5], ticket[215]) = (8, 1);
    let body = ticket.len() - 4;
    let crc = crc32(&ticket[..body]);
    ticket[body..].copy_from_slice(&crc.to_be_bytes());
    assert_eq!(Fields::read(&ticket), Err(TicketError::Length));
}

#[test]
fn it_has_less_room_for_options() {
    // One option, Proxy-Uri, with three bytes of header.
    let option = |length: usize| {
        let mut option = vec![b'x'; length];
        option[..4].copy_from_slice(&[0xde, 0x16, 0, 0]);
        option[2..4].copy_from_slice(&((length - 4 - 269) as u16).to_be_bytes());
        option
    };
    let most = option(MAX_OPTIONS_LENGTH);
    let plain = Fields { content_key: None, options: &most, ..encrypted() };
    assert_eq!(written(&plain).len(), MAX_TICKET);
    let refused = Fields { options: &most, ..encrypted() }.write(&mut [0; 1024]);
    assert_eq!(refused, Err(TicketError::Field(Field::Options)));
}

#[test]
fn no_log_shows_the_key() {
    let shown =
        format!("{:?} {:?}", encrypted(), Ticket::read(&written(&encrypted())).unwrap().content_key());
    assert!(shown.contains("content_key: Some((secret))") && !shown.contains("102, 102"), "{shown}");
}
