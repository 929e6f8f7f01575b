//! Tickets: their fields and bytes, and bytes that are refused.

use crate::{hex, release};
use serde_json::{Value, json};
use sixfold_profile::coap::Szx;
use sixfold_profile::crc32;
use sixfold_profile::ticket::{
    ContentKey, Endpoint, Fields, Group, MAX_TICKET, Numbers, Session, TicketError,
};
use std::net::Ipv6Addr;

/// Uri-Path: fw, lamp.bin.
const OPTIONS: &[u8] = b"\xb2fw\x08lamp.bin";
const RELAY: Endpoint = Endpoint { address: Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1), port: 5683 };
const GROUP: Endpoint = Endpoint { address: Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0xfd), port: 5684 };

/// The ticket of [`release::manifest`], without what is optional.
pub(crate) fn plain() -> Fields<'static> {
    let manifest = release::manifest();
    Fields {
        image_size: manifest.image_size,
        image_digest: manifest.image_digest,
        index_digest: manifest.index_digest,
        chunk_size: manifest.chunk_size,
        szx: Szx::B64,
        sequence_number: manifest.sequence_number,
        relay: RELAY,
        interface_identifier: [0x02, 0, 0, 0xff, 0xfe, 0, 0, 0x01],
        etag: None,
        group: None,
        session: None,
        content_key: None,
        options: OPTIONS,
    }
}

fn full() -> Fields<'static> {
    Fields {
        etag: Some(b"version8"),
        group: Some(Group { endpoint: GROUP, token: b"\x53\x46" }),
        session: Some(Session {
            sender_id: b"\x01",
            recipient_id: b"",
            sender_key: &[0xa1; 16],
            recipient_key: &[0xa2; 16],
            common_iv: &[0xa3; 13],
            numbers: Numbers { first: 1 << 39, exponent: 39 },
            plain_allowed: true,
        }),
        ..plain()
    }
}

fn encrypted() -> Fields<'static> {
    Fields { content_key: Some(ContentKey { key: &[0xa4; 16], iv: &[0xa5; 16] }), ..plain() }
}

/// With a session of the keys of RFC 8613, Appendix C.1.1.
pub(crate) fn protected() -> Fields<'static> {
    let session = Session {
        sender_id: b"",
        recipient_id: b"\x01",
        sender_key: b"\xf0\x91\x0e\xd7\x29\x5e\x6a\xd4\xb5\x4f\xc7\x93\x15\x43\x02\xff",
        recipient_key: b"\xff\xb1\x4e\x09\x3c\x94\xc9\xca\xc9\x47\x16\x48\xb4\xf9\x87\x10",
        common_iv: b"\x46\x22\xd4\xdd\x6d\x94\x41\x68\xee\xfb\x54\x98\x7c",
        numbers: Numbers { first: 20, exponent: 16 },
        plain_allowed: false,
    };
    Fields { session: Some(session), ..plain() }
}

pub(crate) fn bytes(ticket: &Fields<'_>) -> Result<Vec<u8>, TicketError> {
    let mut buffer = [0; MAX_TICKET];
    let length = ticket.write(&mut buffer)?;
    Ok(buffer.get(..length).unwrap_or_default().to_vec())
}

pub(crate) fn vectors() -> Result<Value, TicketError> {
    // Proxy-Uri (35) of 288 bytes: with it the ticket has 512.
    let long = [b"\xde\x16\x00\x13".as_slice(), &[b'u'; 288]].concat();
    let largest = Fields { sequence_number: u64::MAX, options: &long, session: None, ..full() };
    Ok(json!({
        "format": "ticket",
        "version": 1,
        "vectors": [
            vector("nothing optional", &plain())?,
            vector("everything optional", &full())?,
            vector("the longest", &largest)?,
            vector("no options", &Fields { options: &[], ..plain() })?,
            vector("a session, and no plain mode", &protected())?,
            vector("of an encrypted image", &encrypted())?,
        ],
        "refused": refused()?,
    }))
}

fn vector(name: &str, ticket: &Fields<'_>) -> Result<Value, TicketError> {
    Ok(json!({ "name": name, "fields": fields(ticket), "bytes": hex(&bytes(ticket)?) }))
}

fn fields(ticket: &Fields<'_>) -> Value {
    json!({
        "image_size": ticket.image_size,
        "image_digest": hex(&ticket.image_digest),
        "index_digest": hex(&ticket.index_digest),
        "chunk_size": ticket.chunk_size.bytes(),
        "block_size": ticket.szx.size(),
        "sequence_number": ticket.sequence_number.to_string(),
        "relay": endpoint(&ticket.relay),
        "interface_identifier": hex(&ticket.interface_identifier),
        "etag": ticket.etag.map(hex),
        "group": ticket.group.map(|group| {
            json!({ "endpoint": endpoint(&group.endpoint), "token": hex(group.token) })
        }),
        "session": ticket.session.as_ref().map(session),
        "content_key": ticket.content_key.map(|content| json!({ "key": hex(content.key), "iv": hex(content.iv) })),
        "options": hex(ticket.options),
    })
}

fn endpoint(endpoint: &Endpoint) -> Value {
    json!({ "address": endpoint.address.to_string(), "port": endpoint.port })
}

fn session(session: &Session<'_>) -> Value {
    json!({
        "sender_id": hex(session.sender_id),
        "recipient_id": hex(session.recipient_id),
        "sender_key": hex(session.sender_key),
        "recipient_key": hex(session.recipient_key),
        "common_iv": hex(session.common_iv),
        "first_sequence_number": session.numbers.first.to_string(),
        "range_exponent": session.numbers.exponent,
        "plain_allowed": session.plain_allowed,
    })
}

/// Changes of the full ticket: what it is, where, and what the bytes there become. The CRC is right again afterwards.
const CHANGES: [(&str, usize, &[u8], &str); 20] = [
    ("another layout version", 4, &[2], "Version(2)"),
    ("a flag that is not known", 5, &[19], "Field(Reserved)"),
    ("plain mode allowed, and no session", 5, &[5], "Field(Session)"),
    ("numbers, and no session", 5, &[1], "Field(Session)"),
    ("an image of no bytes", 8, &[0; 4], "Field(ImageSize)"),
    ("more blocks than 20 bits count", 8, &[0xff; 4], "Field(ImageSize)"),
    ("a chunk of 128 bytes", 12, &[7], "Field(ChunkSize)"),
    ("a chunk of 128 KiB", 12, &[17], "Field(ChunkSize)"),
    ("the reserved block size", 13, &[7], "Field(Szx)"),
    ("an ETag of nine bytes", 112, &[9], "Field(ETag)"),
    ("an ETag that is not followed by zeros", 112, &[4], "Field(ETag)"),
    ("a group Token of nine bytes", 121, &[9], "Field(Group)"),
    ("a group with a unicast address", 132, &[0xfe, 0x80], "Field(Group)"),
    ("a Sender ID of eight bytes", 148, &[8], "Field(Session)"),
    ("a Recipient ID that is not followed by zeros", 157, &[1], "Field(Session)"),
    ("fewer numbers than are reserved at once", 214, &[7], "Field(Session)"),
    ("numbers of more than 40 bits", 214, &[40], "Field(Session)"),
    ("an algorithm, but no encrypted image", 215, &[1], "Field(Content)"),
    ("an option with the reserved delta 15", 216, &[0xf0], "Field(Options)"),
    ("an option that is longer than the ticket", 216, &[0xbc], "Field(Options)"),
];

fn refused() -> Result<Vec<Value>, TicketError> {
    let refused =
        |name: &str, bytes: &[u8], error: &str| json!({ "name": name, "bytes": hex(bytes), "error": error });
    let good = bytes(&full())?;
    let mut flipped = good.clone();
    put(&mut flipped, 40, &[0x80]);
    let mut longer = good.clone();
    put(&mut longer, 6, &513_u16.to_be_bytes());
    let mut list = vec![
        refused("erased flash", &[0xff; 64], "NotATicket"),
        refused("a tombstone", b"S6RT", "NotATicket"),
        refused("nothing", &[], "NotATicket"),
        refused("torn: the last byte is missing", good.get(..good.len() - 1).unwrap_or_default(), "Length"),
        refused("a length above 512", &longer, "Length"),
        refused("a bit flipped, so that the CRC is another", &flipped, "Crc"),
    ];
    for (name, at, change, error) in CHANGES {
        let mut bytes = good.clone();
        put(&mut bytes, at, change);
        seal(&mut bytes);
        list.push(refused(name, &bytes, error));
    }
    Ok(list)
}

/// Puts these bytes in place of those from `at` on.
fn put(bytes: &mut [u8], at: usize, change: &[u8]) {
    bytes.iter_mut().skip(at).zip(change).for_each(|(to, from)| *to = *from);
}

/// Makes the CRC right.
fn seal(bytes: &mut [u8]) {
    if let Some((body, crc)) = bytes.split_last_chunk_mut::<4>() {
        *crc = crc32(body).to_be_bytes();
    }
}
