//! `profile.md` says what the code does: its constants, its layout, its example, and its CDDL.
#![allow(clippy::unwrap_used, reason = "these are tests")]

#[path = "../vectors/tests/reader/mod.rs"]
mod reader;

use hmac_sha256::Hash;
use sixfold_profile::coap::{
    Block, Code, MAX_NUM, Message, Options, Szx, Type, Writer, content_format, option, params,
};
use sixfold_profile::crc32;
use sixfold_profile::index::{ChunkSize, DIGEST};
use sixfold_profile::record::{self, RecordLayout};
use sixfold_profile::ticket::{
    self, ContentKey, Endpoint, Fields, Group, MAX_OPTIONS_LENGTH, MAX_TICKET, Session, Ticket,
};
use sixfold_profile::{agreement, missing, parity};
use std::fs;
use std::path::Path;
use std::time::Duration;

/// Uri-Path "fw", "lamp-1.4.bin".
const OPTIONS: &[u8] = b"\xb2fw\x0clamp-1.4.bin";

/// A file of the workspace.
fn file(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What is below a heading, up to the next one.
fn section(heading: &str) -> String {
    let document = file("profile/profile.md");
    let mut lines = document.lines().skip_while(|line| line.trim_start_matches('#').trim() != heading);
    assert!(lines.next().is_some(), "the document has no section \"{heading}\"");
    lines.take_while(|line| !line.starts_with('#')).map(|line| line.to_owned() + "\n").collect()
}

/// The rows of the table in a section, without its head.
fn table(heading: &str) -> Vec<Vec<String>> {
    let row = |line: &str| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect();
    section(heading).lines().filter(|line| line.starts_with('|')).skip(2).map(row).collect()
}

/// The first fenced block of a language in a section.
fn fenced(heading: &str, language: &str) -> String {
    let text = section(heading);
    let mut lines = text.lines().skip_while(|line| *line != format!("```{language}"));
    assert!(lines.next().is_some(), "section \"{heading}\" has no block of {language}");
    lines.take_while(|line| *line != "```").map(|line| line.to_owned() + "\n").collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn hex_lines(bytes: &[u8]) -> String {
    bytes.chunks(32).map(|line| hex(line) + "\n").collect()
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits: String = hex.split_whitespace().collect();
    let byte = |start| u8::from_str_radix(&digits[start..start + 2], 16).unwrap();
    (0..digits.len()).step_by(2).map(byte).collect()
}

fn seconds(duration: Duration) -> String {
    format!("{} s", duration.as_secs())
}

fn written(ticket: &Fields<'_>) -> Vec<u8> {
    let mut buffer = [0; MAX_TICKET];
    let length = ticket.write(&mut buffer).unwrap();
    buffer[..length].to_vec()
}

fn image() -> Vec<u8> {
    (0..10_000_u32).map(|i| (i % 251) as u8).collect()
}

fn index() -> Vec<u8> {
    image().chunks(4096).flat_map(Hash::hash).collect()
}

fn example() -> Fields<'static> {
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

const CONTENT_KEY: ContentKey<'static> = ContentKey { key: &[0x58; 16], iv: &[0x59; 16] };

/// The example with everything that can be in a ticket.
fn full() -> Fields<'static> {
    let endpoint = Endpoint { address: "ff02::fd".parse().unwrap(), port: 61_616 };
    let session = Session {
        sender_id: b"\x51",
        recipient_id: b"\x52",
        sender_key: &[0x53; 16],
        recipient_key: &[0x54; 16],
        common_iv: &[0x55; 13],
        numbers: ticket::Numbers { first: 0x56_5656_5656, exponent: 36 },
        plain_allowed: true,
    };
    Fields { group: Some(Group { endpoint, token: b"\x57" }), session: Some(session), ..example() }
}

#[test]
fn constants_of_the_formats() {
    let number = |ticket: Fields<'_>| written(&ticket)[5];
    let flags = |ticket| number(ticket).to_string();
    let entries = |image_size| {
        // With pages of one entry nothing is rounded up.
        RecordLayout::new(0, image_size, ChunkSize::MAX, 4, 4, true).unwrap().count.len() / 4
    };
    let careful = Session { plain_allowed: false, ..full().session.unwrap() };
    let shortest = written(&Fields { options: b"", ..example() }).len();
    let ascii = |text: &[u8]| String::from_utf8(text.to_vec()).unwrap();
    let code: [(&str, String); 65] = [
        ("magic of a ticket", String::from_utf8(ticket::MAGIC.to_vec()).unwrap()),
        ("version of the ticket", ticket::VERSION.to_string()),
        ("shortest ticket", shortest.to_string()),
        ("longest ticket", MAX_TICKET.to_string()),
        ("offset of the options", (shortest - 4).to_string()),
        ("most bytes of options", MAX_OPTIONS_LENGTH.to_string()),
        ("flag G", flags(Fields { session: None, ..full() })),
        ("flag S", flags(Fields { group: None, session: Some(careful), ..full() })),
        ("flag P", (number(full()) - number(Fields { session: Some(careful), ..full() })).to_string()),
        ("smallest Range Exp", ticket::Numbers::FEWEST.to_string()),
        ("flag E", flags(Fields { content_key: Some(CONTENT_KEY), ..example() })),
        ("digest", DIGEST.to_string()),
        ("smallest chunk", ChunkSize::MIN.bytes().to_string()),
        ("largest chunk", ChunkSize::MAX.bytes().to_string()),
        ("smallest block", Szx::MIN.size().to_string()),
        ("largest block", Szx::MAX.size().to_string()),
        ("most blocks", (MAX_NUM + 1).to_string()),
        ("CRC-32 of 123456789", format!("{:#010x}", crc32(b"123456789"))),
        ("longest Token", params::MAX_TOKEN.to_string()),
        ("longest ETag", params::MAX_ETAG.to_string()),
        ("entry of a count: session lost", record::LOST.to_string()),
        ("numbers of an entry, as a power of two", record::RESERVED.to_string()),
        ("entries of a count, of an image below 2048 bytes", entries(2047).to_string()),
        ("entries of a count, of an image of 1 MiB", entries(1 << 20).to_string()),
        ("UDP port", params::PORT.to_string()),
        ("ACK_TIMEOUT", seconds(params::ACK_TIMEOUT)),
        ("ACK_TIMEOUT × (ACK_RANDOM_FACTOR - 1)", seconds(params::ACK_RANDOM_SPREAD)),
        ("MAX_RETRANSMIT", params::MAX_RETRANSMIT.to_string()),
        ("NSTART", params::NSTART.to_string()),
        ("DEFAULT_LEISURE", seconds(params::DEFAULT_LEISURE)),
        ("MAX_TRANSMIT_WAIT", seconds(params::MAX_TRANSMIT_WAIT)),
        ("EXCHANGE_LIFETIME", seconds(params::EXCHANGE_LIFETIME)),
        ("default Max-Age", format!("{} s", params::DEFAULT_MAX_AGE_S)),
        ("ETag", option::ETAG.to_string()),
        ("Observe", option::OBSERVE.to_string()),
        ("Uri-Path", option::URI_PATH.to_string()),
        ("Content-Format", option::CONTENT_FORMAT.to_string()),
        ("Max-Age", option::MAX_AGE.to_string()),
        ("Uri-Query", option::URI_QUERY.to_string()),
        ("Hop-Limit", option::HOP_LIMIT.to_string()),
        ("Accept", option::ACCEPT.to_string()),
        ("Block2", option::BLOCK2.to_string()),
        ("Size2", option::SIZE2.to_string()),
        ("Q-Block2", option::Q_BLOCK2.to_string()),
        ("Proxy-Uri", option::PROXY_URI.to_string()),
        ("Proxy-Scheme", option::PROXY_SCHEME.to_string()),
        ("No-Response", option::NO_RESPONSE.to_string()),
        ("MISSING", option::MISSING.to_string()),
        ("Content-Format of an informative response", content_format::INFORMATIVE_RESPONSE.to_string()),
        ("Content-Format of a parity symbol", content_format::PARITY.to_string()),
        ("symbols of a segment", parity::SYMBOLS.to_string()),
        ("bytes before a parity symbol", parity::HEADER.to_string()),
        ("smallest block of a stream", parity::SMALLEST.size().to_string()),
        ("most counts in MISSING", missing::COUNTS.to_string()),
        ("deficit without parity", missing::NO_PARITY.to_string()),
        ("deficit without room", missing::NO_ROOM.to_string()),
        ("protocol of a session port", ascii(agreement::ALPN)),
        ("version of the agreement", agreement::VERSION.to_string()),
        ("bytes of a question", agreement::ASK.to_string()),
        ("bytes of an answer", agreement::ANSWER.to_string()),
        ("longest OSCORE identifier", agreement::MAX_ID.to_string()),
        ("label of the Master Secret", ascii(agreement::SECRET_LABEL)),
        ("label of the Master Salt", ascii(agreement::SALT_LABEL)),
        ("bytes of a Master Secret", agreement::MASTER_SECRET.to_string()),
        ("bytes of a Master Salt", agreement::MASTER_SALT.to_string()),
    ];
    let code: Vec<_> = code.map(|(name, value)| vec![name.to_owned(), value]).into();
    assert_eq!(table("A.1. Of the formats and of CoAP"), code);
}

/// How many rows there are, so that none gets lost unnoticed.
const ROLES: usize = 78;

#[test]
fn constants_of_the_roles() {
    let rows = table("A.2. Of the roles");
    assert_eq!(rows.len(), ROLES);
    let mut places = Vec::new();
    for row in &rows {
        let [what, said, name, path] = &row[..] else { panic!("{row:?}") };
        let (name, path) = (name.trim_matches('`'), path.trim_matches('`'));
        let source = file(path);
        let value = if path.ends_with(".toml") { setting(&source, name) } else { constant(&source, name) };
        assert_eq!(Some(said), value.as_ref(), "{what}: {name} in {path}");
        assert!(!places.contains(&(path.to_owned(), name.to_owned())), "{name} in {path} is there twice");
        places.push((path.to_owned(), name.to_owned()));
    }
}

/// The default of a key in the reference configuration.
fn setting(source: &str, key: &str) -> Option<String> {
    let value = source.lines().find_map(|line| line.strip_prefix(&format!("#{key} = ")))?;
    Some(value.trim_matches('"').to_owned())
}

/// The value of `NAME`, or of `NAME` in the inline module `module::`.
fn constant(source: &str, name: &str) -> Option<String> {
    let (module, name) = name.rsplit_once("::").map_or((None, name), |(module, name)| (Some(module), name));
    let begin = module.map_or(Some(0), |module| source.find(&format!("mod {module} {{")))?;
    let source = &source[begin..];
    let source = module.and_then(|_| source.find("\n}")).map_or(source, |end| &source[..end]);
    let (_, rest) = source.split_once(&format!("const {name}: "))?;
    let (_kind, rest) = rest.split_once(" = ")?;
    evaluate(rest.split_once(';')?.0)
}

/// The expressions that constants are made of: strings, numbers, their products and shifts, durations, UUIDs.
fn evaluate(expression: &str) -> Option<String> {
    let inside = |before: &str| expression.strip_prefix(before).and_then(|rest| rest.strip_suffix(')'));
    let text = expression.trim_start_matches(['*', 'b']);
    if let Some(text) = text.strip_prefix('"') {
        return text.strip_suffix('"').map(str::to_owned);
    }
    if let Some(seconds) = inside("Duration::from_secs(") {
        return Some(format!("{} s", number(seconds)?));
    }
    if let Some(milliseconds) = inside("Duration::from_millis(") {
        return Some(format!("{} s", number(milliseconds)? / 1000));
    }
    if let Some(uuid) = inside("Uuid::from_u128(") {
        return number(uuid).map(|number| number.to_string());
    }
    let (sign, magnitude) = expression.strip_prefix('-').map_or(("", expression), |rest| ("-", rest));
    number(magnitude).map(|number| format!("{sign}{number}"))
}

fn number(expression: &str) -> Option<u128> {
    if let Some((left, right)) = expression.split_once(" << ") {
        return Some(number(left)? << number(right)?);
    }
    if let Some((left, right)) = expression.split_once(" * ") {
        return Some(number(left)? * number(right)?);
    }
    let digits = expression.replace('_', "");
    let hex = digits.strip_prefix("0x").map(|digits| u128::from_str_radix(digits, 16));
    hex.unwrap_or_else(|| digits.parse()).ok()
}

/// Where each field of the layout begins and ends, in a ticket of `length` bytes.
fn fields(length: usize) -> Vec<(usize, usize, String)> {
    let field = |row: Vec<String>| {
        let offset = row[0].parse().unwrap_or(length - 4);
        let bytes = row[1].parse().unwrap_or(length - 4 - offset);
        (offset, offset + bytes, row[2].clone())
    };
    table("9.2. Fields").into_iter().map(field).collect()
}

/// What the fields of a ticket say, by the ticket that the code makes of them.
fn value(ticket: &Fields<'_>, field: &str, bytes: &[u8]) -> String {
    let group = ticket.group.unwrap_or(full().group.unwrap());
    let session = ticket.session.unwrap_or(full().session.unwrap());
    match field {
        "Magic" => String::from_utf8(bytes.to_vec()).unwrap(),
        "Image Size" => ticket.image_size.to_string(),
        "Chunk Exp" => format!("{} bytes", ticket.chunk_size.bytes()),
        "SZX" => format!("{} bytes", ticket.szx.size()),
        "Relay Port" => ticket.relay.port.to_string(),
        "Relay Address" => ticket.relay.address.to_string(),
        "Interface Identifier" => hex(&ticket.interface_identifier),
        "Sequence Number" => ticket.sequence_number.to_string(),
        "Image Digest" => hex(&ticket.image_digest),
        "Index Digest" => hex(&ticket.index_digest),
        "ETag Length" => ticket.etag.unwrap_or_default().len().to_string(),
        "ETag" => hex(ticket.etag.unwrap_or_default()),
        "Token Length" => group.token.len().to_string(),
        "Group Token" => hex(group.token),
        "Group Port" => group.endpoint.port.to_string(),
        "Group Address" => group.endpoint.address.to_string(),
        "SID Length" => session.sender_id.len().to_string(),
        "Sender ID" => hex(session.sender_id),
        "RID Length" => session.recipient_id.len().to_string(),
        "Recipient ID" => hex(session.recipient_id),
        "Sender Key" => hex(session.sender_key),
        "Recipient Key" => hex(session.recipient_key),
        "Common IV" => hex(session.common_iv),
        "First Sequence Number" => session.numbers.first.to_string(),
        "Range Exp" => session.numbers.exponent.to_string(),
        "Options" => texts(ticket.options),
        "CRC-32" => hex(&crc32(&written(ticket)[..written(ticket).len() - 4]).to_be_bytes()),
        _ => number_of(bytes).to_string(),
    }
}

/// The options with their numbers, as texts.
fn texts(encoded: &[u8]) -> String {
    let text = |value: &[u8]| String::from_utf8(value.to_vec()).unwrap();
    let options = Options::new(encoded).map(|option| format!("{} {:?}", option.number, text(option.value)));
    options.collect::<Vec<_>>().join(", ")
}

fn number_of(bytes: &[u8]) -> u128 {
    bytes.iter().fold(0, |number, byte| number << 8 | u128::from(*byte))
}

/// What bytes say when they are read by the document alone.
fn by_the_document(field: &str, bytes: &[u8], length: usize) -> String {
    match field {
        "Magic" => String::from_utf8(bytes.to_vec()).unwrap(),
        "Chunk Exp" => format!("{} bytes", 1 << bytes[0]),
        "SZX" => format!("{} bytes", 1 << (bytes[0] + 4)),
        "Relay Address" | "Group Address" => std::net::Ipv6Addr::from(number_of(bytes)).to_string(),
        "ETag" | "Group Token" | "Sender ID" | "Recipient ID" => hex(&bytes[..length]),
        _ if field.contains("Digest") || field.contains("Key") || field.contains("IV") => hex(bytes),
        "Interface Identifier" | "CRC-32" => hex(bytes),
        "Options" => texts(bytes),
        _ => number_of(bytes).to_string(),
    }
}

#[test]
fn every_field_is_where_the_document_has_it() {
    let (bytes, mut end, mut length) = (written(&full()), 0, 0);
    for (offset, next, field) in fields(bytes.len()) {
        assert_eq!(offset, end, "{field} begins where the field before it ends");
        let place = &bytes[offset..next];
        assert_eq!(by_the_document(&field, place, length), value(&full(), &field, place), "{field}");
        if field.ends_with("Length") {
            length = number_of(place) as usize;
        }
        end = next;
    }
    assert_eq!(end, bytes.len());
}

#[test]
fn the_index_of_the_example() {
    assert_eq!(fenced("B.1. The chunk index", ""), hex_lines(&index()));
}

#[test]
fn the_ticket_of_the_example() {
    let heading = "B.2. The ticket";
    let bytes = bytes(&fenced(heading, ""));
    let ticket = Ticket::read(&bytes).unwrap().fields().unwrap();
    assert_eq!(ticket, example());
    assert_eq!(written(&ticket), bytes, "what was read is written again");
    let mut rows = Vec::new();
    for (offset, next, field) in fields(bytes.len()).into_iter().filter(|(_, _, field)| !is_reserved(field)) {
        let place = &bytes[offset..next];
        rows.push(vec![offset.to_string(), hex(place), field.clone(), value(&ticket, &field, place)]);
    }
    let shown: String = rows.iter().map(|row| format!("| {} |\n", row.join(" | "))).collect();
    assert_eq!(table(heading), rows, "the table should be\n{shown}");
    let reserved = fields(bytes.len()).into_iter().filter(|(_, _, field)| is_reserved(field));
    assert!(reserved.into_iter().all(|(from, to, _)| bytes[from..to].iter().all(|byte| *byte == 0)));
}

/// The places of group and session, which the example has not.
fn is_reserved(field: &str) -> bool {
    let names = [
        "Token Length",
        "Group",
        "SID",
        "Sender",
        "RID",
        "Recipient",
        "Common",
        "First",
        "Range",
        "zero",
        "Algorithm",
    ];
    names.iter().any(|name| field.starts_with(name))
}

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

/// `cddl-cat` knows no tags: they are taken off here, from the rules as from the bytes.
#[test]
fn the_cddl_describes_what_is_signed() {
    let cddl = fenced("6.1. Envelope", "cddl")
        .replace("#6.107(SUIT_Envelope)", "SUIT_Envelope")
        .replace("#6.18(COSE_Sign1)", "COSE_Sign1")
        .replace("block: bstr .cbor COSE_Sign1_Tagged", "block: bstr")
        .replace("#6.96(COSE_Encrypt)", "COSE_Encrypt")
        .replace("19 => bstr .cbor COSE_Encrypt_Tagged", "19 => bstr");
    assert!(!cddl.contains("#6."), "the rules have other tags");
    for golden in ["ed25519", "es256"] {
        let envelope = bytes(&file(&format!("profile/manifest/tests/golden/{golden}.hex")));
        let untagged = envelope.strip_prefix(&[0xd8, 107]).unwrap();
        let checked = cddl_cat::validate_cbor_bytes("SUIT_Envelope_Tagged", &cddl, untagged);
        assert!(checked.is_ok(), "{golden}: {checked:?}");
        let block = cddl_cat::validate_cbor_bytes("COSE_Sign1_Tagged", &cddl, signature_block(&envelope));
        assert!(block.is_ok(), "{golden}: {block:?}");
    }
    let (mut encrypted, manifests) = (0, reader::file(reader::MANIFESTS));
    for (name, vector) in reader::list(&manifests, "vectors") {
        let envelope = reader::bytes(&vector["bytes"]);
        let untagged = envelope.strip_prefix(&[0xd8, 107]).unwrap();
        let checked = cddl_cat::validate_cbor_bytes("SUIT_Envelope_Tagged", &cddl, untagged);
        assert!(checked.is_ok(), "{name}: {checked:?}");
        if let Some(info) = encryption_info(&envelope) {
            let checked = cddl_cat::validate_cbor_bytes("COSE_Encrypt_Tagged", &cddl, info);
            assert!(checked.is_ok(), "{name}: {checked:?}");
            encrypted += 1;
        }
    }
    assert!(encrypted >= 2, "{encrypted}");
}

/// The COSE_Encrypt of an envelope, behind its tag, in a byte string whose length is one byte or two.
fn encryption_info(envelope: &[u8]) -> Option<&[u8]> {
    let at = envelope.windows(3).position(|bytes| bytes == [0xd8, 96, 0x84])?;
    let length = match envelope[..at] {
        [.., 0x59, high, low] => usize::from(u16::from_be_bytes([high, low])),
        [.., 0x58, length] => length.into(),
        _ => panic!("the byte string has another head"),
    };
    Some(&envelope[at + 2..at + length])
}

/// What it cannot say, a device looks at itself: whose the server is, what a group's address is, what a phantom request is.
#[test]
fn the_cddl_describes_informative_responses() {
    let cddl = fenced("5.6. Groups", "cddl");
    let groups = reader::file(reader::GROUPS);
    let check = |vector: &serde_json::Value| {
        cddl_cat::validate_cbor_bytes("informative_response", &cddl, &reader::bytes(&vector["bytes"]))
    };
    for (name, vector) in reader::list(&groups, "informative") {
        let checked = check(vector);
        assert!(checked.is_ok(), "{name}: {checked:?}");
    }
    let mut others = 0;
    for (name, vector) in reader::list(&groups, "uninformative") {
        if matches!(reader::text(&vector["error"]), "TransportInformation" | "Token") {
            assert!(check(vector).is_err(), "{name}");
            others += 1;
        }
    }
    assert!(others > 5, "{others}");
}

/// The COSE_Sign1 of an envelope, behind its tag: an array of four that begins with a short byte string, in a byte string
/// whose length is one byte.
fn signature_block(envelope: &[u8]) -> &[u8] {
    let at = envelope.windows(3).position(|bytes| bytes == [0xd2, 0x84, 0x43]).unwrap();
    &envelope[at + 1..at + usize::from(envelope[at - 1])]
}

#[test]
fn references_lead_to_sections() {
    let document = file("profile/profile.md");
    let sections: Vec<_> = document.lines().filter_map(|line| line.strip_prefix('#')).map(anchor).collect();
    let references: Vec<_> = document.split("](#").skip(1).filter_map(|rest| rest.split_once(')')).collect();
    assert!(references.len() > 20, "{references:?}");
    for (reference, _) in references {
        assert!(sections.contains(&reference.to_owned()), "no section #{reference}");
    }
}

/// What a heading is called in links.
fn anchor(heading: &str) -> String {
    let kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-');
    heading
        .trim_start_matches('#')
        .trim()
        .to_lowercase()
        .chars()
        .filter(kept)
        .collect::<String>()
        .replace(' ', "-")
}

/// The rows of the bit diagram in a section: the offset that stands before each, and what its cells say.
fn rows_of_diagram(heading: &str) -> Vec<(usize, String)> {
    let rows = section(heading);
    let rows = rows.lines().filter_map(|line| line.split_once('|'));
    rows.filter_map(|(offset, cells)| Some((offset.trim().parse().ok()?, cells.replace('|', " ")))).collect()
}

/// A field is drawn in the row of its offset; one of several rows begins there, and the next row follows it by as many bytes
/// as are drawn.
#[test]
fn the_bit_diagram_has_every_field_in_its_row() {
    let rows = rows_of_diagram("9.1. Layout");
    assert!(rows.len() > 20 && rows.iter().all(|(offset, _)| offset % 4 == 0), "{rows:?}");
    for (offset, next, field) in fields(216 + 4) {
        if field == "CRC-32" || offset == next && field != "Options" {
            continue;
        }
        let row = rows.iter().rev().find(|(start, _)| *start <= offset).unwrap();
        let name = match field.as_str() {
            "Magic" => "\"S\"",
            "Flags" => "S G",
            "First Sequence Number" => "First Sender Sequence Number",
            other => other,
        };
        assert!(row.1.contains(name), "{field}, at {offset}, is not in row {}: {}", row.0, row.1);
        assert!(offset < row.0 + 4, "{field}, at {offset}, is behind row {}", row.0);
    }
    let drawn = |(_, cells): &(usize, String)| {
        let (_, rest) = cells.rsplit_once('(')?;
        rest.split_once(')')?.0.parse::<usize>().ok()
    };
    for two in rows.windows(2) {
        let of_its_own =
            drawn(&two[0]).filter(|bytes| bytes % 4 == 0 && *bytes > 4 && !two[0].1.contains("..."));
        if let Some(bytes) = of_its_own {
            assert_eq!(two[0].0 + bytes, two[1].0, "behind {}", two[0].1);
        }
    }
}
