//! One thing that happens in an exchange, and how the vectors write it down.

use super::script::Fate;
use crate::hex;
use serde_json::{Value, json};
use sixfold_engine::OriginEvent;
use sixfold_profile::Instant;
use sixfold_profile::coap::{Block, Message, Type, option};
use std::net::SocketAddr;

pub(super) struct Step {
    pub(super) at: Instant,
    pub(super) what: What,
}

pub(super) enum What {
    /// A datagram leaves the device.
    Device { bytes: Vec<u8>, fate: Fate },
    /// A datagram leaves the relay.
    Relay { bytes: Vec<u8>, fate: Fate, to: To },
    /// A datagram of another member arrives at the relay.
    Other { bytes: Vec<u8> },
    /// The origin says something about the relay's latest fetch.
    Origin(OriginEvent),
}

/// Whom the relay says something.
#[derive(Clone, Copy)]
pub(super) enum To {
    Device,
    Group,
    /// Another member.
    Other,
}

impl To {
    pub(super) fn of(peer: SocketAddr, device: SocketAddr) -> Self {
        match peer {
            _ if peer == device => Self::Device,
            _ if peer.ip().is_multicast() => Self::Group,
            _ => Self::Other,
        }
    }

    /// In a vector, where it is not the device.
    const fn name(self) -> Option<&'static str> {
        match self {
            Self::Device => None,
            Self::Group => Some("group"),
            Self::Other => Some("other member"),
        }
    }
}

impl Step {
    pub(super) fn to_json(&self) -> Value {
        let mut value = match &self.what {
            What::Device { bytes, fate } => datagram("device", bytes, *fate),
            What::Relay { bytes, fate, .. } => datagram("relay", bytes, *fate),
            What::Other { bytes } => datagram("other member", bytes, Fate::Arrives),
            What::Origin(event) => origin(event),
        };
        if let Some(fields) = value.as_object_mut() {
            fields.insert("at_us".to_owned(), self.at.as_micros().into());
            if let What::Relay { to, .. } = self.what
                && let Some(name) = to.name()
            {
                fields.insert("to".to_owned(), name.into());
            }
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
        option::BLOCK2 => format!("Block2 {}", block(value)),
        option::Q_BLOCK2 => format!("Q-Block2 {}", block(value)),
        option::OSCORE => format!("OSCORE {}", hex(value)),
        option::MISSING => format!("MISSING {}", hex(value)),
        _ => format!("option {number} {}", hex(value)),
    }
}

/// NUM/M/size.
fn block(value: &[u8]) -> String {
    Block::decode(value).map_or("?".to_owned(), |block| {
        format!("{}/{}/{}", block.num(), u8::from(block.more), block.szx.size())
    })
}
