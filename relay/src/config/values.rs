//! From a TOML value to a type that cannot be wrong. Each function says what is wrong and what would be right.

use super::DirectoryUri;
use bytesize::ByteSize;
use http::Uri;
use sixfold_profile::coap::{Szx, params};
use sixfold_profile::parity::SMALLEST;
use std::fmt::Display;
use std::net::{Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;
use toml::de::{DeArray, DeValue};

/// What a reader of a value returns.
pub(super) type Outcome<T> = Result<T, String>;

/// No duration in the configuration is longer: RFC 9111 §1.2.2 caps delta-seconds far above.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 3600);

/// Nothing that is counted in the configuration is counted further: tables are made for some of it at the start.
const MOST: u64 = 1_000_000;

/// Bytes in the longest name of an interface (IFNAMSIZ, less the NUL).
const LONGEST_INTERFACE: usize = 15;

pub(super) fn text(value: &DeValue<'_>) -> Outcome<String> {
    value.as_str().map(str::to_owned).ok_or_else(|| wrong(value, "a string in quotes"))
}

pub(super) fn optional_text(value: &DeValue<'_>) -> Outcome<Option<String>> {
    text(value).map(|text| Some(text).filter(|text| !text.is_empty()))
}

/// The name of an interface as Linux allows it; "" is none.
pub(super) fn interface(value: &DeValue<'_>) -> Outcome<Option<String>> {
    let name = optional_text(value)?;
    let impossible = |name: &String| {
        name.len() > LONGEST_INTERFACE
            || matches!(name.as_str(), "." | "..")
            || name.contains(|c: char| c == '/' || c == ':' || c.is_whitespace() || c.is_control())
    };
    match name {
        Some(name) if impossible(&name) => Err(format!(
            "\"{}\" can be no interface: 1 to {LONGEST_INTERFACE} bytes without space, slash or colon; \
             \"ip link\" lists those that there are",
            name.escape_debug()
        )),
        name => Ok(name),
    }
}

pub(super) fn path(value: &DeValue<'_>) -> Outcome<Option<PathBuf>> {
    optional_text(value).map(|text| text.map(PathBuf::from))
}

pub(super) fn flag(value: &DeValue<'_>) -> Outcome<bool> {
    value.as_bool().ok_or_else(|| wrong(value, "true or false"))
}

/// A whole number up to [`MOST`].
pub(super) fn number<T: TryFrom<u64>>(value: &DeValue<'_>) -> Outcome<T> {
    between(value, 0, MOST)
}

pub(super) fn positive<T: TryFrom<u64>>(value: &DeValue<'_>) -> Outcome<T> {
    match integer(value) {
        Some(0) => Err("0 would refuse everything; give at least 1".into()),
        _ => between(value, 1, MOST),
    }
}

fn between<T: TryFrom<u64>>(value: &DeValue<'_>, least: u64, most: u64) -> Outcome<T> {
    let range = format!("{least} to {most}");
    let number = whole(value, "a whole number", &range)?;
    let number = Some(number).filter(|number| (least..=most).contains(number));
    number.and_then(|number| T::try_from(number).ok()).ok_or_else(|| out_of_range(value, &range))
}

/// A whole number between two others.
pub(super) fn within<T: TryFrom<u64> + PartialOrd + Display>(
    value: &DeValue<'_>,
    range: RangeInclusive<T>,
) -> Outcome<T> {
    let shown = format!("{} to {}", range.start(), range.end());
    let number = T::try_from(whole(value, "a whole number", &shown)?).ok();
    number.filter(|number| range.contains(number)).ok_or_else(|| out_of_range(value, &shown))
}

/// An integer that is not negative; `right` is what a value of another type should be, `range` what an integer should.
fn whole(value: &DeValue<'_>, right: &str, range: &str) -> Outcome<u64> {
    if value.as_integer().is_none() {
        return Err(wrong(value, right));
    }
    integer(value).ok_or_else(|| out_of_range(value, range))
}

fn out_of_range(value: &DeValue<'_>, range: &str) -> String {
    let shown = value.as_integer().map_or("it", |integer| integer.as_str());
    format!("{shown} is out of range; give {range}")
}

fn integer(value: &DeValue<'_>) -> Option<u64> {
    let integer = value.as_integer()?;
    u64::from_str_radix(integer.as_str(), integer.radix()).ok()
}

/// Bytes: a number, or a string like "16 MiB".
pub(super) fn size(value: &DeValue<'_>) -> Outcome<u64> {
    let example = "a size like \"16 MiB\", \"512 KiB\" or a number of bytes";
    let bytes = match value.as_str() {
        Some(text) => ByteSize::from_str(text)
            .map_err(|_| format!("\"{}\" is not {example}", text.escape_debug()))?
            .as_u64(),
        None => whole(value, example, example)?,
    };
    if bytes == 0 { Err("0 bytes hold nothing; give a size above zero".into()) } else { Ok(bytes) }
}

/// A string like "30 s".
pub(super) fn duration(value: &DeValue<'_>) -> Outcome<Duration> {
    let example = "a duration like \"250 ms\", \"30 s\", \"5 min\" or \"7 d\"";
    let text = value.as_str().ok_or_else(|| wrong(value, example))?;
    let duration = humantime::parse_duration(text)
        .map_err(|_| format!("\"{}\" is not {example}", text.escape_debug()))?;
    if duration > LONGEST { Err("longer than a year; give a year at most".into()) } else { Ok(duration) }
}

pub(super) fn optional_duration(value: &DeValue<'_>) -> Outcome<Option<Duration>> {
    duration(value).map(Some)
}

pub(super) fn positive_duration(value: &DeValue<'_>) -> Outcome<Duration> {
    match duration(value)? {
        Duration::ZERO => Err("0 would end every wait at once; give a time above zero".into()),
        duration => Ok(duration),
    }
}

/// Those of RFC 7959.
const SIZES: &str = "16, 32, 64, 128, 256, 512 or 1024 (RFC 7959)";

pub(super) fn block_size(value: &DeValue<'_>) -> Outcome<Szx> {
    let bytes = whole(value, "a whole number", SIZES)?;
    usize::try_from(bytes)
        .ok()
        .and_then(Szx::from_size)
        .ok_or_else(|| format!("{bytes} is no block size; give {SIZES}"))
}

/// A block size that a stream can have.
pub(super) fn stream_block_size(value: &DeValue<'_>) -> Outcome<Szx> {
    let size = block_size(value)?;
    if size >= SMALLEST { Ok(size) } else { Err("streams have blocks of 64 bytes or more".into()) }
}

/// A multicast address whose scope leaves this host and is known (RFC 7346), and which is not that of every node or router.
pub(super) fn group(value: &DeValue<'_>) -> Outcome<Ipv6Addr> {
    let text = text(value)?;
    let is_group = |address: &Ipv6Addr| {
        let [first, flags_and_scope, rest @ .., last] = address.octets();
        let is_for_all = flags_and_scope & 0xf0 == 0 && rest == [0; 13] && matches!(last, 1 | 2);
        first == 0xff && matches!(flags_and_scope & 0xf, 2..=5 | 8 | 14) && !is_for_all
    };
    text.parse().ok().filter(is_group).ok_or_else(|| {
        format!("\"{}\" is no IPv6 multicast address like \"ff02::fd\" or \"ff03::fd\"", text.escape_debug())
    })
}

pub(super) fn address(value: &DeValue<'_>) -> Outcome<SocketAddr> {
    let text = text(value)?;
    text.parse().map_err(|_| {
        format!(
            "\"{}\" is not an address and port like \"[::]:5683\" or \"192.0.2.1:5683\"",
            text.escape_debug()
        )
    })
}

pub(super) fn optional_address(value: &DeValue<'_>) -> Outcome<Option<SocketAddr>> {
    if value.as_str() == Some("") { Ok(None) } else { address(value).map(Some) }
}

/// A list of at least `least` entries.
/// A `coap` URI of a directory: `coap://rd.example`, `coap://[2001:db8::5]:5683/rd`. "" is none.
pub(super) fn directory_uri(value: &DeValue<'_>) -> Outcome<Option<DirectoryUri>> {
    let Some(text) = optional_text(value)? else { return Ok(None) };
    let uri = coap_uri(&text)?;
    let host = uri.host().unwrap_or_default().to_owned();
    let path = uri.path().trim_start_matches('/').to_owned();
    Ok(Some(DirectoryUri { host, port: uri.port_u16().unwrap_or(params::PORT), path }))
}

/// A `coap` URI without a path, or "".
pub(super) fn base_uri(value: &DeValue<'_>) -> Outcome<String> {
    let base = text(value)?;
    if !base.is_empty() && !matches!(coap_uri(&base)?.path(), "" | "/") {
        return Err(format!("\"{}\" has a path; write \"coap://host\"", base.escape_debug()));
    }
    Ok(base.trim_end_matches('/').to_owned())
}

fn coap_uri(text: &str) -> Outcome<Uri> {
    let uri: Option<Uri> = text.parse().ok().filter(|uri: &Uri| {
        let host = uri.host().is_some_and(|host| !host.is_empty());
        host && uri.scheme_str() == Some("coap") && uri.query().is_none() && !text.contains(['#', '@', '%'])
    });
    uri.ok_or_else(|| {
        format!("\"{}\" is no coap URI without query; write \"coap://[2001:db8::5]\"", text.escape_debug())
    })
}

/// The name of an endpoint in a directory (RFC 9176 section 5): at most 63 bytes.
pub(super) fn endpoint(value: &DeValue<'_>) -> Outcome<String> {
    let name = text(value)?;
    if name.len() > 63 || name.contains(|c: char| c.is_control()) {
        return Err("has more than 63 bytes, or control characters; choose a shorter name".to_owned());
    }
    Ok(name)
}

/// A name of this machine in the DNS, as far as the admin server has to know it again.
pub(super) fn host(value: &DeValue<'_>) -> Outcome<String> {
    let name = text(value)?;
    // The root may be written, as in "relay.example.com.".
    let name = name.strip_suffix('.').unwrap_or(&name).to_owned();
    let is_label = |label: &str| {
        !label.is_empty() && label.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
    };
    if !name.split('.').all(is_label) {
        return Err(
            "is no host name; give it without scheme and port, such as \"relay.example.com\"".to_owned()
        );
    }
    Ok(name)
}

pub(super) fn entries<'v, 't>(value: &'v DeValue<'t>, least: usize) -> Outcome<&'v DeArray<'t>> {
    let array = value.as_array().ok_or_else(|| wrong(value, "a list in brackets"))?;
    if array.len() < least {
        return Err("the list is empty; give at least one entry".into());
    }
    Ok(array)
}

pub(super) fn one_of<T: Copy>(value: &DeValue<'_>, choices: &[(&str, T)]) -> Outcome<T> {
    let names = || choices.iter().map(|(name, _)| format!("\"{name}\"")).collect::<Vec<_>>().join(", ");
    let found = value.as_str().and_then(|text| choices.iter().find(|(name, _)| *name == text));
    found.map(|(_, choice)| *choice).ok_or_else(|| wrong(value, &format!("one of {}", names())))
}

fn wrong(value: &DeValue<'_>, right: &str) -> String {
    match value.as_str() {
        Some(text) => format!("\"{}\" is not {right}", text.escape_debug()),
        None => format!("this is of type {}; give {right}", value.type_str()),
    }
}
