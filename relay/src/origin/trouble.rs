//! What went wrong, whose fault it is, and whether asking again can help.

use super::distrust::{self, Explanation};
use rustls::CertificateError;
use sixfold_engine::Failure;
use std::error::Error;
use std::io;
use std::time::Duration;

/// Why an attempt failed.
#[derive(Debug)]
pub(super) struct Trouble {
    pub(super) failure: Failure,
    pub(super) retry: Retry,
    /// What exactly happened, for the log.
    pub(super) detail: String,
    /// What to do, where the kind of failure says too little.
    remedy: Option<&'static str>,
}

/// Whether, and how soon, to ask again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Retry {
    Never,
    /// After the usual back-off.
    Soon,
    /// The origin named a time (Retry-After).
    After(Duration),
}

impl Trouble {
    /// Worth another attempt if it is of the kind that passes by itself.
    pub(super) fn new(failure: Failure, detail: impl Into<String>) -> Self {
        let passes =
            matches!(failure, Failure::Resolve | Failure::Connect | Failure::TimedOut | Failure::Interrupted);
        Self {
            failure,
            retry: if passes { Retry::Soon } else { Retry::Never },
            detail: detail.into(),
            remedy: None,
        }
    }

    pub(super) fn retry(self, retry: Retry) -> Self {
        Self { retry, ..self }
    }

    /// Looks for the cause among the sources of an error; `otherwise` if none of them says more.
    pub(super) fn diagnose(error: &(dyn Error + 'static), otherwise: Failure) -> Self {
        let failure = sources(error).find_map(classify).unwrap_or(otherwise);
        if let Some((detail, remedy)) = sources(error).find_map(explain) {
            let detail = detail.unwrap_or_else(|| described(error));
            return Self { remedy: Some(remedy), ..Self::new(failure, detail) };
        }
        Self::new(failure, described(error))
    }

    /// Whose fault it is and what to do.
    pub(super) fn advice(&self) -> &'static str {
        self.remedy.unwrap_or_else(|| advice(self.failure))
    }

    /// What happened, and what to do.
    pub(super) fn complaint(&self) -> String {
        format!("{}; {}", self.detail, self.advice())
    }
}

/// Every cause once.
fn described(error: &(dyn Error + 'static)) -> String {
    let mut detail = String::new();
    for text in sources(error).map(ToString::to_string) {
        if !detail.contains(&text) {
            detail = if detail.is_empty() { text } else { format!("{detail}: {text}") };
        }
    }
    detail
}

/// A name that could not be resolved, so that it is not mistaken for a connection that failed.
#[derive(Debug)]
pub(super) struct ResolveError(pub(super) io::Error);

impl std::fmt::Display for ResolveError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl Error for ResolveError {}

/// The error, what it wraps, and so on. An I/O error hides what it wraps from `source`.
fn sources<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| {
        let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        wrapped.map(|wrapped| wrapped as &(dyn Error + 'static)).or_else(|| error.source())
    })
}

fn explain(error: &(dyn Error + 'static)) -> Option<Explanation> {
    match error.downcast_ref::<rustls::Error>()? {
        rustls::Error::InvalidCertificate(reason) => distrust::explain(reason),
        _ => None,
    }
}

fn classify(error: &(dyn Error + 'static)) -> Option<Failure> {
    if let Some(error) = error.downcast_ref::<rustls::Error>() {
        return Some(match error {
            rustls::Error::InvalidCertificate(
                CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. },
            ) => Failure::ClockBehind,
            rustls::Error::InvalidCertificate(_) => Failure::Certificate,
            _ => Failure::Tls,
        });
    }
    if error.is::<ResolveError>() {
        return Some(Failure::Resolve);
    }
    if error.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_parse) {
        return Some(Failure::Mismatch);
    }
    let timed_out = |error: &io::Error| error.kind() == io::ErrorKind::TimedOut;
    error.downcast_ref::<io::Error>().is_some_and(timed_out).then_some(Failure::TimedOut)
}

/// Whose fault it is and what to do, to follow the description of a failure in the log.
pub(super) const fn advice(failure: Failure) -> &'static str {
    match failure {
        Failure::Status(401) => {
            "the origin wants a name and password, and the relay has none to give: let it in there by its client certificate \
             (client_cert_file) or its address"
        }
        Failure::Status(403) => {
            "the origin denies access: operator, check the client certificate of the route and the permissions there"
        }
        Failure::Status(407) => {
            "the proxy before the origin wants a name and password: operator, write them into the URL in HTTPS_PROXY or HTTP_PROXY"
        }
        Failure::Status(404 | 410) => {
            "the origin does not have it: upload it there, or correct the route or the path that the device asks for"
        }
        Failure::Status(429) => {
            "the origin limits its clients: wait, or put a common HTTP cache before the relays"
        }
        Failure::Status(400..=499) => "the origin rejects the request: check the route and the origin's log",
        Failure::Status(500..=599) => "the origin is in trouble: whoever runs it finds more in its log",
        Failure::Status(_) => {
            "the origin answers with a status that makes no sense for this request: check its setup"
        }
        Failure::Resolve => {
            "operator, check the host name in the configuration and this machine's name server"
        }
        Failure::Connect => {
            "the origin, or the proxy before it, does not accept connections: check that it runs, the network and the firewall"
        }
        Failure::Tls => {
            "TLS could not be agreed on: the origin must speak TLS 1.2 or 1.3, and may demand a client certificate"
        }
        Failure::Certificate => {
            "the origin's certificate is not trusted: renew it if it expired or names another host, or set ca_file"
        }
        Failure::ClockBehind => {
            "the origin's certificate is not valid yet: most likely this machine's clock is behind; set it, or wait for NTP"
        }
        Failure::TimedOut => "the origin or the network is too slow or silent: check both",
        Failure::Interrupted => {
            "the origin or the network broke off the transfer again and again: check both"
        }
        Failure::TooLarge => {
            "it is longer than cache.max_object: operator, raise the limit if this length is right"
        }
        Failure::Mismatch => {
            "the origin, or a proxy before it, sends an answer that contradicts itself or the request"
        }
        Failure::Redirect => {
            "the origin redirects too often or to an origin that the configuration does not name: \
             add that one, or correct the URL"
        }
        Failure::NotConfigured => {
            "no configured origin covers this URL: operator, add a route or an entry of proxy.forward"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(error: impl Error + 'static) -> (Failure, Retry) {
        let trouble = Trouble::diagnose(&error, Failure::Connect);
        (trouble.failure, trouble.retry)
    }

    #[test]
    fn the_cause_is_found_however_deep_it_is() {
        let wrap = |error| io::Error::other(io::Error::new(io::ErrorKind::InvalidData, error));
        let certificate = |error| wrap(rustls::Error::InvalidCertificate(error));
        assert_eq!(failure(certificate(CertificateError::NotValidYet)), (Failure::ClockBehind, Retry::Never));
        assert_eq!(failure(certificate(CertificateError::Expired)), (Failure::Certificate, Retry::Never));
        assert_eq!(failure(wrap(rustls::Error::DecryptError)), (Failure::Tls, Retry::Never));
        assert_eq!(failure(io::Error::from(io::ErrorKind::TimedOut)), (Failure::TimedOut, Retry::Soon));
        assert_eq!(
            failure(io::Error::other(ResolveError(io::ErrorKind::TimedOut.into()))),
            (Failure::Resolve, Retry::Soon)
        );
        assert_eq!(
            failure(io::Error::from(io::ErrorKind::ConnectionRefused)),
            (Failure::Connect, Retry::Soon)
        );
    }

    #[test]
    fn the_detail_has_every_cause_once() {
        let error = io::Error::other(io::Error::other("the disk is on fire"));
        assert_eq!(Trouble::diagnose(&error, Failure::Connect).detail, "the disk is on fire");
        let error = ResolveError(io::Error::other("no such host"));
        assert_eq!(Trouble::diagnose(&error, Failure::Connect).detail, "no such host");
    }
}
