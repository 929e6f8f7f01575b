//! Which resource a request means: reverse proxy by path prefix, forward proxy for allowed origins only
//! (RFC 7252 §5.7, §6.5, §10.1). No origin can be reached that the configuration does not name.

use crate::coap::{Ask, Refusal};
use crate::config::{Config, Route};
use sixfold_profile::coap::{Code, Message, option};

/// What a request is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// `/.well-known/core` (RFC 6690).
    WellKnownCore,
    /// The resource whose URL was written to the buffer, asked for through a route.
    Reverse {
        /// What the route says of sessions.
        require_session: Option<bool>,
    },
    /// The resource whose URL was written to the buffer, asked for by Proxy-Uri or Proxy-Scheme.
    Forward,
}

/// What stays as it is in an argument of a query (RFC 3986 §3.4); `&` separates arguments.
const ALSO_IN_QUERIES: &[u8] = b"!$'()*+,;=:@/?";

const NOT_ALLOWED: Refusal = Refusal::new(Code::PROXYING_NOT_SUPPORTED, "relay: no proxy for this origin");
const BAD_PATH: Refusal = Refusal::new(Code::BAD_REQUEST, "path with dot segment, slash or control byte");

/// Finds the target of a request and writes its canonical URL to `url`.
pub(crate) fn resolve(
    config: &Config,
    message: &Message<'_>,
    ask: &Ask<'_>,
    url: &mut String,
) -> Result<Target, Refusal> {
    url.clear();
    if let Some(uri) = ask.proxy_uri {
        let uri = std::str::from_utf8(uri).map_err(|_| NOT_ALLOWED)?;
        *url = canonical_url(uri).ok_or(NOT_ALLOWED)?;
        return allowed(config, url);
    }
    if let Some(scheme) = ask.proxy_scheme {
        compose(message, ask, scheme, url)?;
        *url = canonical_url(url).ok_or(NOT_ALLOWED)?;
        return allowed(config, url);
    }
    if path(message).eq([&b".well-known"[..], b"core"]) {
        return Ok(Target::WellKnownCore);
    }
    let route = best_route(&config.routes, || path(message))
        .ok_or(Refusal::new(Code::NOT_FOUND, "relay: no route for this path"))?;
    url.push_str(&route.origin);
    append_path(url, path(message).skip(route.path.len()))?;
    append_query(url, message);
    Ok(Target::Reverse { require_session: route.require_session })
}

fn path<'a>(message: &Message<'a>) -> impl Iterator<Item = &'a [u8]> {
    message.options().filter(|opt| opt.number == option::URI_PATH).map(|opt| opt.value)
}

fn allowed(config: &Config, url: &str) -> Result<Target, Refusal> {
    let allowed = config.forward.iter().any(|prefix| url.starts_with(prefix.as_str()));
    allowed.then_some(Target::Forward).ok_or(NOT_ALLOWED)
}

/// The longest prefix wins.
fn best_route<'c, 'p, P: Iterator<Item = &'p [u8]>>(
    routes: &'c [Route],
    path: impl Fn() -> P,
) -> Option<&'c Route> {
    let covers = |route: &&Route| {
        let mut segments = path();
        route.path.iter().all(|expected| segments.next() == Some(expected.as_bytes()))
    };
    routes.iter().filter(covers).max_by_key(|route| route.path.len())
}

/// What an operator means by a path on this relay, a `coap` URI with such a path, or a URL at an origin: the canonical URL,
/// and the path if there is one. `None` if the configuration does not cover it.
pub(crate) fn named(config: &Config, name: &str) -> Option<(String, Option<String>)> {
    let on_relay = ["coap://", "coaps://"].iter().find_map(|scheme| name.strip_prefix(scheme));
    let on_relay =
        on_relay.map_or(name, |rest| rest.find('/').map_or("/", |at| rest.get(at..).unwrap_or("/")));
    if !on_relay.starts_with('/') {
        let url = canonical_url(name)?;
        let prefixes = config.routes.iter().map(|route| &route.origin).chain(&config.forward);
        return prefixes.into_iter().any(|prefix| url.starts_with(prefix.as_str())).then_some((url, None));
    }
    let (path, query) =
        on_relay.split_once('?').map_or((on_relay, None), |(path, query)| (path, Some(query)));
    let segments: Vec<Vec<u8>> = path.split('/').skip(1).map(percent_decode).collect();
    let route = best_route(&config.routes, || segments.iter().map(Vec::as_slice))?;
    let mut url = route.origin.clone();
    append_path(&mut url, segments.iter().skip(route.path.len()).map(Vec::as_slice)).ok()?;
    for (index, argument) in query.into_iter().flat_map(|query| query.split('&')).enumerate() {
        url.push(if index == 0 { '?' } else { '&' });
        percent_encode(&mut url, &percent_decode(argument), ALSO_IN_QUERIES);
    }
    let mut path = String::new();
    for segment in &segments {
        path.push('/');
        percent_encode_segment(&mut path, segment);
    }
    Some((url, Some(path)))
}

/// RFC 7252 §6.5, with a scheme that is not CoAP's.
fn compose(message: &Message<'_>, ask: &Ask<'_>, scheme: &[u8], url: &mut String) -> Result<(), Refusal> {
    let host = ask.uri_host.and_then(|host| std::str::from_utf8(host).ok()).ok_or(NOT_ALLOWED)?;
    url.push_str(std::str::from_utf8(scheme).map_err(|_| NOT_ALLOWED)?);
    url.push_str("://");
    url.push_str(host);
    if let Some(port) = ask.uri_port {
        url.push(':');
        url.push_str(&port.to_string());
    }
    url.push('/');
    append_path(url, path(message))?;
    append_query(url, message);
    Ok(())
}

fn append_path<'a>(url: &mut String, segments: impl Iterator<Item = &'a [u8]>) -> Result<(), Refusal> {
    for (index, segment) in segments.enumerate() {
        if is_harmful(segment) {
            return Err(BAD_PATH);
        }
        if index > 0 {
            url.push('/');
        }
        percent_encode_segment(url, segment);
    }
    Ok(())
}

fn append_query(url: &mut String, message: &Message<'_>) {
    let arguments = message.options().filter(|opt| opt.number == option::URI_QUERY);
    for (index, argument) in arguments.enumerate() {
        url.push(if index == 0 { '?' } else { '&' });
        percent_encode(url, argument.value, ALSO_IN_QUERIES);
    }
}

/// A segment that would mean another path to some origin server: dot segments, slashes, control bytes.
fn is_harmful(segment: &[u8]) -> bool {
    matches!(segment, b"." | b"..")
        || segment.iter().any(|&byte| matches!(byte, b'/' | b'\\' | 0..=0x1f | 0x7f))
}

/// One path segment as RFC 3986 §3.3 spells it.
pub(crate) fn percent_encode_segment(url: &mut String, segment: &[u8]) {
    percent_encode(url, segment, b"!$&'()*+,;=:@");
}

/// RFC 3986 §2.1: everything but unreserved characters and `also` is encoded.
fn percent_encode(url: &mut String, bytes: &[u8], also: &[u8]) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for &byte in bytes {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || also.contains(&byte) {
            url.push(char::from(byte));
        } else {
            url.push('%');
            url.push(char::from(HEX[usize::from(byte >> 4)]));
            url.push(char::from(HEX[usize::from(byte & 0xf)]));
        }
    }
}

/// The one spelling of an `http` or `https` URL under which it is cached and allowed: scheme and host in lower
/// case, default port left out, path at least `/`. `None` for other schemes, user information, fragments, and
/// paths with dot segments, empty host, or encoded slashes.
pub fn canonical_url(url: &str) -> Option<String> {
    if url.contains(['#', '\\']) || url.bytes().any(|byte| byte <= b' ' || byte == 0x7f) {
        return None;
    }
    let uri: http::Uri = url.parse().ok()?;
    let scheme = uri.scheme_str()?.to_ascii_lowercase();
    let default_port = match scheme.as_str() {
        "https" => 443,
        "http" => 80,
        _ => return None,
    };
    let authority = uri.authority()?;
    if authority.as_str().contains('@') || authority.host().is_empty() {
        return None;
    }
    if uri.path().split('/').any(|segment| is_harmful(&percent_decode(segment))) {
        return None;
    }
    let host = authority.host().to_ascii_lowercase();
    let port = authority.port_u16().filter(|&port| port != default_port);
    let port = port.map_or(String::new(), |port| format!(":{port}"));
    let query = uri.query().map_or(String::new(), |query| format!("?{query}"));
    Some(format!("{scheme}://{host}{port}{}{query}", uri.path()))
}

/// What a segment stands for; a percent sign without two digits behind it, for itself.
pub(crate) fn percent_decode(segment: &str) -> Vec<u8> {
    let hex = |digit: u8| char::from(digit).to_digit(16);
    let mut bytes = segment.bytes().peekable();
    let mut decoded = Vec::with_capacity(segment.len());
    while let Some(byte) = bytes.next() {
        let mut ahead = bytes.clone();
        match (byte, ahead.next().and_then(hex), ahead.next().and_then(hex)) {
            (b'%', Some(high), Some(low)) => {
                decoded.push(u8::try_from(high << 4 | low).unwrap_or_default());
                bytes = ahead;
            }
            _ => decoded.push(byte),
        }
    }
    decoded
}

#[cfg(test)]
mod tests {
    use super::*;
    use sixfold_profile::coap::{Type, Writer};

    fn config() -> Config {
        let route = |path: &[&str], origin: &str| Route {
            path: path.iter().map(|segment| (*segment).into()).collect(),
            origin: origin.into(),
            require_session: None,
        };
        Config {
            routes: vec![route(&["fw"], "https://a/base/"), route(&["fw", "beta"], "https://b/")],
            forward: vec!["https://f:8443/x/".into()],
            ..Config::default()
        }
    }

    fn resolved(options: &[(u16, &[u8])]) -> Result<(Target, String), Code> {
        let mut buffer = [0; 512];
        let mut writer = Writer::new(&mut buffer, Type::Confirmable, Code::GET, 1, &[]).unwrap();
        for (number, value) in options {
            writer.option(*number, value).unwrap();
        }
        let length = writer.finish();
        let message = Message::parse(&buffer[..length]).unwrap();
        let ask = Ask::read(&message).unwrap();
        let mut url = String::new();
        let target = resolve(&config(), &message, &ask, &mut url).map_err(|refusal| refusal.code)?;
        Ok((target, url))
    }

    fn reverse(segments: &[&[u8]]) -> Result<String, Code> {
        let options: Vec<_> = segments.iter().map(|&segment| (option::URI_PATH, segment)).collect();
        resolved(&options).map(|(_, url)| url)
    }

    #[test]
    fn reverse_proxy_by_longest_prefix() {
        assert_eq!(reverse(&[b"fw", b"image.bin"]), Ok("https://a/base/image.bin".into()));
        assert_eq!(reverse(&[b"fw", b"beta", b"i"]), Ok("https://b/i".into()));
        assert_eq!(reverse(&[b"fw"]), Ok("https://a/base/".into()));
        assert_eq!(reverse(&[b"fwx", b"i"]), Err(Code::NOT_FOUND));
        assert_eq!(reverse(&[]), Err(Code::NOT_FOUND));
        assert_eq!(reverse(&[b"fw", "ä b%".as_bytes()]), Ok("https://a/base/%C3%A4%20b%25".into()));
        assert_eq!(resolved(&[(11, b".well-known"), (11, b"core")]).unwrap().0, Target::WellKnownCore);
    }

    #[test]
    fn paths_that_lead_elsewhere_are_refused() {
        for segment in [&b".."[..], b".", b"a/b", b"a\\b", b"a\0", b"\n", b"\x7f"] {
            assert_eq!(reverse(&[b"fw", segment]), Err(Code::BAD_REQUEST), "{segment:?}");
        }
        assert_eq!(reverse(&[b"fw", b"..."]), Ok("https://a/base/...".into()));
        assert_eq!(reverse(&[b"fw", b"%2e%2e"]), Ok("https://a/base/%252e%252e".into()), "encoded once more");
    }

    #[test]
    fn queries_keep_their_arguments_apart() {
        let url = resolved(&[(11, b"fw"), (11, b"i"), (15, b"a=1&b"), (15, b"c=/?")]).unwrap().1;
        assert_eq!(url, "https://a/base/i?a=1%26b&c=/?");
    }

    #[test]
    fn forward_proxy_only_where_allowed() {
        let forward = |uri: &str| resolved(&[(option::PROXY_URI, uri.as_bytes())]);
        assert_eq!(forward("HTTPS://F:8443/x/i?q"), Ok((Target::Forward, "https://f:8443/x/i?q".into())));
        for uri in [
            "https://f:8443/i",
            "https://f/x/i",
            "http://f:8443/x/i",
            "https://f:8443/x/../y",
            "https://f:8443/x/%2e%2E/y",
            "https://f:8443/x/a%2fb",
            "https://u@f:8443/x/i",
            "https://f:8443@evil/x/i",
            "https://f:8443/x/i#f",
            "coap://f:8443/x/i",
            "https:///x/i",
            "not a uri",
            "\u{0}",
        ] {
            assert_eq!(forward(uri), Err(Code::PROXYING_NOT_SUPPORTED), "{uri}");
        }
    }

    #[test]
    fn proxy_scheme_is_composed_from_the_uri_options() {
        let options: &[(u16, &[u8])] = &[
            (option::URI_HOST, b"f"),
            (option::URI_PORT, &[0x20, 0xfb]),
            (11, b"x"),
            (11, b"i"),
            (39, b"https"),
        ];
        assert_eq!(resolved(options), Ok((Target::Forward, "https://f:8443/x/i".into())));
        assert_eq!(resolved(&[(11, b"x"), (39, b"https")]), Err(Code::PROXYING_NOT_SUPPORTED));
    }

    #[test]
    fn one_spelling() {
        assert_eq!(canonical_url("HTTPS://Host:443"), Some("https://host/".into()));
        assert_eq!(canonical_url("http://[2001:DB8::1]:80/a?b"), Some("http://[2001:db8::1]/a?b".into()));
        assert_eq!(canonical_url("https://h/%zz"), Some("https://h/%zz".into()));
        assert_eq!(canonical_url("/relative"), None);
    }
}
