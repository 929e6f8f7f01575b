//! Asks the admin address of a running relay, and says what is wrong when it does not answer.

use super::status::printable;
use anyhow::{Context, anyhow, bail};
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST};
use http::{Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use std::time::Duration;
use tokio::net::TcpStream;

/// How long the whole answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// The longest answer that is taken: the longest page with the longest URLs stays below.
const MAX_ANSWER: usize = 4 << 20;

/// The admin address of a relay, as a command line names it: an `http` URL with a host.
///
/// # Errors
/// What it is instead, and what to write.
pub fn admin_url(url: &str) -> Result<String, String> {
    below(url, "/").map(|_| url.to_owned())
}

/// The URI of a path and query on an admin address, which may be given with or without that path.
///
/// # Errors
/// When `url` is none.
pub(super) fn uri(url: &str, path_and_query: &str) -> anyhow::Result<Uri> {
    below(url, path_and_query).map_err(|mistake| anyhow!("operator: {mistake}"))
}

fn below(url: &str, path_and_query: &str) -> Result<Uri, String> {
    if !url.contains("://") {
        let host = if url.is_empty() { "[::1]:9683" } else { url };
        return Err(format!("{url:?} is no URL; write http://{host}"));
    }
    let path = path_and_query.split('?').next().unwrap_or_default();
    let base = url.trim_end_matches('/');
    let base = base.strip_suffix(path).unwrap_or(base);
    let uri: Uri = format!("{base}{path_and_query}").parse().map_err(|_| format!("{url:?} is not a URL"))?;
    if uri.scheme_str() != Some("http") {
        return Err(format!(
            "{url:?} is not an http:// URL; give the admin address, such as http://[::1]:9683"
        ));
    }
    Ok(uri)
}

/// GET.
///
/// # Errors
/// Who is not there, or is no relay, and what to check.
pub(super) async fn get(uri: &Uri) -> anyhow::Result<Bytes> {
    ask(uri, Request::get("/").body(Full::default())?).await
}

/// POST of a JSON text.
///
/// # Errors
/// As [`get`]; and what the relay has against it.
pub(super) async fn post(uri: &Uri, json: Vec<u8>) -> anyhow::Result<Bytes> {
    let request = Request::builder().method(Method::POST).header(CONTENT_TYPE, "application/json");
    ask(uri, request.body(Full::from(json))?).await
}

async fn ask(uri: &Uri, request: Request<Full<Bytes>>) -> anyhow::Result<Bytes> {
    tokio::time::timeout(PATIENCE, exchange(uri, request)).await.map_err(|_| {
        anyhow!(
            "relay: no answer from {uri} within {PATIENCE:?}; is this its admin address (admin.listen)? \
             --url or SIXFOLD_URL names another one"
        )
    })?
}

/// A connection of its own for one request: of a pool there would be nothing to reuse.
async fn exchange(uri: &Uri, mut request: Request<Full<Bytes>>) -> anyhow::Result<Bytes> {
    let (Some(authority), Some(path)) = (uri.authority(), uri.path_and_query()) else {
        bail!("operator: {uri} is not a URL with a host");
    };
    *request.uri_mut() = Uri::from(path.clone());
    request.headers_mut().insert(HOST, authority.as_str().rsplit('@').next().unwrap_or_default().parse()?);
    let host = authority.host().trim_matches(['[', ']']);
    let stream = TcpStream::connect((host, authority.port_u16().unwrap_or(80))).await.with_context(|| {
        format!(
            "operator: cannot ask {uri}: is the relay running, and is this its admin address (admin.listen)? \
             --url or SIXFOLD_URL names another one"
        )
    })?;
    let answer = async {
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        // It ends with the sender, or with the answer that it fails to read.
        tokio::spawn(connection);
        sender.send_request(request).await
    };
    let answer = answer.await.with_context(|| {
        format!(
            "operator: cannot ask {uri}: whoever listens there does not speak HTTP; the admin address is the one in \
             admin.listen; --url or SIXFOLD_URL names it"
        )
    })?;
    let code = answer.status();
    // The relay's own complaints are plain text. What somebody else has to say is nothing for a terminal.
    let kind = answer.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let is_plain = kind.starts_with("text/plain");
    let body = Limited::new(answer.into_body(), MAX_ANSWER).collect().await;
    let body = body.map_err(|error| anyhow!("relay: the answer from {uri} broke off: {error}"))?.to_bytes();
    let said = || printable(String::from_utf8_lossy(&body).trim());
    match code {
        StatusCode::OK => Ok(body),
        StatusCode::SERVICE_UNAVAILABLE if is_plain => bail!("{uri} answers: {}", said()),
        StatusCode::UNPROCESSABLE_ENTITY | StatusCode::FORBIDDEN | StatusCode::BAD_REQUEST if is_plain => {
            bail!("operator: {}", said())
        }
        StatusCode::MISDIRECTED_REQUEST if is_plain => bail!("{}", said()),
        _ => bail!(
            "operator: {uri} is not a relay's admin address: it answered {code}; --url or SIXFOLD_URL names another one"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_with_and_without_the_path() {
        for url in ["http://[::1]:9683", "http://[::1]:9683/", "http://[::1]:9683/api/status"] {
            assert_eq!(
                uri(url, "/api/status?limit=5&skip=0").unwrap(),
                "http://[::1]:9683/api/status?limit=5&skip=0"
            );
        }
        for url in ["[::1]:9683", "https://[::1]:9683", "", "http://", "coap://[::1]"] {
            assert!(uri(url, "/api/status").unwrap_err().to_string().starts_with("operator: "), "{url}");
            assert!(admin_url(url).is_err(), "{url}");
        }
        let complaint = uri("127.0.0.1:19683", "/api/status").unwrap_err().to_string();
        assert!(complaint.ends_with("write http://127.0.0.1:19683"), "{complaint}");
    }
}
