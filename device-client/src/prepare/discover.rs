//! Finding a relay: one multicast question on one link, and its answers (RFC 7252 §8, RFC 6690 §4).
//!
//! Whoever asks sends [`question`] to [`ALL_COAP_NODES`], port [`PORT`], on the interface of the link, and takes the first
//! sender of a datagram that [`is_relay`] likes. After [`ROUND`] without one it asks again, [`ROUNDS`] times in all.

use core::net::Ipv6Addr;
use core::time::Duration;
use sixfold_profile::coap::{Code, Full, Message, Type, Writer, option};

pub use sixfold_profile::coap::params::PORT;

/// All CoAP nodes of a link (RFC 7252 §12.8).
pub const ALL_COAP_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0xfd);
/// Nodes answer within 5 seconds (DEFAULT_LEISURE, RFC 7252 §8.2).
pub const ROUND: Duration = Duration::from_secs(6);
/// A question or its answer can be lost.
pub const ROUNDS: u32 = 3;

/// What a relay's routes call themselves.
const QUERY: &[u8] = b"rt=sixfold.route";

/// Writes the question of a round, from 0, and returns its length: 43 bytes. `seed` is the same in all rounds of one search,
/// differs from search to search, and is hard to guess.
///
/// # Errors
/// [`Full`] when `buffer` is too small.
pub fn question(seed: u32, round: u32, buffer: &mut [u8]) -> Result<usize, Full> {
    // Each question is a message of its own (RFC 7252 §4.4), and the answer to any of them will do.
    let message_id = (seed as u16).wrapping_add(round as u16);
    let mut writer = Writer::new(buffer, Type::NonConfirmable, Code::GET, message_id, &token(seed))?;
    writer.option(option::URI_PATH, b".well-known")?;
    writer.option(option::URI_PATH, b"core")?;
    writer.option(option::URI_QUERY, QUERY)?;
    Ok(writer.finish())
}

/// Whether a datagram is a list of routes, in answer to a question of this search.
pub fn is_relay(seed: u32, datagram: &[u8]) -> bool {
    Message::parse(datagram).is_ok_and(|message| {
        message.token == token(seed) && message.code == Code::CONTENT && message.payload.starts_with(b"<")
    })
}

const fn token(seed: u32) -> [u8; 4] {
    seed.to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::prelude::v1::*;

    const SEED: u32 = 0x0102_0304;

    #[test]
    fn a_question_and_its_answers() {
        let mut buffer = [0; 43];
        let length = question(SEED, 0, &mut buffer).unwrap();
        let asked = &buffer[..length];
        let message = Message::parse(asked).unwrap();
        assert_eq!((message.message_type, message.code), (Type::NonConfirmable, Code::GET));
        let options: Vec<_> = message.options().map(|option| option.value).collect();
        assert_eq!(options, [&b".well-known"[..], b"core", QUERY]);
        assert_eq!(question(SEED, 0, &mut [0; 42]), Err(Full));

        let answer = |token: &[u8], code, payload: &[u8]| {
            let mut buffer = [0; 64];
            let writer = Writer::new(&mut buffer, Type::NonConfirmable, code, 9, token).unwrap();
            let length = writer.payload(payload).unwrap();
            buffer[..length].to_vec()
        };
        let token = SEED.to_be_bytes();
        assert!(is_relay(SEED, &answer(&token, Code::CONTENT, b"</fw>;rt=\"sixfold.route\"")));
        assert!(!is_relay(SEED, &answer(&[1, 2, 3], Code::CONTENT, b"</fw>")));
        assert!(!is_relay(SEED, &answer(&token, Code::NOT_FOUND, b"</fw>")));
        assert!(!is_relay(SEED, &answer(&token, Code::CONTENT, b"")));
        assert!(!is_relay(SEED, asked));
    }

    #[test]
    fn every_round_is_a_message_of_its_own() {
        let ids = (0..ROUNDS).map(|round| {
            let mut buffer = [0; 64];
            let length = question(SEED | 0xffff, round, &mut buffer).unwrap();
            Message::parse(&buffer[..length]).unwrap().message_id
        });
        assert_eq!(ids.collect::<Vec<_>>(), [0xffff, 0, 1]);
    }
}
