//! What is asked, and of whom: the URI on the command line, with or without a forward proxy.

use crate::failure::Failure;
use sixfold_device::uri::{CoapUri, Host};
use sixfold_profile::coap::option;

/// The longest Proxy-Uri (RFC 7252 §5.10).
const MAX_PROXY_URI: usize = 1034;

/// A request and the server it goes to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) host: Host,
    pub(crate) port: u16,
    /// The options that name the resource, in ascending order.
    pub(crate) options: Vec<(u16, Vec<u8>)>,
}

impl Request {
    /// A request for `uri`, through the forward proxy if there is one.
    pub(crate) fn new(uri: &str, proxy: Option<&str>) -> Result<Self, Failure> {
        let Some(proxy) = proxy else {
            let uri = CoapUri::parse(uri)?;
            return Ok(Self { options: uri.options(), host: uri.host, port: uri.port });
        };
        let proxy = CoapUri::parse(proxy)?;
        if !proxy.path.is_empty() || !proxy.query.is_empty() {
            return Err(Failure::Usage("--proxy takes coap://HOST[:PORT] without path or query".into()));
        }
        check_proxy_uri(uri)?;
        let options = vec![(option::PROXY_URI, uri.into())];
        Ok(Self { host: proxy.host, port: proxy.port, options })
    }
}

/// The proxy looks into the URI; here it only has to be absolute and fit for the option.
fn check_proxy_uri(uri: &str) -> Result<(), Failure> {
    let wrong = |why: &str| Err(Failure::Usage(format!("{uri}: {why}")));
    match uri.split_once("://") {
        Some((scheme, rest)) if !scheme.is_empty() && !rest.is_empty() => {}
        _ => return wrong("not an absolute URI such as https://host/path"),
    }
    if uri.contains('#') {
        return wrong("a URI to fetch must not have a #fragment");
    }
    if !uri.bytes().all(|byte| byte.is_ascii_graphic()) {
        return wrong("spaces and characters outside ASCII must be percent-encoded");
    }
    if uri.len() > MAX_PROXY_URI { wrong("longer than 1034 bytes") } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn through_a_proxy_the_whole_uri_is_one_option() {
        let request = Request::new("https://h.example/a?b", Some("coap://[::1]:7")).unwrap();
        assert_eq!(request.port, 7);
        assert_eq!(request.options, [(option::PROXY_URI, b"https://h.example/a?b".to_vec())]);
    }

    #[test]
    fn refusals() {
        let long = format!("https://h/{}", "x".repeat(1025));
        for uri in ["h/a", "://h", "https://", "https://h/#a", "https://h/a b", "https://ü/", &long] {
            assert!(matches!(Request::new(uri, Some("coap://[::1]")), Err(Failure::Usage(_))), "{uri}");
        }
        for proxy in ["coap://[::1]/x", "coap://[::1]?x", "https://h"] {
            assert!(matches!(Request::new("https://h/", Some(proxy)), Err(Failure::Usage(_))), "{proxy}");
        }
        assert!(matches!(Request::new("https://h/", None), Err(Failure::Usage(_))));
    }
}
