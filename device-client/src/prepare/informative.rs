//! Informative responses (draft-ietf-core-observe-multicast-notifications §4.2): which group a stream goes to.
//!
//! ```text
//! informative_response_payload = {
//!    0 => [                                      ; tp_info, for CoAP over UDP
//!      [-1, [bstr .size 16, ? tstr, ? uint]],    ;   tpi_server: coap, address, zone, port
//!      [-1, [bstr .size 16, ? tstr, ? uint]],    ;   tpi_client: the group
//!      bstr                                      ;   tpi_token
//!    ],
//!  ? 1 => bstr,                                  ; ph_req: Code and options of the phantom request
//!  ? 2 => bstr,                                  ; last_notif
//!  ? 3 => uint,                                  ; next_not_before
//!  ? 4 => time                                   ; ending
//! }
//! ```
//!
//! The draft's examples leave out the inner array, against its CDDL: both are read.

use ciborium::Value;
use core::net::Ipv6Addr;
use sixfold_profile::Hex;
use sixfold_profile::coap::params::PORT;
use sixfold_profile::coap::{Code, Options, option};
use sixfold_profile::ticket::{Endpoint, Group};
use std::fmt;
use std::prelude::v1::*;

/// Nothing of this format is nested more deeply.
const MAX_DEPTH: usize = 4;
/// The longest Token (RFC 7252 §3).
const MAX_TOKEN: usize = 8;
/// The CRI scheme number of `coap`, as `scheme-id`.
const COAP: i8 = -1;

/// What a relay told: where it sends an image's blocks for all who listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// The relay, at the port that the stream comes from: the one that boot programs are to ask. It may be another one than was asked,
    /// one that 6LoWPAN compresses (RFC 7252 §7.1).
    pub relay: Endpoint,
    /// The multicast address and port.
    pub endpoint: Endpoint,
    /// The Token of everything that goes there: 1 to 8 bytes.
    pub token: Vec<u8>,
}

impl Told {
    /// For a ticket.
    pub fn group(&self) -> Group<'_> {
        Group { endpoint: self.endpoint, token: &self.token }
    }
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Endpoint { address, port } = self.endpoint;
        write!(f, "[{address}]:{port}, Token {}", Hex(&self.token))
    }
}

/// Why an informative response is of no use. The relay is to blame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nonsense {
    /// It is no CBOR map, or more than one item, or a key is there twice or no integer.
    Malformed,
    /// `tp_info` is missing, or not that of CoAP over UDP and IPv6.
    TransportInformation,
    /// The stream comes from elsewhere: boot programs hear their relay alone.
    OtherServer,
    /// The group's address is not a multicast address that a stream can go to, or its port is 0.
    Group,
    /// The Token is empty or longer than 8 bytes.
    Token,
    /// The phantom request is no registration.
    PhantomRequest,
}

impl fmt::Display for Nonsense {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "it is malformed",
            Self::TransportInformation => "it has no usable transport information",
            Self::OtherServer => "it names another server than the relay",
            Self::Group => "its group is no multicast address that blocks can be sent to",
            Self::Token => "its Token has not 1 to 8 bytes",
            Self::PhantomRequest => "its phantom request is no GET with Observe",
        })
    }
}

/// Reads the payload of an informative response from `relay`.
///
/// # Errors
/// Every [`Nonsense`].
pub fn read(payload: &[u8], relay: Endpoint) -> Result<Told, Nonsense> {
    let mut rest = payload;
    let value: Value = ciborium::de::from_reader_with_recursion_limit(&mut rest, MAX_DEPTH)
        .map_err(|_| Nonsense::Malformed)?;
    let map = value.into_map().ok().filter(|_| rest.is_empty()).ok_or(Nonsense::Malformed)?;
    let is_unique = |(at, (key, _)): (usize, &(Value, Value))| {
        key.is_integer() && map.iter().take(at).all(|(other, _)| other != key)
    };
    if !map.iter().enumerate().all(is_unique) {
        return Err(Nonsense::Malformed);
    }
    let field =
        |key: u8| map.iter().find(|(candidate, _)| *candidate == Value::from(key)).map(|(_, value)| value);
    if field(1).is_some_and(|request| !request.as_bytes().is_some_and(|request| is_registration(request))) {
        return Err(Nonsense::PhantomRequest);
    }
    let transport = field(0).and_then(Value::as_array).ok_or(Nonsense::TransportInformation)?;
    let [server, client, token] = &transport[..] else { return Err(Nonsense::TransportInformation) };
    // Who does not know its own address says so with `::`: it is the one that answered.
    let server = endpoint(server)?;
    if server.port == 0 || server.address != relay.address && !server.address.is_unspecified() {
        return Err(Nonsense::OtherServer);
    }
    let group = endpoint(client)?;
    if !is_group(group.address) || group.port == 0 {
        return Err(Nonsense::Group);
    }
    let token = token.as_bytes().ok_or(Nonsense::TransportInformation)?;
    if token.is_empty() || token.len() > MAX_TOKEN {
        return Err(Nonsense::Token);
    }
    let relay = Endpoint { port: server.port, ..relay };
    Ok(Told { relay, endpoint: group, token: token.clone() })
}

/// A CRI without path: scheme, address, and perhaps a zone, which means something to its sender alone, and a port.
fn endpoint(cri: &Value) -> Result<Endpoint, Nonsense> {
    let read = || {
        let [scheme, authority @ ..] = &cri.as_array()?[..] else { return None };
        let authority = if let [Value::Array(inner)] = authority { inner } else { authority };
        let [host, rest @ ..] = authority else { return None };
        let address: [u8; 16] = host.as_bytes()?.as_slice().try_into().ok()?;
        let rest = if let [Value::Text(_) | Value::Null, rest @ ..] = rest { rest } else { rest };
        let port = match rest {
            [] => PORT,
            [port] => u16::try_from(port.as_integer()?).ok()?,
            _ => return None,
        };
        (*scheme == Value::from(COAP)).then_some(Endpoint { address: Ipv6Addr::from(address), port })
    };
    read().ok_or(Nonsense::TransportInformation)
}

/// A multicast address whose scope leaves the relay and is known (RFC 4291 §2.7, RFC 7346), and which is not that of every node or
/// router.
fn is_group(address: Ipv6Addr) -> bool {
    let octets = address.octets();
    let is_for_all = octets[1] & 0xf0 == 0 && octets[2..15] == [0; 13] && matches!(octets[15], 1 | 2);
    address.is_multicast() && matches!(octets[1] & 0x0f, 2..=5 | 8 | 14) && !is_for_all
}

/// Code and options of a GET that registers (RFC 7641 §2).
fn is_registration(request: &[u8]) -> bool {
    let Some((&code, options)) = request.split_first() else { return false };
    Code(code) == Code::GET
        && Options::are_valid(options)
        && Options::new(options).any(|opt| opt.number == option::OBSERVE && opt.uint() == Some(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RELAY: Endpoint =
        Endpoint { address: Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0xab), port: 5683 };
    const GROUP: Ipv6Addr = Ipv6Addr::new(0xff35, 0x30, 0x2001, 0xdb8, 0, 0, 0, 0x23);

    fn encode(value: &Value) -> Vec<u8> {
        let mut bytes = Vec::new();
        ciborium::into_writer(value, &mut bytes).unwrap();
        bytes
    }

    fn cri(address: Ipv6Addr, more: &[Value]) -> Value {
        let authority = [&[Value::Bytes(address.octets().to_vec())], more].concat();
        Value::Array(vec![Value::from(COAP), Value::Array(authority)])
    }

    fn response(server: Value, client: Value, token: Value, more: &[(Value, Value)]) -> Vec<u8> {
        let transport = (0.into(), Value::Array(vec![server, client, token]));
        encode(&Value::Map([&[transport][..], more].concat()))
    }

    fn with(server: Value, client: Value, token: &[u8]) -> Result<Told, Nonsense> {
        read(&response(server, client, Value::Bytes(token.to_vec()), &[]), RELAY)
    }

    fn more(more: &[(Value, Value)]) -> Result<Told, Nonsense> {
        read(&response(cri(RELAY.address, &[]), cri(GROUP, &[]), Value::Bytes(vec![0x7b]), more), RELAY)
    }

    /// The example of the draft, §4.2.1.1, and the same as its CDDL has it.
    #[test]
    fn the_example_of_the_draft() {
        let (relay, group) = (RELAY.address.octets(), GROUP.octets());
        let rest = [0x19, 0xf0, 0xb0, 0x41, 0x7b];
        let flat = [&[0xa1, 0x00, 0x83, 0x82, 0x20, 0x50][..], &relay, &[0x83, 0x20, 0x50], &group, &rest];
        let inner = [
            &[0xa1, 0x00, 0x83, 0x82, 0x20, 0x81, 0x50][..],
            &relay,
            &[0x82, 0x20, 0x82, 0x50],
            &group,
            &rest,
        ];
        for mut payload in [flat.concat(), inner.concat()] {
            let told = read(&payload, RELAY).unwrap();
            let endpoint = Endpoint { address: GROUP, port: 61616 };
            assert_eq!(told, Told { relay: RELAY, endpoint, token: vec![0x7b] });
            assert_eq!(told.to_string(), "[ff35:30:2001:db8::23]:61616, Token 7b");
            for length in 0..payload.len() {
                assert!(read(&payload[..length], RELAY).is_err(), "{length}");
            }
            payload.push(0);
            assert_eq!(read(&payload, RELAY), Err(Nonsense::Malformed));
        }
    }

    #[test]
    fn ports_and_zones() {
        let port = |port: u32| Value::from(port);
        let zone = Value::from("wpan0");
        let server = cri(RELAY.address, &[zone, port(5683)]);
        let told = with(server, cri(GROUP, &[Value::Null]), &[1; 8]).unwrap();
        assert_eq!((told.endpoint.port, told.token.len()), (5683, 8));
        let elsewhere = with(cri(RELAY.address, &[port(61_616)]), cri(GROUP, &[]), &[1]).unwrap();
        assert_eq!(elsewhere.relay, Endpoint { port: 61_616, ..RELAY }, "the relay has several ports");
        assert_eq!(with(cri(RELAY.address, &[port(0)]), cri(GROUP, &[]), &[1]), Err(Nonsense::OtherServer));
        assert_eq!(with(cri(GROUP, &[]), cri(GROUP, &[]), &[1]), Err(Nonsense::OtherServer));
        let unknown = Ipv6Addr::UNSPECIFIED;
        assert!(with(cri(unknown, &[]), cri(GROUP, &[]), &[1]).is_ok());
        let unknown = with(cri(unknown, &[port(61_616)]), cri(GROUP, &[]), &[1]).unwrap();
        assert_eq!(
            unknown.relay,
            Endpoint { port: 61_616, ..RELAY },
            "the address is the one that was asked"
        );
        assert_eq!(with(cri(RELAY.address, &[]), cri(GROUP, &[port(0)]), &[1]), Err(Nonsense::Group));
        for wrong in [
            cri(GROUP, &[port(65_536)]),
            cri(GROUP, &[port(1), port(2)]),
            cri(GROUP, &[Value::from("a"), Value::from("b")]),
            Value::Array(vec![Value::from(-2), Value::Bytes(GROUP.octets().to_vec())]),
            Value::Array(vec![Value::from(COAP), Value::Bytes(vec![224, 0, 1, 187])]),
            Value::Array(vec![Value::from(COAP), Value::from("group.example")]),
            Value::Array(vec![]),
            Value::Null,
        ] {
            let refused = with(cri(RELAY.address, &[]), wrong.clone(), &[1]);
            assert_eq!(refused, Err(Nonsense::TransportInformation), "{wrong:?}");
        }
    }

    #[test]
    fn addresses_that_blocks_can_go_to() {
        let told = |address: &str| with(cri(RELAY.address, &[]), cri(address.parse().unwrap(), &[]), &[1]);
        for address in ["ff02::fd", "ff12::1", "ff03::6f", "ff05::fd", "ff18::1", "ff3e:30:2001:db8::1"] {
            assert!(told(address).is_ok(), "{address}");
        }
        for address in
            ["ff00::1", "ff01::fd", "ff0f::1", "ff02::1", "ff05::2", "ff06::9", "2001:db8::1", "::"]
        {
            assert_eq!(told(address), Err(Nonsense::Group), "{address}");
        }
    }

    #[test]
    fn tokens() {
        let (server, client) = (cri(RELAY.address, &[]), cri(GROUP, &[]));
        for token in [&[][..], &[1; 9]] {
            assert_eq!(with(server.clone(), client.clone(), token), Err(Nonsense::Token));
        }
        let text = response(server, client, Value::from("t"), &[]);
        assert_eq!(read(&text, RELAY), Err(Nonsense::TransportInformation));
    }

    #[test]
    fn what_else_is_in_the_map() {
        let bytes = |bytes: &[u8]| Value::Bytes(bytes.to_vec());
        let request = [1, 0x60, 0x52, b'f', b'w', 0x03, b'a', b'p', b'p'];
        assert!(more(&[(1.into(), bytes(&request)), (3.into(), 2.into()), (99.into(), Value::Null)]).is_ok());
        for wrong in
            [&[][..], &[2, 0x60], &[1, 0x61, 1], &[1, 0x62, 1], &[1, 0xb2, b'f', b'w'], &[1, 0x60, 0xff]]
        {
            assert_eq!(more(&[(1.into(), bytes(wrong))]), Err(Nonsense::PhantomRequest), "{wrong:?}");
        }
        assert_eq!(more(&[(1.into(), Value::Null)]), Err(Nonsense::PhantomRequest));
        assert_eq!(more(&[(0.into(), Value::Null)]), Err(Nonsense::Malformed));
        assert_eq!(more(&[("a".into(), Value::Null)]), Err(Nonsense::Malformed));
        assert_eq!(read(&encode(&Value::Map(vec![])), RELAY), Err(Nonsense::TransportInformation));
        assert_eq!(read(&encode(&Value::Array(vec![])), RELAY), Err(Nonsense::Malformed));
    }
}
