//! One thing that happens in an exchange, and how the vectors write it down.

use super::script::Fate;
use crate::hex;
use serde_json::{Value, json};
use sixfold_engine::OriginEvent;
use sixfold_profile::Instant;
use sixfold_profile::coap::{Block, Message, Type, option};

pub(super) struct Step {
    pub(super) at: Instant,
    pub(super) what: What,
}

pub(super) enum What {
    /// A datagram leaves the device.
    Device { bytes: Vec<u8>, fate: Fate },
    /// A datagram leaves the relay.
    Relay { bytes: Vec<u8>, fate: Fate },
    /// The origin says something about the relay's latest fetch.
    Origin(OriginEvent),
}

impl Step {
    pub(super) fn to_json(&self) -> Value {
        let mut value = match &self.what {
            What::Device { bytes, fate } => datagram("device", bytes, *fate),
            What::Relay { bytes, fate } => datagram("relay", bytes, *fate),
            What::Origin(event) => origin(event),
        };
        if let Some(fields) = value.as_object_mut() {
            fields.insert("at_us".to_owned(), self.at.as_micros().into());
        }
        value
    }
}

fn datagram(from: &str, bytes: &[u8], fate: Fate) -> Value {
    let fate = match fate {
        Fate::Arrives => "arrives",
        Fate::Lost => "lost",
        Fate::Flipped => "last bit flipped",
    };
    json!({ "from": from, "fate": fate, "bytes": hex(bytes), "reads": read(bytes) })
}

fn origin(event: &OriginEvent) -> Value {
    let mut said = match event {
        OriginEvent::Head(head) => json!({
            "event": "head",
            "etag": "\"8\"",
            "length": head.length,
            "media_type": head.media_type,
            "max_age_s": head.freshness.max_age.as_secs(),
        }),
        OriginEvent::Data(bytes) => json!({ "event": "data", "bytes": hex(bytes) }),
        OriginEvent::Complete => json!({ "event": "complete" }),
        OriginEvent::NotModified(_) => json!({ "event": "not modified" }),
        OriginEvent::Failed(_) => json!({ "event": "no connection" }),
    };
    if let Some(fields) = said.as_object_mut() {
        fields.insert("from".to_owned(), "origin".into());
    }
    said
}

/// A message in words, for people.
fn read(bytes: &[u8]) -> String {
    let Ok(message) = Message::parse(bytes) else { return "not CoAP".to_owned() };
    let kind = match message.message_type {
        Type::Confirmable => "CON",
        Type::NonConfirmable => "NON",
        Type::Acknowledgement => "ACK",
        Type::Reset => "RST",
    };
    let mut text = format!("{kind} {} Message ID {:04x}", message.code, message.message_id);
    if !message.token.is_empty() {
        text += &format!(", Token {}", hex(message.token));
    }
    for option in message.options() {
        text += &format!(", {}", describe(option.number, option.value));
    }
    if !message.payload.is_empty() {
        text += &format!(", {} bytes", message.payload.len());
    }
    text
}

fn describe(number: u16, value: &[u8]) -> String {
    let uint = value.iter().fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte));
    match number {
        option::ETAG => format!("ETag {}", hex(value)),
        option::OBSERVE => format!("Observe {uint}"),
        option::ACCEPT => format!("Accept {uint}"),
        option::URI_PATH => format!("Uri-Path {}", String::from_utf8_lossy(value)),
        option::CONTENT_FORMAT => format!("Content-Format {uint}"),
        option::MAX_AGE => format!("Max-Age {uint}"),
        option::SIZE2 => format!("Size2 {uint}"),
        option::BLOCK2 => Block::decode(value).map_or("Block2 ?".to_owned(), |block| {
            let more = u8::from(block.more);
            format!("Block2 {}/{more}/{}", block.num(), block.szx.size())
        }),
        _ => format!("option {number} {}", hex(value)),
    }
}
