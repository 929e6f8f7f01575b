//! The informative response of draft-ietf-core-observe-multicast-notifications (§4.2): where a stream goes, and to which
//! request its messages are the answers. CBOR (RFC 8949), by the CDDL of the draft.

use super::stream::token;
use crate::image::ETag;
use sixfold_profile::coap::{Code, Message, Type, Writer, option, params};
use std::net::{IpAddr, SocketAddr};

/// Keys of the map.
const TP_INFO: u8 = 0;
const PH_REQ: u8 = 1;
/// The scheme-id of `coap`: -1.
const COAP: u8 = 0x20;
/// CBOR major types, shifted to their place (RFC 8949 §3.1).
const UNSIGNED: u8 = 0 << 5;
const BYTES: u8 = 2 << 5;
const ARRAY: u8 = 4 << 5;
const MAP: u8 = 5 << 5;

/// Between whom a stream's messages travel.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Addresses {
    /// The address of ours that they leave from.
    pub(crate) server: SocketAddr,
    pub(crate) group: SocketAddr,
}

/// The payload.
pub(crate) fn informative(addresses: Addresses, etag: ETag, request: &Message<'_>) -> Vec<u8> {
    let mut cbor = Vec::with_capacity(96);
    head(&mut cbor, MAP, 2);
    head(&mut cbor, UNSIGNED, TP_INFO.into());
    head(&mut cbor, ARRAY, 3);
    reference(&mut cbor, addresses.server);
    reference(&mut cbor, addresses.group);
    string(&mut cbor, token(etag).as_slice());
    head(&mut cbor, UNSIGNED, PH_REQ.into());
    string(&mut cbor, &phantom(request));
    cbor
}

/// A constrained resource identifier of scheme and authority, as the draft's examples have it: `[-1, address, ?port]`.
fn reference(cbor: &mut Vec<u8>, address: SocketAddr) {
    head(cbor, ARRAY, 2 + u16::from(address.port() != params::PORT));
    cbor.push(COAP);
    match address.ip() {
        IpAddr::V4(address) => string(cbor, &address.octets()),
        IpAddr::V6(address) => string(cbor, &address.octets()),
    }
    if address.port() != params::PORT {
        head(cbor, UNSIGNED, address.port());
    }
}

/// The phantom request without what depends on transport: Code and options of a GET that registers for the resource of
/// `request`.
fn phantom(request: &Message<'_>) -> Vec<u8> {
    const HEADER: usize = 4;
    let options = request.options().filter(|opt| names_resource(opt.number)).collect::<Vec<_>>();
    let mut buffer = vec![0; HEADER + 2 + options.iter().map(|opt| opt.value.len() + 5).sum::<usize>()];
    let written = || -> Result<usize, sixfold_profile::coap::Full> {
        let mut writer = Writer::new(&mut buffer, Type::NonConfirmable, Code::GET, 0, &[])?;
        let mut observed = false;
        for opt in options {
            if opt.number > option::OBSERVE && !std::mem::replace(&mut observed, true) {
                writer.uint_option(option::OBSERVE, 0)?;
            }
            writer.option(opt.number, opt.value)?;
        }
        if !observed {
            writer.uint_option(option::OBSERVE, 0)?;
        }
        Ok(writer.finish())
    };
    // Cannot fail: there is room for every option, and they are in order.
    let length = { written }().unwrap_or(HEADER);
    let mut phantom = vec![Code::GET.0];
    phantom.extend(buffer.get(HEADER..length).unwrap_or_default());
    phantom
}

const fn names_resource(number: u16) -> bool {
    matches!(
        number,
        option::URI_HOST
            | option::URI_PORT
            | option::URI_PATH
            | option::URI_QUERY
            | option::PROXY_URI
            | option::PROXY_SCHEME
    )
}

fn string(cbor: &mut Vec<u8>, bytes: &[u8]) {
    head(cbor, BYTES, u16::try_from(bytes.len()).unwrap_or(u16::MAX));
    cbor.extend(bytes);
}

/// The head of a data item in its shortest form (RFC 8949 §4.2.1).
fn head(cbor: &mut Vec<u8>, major: u8, argument: u16) {
    match argument.to_be_bytes() {
        [0, low @ 0..24] => cbor.push(major | low),
        [0, low] => cbor.extend([major | 24, low]),
        [high, low] => cbor.extend([major | 25, high, low]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sixfold_profile::Hex;

    #[test]
    fn golden_bytes() {
        let mut buffer = [0; 64];
        let mut writer = Writer::new(&mut buffer, Type::Confirmable, Code::GET, 7, &[1]).unwrap();
        writer.uint_option(option::OBSERVE, 0).unwrap();
        writer.option(option::URI_PATH, b"fw").unwrap();
        writer.uint_option(option::ACCEPT, 65_010).unwrap();
        let length = writer.finish();
        let request = Message::parse(&buffer[..length]).unwrap();
        let addresses = Addresses {
            server: "[2001:db8::ab]:5683".parse().unwrap(),
            group: "[ff35:30:2001:db8::23]:61616".parse().unwrap(),
        };
        let expected = [
            &[0xa2, 0x00, 0x83, 0x82, 0x20, 0x50][..],
            &[0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xab],
            &[0x83, 0x20, 0x50],
            &[0xff, 0x35, 0, 0x30, 0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0x23],
            &[0x19, 0xf0, 0xb0, 0x42, b'1', b'2'],
            &[0x01, 0x45, 0x01, 0x60, 0x52, b'f', b'w'],
        ]
        .concat();
        let made = informative(addresses, ETag(*b"12345678"), &request);
        assert_eq!(made, expected);
        let golden = Hex(&made);
        let vectors = include_str!("../../../../profile/vectors/groups.json");
        assert!(vectors.contains(&format!("\"{golden}\"")), "devices are tested with other bytes");
    }

    #[test]
    fn a_long_address_of_a_resource_fits() {
        let mut buffer = [0; 1200];
        let mut writer = Writer::new(&mut buffer, Type::Confirmable, Code::GET, 7, &[1]).unwrap();
        writer.option(option::URI_HOST, b"host").unwrap();
        writer.option(option::URI_PATH, &[b'a'; 255]).unwrap();
        writer.option(option::URI_QUERY, &[b'q'; 255]).unwrap();
        writer.option(option::PROXY_SCHEME, b"coap").unwrap();
        let length = writer.finish();
        let request = Message::parse(&buffer[..length]).unwrap();
        assert_eq!(phantom(&request).len(), 1 + 5 + 1 + 257 + 257 + 6);
    }
}
