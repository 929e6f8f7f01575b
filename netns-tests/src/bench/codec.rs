//! What a message costs in the codec of the profile and in coap-lite.

use super::report::median;
use anyhow::{Context, Result};
use coap_lite::{CoapOption, MessageClass, MessageType, Packet, RequestType, ResponseType};
use sixfold_profile::coap::{Block, Code, Message, Szx, Type, Writer, option};
use std::fmt;
use std::hint::black_box;
use std::time::Instant;

const ROUNDS: usize = 7;
const CALLS: u32 = 20_000;
const ETAG: [u8; 8] = [7; 8];

/// Nanoseconds per message, by operation: ours, then coap-lite's.
#[derive(Clone, Debug)]
pub struct Codecs(Vec<(&'static str, f64, f64)>);

/// Measures both codecs, in turns.
///
/// # Errors
/// When they do not agree on the messages.
pub fn compare() -> Result<Codecs> {
    let payload = [0x5a; 1024];
    let mut get = [0; 64];
    let mut content = [0; 1200];
    let get_length = write_get(&mut get).context("GET")?;
    let content_length = write_content(&mut content, &payload).context("2.05")?;
    let (get, content) = (&get[..get_length], &content[..content_length]);
    anyhow::ensure!(lite_get() == get && lite_content(&payload) == content, "the codecs do not agree");
    let mut buffer = [0; 1200];
    let operations = vec![
        ("parse GET", both(|| parse(get), || Packet::from_bytes(black_box(get)))),
        ("parse 2.05 of 1024 B", both(|| parse(content), || Packet::from_bytes(black_box(content)))),
        ("write GET", both(|| write_get(black_box(&mut buffer)), lite_get)),
    ];
    let mut buffer = [0; 1200];
    let write_both = both(
        || write_content(black_box(&mut buffer), black_box(&payload)),
        || lite_content(black_box(&payload)),
    );
    let all = operations.into_iter().chain([("write 2.05 of 1024 B", write_both)]);
    Ok(Codecs(all.map(|(name, (ours, lite))| (name, ours, lite)).collect()))
}

impl Codecs {
    /// Everything as JSON.
    pub fn json(&self) -> serde_json::Value {
        let one = |&(name, ours, lite): &(&str, f64, f64)| serde_json::json!({"operation": name, "sixfold_profile_ns": ours, "coap_lite_ns": lite});
        self.0.iter().map(one).collect()
    }
}

impl fmt::Display for Codecs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<22} {:>15} {:>13}", "codec, ns per message", "sixfold_profile", "coap-lite")?;
        self.0.iter().try_for_each(|(name, ours, lite)| writeln!(f, "{name:<22} {ours:>15.1} {lite:>13.1}"))
    }
}

/// Reads every option, as a server must, and gives something that depends on all of them.
fn parse(datagram: &[u8]) -> Option<usize> {
    let message = Message::parse(black_box(datagram)).ok()?;
    Some(message.options().map(|option| option.value.len()).sum::<usize>() + message.payload.len())
}

fn write_get(buffer: &mut [u8]) -> Option<usize> {
    let mut writer =
        Writer::new(buffer, Type::Confirmable, Code::GET, black_box(0x1234), &black_box([1, 2])).ok()?;
    writer.option(option::URI_PATH, black_box(b"fw")).ok()?;
    writer.option(option::URI_PATH, black_box(b"image-1.2.3.bin")).ok()?;
    writer.uint_option(option::BLOCK2, Block::new(black_box(77), false, Szx::B64)?.encode()).ok()?;
    Some(writer.finish())
}

fn lite_get() -> Vec<u8> {
    let mut packet = lite_packet(MessageType::Confirmable, MessageClass::Request(RequestType::Get));
    packet.add_option(CoapOption::UriPath, b"fw".to_vec());
    packet.add_option(CoapOption::UriPath, b"image-1.2.3.bin".to_vec());
    packet.add_option(CoapOption::Block2, vec![0x04, 0xd2]);
    packet.to_bytes().unwrap_or_default()
}

fn write_content(buffer: &mut [u8], payload: &[u8]) -> Option<usize> {
    let (kind, code) = (Type::Acknowledgement, Code::CONTENT);
    let mut writer = Writer::new(buffer, kind, code, black_box(0x1234), &black_box([1, 2])).ok()?;
    writer.option(option::ETAG, black_box(&ETAG)).ok()?;
    writer.uint_option(option::BLOCK2, Block::new(black_box(77), true, Szx::MAX)?.encode()).ok()?;
    writer.payload(payload).ok()
}

fn lite_content(payload: &[u8]) -> Vec<u8> {
    let mut packet = lite_packet(MessageType::Acknowledgement, MessageClass::Response(ResponseType::Content));
    packet.add_option(CoapOption::ETag, ETAG.to_vec());
    packet.add_option(CoapOption::Block2, vec![0x04, 0xde]);
    packet.payload = payload.to_vec();
    packet.to_bytes().unwrap_or_default()
}

fn lite_packet(message_type: MessageType, class: MessageClass) -> Packet {
    let mut packet = Packet::new();
    packet.header.set_type(message_type);
    packet.header.code = class;
    packet.header.message_id = 0x1234;
    packet.set_token(vec![1, 2]);
    packet
}

/// Medians of both, taken in turns.
fn both<A, B>(mut ours: impl FnMut() -> A, mut lite: impl FnMut() -> B) -> (f64, f64) {
    let pairs: Vec<_> = (0..ROUNDS).map(|_| (time(&mut ours), time(&mut lite))).collect();
    let of = |values: Vec<f64>| median(values.into_iter()).unwrap_or(f64::NAN);
    (of(pairs.iter().map(|pair| pair.0).collect()), of(pairs.iter().map(|pair| pair.1).collect()))
}

fn time<T>(mut call: impl FnMut() -> T) -> f64 {
    let start = Instant::now();
    (0..CALLS).for_each(|_| drop(black_box(call())));
    start.elapsed().as_nanos() as f64 / f64::from(CALLS)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_codecs_agree() {
        let table = super::compare().unwrap().to_string();
        assert_eq!(table.lines().count(), 5, "{table}");
    }
}
