//! One question to each origin, for an operator who wants to know whether it can be asked: no image, no retries.

use super::trouble::{Trouble, advice};
use super::{Origin, Origins, Settings};
use bytes::Bytes;
use http::header::{PROXY_AUTHORIZATION, USER_AGENT};
use http::{Method, Request, StatusCode, Uri};
use http_body_util::Empty;
use sixfold_engine::Failure;
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::time::timeout;

/// What became of the question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// The prefix of the origin.
    pub origin: String,
    /// Its status, whatever it is: the connection works then. Otherwise what happened, and what to do.
    pub outcome: Result<StatusCode, (String, &'static str)>,
}

/// Asks every origin for the head of its prefix, one after the other.
///
/// # Errors
/// When the settings do not work at all, such as a certificate that cannot be read.
pub async fn probe(settings: Settings) -> Result<Vec<Probe>, super::OriginSetupError> {
    // Several routes may have one origin.
    let names: BTreeSet<String> = settings.origins.iter().map(|origin| origin.prefix.clone()).collect();
    let limit = settings.timeouts.connect + settings.timeouts.headers;
    let origins = Origins::new(settings)?;
    let mut probes = Vec::new();
    for name in names {
        let uri: Option<Uri> = name.parse().ok();
        let covered = uri.and_then(|uri| origins.covering(&uri).map(|origin| (uri, origin)));
        let outcome = match covered {
            Some((uri, origin)) => ask(&origins, origin, uri, limit).await,
            None => Err(Trouble::new(Failure::NotConfigured, "no origin covers it")),
        };
        let outcome = outcome.map_err(|trouble| (trouble.detail, advice(trouble.failure)));
        probes.push(Probe { origin: name, outcome });
    }
    Ok(probes)
}

async fn ask(origins: &Origins, origin: &Origin, uri: Uri, limit: Duration) -> Result<StatusCode, Trouble> {
    let proxy = if uri.scheme_str() == Some("http") { origins.proxy.intercept(&uri) } else { None };
    let mut request = Request::new(Empty::<Bytes>::new());
    *request.method_mut() = Method::HEAD;
    *request.uri_mut() = uri;
    request.headers_mut().insert(USER_AGENT, origins.user_agent.clone());
    if let Some(credentials) = proxy.as_ref().and_then(|proxy| proxy.basic_auth()) {
        request.headers_mut().insert(PROXY_AUTHORIZATION, credentials.clone());
    }
    match timeout(limit, origin.client.request(request)).await {
        Ok(Ok(response)) => Ok(response.status()),
        Ok(Err(error)) => Err(Trouble::diagnose(&error, Failure::Connect)),
        Err(_) => Err(Trouble::new(Failure::TimedOut, "no answer within the time allowed")),
    }
}
