//! The vectors that this crate speaks: tickets, the layout of records, and CoAP messages.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "these are tests")]

#[path = "../vectors/tests/reader/mod.rs"]
mod reader;

use reader::{array, bytes, file, golden, list, number, refused, text};
use serde_json::Value;
use sixfold_profile::agreement::{Answer, Ask, Grant, exporter_context};
use sixfold_profile::coap::{Message, Szx, Writer};
use sixfold_profile::index::ChunkSize;
use sixfold_profile::missing::Missing;
use sixfold_profile::note::{read_note, write_note};
use sixfold_profile::parity::{HEADER, Parity, word};
use sixfold_profile::record::{Entry, RecordLayout};
use sixfold_profile::ticket::{ContentKey, Endpoint, Fields, Group, MAX_TICKET, Numbers, Session, Ticket};

/// What a ticket refers to.
struct Parts {
    etag: Option<Vec<u8>>,
    token: Vec<u8>,
    sender_id: Vec<u8>,
    recipient_id: Vec<u8>,
    sender_key: [u8; 16],
    recipient_key: [u8; 16],
    common_iv: [u8; 13],
    content_key: [u8; 16],
    iv: [u8; 16],
    options: Vec<u8>,
}

impl Parts {
    fn read(fields: &Value) -> Self {
        fn fixed<const N: usize>(value: &Value) -> [u8; N] {
            if value.is_null() { [0; N] } else { array(value) }
        }
        let optional = |value: &Value| if value.is_null() { Vec::new() } else { bytes(value) };
        Self {
            etag: (!fields["etag"].is_null()).then(|| bytes(&fields["etag"])),
            token: optional(&fields["group"]["token"]),
            sender_id: optional(&fields["session"]["sender_id"]),
            recipient_id: optional(&fields["session"]["recipient_id"]),
            sender_key: fixed(&fields["session"]["sender_key"]),
            recipient_key: fixed(&fields["session"]["recipient_key"]),
            common_iv: fixed(&fields["session"]["common_iv"]),
            content_key: fixed(&fields["content_key"]["key"]),
            iv: fixed(&fields["content_key"]["iv"]),
            options: bytes(&fields["options"]),
        }
    }

    fn ticket(&self, fields: &Value) -> Fields<'_> {
        let (group, session) = (&fields["group"], &fields["session"]);
        Fields {
            image_size: number(&fields["image_size"]) as u32,
            image_digest: array(&fields["image_digest"]),
            index_digest: array(&fields["index_digest"]),
            chunk_size: ChunkSize::from_bytes(number(&fields["chunk_size"]) as u32).unwrap(),
            szx: Szx::from_size(number(&fields["block_size"]) as usize).unwrap(),
            sequence_number: number(&fields["sequence_number"]),
            relay: endpoint(&fields["relay"]),
            interface_identifier: array(&fields["interface_identifier"]),
            etag: self.etag.as_deref(),
            group: (!group.is_null())
                .then(|| Group { endpoint: endpoint(&group["endpoint"]), token: &self.token }),
            session: (!session.is_null()).then(|| self.session(session)),
            content_key: (!fields["content_key"].is_null())
                .then_some(ContentKey { key: &self.content_key, iv: &self.iv }),
            options: &self.options,
        }
    }

    fn session(&self, fields: &Value) -> Session<'_> {
        Session {
            sender_id: &self.sender_id,
            recipient_id: &self.recipient_id,
            sender_key: &self.sender_key,
            recipient_key: &self.recipient_key,
            common_iv: &self.common_iv,
            numbers: Numbers {
                first: number(&fields["first_sequence_number"]),
                exponent: number(&fields["range_exponent"]) as u8,
            },
            plain_allowed: fields["plain_allowed"].as_bool().unwrap(),
        }
    }
}

fn endpoint(value: &Value) -> Endpoint {
    Endpoint { address: text(&value["address"]).parse().unwrap(), port: number(&value["port"]) as u16 }
}

#[test]
fn tickets_are_read_and_written() {
    let file = file(reader::TICKETS);
    for (name, vector) in list(&file, "vectors") {
        let (parts, golden_bytes) = (Parts::read(&vector["fields"]), bytes(&vector["bytes"]));
        let ticket = parts.ticket(&vector["fields"]);
        golden(name, Fields::read(&golden_bytes), Ok(ticket));
        let mut buffer = [0; MAX_TICKET];
        let length = ticket.write(&mut buffer).unwrap();
        golden(name, &buffer[..length], &golden_bytes);
    }
}

#[test]
fn bad_tickets_are_refused() {
    for (name, vector) in list(&file(reader::TICKETS), "refused") {
        refused(name, vector, Fields::read(&bytes(&vector["bytes"])));
    }
}

fn entry(value: &Value) -> Entry {
    match text(value) {
        "unmarked" => Entry::Unmarked,
        "marked" => Entry::Marked,
        "torn" => Entry::Torn,
        other => panic!("{other}"),
    }
}

#[test]
fn records_are_laid_out_and_their_journals_read() {
    let file = file(reader::RECORDS);
    for (name, vector) in list(&file, "vectors") {
        let record = bytes(&vector["bytes"]);
        let ticket = Ticket::read(&record).unwrap();
        let (page, write_unit) = (number(&vector["page"]) as u32, number(&vector["write_unit"]) as u32);
        let layout = RecordLayout::of(&ticket, 0, page, write_unit).unwrap();
        golden(name, layout.count.end as usize, record.len());
        golden(name, u64::from(layout.journal.start), number(&vector["journal_at"]));
        golden(name, u64::from(layout.index.start), number(&vector["index_at"]));
        let read = |at: u32| {
            let range = layout.entry_range(at).unwrap();
            Entry::read(&record[range.start as usize..range.end as usize])
        };
        let entries = vector["journal"].as_array().unwrap().iter().chain([&vector["image"]]);
        for (at, expected) in (0..).zip(entries) {
            golden(name, read(at), entry(expected));
        }
        let openings = vector["openings"].as_array().unwrap();
        golden(name, openings.len(), layout.chunks as usize);
        for (chunk, expected) in (0..).zip(openings) {
            golden(name, read(layout.opening(chunk)), entry(expected));
        }
    }
}

#[test]
fn notes_are_read_and_written() {
    for (name, vector) in list(&file(reader::RECORDS), "notes") {
        let (note, sequence_number) = (array(&vector["note"]), number(&vector["sequence_number"]));
        golden(name, read_note(&note), Some(sequence_number));
        golden(name, write_note(sequence_number), note);
        let at = number(&vector["journal_at"]) as usize;
        golden(name, &bytes(&vector["bytes"])[at..at + note.len()], &note);
    }
}

#[test]
fn parity_symbols_are_read_and_made() {
    let file = file(reader::GROUPS);
    let image = bytes(&file["image"]);
    for (name, vector) in list(&file, "vectors") {
        let (payload, size) = (bytes(&vector["bytes"]), number(&vector["block_size"]) as usize);
        let parity = Parity::read(&payload).unwrap();
        golden(name, u64::from(parity.segment), number(&vector["segment"]));
        golden(name, u64::from(parity.seed), number(&vector["seed"]));
        golden(name, parity.szx.size(), size);
        // Symbol by symbol, bit by bit.
        let mut sum = vec![0; size];
        for (at, byte) in image.iter().enumerate() {
            let place = at / size;
            let is_in = word(parity.seed, (place / 32) as u8) & 1 << (place % 32) != 0;
            sum[at % size] ^= if is_in { *byte } else { 0 };
        }
        golden(name, parity.symbol, &sum);
        golden(name, &Parity::header(parity.segment, parity.seed)[..], &payload[..HEADER]);
    }
}

#[test]
fn what_is_missing_is_read() {
    for (name, vector) in list(&file(reader::GROUPS), "missing") {
        let value = bytes(&vector["bytes"]);
        let read = Missing::read(&value).unwrap();
        golden(name, u64::from(read.deficit), number(&vector["deficit"]));
        let missing: Vec<_> = vector["missing"].as_array().unwrap().iter().map(number).collect();
        let mut blocks = 0;
        for (first, size, count) in read.groups() {
            let within = u64::from(first)..u64::from(first + size);
            let exact = missing.iter().filter(|num| within.contains(num)).count() as u32;
            assert!(count >= exact && count - exact <= size >> 7, "{name}: {count} and {exact}");
            blocks = within.end;
        }
        assert!(blocks >= number(&vector["blocks"]), "{name}");
    }
}

#[test]
fn what_is_nothing_for_a_group_is_refused() {
    for (name, vector) in list(&file(reader::GROUPS), "refused") {
        let bytes = bytes(&vector["bytes"]);
        match text(&vector["what"]) {
            "parity" => golden(name, Parity::read(&bytes), None),
            what => {
                golden(name, what, "missing");
                golden(name, Missing::read(&bytes), None);
            }
        }
    }
}

#[test]
fn messages_are_read_and_written() {
    let file = file(reader::EXCHANGES);
    for (name, vector) in ["vectors", "preparations", "members"].into_iter().flat_map(|key| list(&file, key))
    {
        let steps = vector["steps"].as_array().unwrap();
        for step in steps.iter().filter(|step| step["from"] != "origin") {
            let datagram = bytes(&step["bytes"]);
            golden(name, again(&datagram), datagram);
        }
    }
}

/// The message in a datagram, written again.
fn again(datagram: &[u8]) -> Vec<u8> {
    let message = Message::parse(datagram).unwrap();
    let mut buffer = [0; 1280];
    let (kind, id) = (message.message_type, message.message_id);
    let mut writer = Writer::new(&mut buffer, kind, message.code, id, message.token).unwrap();
    for option in message.options() {
        writer.option(option.number, option.value).unwrap();
    }
    let length = writer.payload(message.payload).unwrap();
    buffer[..length].to_vec()
}

#[test]
fn agreements_are_read_and_written() {
    let all = file(reader::AGREEMENTS);
    for (name, vector) in list(&all, "vectors") {
        let (ask, answer) = (&vector["ask"], &vector["answer"]);
        let question = Ask { lifetime: number(&ask["lifetime"]) as u32 };
        golden(name, question.encode(), array(&ask["bytes"]));
        golden(name, Ask::decode(&array(&ask["bytes"])), Ok(question));
        let (device_id, relay_id) = (bytes(&answer["device_id"]), bytes(&answer["relay_id"]));
        let grant = Answer::Granted(Grant {
            port: answer["port"].as_u64().map(|port| port as u16),
            lifetime: number(&answer["lifetime"]) as u32,
            device_id: &device_id,
            relay_id: &relay_id,
        });
        golden(name, grant.encode().unwrap(), array(&answer["bytes"]));
        golden(name, Answer::decode(&array(&answer["bytes"])), Ok(grant));
        let (context, length) = exporter_context(&device_id, &relay_id).unwrap();
        golden(name, context[..length].to_vec(), bytes(&vector["context"]));
    }
    for (name, vector) in list(&all, "refusals") {
        let octets = array(&vector["bytes"]);
        let Ok(Answer::Refused(refusal)) = Answer::decode(&octets) else { panic!("{name}") };
        golden(name, refusal as u64, number(&vector["outcome"]));
        golden(name, Answer::Refused(refusal).encode().unwrap(), octets);
    }
    for (name, vector) in list(&all, "refused") {
        if vector["ask"].is_null() {
            refused(name, vector, Answer::decode(&array(&vector["answer"])));
        } else {
            refused(name, vector, Ask::decode(&array(&vector["ask"])));
        }
    }
}
