//! The update that the document's examples are of.

use hmac_sha256::Hash;
use sixfold_profile::coap::{Szx, params};
use sixfold_profile::index::ChunkSize;
use sixfold_profile::ticket::{ContentKey, Endpoint, Fields, Group, MAX_TICKET, Numbers, Session};

/// Uri-Path "fw", "lamp-1.4.bin".
pub(crate) const OPTIONS: &[u8] = b"\xb2fw\x0clamp-1.4.bin";

pub(crate) fn written(ticket: &Fields<'_>) -> Vec<u8> {
    let mut buffer = [0; MAX_TICKET];
    let length = ticket.write(&mut buffer).unwrap();
    buffer[..length].to_vec()
}

pub(crate) fn image() -> Vec<u8> {
    (0..10_000_u32).map(|i| (i % 251) as u8).collect()
}

pub(crate) fn index() -> Vec<u8> {
    image().chunks(4096).flat_map(Hash::hash).collect()
}

pub(crate) fn example() -> Fields<'static> {
    Fields {
        image_size: 10_000,
        image_digest: Hash::hash(&image()),
        index_digest: Hash::hash(&index()),
        chunk_size: ChunkSize::from_bytes(4096).unwrap(),
        szx: Szx::B64,
        sequence_number: 14,
        relay: Endpoint { address: "fe80::1".parse().unwrap(), port: params::PORT },
        interface_identifier: *b"\x3a\x1b\x2c\x4d\x5e\x6f\x70\x81",
        etag: Some(b"\x01\x02\x03\x04\x05\x06\x07\x08"),
        group: None,
        session: None,
        content_key: None,
        options: OPTIONS,
    }
}

pub(crate) const CONTENT_KEY: ContentKey<'static> = ContentKey { key: &[0x58; 16], iv: &[0x59; 16] };

/// The example with everything that can be in a ticket.
pub(crate) fn full() -> Fields<'static> {
    let endpoint = Endpoint { address: "ff02::fd".parse().unwrap(), port: 61_616 };
    let session = Session {
        sender_id: b"\x51",
        recipient_id: b"\x52",
        sender_key: &[0x53; 16],
        recipient_key: &[0x54; 16],
        common_iv: &[0x55; 13],
        numbers: Numbers { first: 0x56_5656_5656, exponent: 36 },
        plain_allowed: true,
    };
    Fields { group: Some(Group { endpoint, token: b"\x57" }), session: Some(session), ..example() }
}
