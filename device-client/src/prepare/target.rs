//! Resources by name: a URI becomes the options of a request, and a manifest's reference becomes a URI.

use crate::uri::{CoapUri, UriError, encode};
use fluent_uri::{Uri, UriRef};
use sixfold_profile::coap::option;
use sixfold_profile::ticket::MAX_OPTIONS_LENGTH;
use std::fmt;
use std::prelude::v1::*;

/// A resource of the relay: the options that name it, in ascending order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Option numbers and values.
    pub options: Vec<(u16, Vec<u8>)>,
    uri: String,
}

/// Why a reference names no resource that can be fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TargetError {
    /// It is no URI reference (RFC 3986).
    Syntax(String),
    /// It is a `coap` URI that cannot be used.
    Coap(UriError),
    /// It leads to another CoAP server: the ticket has room for one, which is the relay.
    OtherServer(String),
    /// The options are too many or too long for a ticket.
    TooLong,
}

impl fmt::Display for TargetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syntax(reference) => write!(f, "{reference}: not a URI"),
            Self::Coap(error) => error.fmt(f),
            Self::OtherServer(uri) => write!(f, "{uri} is not on the relay"),
            Self::TooLong => f.write_str("the URI is too long for a ticket"),
        }
    }
}

impl std::error::Error for TargetError {}

/// Stands for the relay in URIs: what it is called does not matter to a request that is sent to its address.
const RELAY: &str = "coap://relay";

impl Target {
    /// The resource of `reference`, as seen from the relay's root: a path such as `/fw/app.suit`, or the absolute URI of
    /// something that the relay fetches as a forward proxy (Proxy-Scheme, RFC 7252 §5.10.2).
    ///
    /// # Errors
    /// Any [`TargetError`] but [`TargetError::TooLong`].
    pub fn new(reference: &str) -> Result<Self, TargetError> {
        Self::resolve("coap://relay/", reference)
    }

    /// The resource that `reference` means inside this one (RFC 3986 §5).
    ///
    /// # Errors
    /// As [`Target::new`].
    pub fn join(&self, reference: &str) -> Result<Self, TargetError> {
        Self::resolve(&self.uri, reference)
    }

    /// Its URI; the relay itself is called `relay` in it.
    pub fn uri(&self) -> &str {
        &self.uri
    }

    /// The options as they stand in a message, from option number 0 (RFC 7252 §3.1), for a ticket.
    ///
    /// # Errors
    /// [`TargetError::TooLong`], also when a boot program could not take so many options apart.
    pub fn encode(&self) -> Result<Vec<u8>, TargetError> {
        encode(&self.options)
            .ok()
            .filter(|options| options.len() <= MAX_OPTIONS_LENGTH)
            .ok_or(TargetError::TooLong)
    }

    /// `base` is the absolute URI of a resource.
    fn resolve(base: &str, reference: &str) -> Result<Self, TargetError> {
        let syntax = || TargetError::Syntax(reference.to_owned());
        let base = Uri::parse(base).map_err(|_| syntax())?;
        let reference = UriRef::parse(reference).map_err(|_| syntax())?;
        let uri = reference.resolve_against(&base).map_err(|_| syntax())?.into_string();
        let options = match uri.strip_prefix(RELAY) {
            Some(rest) if rest.is_empty() || rest.starts_with(['/', '?', '#']) => {
                CoapUri::parse(&format!("coap://[::]{rest}")).map_err(TargetError::Coap)?.options()
            }
            _ if uri.starts_with("coap:") || uri.starts_with("coaps:") => {
                return Err(TargetError::OtherServer(uri));
            }
            _ => forward(&uri)?,
        };
        Ok(Self { options, uri })
    }
}

/// The options of a URI that the relay fetches as a forward proxy. Not Proxy-Uri, which OSCORE would have to take apart
/// (RFC 8613 §4.1.3.3): with a session or without, the ticket has the same.
fn forward(uri: &str) -> Result<Vec<(u16, Vec<u8>)>, TargetError> {
    let syntax = || TargetError::Syntax(uri.to_owned());
    let parsed = Uri::parse(uri).map_err(|_| syntax())?;
    let authority = parsed.authority().ok_or_else(syntax)?;
    if authority.has_userinfo() {
        return Err(TargetError::Coap(UriError::UserInfo));
    }
    let host = authority.host().to_ascii_lowercase();
    if host.is_empty() || host.len() > MAX_HOST {
        return Err(TargetError::Coap(UriError::Host));
    }
    let scheme = parsed.scheme().as_str().to_ascii_lowercase();
    let port = authority.port_to_u16().map_err(|_| TargetError::Coap(UriError::Port))?;
    let query = parsed.query().map(|query| format!("?{query}")).unwrap_or_default();
    let fragment = if parsed.has_fragment() { "#" } else { "" };
    let rest = format!("coap://[::]{}{query}{fragment}", parsed.path());
    let rest = CoapUri::parse(&rest).map_err(|error| match error {
        UriError::TooLong => TargetError::TooLong,
        error => TargetError::Coap(error),
    })?;
    let mut options = vec![(option::URI_HOST, host.into_bytes())];
    // Without the option, the port would be that of the relay (§6.5).
    if let Some(port) = port.or_else(|| default_port(&scheme)) {
        let bytes = port.to_be_bytes();
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        options.push((option::URI_PORT, bytes.get(zeros..).unwrap_or_default().to_vec()));
    }
    options.extend(rest.options());
    options.push((option::PROXY_SCHEME, scheme.into_bytes()));
    Ok(options)
}

/// The longest Uri-Host (RFC 7252 §5.10).
const MAX_HOST: usize = 255;

fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "https" => Some(443),
        "http" => Some(80),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sixfold_profile::coap::Options;

    fn path(segments: &[&str]) -> Vec<(u16, Vec<u8>)> {
        segments.iter().map(|segment| (option::URI_PATH, segment.as_bytes().to_vec())).collect()
    }

    #[test]
    fn references_are_resolved_against_the_manifest() {
        let manifest = Target::new("/fw/lamp/app.suit").unwrap();
        assert_eq!(manifest.options, path(&["fw", "lamp", "app.suit"]));
        let cases: [(&str, &[&str]); 4] = [
            ("app.bin", &["fw", "lamp", "app.bin"]),
            ("../v2/app.bin", &["fw", "v2", "app.bin"]),
            ("/app.bin", &["app.bin"]),
            ("//relay/a%2Fb", &["a/b"]),
        ];
        for (reference, segments) in cases {
            assert_eq!(manifest.join(reference).unwrap().options, path(segments), "{reference}");
        }
    }

    #[test]
    fn through_a_forward_proxy_references_stay_there() {
        let manifest = Target::new("https://updates.example/fw/app.suit").unwrap();
        let image = manifest.join("app.bin").unwrap();
        let expected: [(u16, &[u8]); 5] = [
            (option::URI_HOST, b"updates.example"),
            (option::URI_PORT, &[0x01, 0xbb]),
            (option::URI_PATH, b"fw"),
            (option::URI_PATH, b"app.bin"),
            (option::PROXY_SCHEME, b"https"),
        ];
        assert_eq!(image.options, expected.map(|(number, value)| (number, value.to_vec())));
        let other = Target::new("HTTP://[2001:DB8::1]:8080/a%20b?x=1&y").unwrap();
        let expected: [(u16, &[u8]); 6] = [
            (option::URI_HOST, b"[2001:db8::1]"),
            (option::URI_PORT, &[0x1f, 0x90]),
            (option::URI_PATH, b"a b"),
            (option::URI_QUERY, b"x=1"),
            (option::URI_QUERY, b"y"),
            (option::PROXY_SCHEME, b"http"),
        ];
        assert_eq!(other.options, expected.map(|(number, value)| (number, value.to_vec())));
        for bad in ["https://me@h/fw", "https:///fw", "urn:x", "https://h:99999/", "https://h/fw#top"] {
            assert!(Target::new(bad).is_err(), "{bad}");
        }
    }

    /// What a forward proxy is asked for fits a ticket with a session.
    #[test]
    fn a_forward_proxy_and_a_session_go_together() {
        let options = Target::new("https://updates.example/fw/app.bin?v=1").unwrap().encode().unwrap();
        let numbers: Vec<u16> = Options::new(&options).map(|option| option.number).collect();
        assert_eq!(numbers, [3, 7, 11, 11, 15, 39]);
        assert!(!numbers.contains(&option::PROXY_URI));
    }

    #[test]
    fn what_no_ticket_can_name_is_refused() {
        let manifest = Target::new("/fw/app.suit").unwrap();
        let other = "coap://other/app.bin";
        assert_eq!(manifest.join(other), Err(TargetError::OtherServer(other.to_owned())));
        assert_eq!(manifest.join("a b"), Err(TargetError::Syntax("a b".to_owned())));
        assert_eq!(manifest.join("app.bin#x"), Err(TargetError::Coap(UriError::Fragment)));
        assert!(matches!(manifest.join("coap://relay.example/"), Err(TargetError::OtherServer(_))));
    }

    #[test]
    fn options_as_in_a_message() {
        let target = Target::new("/fw/app").unwrap();
        assert_eq!(target.encode().unwrap(), [0xb2, b'f', b'w', 0x03, b'a', b'p', b'p']);
    }
}
