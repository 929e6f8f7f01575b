//! Asks a running relay for its status.

use super::tables::printable;
use super::{PATH, Page, SESSIONS_PATH, Status};
use anyhow::{Context, anyhow, bail};
use bytes::Bytes;
use http::{Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use std::time::Duration;

/// How long [`fetch`] waits for the whole answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// The longest answer that [`fetch`] takes: the longest page with the longest URLs stays below.
const MAX_ANSWER: usize = 4 << 20;

/// Asks a running relay. `url` is its admin address, such as `http://[::1]:9683`, with or without [`PATH`].
///
/// # Errors
/// Who is not there, or is no relay, and what to check.
pub async fn fetch(url: &str, page: Page) -> anyhow::Result<Status> {
    let Page { limit, skip } = page;
    let uri = admin_uri(url, PATH, &format!("limit={limit}&skip={skip}"))?;
    let (code, body) = ask(&uri, Method::GET).await?;
    match code {
        StatusCode::OK => serde_json::from_slice(&body)
            .with_context(|| format!("operator: {uri} is not the admin address of a relay of this version")),
        StatusCode::SERVICE_UNAVAILABLE => bail!("{uri} answers: {}", shown(&body)),
        _ => bail!("operator: {uri} is not the admin address of a relay: it answered {code}"),
    }
}

/// Ends the sessions of one device, or of all; how many there were.
///
/// # Errors
/// Who is not there, or does not do it, and what to check.
pub async fn revoke(url: &str, name: Option<&str>) -> anyhow::Result<usize> {
    let query = name.map_or_else(|| "all".to_owned(), |name| format!("name={}", encoded(name)));
    let uri = admin_uri(url, SESSIONS_PATH, &query)?;
    let (code, body) = ask(&uri, Method::DELETE).await?;
    let answer = shown(&body);
    match code {
        StatusCode::OK => answer
            .parse()
            .with_context(|| format!("operator: {uri} is not the admin address of a relay of this version")),
        _ => bail!("{uri} answers: {answer}"),
    }
}

fn shown(body: &[u8]) -> String {
    printable(String::from_utf8_lossy(body).trim())
}

/// A name in a query (RFC 3986 §2.1).
fn encoded(name: &str) -> String {
    let encode = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    name.bytes().map(encode).collect()
}

fn admin_uri(url: &str, path: &str, query: &str) -> anyhow::Result<Uri> {
    let base = url.trim_end_matches('/');
    let base = base.strip_suffix(PATH).unwrap_or(base);
    let uri: Uri =
        format!("{base}{path}?{query}").parse().with_context(|| format!("operator: {url:?} is not a URL"))?;
    if uri.scheme_str() != Some("http") {
        bail!("operator: {url:?} is not an http:// URL; give the admin address, such as http://[::1]:9683");
    }
    Ok(uri)
}

async fn ask(uri: &Uri, method: Method) -> anyhow::Result<(StatusCode, Bytes)> {
    tokio::time::timeout(PATIENCE, exchange(uri, method)).await.map_err(|_| {
        anyhow!("relay: no answer from {uri} within {PATIENCE:?}; is this its admin address (admin.listen)?")
    })?
}

async fn exchange(uri: &Uri, method: Method) -> anyhow::Result<(StatusCode, Bytes)> {
    let client: Client<_, Empty<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    let request = Request::builder().method(method).uri(uri).body(Empty::new())?;
    let answer = client.request(request).await.map_err(|error| {
        let hint = if error.is_connect() {
            "is the relay running, and is this its admin address (admin.listen)?"
        } else {
            "whoever listens there does not speak HTTP; the admin address is the one in admin.listen"
        };
        anyhow::Error::new(error).context(format!("operator: cannot ask {uri}: {hint}"))
    })?;
    let code = answer.status();
    let body = Limited::new(answer.into_body(), MAX_ANSWER).collect().await;
    let body = body.map_err(|error| anyhow!("relay: the answer from {uri} broke off: {error}"))?.to_bytes();
    Ok((code, body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_with_and_without_the_path() {
        for url in ["http://[::1]:9683", "http://[::1]:9683/", "http://[::1]:9683/api/status"] {
            assert_eq!(admin_uri(url, PATH, "skip=0").unwrap(), "http://[::1]:9683/api/status?skip=0");
            let name = format!("name={}", encoded("a b&all=ä"));
            let sessions = admin_uri(url, SESSIONS_PATH, &name).unwrap();
            assert_eq!(sessions, "http://[::1]:9683/api/sessions?name=a%20b%26all%3D%C3%A4");
        }
        for url in ["[::1]:9683", "https://[::1]:9683", "", "http://", "coap://[::1]"] {
            assert!(admin_uri(url, PATH, "").unwrap_err().to_string().starts_with("operator: "), "{url}");
        }
    }
}
