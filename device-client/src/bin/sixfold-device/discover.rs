//! Finding a relay: one multicast question on one link (RFC 7252 §8, RFC 6690 §4).

use crate::failure::Failure;
use crate::relay::seed;
use sixfold_profile::coap::params::PORT;
use sixfold_profile::coap::{Code, Message, Type, Writer, option};
use std::net::{Ipv6Addr, SocketAddr, SocketAddrV6, UdpSocket};
use std::time::{Duration, Instant};

/// All CoAP nodes of a link (RFC 7252 §12.8).
const ALL_COAP_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0xfd);
/// What a relay's routes call themselves.
const QUERY: &[u8] = b"rt=sixfold.route";
/// Nodes answer within 5 seconds (DEFAULT_LEISURE, RFC 7252 §8.2).
const ROUND: Duration = Duration::from_secs(6);
/// A question or its answer can be lost.
const ROUNDS: u32 = 3;
const TOKEN: usize = 4;

/// The relay that answers first on `interface`.
pub(crate) fn relay(interface: &str) -> Result<SocketAddrV6, Failure> {
    let index = nix::net::if_::if_nametoindex(interface)
        .map_err(|_| Failure::Usage(format!("there is no interface {interface}")))?;
    let trouble = |error| Failure::TimedOut(format!("cannot ask on {interface}: {error}"));
    let socket = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)).map_err(trouble)?;
    let group = SocketAddrV6::new(ALL_COAP_NODES, PORT, 0, index);
    let token = seed().to_be_bytes();
    for round in 0..ROUNDS {
        let question = question(token, (seed() as u16).wrapping_add(round as u16));
        socket.send_to(&question, group).map_err(trouble)?;
        let end = Instant::now() + ROUND;
        while let Some(left) = end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
            socket.set_read_timeout(Some(left)).map_err(trouble)?;
            let mut buffer = [0; 1500];
            let Ok((length, SocketAddr::V6(peer))) = socket.recv_from(&mut buffer) else { continue };
            if is_relay(&buffer[..length], token) {
                return Ok(peer);
            }
        }
    }
    Err(Failure::TimedOut(format!(
        "no relay answered on {interface}: is one running there, with multicast on?"
    )))
}

fn question(token: [u8; TOKEN], message_id: u16) -> Vec<u8> {
    let mut buffer = [0; 64];
    let length = Writer::new(&mut buffer, Type::NonConfirmable, Code::GET, message_id, &token)
        .and_then(|mut writer| {
            writer.option(option::URI_PATH, b".well-known")?;
            writer.option(option::URI_PATH, b"core")?;
            writer.option(option::URI_QUERY, QUERY)?;
            Ok(writer.finish())
        })
        .unwrap_or(0);
    buffer[..length].to_vec()
}

/// A list of routes, in answer to our question.
fn is_relay(datagram: &[u8], token: [u8; TOKEN]) -> bool {
    Message::parse(datagram).is_ok_and(|message| {
        message.token == token && message.code == Code::CONTENT && message.payload.starts_with(b"<")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_and_its_answers() {
        let token = [1, 2, 3, 4];
        let asked = question(token, 7);
        let message = Message::parse(&asked).unwrap();
        let options: Vec<_> = message.options().map(|option| option.value).collect();
        assert_eq!(options, [&b".well-known"[..], b"core", QUERY]);
        let answer = |token: &[u8], code, payload: &[u8]| {
            let mut buffer = [0; 64];
            let writer = Writer::new(&mut buffer, Type::NonConfirmable, code, 9, token).unwrap();
            let length = writer.payload(payload).unwrap();
            buffer[..length].to_vec()
        };
        assert!(is_relay(&answer(&token, Code::CONTENT, b"</fw>;rt=\"sixfold.route\""), token));
        assert!(!is_relay(&answer(&[1, 2, 3], Code::CONTENT, b"</fw>"), token));
        assert!(!is_relay(&answer(&token, Code::NOT_FOUND, b"</fw>"), token));
        assert!(!is_relay(&asked, token));
    }
}
