//! For how long a response may be used (RFC 9111, RFC 5861).
//!
//! The clock of a router is often wrong, so only differences count: `Age`, `max-age`, and `Expires` against the
//! `Date` of the same response. The engine counts from there with a monotonic clock.

use http::header::{CACHE_CONTROL, EXPIRES, PRAGMA};
use http::{HeaderMap, HeaderValue, Request, Response};
use http_cache_semantics::{CacheOptions, CachePolicy};
use sixfold_engine::Freshness;
use std::time::{Duration, SystemTime};

/// What is assumed if the origin says nothing. Long enough for a burst of devices to cause one request, short
/// enough that a new firmware is noticed in a minute. The usual heuristic, a tenth of the age since
/// Last-Modified, would hide an update of a year-old image for weeks.
const DEFAULT_MAX_AGE: Duration = Duration::from_secs(60);
/// More than a year means for ever (RFC 2616 §14.21), and stays within every clock's range.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);

/// Freshness that the operator prescribes in place of the origin's.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Overrides {
    pub(super) max_age: Option<Duration>,
    pub(super) stale_if_error: Option<Duration>,
}

impl Overrides {
    pub(super) fn apply(&self, freshness: Freshness) -> Freshness {
        Freshness {
            max_age: self.max_age.unwrap_or(freshness.max_age).min(LONGEST),
            stale_if_error: self.stale_if_error.unwrap_or(freshness.stale_if_error).min(LONGEST),
        }
    }
}

/// The freshness that the headers of a 200 or 304 grant to a shared cache, counted from now, and whether the
/// response may be written to disk.
pub(super) fn granted(headers: &HeaderMap) -> (Freshness, bool) {
    let headers = lower_case_directives(headers);
    let now = SystemTime::now();
    let policy = policy(&headers, now);
    let max_age = if says_how_long(&headers) {
        policy.time_to_live(now)
    } else {
        DEFAULT_MAX_AGE.saturating_sub(policy.age(now))
    };
    if !policy.is_storable() {
        return (Freshness::default(), false);
    }
    let stale_if_error = if must_validate(&headers) { Duration::ZERO } else { stale_if_error(&headers) };
    (Freshness { max_age, stale_if_error }, true)
}

/// A 304 grants what a 200 with the same fields would (RFC 9111 §4.3.4), hence always status 200.
fn policy(headers: &HeaderMap, now: SystemTime) -> CachePolicy {
    let mut response = Response::new(());
    *response.headers_mut() = headers.clone();
    let options = CacheOptions { shared: true, cache_heuristic: 0.0, ..CacheOptions::default() };
    CachePolicy::new_options(&Request::new(()), &response, now, options)
}

/// Directives are case-insensitive (RFC 9111 §5.2), which not every reader of them respects.
fn lower_case_directives(headers: &HeaderMap) -> HeaderMap {
    let mut lowered = headers.clone();
    lowered.remove(CACHE_CONTROL);
    for value in headers.get_all(CACHE_CONTROL) {
        if let Ok(value) = HeaderValue::from_bytes(&value.as_bytes().to_ascii_lowercase()) {
            lowered.append(CACHE_CONTROL, value);
        }
    }
    lowered
}

fn says_how_long(headers: &HeaderMap) -> bool {
    const ABOUT_FRESHNESS: [&str; 6] =
        ["max-age", "s-maxage", "no-cache", "no-store", "private", "immutable"];
    headers.contains_key(EXPIRES)
        || headers.contains_key(PRAGMA)
        || directives(headers).any(|(name, _)| ABOUT_FRESHNESS.contains(&name))
}

/// RFC 9111 §4.2.4: these forbid to serve stale.
fn must_validate(headers: &HeaderMap) -> bool {
    directives(headers).any(|(name, _)| matches!(name, "must-revalidate" | "proxy-revalidate" | "no-cache"))
}

fn stale_if_error(headers: &HeaderMap) -> Duration {
    let value = directives(headers).find(|(name, _)| *name == "stale-if-error").map(|(_, value)| value);
    Duration::from_secs(value.and_then(|seconds| seconds.parse().ok()).unwrap_or(0))
}

fn directives(headers: &HeaderMap) -> impl Iterator<Item = (&str, &str)> {
    let values = headers.get_all(CACHE_CONTROL).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(|directive| {
        let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
        (name.trim(), value.trim().trim_matches('"'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let lines = lines.iter().copied();
        lines.map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn a_table_of_headers() {
        const DATE: (&str, &str) = ("date", "Sun, 06 Nov 1994 08:49:37 GMT");
        for (lines, max_age, stale_if_error, storable) in [
            (&[][..], 60, 0, true),
            (&[("age", "20")], 40, 0, true),
            (&[("age", "18446744073709551615")], 0, 0, true),
            (&[("last-modified", "Sun, 06 Nov 1994 08:49:37 GMT")], 60, 0, true),
            (&[("cache-control", "public")], 60, 0, true),
            (&[("cache-control", "stale-if-error=86400")], 60, 86400, true),
            (&[("cache-control", "max-age=300")], 300, 0, true),
            (&[("cache-control", "Max-Age=300, Stale-If-Error=7")], 300, 7, true),
            (&[("cache-control", "max-age=300"), ("age", "100")], 200, 0, true),
            (&[("cache-control", "max-age=300"), ("age", "400")], 0, 0, true),
            (&[("cache-control", "max-age=300, s-maxage=30")], 30, 0, true),
            (&[("cache-control", "max-age=300, stale-if-error=\"60\"")], 300, 60, true),
            (&[("cache-control", "max-age=5"), ("cache-control", "stale-if-error=6")], 5, 6, true),
            (&[("cache-control", "max-age=5, must-revalidate, stale-if-error=6")], 5, 0, true),
            (&[("cache-control", "no-cache, stale-if-error=6")], 0, 0, true),
            (&[("cache-control", "no-store, max-age=300, stale-if-error=6")], 0, 0, false),
            (&[("cache-control", "private, max-age=300")], 0, 0, false),
            (&[("cache-control", "max-age=nonsense")], 0, 0, true),
            (&[("cache-control", "immutable")], 86400, 0, true),
            (&[("pragma", "no-cache")], 0, 0, true),
            (&[("vary", "*"), ("cache-control", "max-age=9")], 0, 0, true),
            (&[("expires", "0")], 0, 0, true),
            // The clock of the machine does not matter.
            (&[DATE, ("expires", "Sun, 06 Nov 1994 08:51:17 GMT")], 100, 0, true),
        ] {
            let (freshness, may_store) = granted(&headers(lines));
            let expected = Freshness {
                max_age: Duration::from_secs(max_age),
                stale_if_error: Duration::from_secs(stale_if_error),
            };
            assert_eq!((freshness, may_store), (expected, storable), "{lines:?}");
        }
    }

    #[test]
    fn the_operator_has_the_last_word_within_a_year() {
        let origin = Freshness { max_age: Duration::MAX, stale_if_error: Duration::from_secs(1) };
        assert_eq!(Overrides::default().apply(origin), Freshness { max_age: LONGEST, ..origin });
        let seconds = |s| Some(Duration::from_secs(s));
        let overrides = Overrides { max_age: seconds(7), stale_if_error: seconds(8) };
        assert_eq!(
            overrides.apply(origin),
            Freshness { max_age: Duration::from_secs(7), stale_if_error: Duration::from_secs(8) }
        );
    }
}
