//! A ticket in words. Its keys are secrets, and stay so.

use super::field;
use sixfold_profile::Hex;
use sixfold_profile::coap::Options;
use sixfold_profile::ticket::{Endpoint, Fields, Group, Session};

pub(super) fn describe(ticket: &Fields<'_>) -> String {
    let mut lines = vec![
        "ticket".to_owned(),
        field("sequence number", ticket.sequence_number),
        field("image size", format!("{} bytes", ticket.image_size)),
        field("image digest", Hex(&ticket.image_digest)),
        field("chunk size", format!("{} bytes", ticket.chunk_size.bytes())),
        field("index digest", Hex(&ticket.index_digest)),
        field("block size", format!("{} bytes", ticket.szx.size())),
        field("relay", endpoint(&ticket.relay)),
        field("interface id", Hex(&ticket.interface_identifier)),
        field("ETag", ticket.etag.map_or("none".to_owned(), |etag| Hex(etag).to_string())),
        field("group", ticket.group.as_ref().map_or("none".to_owned(), group)),
        field("OSCORE", ticket.session.as_ref().map_or("none".to_owned(), session)),
        field(
            "encryption",
            if ticket.content_key.is_some() { "A128CTR; the key is not shown" } else { "none" },
        ),
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
    format!("{}, Token {}", endpoint(&group.endpoint), Hex(group.token))
}

fn session(session: &Session<'_>) -> String {
    format!(
        "Sender ID '{}', Recipient ID '{}', Sender Sequence Numbers from {} to {}, {}; keys are not shown",
        Hex(session.sender_id),
        Hex(session.recipient_id),
        session.numbers.first,
        session.numbers.end() - 1,
        if session.plain_allowed { "and without them if it is gone" } else { "never without" },
    )
}
