//! The header fields that a fetch sends and reads (RFC 9110).

use http::header::{
    CONTENT_ENCODING, CONTENT_RANGE, CONTENT_TYPE, DATE, ETAG, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE,
    LAST_MODIFIED, LOCATION, RANGE, RETRY_AFTER,
};
use http::{HeaderMap, HeaderName, HeaderValue};
use sixfold_engine::Validator;
use std::time::{Duration, SystemTime};

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

/// The validator of a representation: its ETag if it has a proper one, else its Last-Modified date.
pub(super) fn validator(headers: &HeaderMap) -> Option<Validator> {
    let tag = text(headers, ETAG).and_then(|tag| match tag.strip_prefix("W/") {
        Some(weak) => is_opaque_tag(weak).then(|| Validator::Weak(weak.to_owned())),
        None => is_opaque_tag(tag).then(|| Validator::Strong(tag.to_owned())),
    });
    tag.or_else(|| text(headers, LAST_MODIFIED).map(|date| Validator::LastModified(date.to_owned())))
}

/// RFC 9110 §8.8.3.
fn is_opaque_tag(tag: &str) -> bool {
    let inner = tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"'));
    inner.is_some_and(|inner| inner.bytes().all(|byte| byte > b' ' && byte != b'"' && byte != 0x7f))
}

pub(super) fn media_type(headers: &HeaderMap) -> Option<String> {
    text(headers, CONTENT_TYPE).map(str::to_owned)
}

pub(super) fn location(headers: &HeaderMap) -> Option<&str> {
    text(headers, LOCATION)
}

/// The body is the representation itself, not a compressed form of it.
pub(super) fn is_identity(headers: &HeaderMap) -> bool {
    headers.get_all(CONTENT_ENCODING).iter().all(|value| value.as_bytes().eq_ignore_ascii_case(b"identity"))
}

/// A satisfied Content-Range of bytes with a known total (RFC 9110 §14.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ContentRange {
    pub(super) start: u64,
    /// The first byte that is not in the part.
    pub(super) end: u64,
    pub(super) total: u64,
}

pub(super) fn content_range(headers: &HeaderMap) -> Option<ContentRange> {
    let (unit, rest) = text(headers, CONTENT_RANGE)?.split_once(' ')?;
    let (range, total) = rest.trim().split_once('/')?;
    let (start, last) = range.split_once('-')?;
    let number =
        |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?;
    let (start, last, total): (u64, u64, u64) = (number(start)?, number(last)?, number(total)?);
    let fits = unit.eq_ignore_ascii_case("bytes") && start <= last && last < total;
    fits.then_some(ContentRange { start, end: last + 1, total })
}

/// How long the origin wants to be left alone (RFC 9110 §10.2.3). A date counts from the origin's own clock.
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = text(headers, RETRY_AFTER)?.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = |text| httpdate::parse_http_date(text).ok();
    let now = text(headers, DATE).and_then(date).unwrap_or_else(SystemTime::now);
    Some(date(value)?.duration_since(now).unwrap_or_default())
}

/// Asks for the representation only if it is another version (RFC 9110 §13).
pub(super) fn ask_if_changed(headers: &mut HeaderMap, have: &Validator) {
    let (name, value) = match have {
        Validator::Strong(tag) => (IF_NONE_MATCH, HeaderValue::from_str(tag)),
        Validator::Weak(tag) => (IF_NONE_MATCH, HeaderValue::from_str(&format!("W/{tag}"))),
        Validator::LastModified(date) => (IF_MODIFIED_SINCE, HeaderValue::from_str(date)),
    };
    if let Ok(value) = value {
        headers.insert(name, value);
    }
}

/// Asks for the rest from byte `start` if the strong `tag` still names the version, else for all of it
/// (RFC 9110 §13.1.5).
pub(super) fn ask_for_rest(headers: &mut HeaderMap, start: u64, tag: &str) {
    if let (Ok(range), Ok(tag)) =
        (HeaderValue::from_str(&format!("bytes={start}-")), HeaderValue::from_str(tag))
    {
        headers.insert(RANGE, range);
        headers.insert(IF_RANGE, tag);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(name: HeaderName, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_static(value))])
    }

    #[test]
    fn validators_as_received() {
        for (tag, expected) in [
            ("\"abc\"", Some(Validator::Strong("\"abc\"".into()))),
            ("W/\"abc\"", Some(Validator::Weak("\"abc\"".into()))),
            ("\"\"", Some(Validator::Strong("\"\"".into()))),
            ("abc", None),
            ("\"", None),
            ("\"a\"b\"", None),
            ("w/\"abc\"", None),
        ] {
            assert_eq!(validator(&one(ETAG, tag)), expected, "{tag}");
        }
        let mut headers = one(LAST_MODIFIED, "some day");
        assert_eq!(validator(&headers), Some(Validator::LastModified("some day".into())));
        headers.insert(ETAG, HeaderValue::from_static("\"1\""));
        assert_eq!(validator(&headers), Some(Validator::Strong("\"1\"".into())));
    }

    #[test]
    fn only_a_whole_content_range_counts() {
        for (value, expected) in [
            ("bytes 5-9/10", Some((5, 10, 10))),
            ("Bytes 0-0/1", Some((0, 1, 1))),
            ("bytes 5-9/*", None),
            ("bytes */10", None),
            ("bytes 5-10/10", None),
            ("bytes 9-5/10", None),
            ("bytes +5-9/10", None),
            ("items 5-9/10", None),
            ("bytes 5-9", None),
            ("bytes 0-18446744073709551615/18446744073709551616", None),
            ("bytes 0-18446744073709551614/18446744073709551615", Some((0, u64::MAX, u64::MAX))),
        ] {
            let range = content_range(&one(CONTENT_RANGE, value));
            assert_eq!(range.map(|range| (range.start, range.end, range.total)), expected, "{value}");
        }
    }

    #[test]
    fn retry_after_in_seconds_or_as_a_date_by_the_clock_of_the_origin() {
        assert_eq!(retry_after(&one(RETRY_AFTER, "7")), Some(Duration::from_secs(7)));
        assert_eq!(retry_after(&one(RETRY_AFTER, "soon")), None);
        let mut headers = one(RETRY_AFTER, "Sun, 06 Nov 1994 08:50:00 GMT");
        assert_eq!(retry_after(&headers), Some(Duration::ZERO), "long ago by our clock");
        headers.insert(DATE, HeaderValue::from_static("Sun, 06 Nov 1994 08:49:37 GMT"));
        assert_eq!(retry_after(&headers), Some(Duration::from_secs(23)));
    }

    #[test]
    fn questions_use_the_validator_as_received() {
        let asked = |have: Validator| {
            let mut headers = HeaderMap::new();
            ask_if_changed(&mut headers, &have);
            headers
        };
        assert_eq!(asked(Validator::Strong("\"1\"".into()))[IF_NONE_MATCH], "\"1\"");
        assert_eq!(asked(Validator::Weak("\"1\"".into()))[IF_NONE_MATCH], "W/\"1\"");
        assert_eq!(asked(Validator::LastModified("then".into()))[IF_MODIFIED_SINCE], "then");
        assert!(asked(Validator::LastModified("a\nb".into())).is_empty());
        let mut headers = HeaderMap::new();
        ask_for_rest(&mut headers, 12, "\"1\"");
        assert_eq!(
            (&headers[RANGE], &headers[IF_RANGE]),
            (&"bytes=12-".parse().unwrap(), &"\"1\"".parse().unwrap())
        );
    }
}
