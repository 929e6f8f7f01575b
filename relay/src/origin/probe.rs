//! One question to each origin, for an operator who wants to know whether it can be asked: no image, no retries.

use super::trouble::{Trouble, advice};
use super::{Origin, Origins, Settings, Traffic, fields, target};
use bytes::Bytes;
use http::header::{DATE, PROXY_AUTHORIZATION, USER_AGENT};
use http::{Method, Request, StatusCode, Uri};
use http_body_util::Empty;
use sixfold_engine::Failure;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::net::lookup_host;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

/// What became of the question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// The prefix of the origin.
    pub origin: String,
    /// The addresses that this machine finds for its name; nothing where it has no name, or a proxy looks for them.
    pub addresses: Option<Result<Vec<IpAddr>, String>>,
    /// What it answers, or what happened, and what to do.
    pub outcome: Result<Answer, (String, &'static str)>,
}

/// An answer, whatever it is: the connection works then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// The origin's clock when it answered (RFC 9110 section 6.6.1).
    pub date: Option<SystemTime>,
    /// Until when its certificate is valid, if it has one.
    pub certificate_end: Option<SystemTime>,
    /// Where it redirects to, if the relay does not go there: no origin of the configuration covers it.
    pub leads_astray: Option<String>,
}

impl Answer {
    /// What to do about its status, if that is what fetches get too.
    pub const fn advice(&self) -> &'static str {
        advice(Failure::Status(self.status.as_u16()))
    }
}

/// What to do when an origin redirects to where the relay does not go.
pub const REDIRECT_ADVICE: &str = advice(Failure::Redirect);

/// Whoever waits for the answer sits at a terminal.
const LONGEST: Duration = Duration::from_secs(10);

/// How many origins are asked at the same time.
const AT_ONCE: usize = 8;

/// Asks every origin for the head of its prefix, several at the same time, and hands over what became of each as soon as that is
/// known: after ten seconds, or what the settings allow if that is less.
///
/// # Errors
/// When the settings do not work at all, such as a certificate that cannot be read.
pub async fn probe(settings: Settings, mut take: impl FnMut(Probe)) -> Result<(), super::OriginSetupError> {
    // Several routes may have one origin.
    let names: BTreeSet<String> = settings.origins.iter().map(|origin| origin.prefix.clone()).collect();
    let limit = LONGEST.min(settings.timeouts.connect + settings.timeouts.headers);
    let traffic = Arc::<Traffic>::default();
    let origins = Arc::new(Origins::new(settings, &traffic)?);
    let turns = Arc::new(Semaphore::new(AT_ONCE));
    let mut asked = JoinSet::new();
    for name in names {
        let (turns, origins, traffic) = (turns.clone(), origins.clone(), traffic.clone());
        asked.spawn(async move {
            // The semaphore is never closed.
            let _turn = turns.acquire().await;
            probe_one(name, &origins, limit, &traffic).await
        });
    }
    while let Some(probe) = asked.join_next().await {
        // One that panicked has said so.
        probe.into_iter().for_each(&mut take);
    }
    Ok(())
}

async fn probe_one(name: String, origins: &Origins, limit: Duration, traffic: &Traffic) -> Probe {
    let end = Instant::now() + limit;
    let uri: Option<Uri> = name.parse().ok();
    let covered = uri.and_then(|uri| origins.covering(&uri).map(|origin| (uri, origin)));
    let mut addresses = None;
    let outcome = match covered {
        Some((uri, origin)) => {
            addresses = resolve(origins, &uri, end).await;
            ask(origins, origin, uri, end, traffic).await
        }
        None => Err(Trouble::new(Failure::NotConfigured, "no origin covers it")),
    };
    let outcome = outcome.map_err(|trouble| {
        let advice = trouble.advice();
        (trouble.detail, advice)
    });
    Probe { origin: name, addresses, outcome }
}

/// What to do when a name has no address.
pub const RESOLVE_ADVICE: &str = advice(Failure::Resolve);

async fn resolve(origins: &Origins, uri: &Uri, end: Instant) -> Option<Result<Vec<IpAddr>, String>> {
    let host = uri.host()?;
    let is_address = host.starts_with('[') || host.parse::<IpAddr>().is_ok();
    if is_address || origins.proxy.intercept(uri).is_some() {
        return None;
    }
    Some(match timeout_at(end, lookup_host((host, 0))).await {
        Ok(Ok(found)) => Ok(found.map(|address| address.ip()).collect::<BTreeSet<_>>().into_iter().collect()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("no answer within the time allowed".to_owned()),
    })
}

async fn ask(
    origins: &Origins,
    origin: &Origin,
    uri: Uri,
    end: Instant,
    traffic: &Traffic,
) -> Result<Answer, Trouble> {
    let authority = target::authority(&uri);
    let proxy = if uri.scheme_str() == Some("http") { origins.proxy.intercept(&uri) } else { None };
    let mut request = Request::new(Empty::<Bytes>::new());
    *request.method_mut() = Method::HEAD;
    *request.uri_mut() = uri.clone();
    request.headers_mut().insert(USER_AGENT, origins.user_agent.clone());
    if let Some(credentials) = proxy.as_ref().and_then(|proxy| proxy.basic_auth()) {
        request.headers_mut().insert(PROXY_AUTHORIZATION, credentials.clone());
    }
    match timeout_at(end, origin.client.request(request)).await {
        Ok(Ok(response)) => {
            let date = response.headers().get(DATE).and_then(|date| date.to_str().ok());
            let location =
                fields::location(response.headers()).filter(|_| response.status().is_redirection());
            let leads_astray = location.filter(|location| {
                let to = target::resolve(&uri, location);
                to.is_none_or(|to| origins.covering(&to).is_none())
            });
            Ok(Answer {
                leads_astray: leads_astray.map(str::to_owned),
                status: response.status(),
                date: date.and_then(|date| httpdate::parse_http_date(date).ok()),
                certificate_end: authority.and_then(|authority| traffic.certificates().of(&authority)),
            })
        }
        Ok(Err(error)) => Err(Trouble::diagnose(&error, Failure::Connect)),
        Err(_) => Err(Trouble::new(Failure::TimedOut, "no answer within the time allowed")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::origin::OriginSettings;
    use std::net::TcpListener;

    /// In virtual time: whoever is silent is given up then, and none waits for another.
    #[tokio::test(start_paused = true)]
    async fn silent_origins_take_ten_seconds_together() {
        let silent = TcpListener::bind("[::1]:0").unwrap();
        let address = silent.local_addr().unwrap();
        let origin = |name: &str| OriginSettings {
            prefix: format!("http://{address}/{name}/"),
            allow_http: true,
            ..OriginSettings::default()
        };
        let settings = Settings { origins: ["a", "b", "c"].map(origin).to_vec(), ..Settings::default() };
        let (start, mut probes) = (Instant::now(), Vec::new());
        probe(settings, |probe| probes.push(probe)).await.unwrap();
        assert!(start.elapsed() < LONGEST + Duration::from_secs(1), "{:?}", start.elapsed());
        assert_eq!(probes.len(), 3);
        for probe in probes {
            assert_eq!(probe.outcome.unwrap_err().0, "no answer within the time allowed");
        }
    }
}
