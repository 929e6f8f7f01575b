//! Informative responses: what a relay answers to a main program that asks for an image's group.

use crate::hex;
use serde_json::{Value, json};
use std::net::Ipv6Addr;

const RELAY: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0xab);
const GROUP: Ipv6Addr = Ipv6Addr::new(0xff35, 0x30, 0x2001, 0xdb8, 0, 0, 0, 0x23);
const PORT: u16 = 5683;
const GROUP_PORT: u16 = 61616;
/// Key 1: GET, Observe 0, Uri-Path `fw`.
const PHANTOM: &[u8] = b"\x01\x45\x01\x60\x52fw";

/// A payload, in items of CBOR (RFC 8949).
struct Response {
    server: Vec<u8>,
    group: Vec<u8>,
    token: &'static [u8],
    /// Entries of the map behind that of key 0.
    more: Vec<&'static [u8]>,
}

impl Response {
    fn plain() -> Self {
        Self {
            server: endpoint(RELAY, &[]),
            group: endpoint(GROUP, &[b"\x19\xf0\xb0"]),
            token: b"\x4212",
            more: vec![PHANTOM],
        }
    }

    fn with(more: &'static [u8]) -> Self {
        Self { more: vec![more], ..Self::plain() }
    }

    fn bytes(&self) -> Vec<u8> {
        let head = [0xa1 + self.more.len() as u8, 0x00, 0x83];
        [&head[..], &self.server, &self.group, self.token, &self.more.concat()].concat()
    }
}

/// Scheme, address, and what follows: zone, port.
fn endpoint(address: Ipv6Addr, more: &[&[u8]]) -> Vec<u8> {
    [&[0x82 + more.len() as u8, 0x20, 0x50], &address.octets()[..], &more.concat()].concat()
}

pub(crate) fn vectors() -> Vec<Value> {
    let plain = Response::plain;
    let zones = Response {
        server: endpoint(RELAY, &[b"\x65wpan0", b"\x19\x16\x33"]),
        group: endpoint(GROUP, &[b"\xf6"]),
        token: b"\x4812345678",
        more: vec![b"\x03\x02", b"\x18\x63\xf6"],
    };
    let unknown = Response { server: endpoint(Ipv6Addr::UNSPECIFIED, &[]), ..plain() };
    let draft = Response { token: b"\x41\x7b", more: Vec::new(), ..plain() };
    vec![
        told("server, group, Token and phantom request", GROUP_PORT, b"12", &plain()),
        told("the example of the draft", GROUP_PORT, b"\x7b", &draft),
        told("a zone, no zone, and keys that mean nothing to a device", PORT, b"12345678", &zones),
        told("a relay that does not know its own address", GROUP_PORT, b"12", &unknown),
    ]
}

fn told(name: &str, port: u16, token: &[u8], response: &Response) -> Value {
    json!({
        "name": name,
        "relay": { "address": RELAY.to_string(), "port": PORT },
        "group": { "address": GROUP.to_string(), "port": port },
        "token": hex(token),
        "bytes": hex(&response.bytes()),
    })
}

pub(crate) fn refused() -> Vec<Value> {
    let plain = Response::plain;
    let bytes = plain().bytes();
    let server = |server| Response { server, ..plain() }.bytes();
    let group = |group| Response { group, ..plain() }.bytes();
    let token = |token| Response { token, ..plain() }.bytes();
    let with = |more| Response::with(more).bytes();
    let other = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0xac);
    let node = Ipv6Addr::new(0xff01, 0, 0, 0, 0, 0, 0, 0xfd);
    let everybody = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
    let cases = [
        ("nothing", "Malformed", Vec::new()),
        ("it ends early", "Malformed", bytes.split_last().map(|(_, rest)| rest.to_vec()).unwrap_or_default()),
        ("something follows", "Malformed", [&bytes[..], &[0]].concat()),
        ("no map", "Malformed", b"\x80".to_vec()),
        ("a key twice", "Malformed", with(b"\x00\xf6")),
        ("a key that is a text", "Malformed", with(b"\x61a\xf6")),
        ("an empty map", "TransportInformation", b"\xa0".to_vec()),
        ("a server of scheme -2", "TransportInformation", server([b"\x82\x21\x50", &[0; 16][..]].concat())),
        ("a group of IPv4", "TransportInformation", group(b"\x82\x20\x44\xe0\x00\x01\xbb".to_vec())),
        ("a group with a name", "TransportInformation", group(b"\x82\x20\x65group".to_vec())),
        ("two ports", "TransportInformation", group(endpoint(GROUP, &[b"\x01", b"\x02"]))),
        ("a Token that is a text", "TransportInformation", token(b"\x6212")),
        ("another server", "OtherServer", server(endpoint(other, &[]))),
        ("port 0 of the server", "OtherServer", server(endpoint(RELAY, &[b"\x00"]))),
        ("a group of one", "Group", group(endpoint(RELAY, &[]))),
        ("a group that does not leave its node", "Group", group(endpoint(node, &[]))),
        ("the group of all nodes", "Group", group(endpoint(everybody, &[]))),
        ("port 0", "Group", group(endpoint(GROUP, &[b"\x00"]))),
        ("an empty Token", "Token", token(b"\x40")),
        ("a Token of 9 bytes", "Token", token(b"\x49123456789")),
        ("a phantom request that is null", "PhantomRequest", with(b"\x01\xf6")),
        ("a phantom POST", "PhantomRequest", with(b"\x01\x42\x02\x60")),
        ("a phantom request without Observe", "PhantomRequest", with(b"\x01\x44\x01\xb2fw")),
        ("a phantom request that deregisters", "PhantomRequest", with(b"\x01\x43\x01\x61\x01")),
    ];
    cases
        .into_iter()
        .map(|(name, error, bytes)| {
            json!({
                "name": name,
                "relay": { "address": RELAY.to_string(), "port": PORT },
                "bytes": hex(&bytes),
                "error": error,
            })
        })
        .collect()
}
