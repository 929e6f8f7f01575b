//! The ticket: where each field is, drawn and in its table, and the index and the ticket of the example.

use crate::example::{example, full, index, written};
use crate::{bytes, fenced, hex, hex_lines, section, table};
use sixfold_profile::coap::Options;
use sixfold_profile::crc32;
use sixfold_profile::ticket::{Fields, Ticket};

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
