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
    /// something that the relay fetches as a forward proxy (Proxy-Uri, RFC 7252 §5.10.2).
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
            _ if uri.contains('#') => return Err(TargetError::Coap(UriError::Fragment)),
            _ => vec![(option::PROXY_URI, uri.clone().into_bytes())],
        };
        Ok(Self { options, uri })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert_eq!(image.options, [(option::PROXY_URI, b"https://updates.example/fw/app.bin".to_vec())]);
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
