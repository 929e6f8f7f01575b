//! The demonstration's HTTPS origin: one image at every path, a certificate made for the occasion, loopback only.
//!
//! It speaks HTTP/1.1 with strong validators, conditional requests and single byte ranges, and counts what it
//! sends. It is no web server: whoever wants one uses nginx.

use bytes::Bytes;
use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_RANGE, CONTENT_TYPE, ETAG, IF_NONE_MATCH, IF_RANGE, RANGE,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use sha2::{Digest, Sha256};
use sixfold_profile::Hex;
use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

/// A running origin. Stops, with all of its connections, when dropped.
#[derive(Debug)]
pub struct DemoOrigin {
    address: SocketAddr,
    ca_pem: String,
    service: Arc<Service>,
    task: AbortHandle,
}

/// Starts an origin for `image` on a free port of the loopback interface.
pub async fn start(image: Bytes) -> io::Result<DemoOrigin> {
    let listener = match TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).await {
        Ok(listener) => listener,
        Err(_) => TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?,
    };
    let address = listener.local_addr()?;
    let (ca_pem, tls) = certificates(address).map_err(io::Error::other)?;
    let service = Arc::new(Service::new(image));
    let task = tokio::spawn(accept(listener, TlsAcceptor::from(Arc::new(tls)), Arc::clone(&service)));
    Ok(DemoOrigin { address, ca_pem, service, task: task.abort_handle() })
}

impl DemoOrigin {
    /// `https://[::1]:port/`; the image is at every path below.
    pub fn url(&self) -> String {
        format!("https://{}/", self.address)
    }

    /// The certificate to trust.
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// Requests answered.
    pub fn requests(&self) -> u64 {
        self.service.requests.load(Ordering::Relaxed)
    }

    /// Bytes of all bodies sent.
    pub fn body_bytes(&self) -> u64 {
        self.service.body_bytes.load(Ordering::Relaxed)
    }
}

impl Drop for DemoOrigin {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A fresh authority, and a server certificate of it for this address.
fn certificates(
    address: SocketAddr,
) -> Result<(String, ServerConfig), Box<dyn std::error::Error + Send + Sync>> {
    let mut authority = CertificateParams::new(Vec::new())?;
    authority.distinguished_name.push(DnType::CommonName, "Sixfold demonstration authority");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;
    let key = KeyPair::generate()?;
    let mut server = CertificateParams::new(vec![address.ip().to_string(), "localhost".to_owned()])?;
    server.distinguished_name.push(DnType::CommonName, "Sixfold demonstration origin");
    let chain = vec![server.signed_by(&key, &authority)?.der().clone()];
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let tls = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    Ok((authority.pem(), tls))
}

async fn accept(listener: TcpListener, tls: TlsAcceptor, service: Arc<Service>) {
    let mut connections = JoinSet::new();
    while let Ok((connection, _)) = listener.accept().await {
        connections.spawn(serve(connection, tls.clone(), Arc::clone(&service)));
        while connections.try_join_next().is_some() {}
    }
}

/// A connection that breaks is the client's affair: it asks again.
async fn serve(connection: TcpStream, tls: TlsAcceptor, service: Arc<Service>) {
    let Ok(connection) = tls.accept(connection).await else { return };
    let answer = service_fn(move |request: Request<_>| {
        let response = service.answer(request.method(), request.headers());
        async move { Ok::<_, Infallible>(response) }
    });
    let _ = http1::Builder::new().serve_connection(TokioIo::new(connection), answer).await;
}

#[derive(Debug)]
struct Service {
    image: Bytes,
    etag: HeaderValue,
    requests: AtomicU64,
    body_bytes: AtomicU64,
}

impl Service {
    fn new(image: Bytes) -> Self {
        let digest = Sha256::digest(&image);
        let digest = Hex(digest.get(..8).unwrap_or(&digest));
        let etag =
            HeaderValue::from_str(&format!("\"{digest}\"")).unwrap_or(HeaderValue::from_static("\"\""));
        Self { image, etag, requests: AtomicU64::new(0), body_bytes: AtomicU64::new(0) }
    }

    fn answer(&self, method: &Method, headers: &HeaderMap) -> Response<Full<Bytes>> {
        let (status, body, range) = self.select(method, headers);
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.body_bytes.fetch_add(body.len() as u64, Ordering::Relaxed);
        let mut response = Response::new(Full::new(body));
        *response.status_mut() = status;
        let fixed: [(HeaderName, HeaderValue); 4] = [
            (ETAG, self.etag.clone()),
            (ACCEPT_RANGES, HeaderValue::from_static("bytes")),
            (CACHE_CONTROL, HeaderValue::from_static("max-age=60")),
            (CONTENT_TYPE, HeaderValue::from_static("application/octet-stream")),
        ];
        response.headers_mut().extend(fixed);
        if let Some(range) = range.and_then(|range| HeaderValue::from_str(&range).ok()) {
            response.headers_mut().insert(CONTENT_RANGE, range);
        }
        response
    }

    /// The status, the body, and the Content-Range.
    fn select(&self, method: &Method, headers: &HeaderMap) -> (StatusCode, Bytes, Option<String>) {
        if method != Method::GET {
            return (StatusCode::METHOD_NOT_ALLOWED, Bytes::new(), None);
        }
        if headers.get(IF_NONE_MATCH) == Some(&self.etag) {
            return (StatusCode::NOT_MODIFIED, Bytes::new(), None);
        }
        let same_version = headers.get(IF_RANGE).is_none_or(|tag| tag == self.etag);
        match headers.get(RANGE).filter(|_| same_version).and_then(parse_range) {
            None => (StatusCode::OK, self.image.clone(), None),
            Some((start, last)) => self.part(start, last),
        }
    }

    fn part(&self, start: usize, last: Option<usize>) -> (StatusCode, Bytes, Option<String>) {
        let length = self.image.len();
        let end = last.map_or(length, |last| last.saturating_add(1).min(length));
        if start >= end {
            return (StatusCode::RANGE_NOT_SATISFIABLE, Bytes::new(), Some(format!("bytes */{length}")));
        }
        let range = format!("bytes {start}-{}/{length}", end - 1);
        (StatusCode::PARTIAL_CONTENT, self.image.slice(start..end), Some(range))
    }
}

/// `bytes=START-` or `bytes=START-LAST`; other forms are ignored, as RFC 9110 §14.2 allows.
fn parse_range(value: &HeaderValue) -> Option<(usize, Option<usize>)> {
    let (start, last) = value.to_str().ok()?.strip_prefix("bytes=")?.split_once('-')?;
    let last = if last.is_empty() { None } else { Some(last.parse().ok()?) };
    let start = start.parse().ok()?;
    last.is_none_or(|last| start <= last).then_some((start, last))
}
