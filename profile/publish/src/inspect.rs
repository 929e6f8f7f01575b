//! `inspect`: what is in a file, told by its first bytes, or by the suffix of an index, which has none of its own.

use crate::cli::Inspect;
use crate::failure::Failure;
use crate::files;
use sixfold_manifest::keys::{SigningKey, VerifyingKey};
use sixfold_manifest::suit;
use sixfold_profile::coap::Options;
use sixfold_profile::index::DIGEST;
use sixfold_profile::ticket::{Endpoint, Group, MAGIC, Session, Ticket};
use std::ffi::OsStr;
use std::fmt::Write;

/// More than any file of ours: the index of the largest image in the smallest chunks.
const MAX_FILE: u64 = 1 << 27;

pub(crate) fn run(arguments: &Inspect) -> Result<String, Failure> {
    let path = &arguments.file;
    let bytes = files::read(path, MAX_FILE)?;
    let malformed = |what: String| Failure::Malformed(path.clone(), what);
    if suit::is_envelope(&bytes) {
        Ok(suit::describe(&bytes))
    } else if bytes.starts_with(&MAGIC) {
        Ticket::read(&bytes)
            .map(|ticket| describe_ticket(&ticket))
            .map_err(|error| malformed(error.to_string()))
    } else if bytes.starts_with(b"-----BEGIN ") {
        describe_key(&String::from_utf8_lossy(&bytes)).map_err(malformed)
    } else if path.extension() == Some(OsStr::new("idx")) {
        describe_index(&bytes).map_err(malformed)
    } else {
        Err(Failure::Unknown(path.clone()))
    }
}

fn describe_key(pem: &str) -> Result<String, String> {
    if pem.contains("PRIVATE KEY-----") {
        let key = SigningKey::from_pem(pem).map_err(|error| error.to_string())?;
        return Ok(format!("{} private key, {}\n", key.algorithm(), key.key_id()));
    }
    let key = VerifyingKey::from_pem(pem).map_err(|error| error.to_string())?;
    Ok(format!("{} public key, {}\n", key.algorithm(), key.key_id()))
}

fn describe_index(bytes: &[u8]) -> Result<String, String> {
    let (digests, rest) = bytes.as_chunks::<DIGEST>();
    if digests.is_empty() || !rest.is_empty() {
        return Err(format!("{} bytes are no chunk index: it is made of digests of {DIGEST}", bytes.len()));
    }
    let digest = hex(&hmac_sha256::Hash::hash(bytes));
    let mut text = format!("chunk index of {} chunks\nindex digest       {digest}\n", digests.len());
    for (number, digest) in digests.iter().enumerate() {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{number:>8}  {}", hex(digest));
    }
    Ok(text)
}

fn describe_ticket(ticket: &Ticket<'_>) -> String {
    let mut lines = vec![
        "ticket".to_owned(),
        field("sequence number", ticket.sequence_number),
        field("image size", format!("{} bytes", ticket.image_size)),
        field("image digest", hex(&ticket.image_digest)),
        field("chunk size", format!("{} bytes", ticket.chunk_size.bytes())),
        field("index digest", hex(&ticket.index_digest)),
        field("block size", format!("{} bytes", ticket.szx.size())),
        field("relay", endpoint(&ticket.relay)),
        field("interface id", hex(&ticket.interface_identifier)),
        field("ETag", ticket.etag.map_or("none".to_owned(), hex)),
        field("group", ticket.group.as_ref().map_or("none".to_owned(), group)),
        field("OSCORE", ticket.session.as_ref().map_or("none".to_owned(), session)),
    ];
    lines.extend(Options::new(ticket.options).map(|option| {
        let value = option.value.iter().flat_map(|byte| std::ascii::escape_default(*byte)).map(char::from);
        field("option", format!("{} \"{}\"", option.number, value.collect::<String>()))
    }));
    lines.join("\n") + "\n"
}

fn endpoint(endpoint: &Endpoint) -> String {
    format!("[{}]:{}", endpoint.address, endpoint.port)
}

fn group(group: &Group<'_>) -> String {
    format!("{}, Token {}", endpoint(&group.endpoint), hex(group.token))
}

fn session(session: &Session<'_>) -> String {
    format!(
        "Sender ID '{}', Recipient ID '{}', Sender Sequence Number from {}; keys are not shown",
        hex(session.sender_id),
        hex(session.recipient_id),
        session.first_sequence_number
    )
}

fn field(name: &str, value: impl ToString) -> String {
    format!("{name:<18} {}", value.to_string())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
