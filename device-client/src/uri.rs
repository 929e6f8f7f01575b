//! `coap` URIs taken apart (RFC 7252 §6.4), with zones of link-local addresses (RFC 6874).

use sixfold_profile::coap::{Code, Full, Type, Writer, option, params};
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::prelude::v1::*;

/// The longest value of Uri-Host, Uri-Path and Uri-Query (RFC 7252 §5.10).
const MAX_COMPONENT: usize = 255;

/// A `coap` URI.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CoapUri {
    /// The server.
    pub host: Host,
    /// Its port.
    pub port: u16,
    /// The segments of the path, decoded; none for `/`.
    pub path: Vec<String>,
    /// The arguments of the query, decoded.
    pub query: Vec<String>,
}

/// Options, in ascending order of numbers, as they stand in a message, from option number 0 (RFC 7252 §3.1).
///
/// # Errors
/// [`Full`] when they are not in order, or one is longer than 65 804 bytes.
pub fn encode(options: &[(u16, Vec<u8>)]) -> Result<Vec<u8>, Full> {
    const HEADER: usize = 4;
    // At most five bytes before each value.
    let mut buffer = vec![0; HEADER + options.iter().map(|(_, value)| value.len() + 5).sum::<usize>()];
    let mut writer = Writer::new(&mut buffer, Type::Confirmable, Code::GET, 0, &[])?;
    options.iter().try_for_each(|(number, value)| writer.option(*number, value))?;
    let length = writer.finish();
    buffer.truncate(length);
    Ok(buffer.split_off(HEADER))
}

/// The host of a URI.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    /// An IPv4 address.
    V4(Ipv4Addr),
    /// An address, and the zone: name or number of an interface.
    V6(Ipv6Addr, Option<String>),
    /// A name, in lower case.
    Name(String),
}

/// Why a text is no URI that can be fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UriError {
    /// It does not begin with `coap://`.
    Scheme,
    /// `coaps`, which needs DTLS.
    Secure,
    /// It has a fragment.
    Fragment,
    /// It has a user name.
    UserInfo,
    /// The host is none.
    Host,
    /// The port is none.
    Port,
    /// A `%` without two digits.
    Escape,
    /// A character that a URI cannot have.
    Character,
    /// What is percent-encoded is no text.
    NotUtf8,
    /// `.` or `..` in the path.
    DotSegment,
    /// A part has more than 255 bytes.
    TooLong,
}

impl fmt::Display for UriError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Scheme => "not a coap:// URI; other schemes need --proxy coap://RELAY",
            Self::Secure => "coaps:// (DTLS) is not supported; use coap://",
            Self::Fragment => "a URI to fetch must not have a #fragment",
            Self::UserInfo => "a coap URI has no user name",
            Self::Host => "the host is neither a name, an IPv4 address nor [an IPv6 address]",
            Self::Port => "the port is not a number from 1 to 65535",
            Self::Escape => "a % must be followed by two hexadecimal digits",
            Self::Character => "a character that must be percent-encoded in a URI",
            Self::NotUtf8 => "a percent-encoded part is not UTF-8",
            Self::DotSegment => "write the path without . and .. segments",
            Self::TooLong => "a part of the URI is longer than 255 bytes",
        })
    }
}

impl CoapUri {
    /// Takes a URI apart.
    ///
    /// # Errors
    /// Every [`UriError`].
    pub fn parse(text: &str) -> Result<Self, UriError> {
        let (scheme, rest) = text.split_once("://").ok_or(UriError::Scheme)?;
        match scheme.to_ascii_lowercase().as_str() {
            "coap" => {}
            "coaps" => return Err(UriError::Secure),
            _ => return Err(UriError::Scheme),
        }
        if rest.contains('#') {
            return Err(UriError::Fragment);
        }
        let (rest, query) = rest.split_once('?').map_or((rest, None), |(rest, query)| (rest, Some(query)));
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (host, port) = authority_parts(authority)?;
        let path = if path.is_empty() { Vec::new() } else { components(path, '/')? };
        if path.iter().any(|segment| segment == "." || segment == "..") {
            return Err(UriError::DotSegment);
        }
        let query = query.map_or(Ok(Vec::new()), |query| components(query, '&'))?;
        Ok(Self { host, port, path, query })
    }

    /// The options of a request for this URI, sent to its host and port.
    pub fn options(&self) -> Vec<(u16, Vec<u8>)> {
        let host = match &self.host {
            Host::Name(name) => Some((option::URI_HOST, name)),
            Host::V4(_) | Host::V6(..) => None,
        };
        let path = self.path.iter().map(|segment| (option::URI_PATH, segment));
        let query = self.query.iter().map(|argument| (option::URI_QUERY, argument));
        host.into_iter()
            .chain(path)
            .chain(query)
            .map(|(number, text)| (number, text.clone().into()))
            .collect()
    }
}

fn authority_parts(authority: &str) -> Result<(Host, u16), UriError> {
    if authority.contains('@') {
        return Err(UriError::UserInfo);
    }
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (literal, rest) = rest.split_once(']').ok_or(UriError::Host)?;
            let port = if rest.is_empty() { "" } else { rest.strip_prefix(':').ok_or(UriError::Port)? };
            (ip_literal(literal)?, port)
        }
        None => {
            let (name, port) = authority.split_once(':').unwrap_or((authority, ""));
            (name_or_v4(name)?, port)
        }
    };
    Ok((host, port_number(port)?))
}

fn port_number(port: &str) -> Result<u16, UriError> {
    match port {
        "" => Ok(params::PORT),
        _ if !port.bytes().all(|byte| byte.is_ascii_digit()) => Err(UriError::Port),
        _ => port.parse().ok().filter(|port| *port != 0).ok_or(UriError::Port),
    }
}

/// `ADDRESS`, `ADDRESS%25ZONE` as in RFC 6874, or `ADDRESS%ZONE` as people write it.
fn ip_literal(literal: &str) -> Result<Host, UriError> {
    let (address, zone) = match literal.split_once('%') {
        None => (literal, None),
        Some((address, zone)) => {
            let encoded = zone.strip_prefix("25").filter(|rest| !rest.is_empty());
            (address, Some(encoded.map_or_else(|| Ok(zone.to_owned()), decode)?))
        }
    };
    if zone.as_ref().is_some_and(String::is_empty) {
        return Err(UriError::Host);
    }
    Ok(Host::V6(address.parse().map_err(|_| UriError::Host)?, zone))
}

fn name_or_v4(name: &str) -> Result<Host, UriError> {
    if let Ok(address) = name.parse() {
        return Ok(Host::V4(address));
    }
    let name = component(name)?.to_lowercase();
    let is_name =
        !name.is_empty() && !name.contains(|c: char| c.is_control() || c.is_whitespace() || c == '/');
    if is_name { Ok(Host::Name(name)) } else { Err(UriError::Host) }
}

fn components(text: &str, separator: char) -> Result<Vec<String>, UriError> {
    text.split(separator).map(component).collect()
}

fn component(text: &str) -> Result<String, UriError> {
    if !text.bytes().all(may_stand_in_uri) {
        return Err(UriError::Character);
    }
    let decoded = decode(text)?;
    if decoded.len() > MAX_COMPONENT { Err(UriError::TooLong) } else { Ok(decoded) }
}

/// Unreserved, sub-delims, and what else a path or query may hold (RFC 3986 §3.3, §3.4); `%` begins an escape.
const fn may_stand_in_uri(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(byte, b'!' | b'$'..=b'/' | b':' | b';' | b'=' | b'?' | b'@' | b'_' | b'~')
}

fn decode(text: &str) -> Result<String, UriError> {
    let mut parts = text.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let (digits, rest) = part.as_bytes().split_at_checked(2).ok_or(UriError::Escape)?;
        let digit = |byte: u8| char::from(byte).to_digit(16).ok_or(UriError::Escape);
        bytes.push((digit(digits[0])? << 4 | digit(digits[1])?) as u8);
        bytes.extend_from_slice(rest);
    }
    String::from_utf8(bytes).map_err(|_| UriError::NotUtf8)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v6(text: &str, zone: Option<&str>) -> Host {
        Host::V6(text.parse().unwrap(), zone.map(Into::into))
    }

    fn name(text: &str) -> Host {
        Host::Name(text.into())
    }

    #[test]
    fn hosts_and_ports() {
        let cases = [
            ("coap://[2001:db8::1]/", v6("2001:db8::1", None), 5683),
            ("COAP://[::1]:61616", v6("::1", None), 61616),
            ("coap://[::1]:/x", v6("::1", None), 5683),
            ("coap://[fe80::1%25eth0]:1/x", v6("fe80::1", Some("eth0")), 1),
            ("coap://[fe80::1%eth0]/x", v6("fe80::1", Some("eth0")), 5683),
            ("coap://[fe80::1%3]/x", v6("fe80::1", Some("3")), 5683),
            ("coap://[fe80::1%25]/x", v6("fe80::1", Some("25")), 5683),
            ("coap://[fe80::1%25en%2e1]/x", v6("fe80::1", Some("en.1")), 5683),
            ("coap://[::ffff:192.0.2.1]/x", v6("::ffff:192.0.2.1", None), 5683),
            ("coap://192.0.2.1:5684/x", Host::V4(Ipv4Addr::new(192, 0, 2, 1)), 5684),
            ("coap://Relay.Example?x", name("relay.example"), 5683),
            ("coap://192.0.2.999/", name("192.0.2.999"), 5683),
            ("coap://b%C3%BCro/", name("büro"), 5683),
        ];
        for (text, host, port) in cases {
            let uri = CoapUri::parse(text).unwrap();
            assert_eq!((uri.host, uri.port), (host, port), "{text}");
        }
    }

    #[test]
    fn paths_and_queries() {
        let cases: [(&str, &[&str], &[&str]); 11] = [
            ("", &[], &[]),
            ("/", &[], &[]),
            ("?", &[], &[""]),
            ("/fw/image.bin", &["fw", "image.bin"], &[]),
            ("/a//b/", &["a", "", "b", ""], &[]),
            ("//", &["", ""], &[]),
            ("/a%2Fb/%E2%82%AC", &["a/b", "€"], &[]),
            ("/a?x=1&y=%26&z", &["a"], &["x=1", "y=&", "z"]),
            ("?a/b?c", &[], &["a/b?c"]),
            ("/...", &["..."], &[]),
            // The equivalent URIs of RFC 7252 §6.3.
            ("/%7Esensors/temp.xml", &["~sensors", "temp.xml"], &[]),
        ];
        for (text, path, query) in cases {
            let uri = CoapUri::parse(&format!("coap://h{text}")).unwrap();
            assert_eq!((uri.path, uri.query), (strings(path), strings(query)), "{text}");
        }
    }

    fn strings(parts: &[&str]) -> Vec<String> {
        parts.iter().map(|part| (*part).to_owned()).collect()
    }

    #[test]
    fn refusals() {
        let long = format!("coap://h/{}", "x".repeat(256));
        let cases = [
            ("", UriError::Scheme),
            ("h/fw", UriError::Scheme),
            ("coap:/h/fw", UriError::Scheme),
            ("https://h/fw", UriError::Scheme),
            ("coaps://h/fw", UriError::Secure),
            ("coap://h/fw#top", UriError::Fragment),
            ("coap://me@h/fw", UriError::UserInfo),
            ("coap:///fw", UriError::Host),
            ("coap://:5683/fw", UriError::Host),
            ("coap://[::1/fw", UriError::Host),
            ("coap://[h]/fw", UriError::Host),
            ("coap://[fe80::1%]/fw", UriError::Host),
            ("coap://[]/fw", UriError::Host),
            ("coap://a%2Fb/fw", UriError::Host),
            ("coap://::1/fw", UriError::Host),
            ("coap://h:0/fw", UriError::Port),
            ("coap://h:65536/fw", UriError::Port),
            ("coap://h:+1/fw", UriError::Port),
            ("coap://[::1]5683/fw", UriError::Port),
            ("coap://h/%", UriError::Escape),
            ("coap://h/%2", UriError::Escape),
            ("coap://h/%+1", UriError::Escape),
            ("coap://h/?%zz", UriError::Escape),
            ("coap://h/a b", UriError::Character),
            ("coap://h/ü", UriError::Character),
            ("coap://h/?a\"", UriError::Character),
            ("coap://h\\/", UriError::Character),
            ("coap://h/%ff", UriError::NotUtf8),
            ("coap://h/a/../b", UriError::DotSegment),
            ("coap://h/%2e", UriError::DotSegment),
            (&long, UriError::TooLong),
        ];
        for (text, error) in cases {
            assert_eq!(CoapUri::parse(text), Err(error), "{text}");
        }
    }

    #[test]
    fn options_in_order() {
        let uri = CoapUri::parse("coap://Relay:1/a/b?c").unwrap();
        let expected = [(3, "relay"), (11, "a"), (11, "b"), (15, "c")];
        assert_eq!(uri.options(), expected.map(|(number, text)| (number, text.as_bytes().to_vec())));
        assert_eq!(CoapUri::parse("coap://[::1]/").unwrap().options(), []);
    }
}
