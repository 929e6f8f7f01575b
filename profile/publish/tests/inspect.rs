//! What `inspect` shows of each kind of file.
#![allow(clippy::unwrap_used, reason = "these are tests")]

mod desk;

use desk::{Desk, fails, succeeds};
use hmac_sha256::Hash;
use sixfold_manifest::chunk_index;
use sixfold_profile::coap::Szx;
use sixfold_profile::index::ChunkSize;
use sixfold_profile::ticket::{ContentKey, Endpoint, Fields, MAX_TICKET, Numbers, Session};

#[test]
fn inspect_shows_each_kind_of_file_and_no_secret() {
    let desk = Desk::new();
    succeeds(&desk.sign(&["--sequence", "41", "--uri", "https://cdn.example/lamp.bin"]));
    let inspect = |name: &str| succeeds(&desk.run(&["inspect", name]));
    let envelope = inspect("www/lamp.bin.suit");
    assert!(
        envelope.contains("sequence number    41") && envelope.contains("https://cdn.example/lamp.bin"),
        "{envelope}"
    );
    assert!(inspect("www/lamp.bin.idx").starts_with("chunk index of 3 chunks\n"));
    let (private, public) = (inspect("key"), inspect("key.pub"));
    assert!(private.starts_with("Ed25519 private key, "), "{private}");
    assert_eq!(private.replace("private", "public"), public);
    desk.write("ticket", &ticket());
    let shown = inspect("ticket");
    for words in [
        "98304 bytes",
        "[fe80::1]:5683",
        "Sender ID '01'",
        "option             11 \"fw\"",
        "keys are not shown",
    ] {
        assert!(shown.contains(words), "{words:?} is not in {shown}");
    }
    assert!(!shown.contains("3333") && !shown.contains("4444") && !shown.contains("5555"), "{shown}");
}

fn image() -> Vec<u8> {
    vec![0x5a; 98_304]
}

fn index() -> Vec<u8> {
    chunk_index(&image(), ChunkSize::from_bytes(1024).unwrap())
}

fn ticket() -> Vec<u8> {
    let ticket = Fields {
        image_size: 98_304,
        image_digest: Hash::hash(&image()),
        index_digest: Hash::hash(&index()),
        chunk_size: ChunkSize::from_bytes(1024).unwrap(),
        szx: Szx::B64,
        sequence_number: 7,
        relay: Endpoint { address: "fe80::1".parse().unwrap(), port: 5683 },
        interface_identifier: [1; 8],
        etag: None,
        group: None,
        session: Some(Session {
            sender_id: b"\x01",
            recipient_id: b"",
            sender_key: &[0x33; 16],
            recipient_key: &[0x44; 16],
            common_iv: &[0x55; 13],
            numbers: Numbers { first: 9, exponent: 16 },
            plain_allowed: true,
        }),
        content_key: Some(ContentKey { key: &[0xc0; 16], iv: &[0xc1; 16] }),
        options: b"\xb2fw\x05image",
    };
    let mut bytes = [0; MAX_TICKET];
    let length = ticket.write(&mut bytes).unwrap();
    bytes[..length].to_vec()
}

/// The record of [`ticket`] in flash with pages of 512 bytes that writes 8 bytes at once.
fn record(index: &[u8]) -> Vec<u8> {
    // 177 entries of the count, in three pages.
    let mut record = vec![0xff; 512 + 2048 + 3072 + 1536];
    let ticket = ticket();
    record[..ticket.len()].copy_from_slice(&ticket);
    for number in [0, 1, 2, 5] {
        record[512 + 8 * number..][..8].fill(0);
    }
    record[512 + 8 * 7] = 0;
    for number in [1, 2] {
        record[5632 + 8 * number..][..8].fill(0);
    }
    record[5632 + 8 * 3] = 0;
    record[2560..][..index.len()].copy_from_slice(index);
    record
}

#[test]
fn inspect_shows_the_journal_of_a_record() {
    let desk = Desk::new();
    desk.write("record", &record(&index()));
    let flash = ["inspect", "record", "--page", "512", "--write-unit", "8"];
    let shown = succeeds(&desk.run(&flash));
    for words in [
        "sequence number    7\n",
        "journal            4 of 96 chunks marked; marked 0-2, 5; torn 7\n",
        "chunk index        that of the ticket\n",
        "image              not whole yet\n",
        "session            3 of 191 reservations; numbers are left\n",
    ] {
        assert!(shown.contains(words), "{words:?} is not in {shown}");
    }
    let keys = ["33333333", "44444444", "55555555"];
    assert!(keys.iter().all(|key| !shown.contains(key)), "{shown}");
    let mut lost = record(&index());
    lost[5632] = 0;
    desk.write("record", &lost);
    assert!(succeeds(&desk.run(&flash)).contains("3 of 191 reservations; the relay did not know it\n"));
    lost[5632..].fill(0);
    desk.write("record", &lost);
    assert!(succeeds(&desk.run(&flash)).contains("191 of 191 reservations; no numbers are left\n"));
    let mut wrong = record(&[0; 96 * 32]);
    wrong[512 + 8 * 96..][..8].fill(0);
    desk.write("record", &wrong);
    let shown = succeeds(&desk.run(&flash));
    assert!(shown.contains("not that of the ticket: the record is not valid"), "{shown}");
    assert!(shown.contains("whole: it may run"), "{shown}");
    fails(&desk.run(&["inspect", "record"]), 1, "the file ends within the record");
    fails(&desk.run(&["inspect", "record", "--page", "0"]), 1, "no flash has such pages");
    desk.write("record", b"S6RT");
    assert!(succeeds(&desk.run(&["inspect", "record"])).starts_with("tombstone"));
}

/// Two slots of 25 pages: record A is that of [`ticket`], and its slot holds zeros; record B is a tombstone.
fn flash_file() -> Vec<u8> {
    let (page, slot) = (4096, 25 * 4096);
    let mut flash = vec![0xff; 8 * page + 2 * slot];
    let ticket = ticket();
    flash[..ticket.len()].copy_from_slice(&ticket);
    flash[2 * page..][..96 * 32].copy_from_slice(&index());
    flash[4 * page..][..4].copy_from_slice(b"S6RT");
    flash[8 * page..][..98_304].copy_from_slice(&image());
    flash.extend(b"S6FF\x00\x01\x90\x00\x01\x01\0\0\0\0\0\0");
    flash
}

#[test]
fn inspect_shows_both_records_of_a_flash_file() {
    let desk = Desk::new();
    desk.write("flash", &flash_file());
    let shown = succeeds(&desk.run(&["inspect", "flash"]));
    for words in [
        "flash of two slots of 102400 bytes\n",
        "record A: ticket\n",
        "journal            0 of 96 chunks marked\n",
        "the image of the ticket\n",
        "record B: tombstone",
    ] {
        assert!(shown.contains(words), "{words:?} is not in {shown}");
    }
    let mut flash = flash_file();
    flash[8 * 4096] ^= 1;
    flash[4 * 4096] = 0xff;
    desk.write("flash", &flash);
    let shown = succeeds(&desk.run(&["inspect", "flash"]));
    assert!(shown.contains("not that image") && shown.contains("record B: there is no ticket"), "{shown}");
    flash[5 * 4096..][..16].copy_from_slice(&sixfold_profile::note::write_note(41));
    desk.write("flash", &flash);
    let shown = succeeds(&desk.run(&["inspect", "flash"]));
    assert!(shown.contains("record B: note: 41 was accepted"), "{shown}");
    flash.remove(0);
    desk.write("flash", &flash);
    fails(&desk.run(&["inspect", "flash"]), 1, "is none of ours");
}

#[test]
fn inspect_says_what_it_does_not_know() {
    let desk = Desk::new();
    fails(&desk.run(&["inspect", "lamp.bin"]), 1, "is none of ours");
    let mut torn = ticket();
    torn[40] ^= 1;
    desk.write("ticket", &torn);
    fails(&desk.run(&["inspect", "ticket"]), 1, "the ticket is torn");
    desk.write("odd.idx", &[0; 33]);
    fails(&desk.run(&["inspect", "odd.idx"]), 1, "33 bytes are no chunk index");
    desk.write("certificate", b"-----BEGIN CERTIFICATE-----\n");
    fails(&desk.run(&["inspect", "certificate"]), 1, "this is not a key");
}
