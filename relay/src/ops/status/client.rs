//! Asks a running relay for its status, and to end sessions.

use super::super::http;
use super::{PATH, Page, SESSIONS_PATH, Status};
use anyhow::Context;

/// Asks a running relay. `url` is its admin address, such as `http://[::1]:9683`, with or without [`PATH`].
///
/// # Errors
/// Who is not there, or is no relay, and what to check.
pub async fn fetch(url: &str, page: Page) -> anyhow::Result<Status> {
    let Page { limit, skip } = page;
    let uri = http::uri(url, &format!("{PATH}?limit={limit}&skip={skip}"))?;
    serde_json::from_slice(&http::get(&uri).await?)
        .with_context(|| format!("operator: {uri} is not the admin address of a relay of this version"))
}

/// Ends the sessions of one device, or of all; how many there were.
///
/// # Errors
/// Who is not there, or does not do it, and what to check.
pub async fn revoke(url: &str, name: Option<&str>) -> anyhow::Result<usize> {
    let query = name.map_or_else(|| "all".to_owned(), |name| format!("name={}", encoded(name)));
    let uri = http::uri(url, &format!("{SESSIONS_PATH}?{query}"))?;
    let answer = http::delete(&uri).await?;
    String::from_utf8_lossy(&answer)
        .trim()
        .parse()
        .with_context(|| format!("operator: {uri} is not the admin address of a relay of this version"))
}

/// A name in a query (RFC 3986 §2.1).
fn encoded(name: &str) -> String {
    let encode = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    name.bytes().map(encode).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_encoded() {
        assert_eq!(encoded("a b&all=\u{e4}"), "a%20b%26all%3D%C3%A4");
    }
}
