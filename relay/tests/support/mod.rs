//! An HTTPS origin in the test process, which misbehaves on demand.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses a part of it")]

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_RANGE, ETAG, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, RANGE};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, Version};
use http_body_util::BodyExt;
use http_body_util::combinators::BoxBody;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType, IsCa,
    KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SerialNumber, date_time_ymd,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion};
use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::AbortHandle;
use tokio_rustls::TlsAcceptor;

/// Bytes that differ from each other near and far.
pub fn pattern(length: usize, seed: u8) -> Bytes {
    (0..length).map(|i| (i.wrapping_mul(31) >> 3) as u8 ^ (i >> 11) as u8 ^ seed).collect()
}

/// A certificate authority with its files.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    directory: TempDir,
}

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, "Test authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let directory = TempDir::new().unwrap();
        std::fs::write(directory.path().join("ca.pem"), issuer.pem()).unwrap();
        Self { issuer, directory }
    }

    pub fn ca_file(&self) -> PathBuf {
        self.directory.path().join("ca.pem")
    }

    /// The files of a new certificate and its key.
    pub fn issue(&self, adjust: impl FnOnce(&mut CertificateParams)) -> (PathBuf, PathBuf) {
        let key = KeyPair::generate().unwrap();
        let mut params =
            CertificateParams::new(vec!["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
        adjust(&mut params);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let number = std::fs::read_dir(&self.directory).unwrap().count();
        let file = |name: &str| self.directory.path().join(format!("{number}-{name}.pem"));
        let (certificate_file, key_file) = (file("certificate"), file("key"));
        std::fs::write(&certificate_file, certificate.pem()).unwrap();
        write_secret(&key_file, &key.serialize_pem());
        (certificate_file, key_file)
    }
}

impl Authority {
    /// The file of a revocation list with this certificate.
    pub fn revoke(&self, serial: u64) -> PathBuf {
        let revoked = RevokedCertParams {
            serial_number: SerialNumber::from(serial),
            revocation_time: date_time_ymd(2020, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2020, 1, 1),
            next_update: date_time_ymd(4000, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: vec![revoked],
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let file = self.directory.path().join("revoked.pem");
        std::fs::write(&file, list.signed_by(&self.issuer).unwrap().pem().unwrap()).unwrap();
        file
    }
}

/// A file that its owner alone may read.
pub fn write_secret(file: &Path, content: &str) {
    std::fs::write(file, content).unwrap();
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o600)).unwrap();
}

/// What the origin serves at a path.
#[derive(Clone, Default)]
pub struct Resource {
    pub body: Bytes,
    pub headers: HeaderMap,
    /// The length is not announced.
    pub chunked: bool,
}

impl Resource {
    pub fn new(body: Bytes, etag: &str) -> Self {
        Self { body, ..Self::default() }.with("etag", etag)
    }

    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.insert(name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap());
        self
    }

    pub fn chunked(self) -> Self {
        Self { chunked: true, ..self }
    }
}

/// What goes wrong with one answer.
#[derive(Clone, Debug)]
pub enum Fault {
    /// The connection breaks after this many bytes of the body.
    Truncate(usize),
    /// Silence after this many bytes of the body.
    Stall(usize),
    /// Pieces of this size, with a pause before each.
    Drip(usize, Duration),
    /// Silence instead of an answer.
    Silence,
    /// Range is not understood.
    IgnoreRange,
    /// This answer instead of the proper one.
    Answer(u16, Vec<(&'static str, String)>, Bytes),
}

impl Fault {
    pub fn status(status: u16) -> Self {
        Self::Answer(status, Vec::new(), Bytes::new())
    }

    pub fn redirect(status: u16, location: impl Into<String>) -> Self {
        Self::Answer(status, vec![("location", location.into())], Bytes::new())
    }
}

/// A request as the origin saw it.
#[derive(Clone, Debug)]
pub struct Seen {
    pub target: String,
    pub version: Version,
    pub headers: HeaderMap,
    pub client_certificate: bool,
}

impl Seen {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

#[derive(Default)]
struct State {
    resources: Mutex<HashMap<String, Resource>>,
    faults: Mutex<HashMap<String, VecDeque<Fault>>>,
    seen: Mutex<Vec<Seen>>,
    sent: AtomicU64,
    abandoned: AtomicU64,
}

/// How an origin presents itself.
pub struct Setup {
    pub certificate: (PathBuf, PathBuf),
    pub http2: bool,
    pub versions: Vec<&'static SupportedProtocolVersion>,
    /// Clients need a certificate of this authority.
    pub client_ca: Option<PathBuf>,
}

impl Setup {
    pub fn new(authority: &Authority) -> Self {
        let certificate = authority.issue(|_| {});
        Self { certificate, http2: false, versions: rustls::ALL_VERSIONS.to_vec(), client_ca: None }
    }

    pub fn http2(self) -> Self {
        Self { http2: true, ..self }
    }

    fn acceptor(&self) -> TlsAcceptor {
        let chain = CertificateDer::pem_file_iter(&self.certificate.0).unwrap().map(Result::unwrap).collect();
        let key = PrivateKeyDer::from_pem_file(&self.certificate.1).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&self.versions)
            .unwrap();
        let builder = match &self.client_ca {
            None => builder.with_no_client_auth(),
            Some(file) => {
                let mut roots = RootCertStore::empty();
                roots.add(CertificateDer::from_pem_file(file).unwrap()).unwrap();
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                builder.with_client_cert_verifier(verifier.allow_unauthenticated().build().unwrap())
            }
        };
        let mut config = builder.with_single_cert(chain, key).unwrap();
        config.alpn_protocols = if self.http2 { vec![b"h2".to_vec()] } else { vec![b"http/1.1".to_vec()] };
        TlsAcceptor::from(Arc::new(config))
    }
}

/// A running origin; it stops when dropped.
pub struct TestOrigin {
    pub address: SocketAddr,
    encrypted: bool,
    state: Arc<State>,
    task: AbortHandle,
}

impl TestOrigin {
    pub async fn start(setup: &Setup) -> Self {
        Self::run(Some((setup.acceptor(), setup.http2))).await
    }

    pub async fn start_plain() -> Self {
        Self::run(None).await
    }

    async fn run(tls: Option<(TlsAcceptor, bool)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State::default());
        let (encrypted, shared) = (tls.is_some(), Arc::clone(&state));
        let task = tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                let (tls, state) = (tls.clone(), Arc::clone(&shared));
                tokio::spawn(async move {
                    match tls {
                        None => serve(TokioIo::new(connection), false, false, state).await,
                        Some((acceptor, http2)) => {
                            let Ok(connection) = acceptor.accept(connection).await else { return };
                            let certificate = connection.get_ref().1.peer_certificates().is_some();
                            serve(TokioIo::new(connection), http2, certificate, state).await;
                        }
                    }
                });
            }
        });
        Self { address, encrypted, state, task: task.abort_handle() }
    }

    /// The URL of a path that begins with a slash.
    pub fn url(&self, path: &str) -> String {
        let scheme = if self.encrypted { "https" } else { "http" };
        format!("{scheme}://localhost:{}{path}", self.address.port())
    }

    pub fn serve(&self, path: &str, resource: Resource) {
        self.state.resources.lock().unwrap().insert(path.to_owned(), resource);
    }

    /// What goes wrong with the next answers at this path, in this order; those after are as they should be.
    pub fn fail(&self, path: &str, faults: impl IntoIterator<Item = Fault>) {
        self.state.faults.lock().unwrap().entry(path.to_owned()).or_default().extend(faults);
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.state.seen.lock().unwrap().clone()
    }

    /// Bytes of bodies that were handed to the connection.
    pub fn sent(&self) -> u64 {
        self.state.sent.load(Ordering::SeqCst)
    }

    /// Bodies that the client did not take to their end.
    pub fn abandoned(&self) -> u64 {
        self.state.abandoned.load(Ordering::SeqCst)
    }
}

impl Drop for TestOrigin {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve<S>(connection: TokioIo<S>, http2: bool, client_certificate: bool, state: Arc<State>)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let service =
        service_fn(move |request: Request<Incoming>| answer(request, client_certificate, Arc::clone(&state)));
    if http2 {
        let _ = http2::Builder::new(TokioExecutor::new()).serve_connection(connection, service).await;
    } else {
        let _ = http1::Builder::new().serve_connection(connection, service).await;
    }
}

type Answer = Response<BoxBody<Bytes, io::Error>>;

async fn answer(
    request: Request<Incoming>,
    client_certificate: bool,
    state: Arc<State>,
) -> Result<Answer, io::Error> {
    let path = request.uri().path().to_owned();
    state.seen.lock().unwrap().push(Seen {
        target: request.uri().to_string(),
        version: request.version(),
        headers: request.headers().clone(),
        client_certificate,
    });
    let fault = state.faults.lock().unwrap().get_mut(&path).and_then(VecDeque::pop_front);
    if let Some(Fault::Silence) = fault {
        std::future::pending::<()>().await;
    }
    if let Some(Fault::Answer(status, headers, body)) = fault {
        return Ok(custom(&state, status, headers, body));
    }
    let resource = state.resources.lock().unwrap().get(&path).cloned();
    let Some(resource) = resource else { return Ok(custom(&state, 404, Vec::new(), Bytes::new())) };
    Ok(proper(&state, &resource, request.headers(), fault))
}

fn custom(state: &Arc<State>, status: u16, headers: Vec<(&'static str, String)>, body: Bytes) -> Answer {
    let body =
        Script { bytes: body, state: Arc::clone(state), fault: None, length: None, given: 0, pause: None };
    let mut response = Response::new(BodyExt::boxed(body));
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    for (name, value) in headers {
        response.headers_mut().append(name, value.parse().unwrap());
    }
    response
}

fn proper(state: &Arc<State>, resource: &Resource, asked: &HeaderMap, fault: Option<Fault>) -> Answer {
    let tag = resource.headers.get(ETAG);
    let modified = resource.headers.get(http::header::LAST_MODIFIED);
    let matches = |name, own: Option<&HeaderValue>| own.is_some() && asked.get(name) == own;
    let mut part = None;
    let mut status = StatusCode::OK;
    if matches(IF_NONE_MATCH, tag) || matches(IF_MODIFIED_SINCE, modified) {
        status = StatusCode::NOT_MODIFIED;
    } else if let Some(range) = asked.get(RANGE)
        && matches(IF_RANGE, tag)
        && !matches!(fault, Some(Fault::IgnoreRange))
    {
        let start = range.to_str().unwrap().strip_prefix("bytes=").unwrap().strip_suffix('-').unwrap();
        part = Some(start.parse::<usize>().unwrap());
        status = StatusCode::PARTIAL_CONTENT;
    }
    if part.is_some_and(|start| start >= resource.body.len()) {
        return custom(state, 416, Vec::new(), Bytes::new());
    }
    let body = match status {
        StatusCode::NOT_MODIFIED => Bytes::new(),
        _ => resource.body.slice(part.unwrap_or(0)..),
    };
    let length = (!resource.chunked && status != StatusCode::NOT_MODIFIED).then_some(body.len() as u64);
    let script = Script { bytes: body, state: Arc::clone(state), fault, length, given: 0, pause: None };
    let mut response = Response::new(BodyExt::boxed(script));
    *response.status_mut() = status;
    response.headers_mut().extend(resource.headers.clone());
    if let Some(start) = part {
        let total = resource.body.len();
        let range = format!("bytes {start}-{}/{total}", total - 1);
        response.headers_mut().insert(CONTENT_RANGE, range.parse().unwrap());
    }
    if let Some(length) = length {
        response.headers_mut().insert(CONTENT_LENGTH, length.into());
    }
    response
}

/// A body in pieces of 16 KiB that ends as its fault says.
struct Script {
    bytes: Bytes,
    state: Arc<State>,
    fault: Option<Fault>,
    length: Option<u64>,
    given: usize,
    pause: Option<Pin<Box<tokio::time::Sleep>>>,
}

/// What was given before a connection breaks gets this time to leave the buffers of the server.
const FLUSH: Duration = Duration::from_millis(30);

impl Script {
    fn wait(&mut self, time: Duration) -> &mut Pin<Box<tokio::time::Sleep>> {
        self.pause.get_or_insert_with(|| Box::pin(tokio::time::sleep(time)))
    }

    fn give(&mut self, most: usize) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let piece = self.bytes.split_to(most.min(16 << 10).min(self.bytes.len()));
        self.given += piece.len();
        self.state.sent.fetch_add(piece.len() as u64, Ordering::SeqCst);
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }
}

impl Body for Script {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        match self.fault {
            Some(Fault::Truncate(limit)) if self.given >= limit => {
                std::task::ready!(self.wait(FLUSH).as_mut().poll(context));
                Poll::Ready(Some(Err(io::ErrorKind::BrokenPipe.into())))
            }
            Some(Fault::Stall(limit)) if self.given >= limit => Poll::Pending,
            _ if self.bytes.is_empty() => Poll::Ready(None),
            Some(Fault::Truncate(limit) | Fault::Stall(limit)) => {
                let most = limit - self.given;
                self.give(most)
            }
            Some(Fault::Drip(most, pause)) => {
                std::task::ready!(self.wait(pause).as_mut().poll(context));
                self.pause = None;
                self.give(most)
            }
            _ => self.give(usize::MAX),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_empty() && self.fault.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        self.length.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        if !self.bytes.is_empty() {
            self.state.abandoned.fetch_add(1, Ordering::SeqCst);
        }
    }
}

/// A plain TCP server that reads a request header and sends these bytes, whatever they are.
pub async fn raw_server(answer: Bytes) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            let answer = answer.clone();
            tokio::spawn(async move {
                let mut header = Vec::new();
                while !header.ends_with(b"\r\n\r\n") {
                    let Ok(byte) = connection.read_u8().await else { return };
                    header.push(byte);
                }
                let _ = connection.write_all(&answer).await;
            });
        }
    });
    address
}
