//! Asks a running relay for its status.

use super::tables::printable;
use super::{PATH, Page, Status};
use anyhow::{Context, anyhow, bail};
use bytes::Bytes;
use http::{StatusCode, Uri};
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
    let uri = status_uri(url, page)?;
    tokio::time::timeout(PATIENCE, ask(&uri)).await.map_err(|_| {
        anyhow!("relay: no answer from {uri} within {PATIENCE:?}; is this its admin address (admin.listen)?")
    })?
}

fn status_uri(url: &str, page: Page) -> anyhow::Result<Uri> {
    let base = url.trim_end_matches('/');
    let whole = if base.ends_with(PATH) { base.to_owned() } else { format!("{base}{PATH}") };
    let Page { limit, skip } = page;
    let uri: Uri = format!("{whole}?limit={limit}&skip={skip}")
        .parse()
        .with_context(|| format!("operator: {url:?} is not a URL"))?;
    if uri.scheme_str() != Some("http") {
        bail!("operator: {url:?} is not an http:// URL; give the admin address, such as http://[::1]:9683");
    }
    Ok(uri)
}

async fn ask(uri: &Uri) -> anyhow::Result<Status> {
    let client: Client<_, Empty<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    let answer = client.get(uri.clone()).await.map_err(|error| {
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
    match code {
        StatusCode::OK => serde_json::from_slice(&body)
            .with_context(|| format!("operator: {uri} is not the admin address of a relay of this version")),
        StatusCode::SERVICE_UNAVAILABLE => {
            bail!("{uri} answers: {}", printable(String::from_utf8_lossy(&body).trim()))
        }
        _ => bail!("operator: {uri} is not the admin address of a relay: it answered {code}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_with_and_without_the_path() {
        for url in ["http://[::1]:9683", "http://[::1]:9683/", "http://[::1]:9683/api/status"] {
            let page = Page { limit: 5, skip: 0 };
            assert_eq!(status_uri(url, page).unwrap(), "http://[::1]:9683/api/status?limit=5&skip=0");
        }
        for url in ["[::1]:9683", "https://[::1]:9683", "", "http://", "coap://[::1]"] {
            assert!(
                status_uri(url, Page::default()).unwrap_err().to_string().starts_with("operator: "),
                "{url}"
            );
        }
    }
}
