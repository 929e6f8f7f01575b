//! The constants of the formats, and of what the roles do, which are all over the code.

use crate::example::{CONTENT_KEY, example, full, written};
use crate::{file, table};
use sixfold_profile::coap::{MAX_NUM, Szx, content_format, option, params};
use sixfold_profile::crc32;
use sixfold_profile::index::{ChunkSize, DIGEST};
use sixfold_profile::record::{self, RecordLayout};
use sixfold_profile::ticket::{self, Fields, MAX_OPTIONS_LENGTH, MAX_TICKET, Session};
use sixfold_profile::{agreement, missing, parity};
use std::time::Duration;

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

fn seconds(duration: Duration) -> String {
    format!("{} s", duration.as_secs())
}
