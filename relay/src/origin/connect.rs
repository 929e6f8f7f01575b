//! Connections to origins: name resolution, TCP, an HTTP proxy if the environment names one, TLS, and the
//! choice between HTTP/1.1 and HTTP/2.
//!
//! Proxies are those of `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY` (capitals or not, as curl reads
//! them), with `http://` URLs and optional Basic credentials. `https` goes through a CONNECT tunnel, so the
//! proxy sees no content; plain `http` is asked for in absolute form, so that it can cache.

use super::trouble::ResolveError;
use super::{Timeouts, Traffic, target};
use crate::sessions::certificate;
use bytes::Bytes;
use http::Uri;
use http_body_util::Empty;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::dns::{GaiAddrs, GaiResolver, Name};
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::client::proxy::matcher::Matcher;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use std::error::Error;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::net::TcpStream;
use tower_service::Service;

/// Bytes that the origin may send ahead of what is consumed: keeps a router's memory small.
const STREAM_WINDOW: u32 = 256 << 10;
const CONNECTION_WINDOW: u32 = 1 << 20;
const READ_BUFFER: usize = 64 << 10;
/// Unused connections are closed after this time.
const POOL_IDLE: Duration = Duration::from_secs(60);

type BoxError = Box<dyn Error + Send + Sync>;
type BoxFuture<T, E> = Pin<Box<dyn Future<Output = Result<T, E>> + Send>>;

/// An HTTP client for all origins that share their TLS settings.
pub(super) type HttpClient = Client<Connector, Empty<Bytes>>;

/// What the certificates of origins say goes to `traffic`.
pub(super) fn client(
    tls: rustls::ClientConfig,
    proxy: &Arc<Matcher>,
    timeouts: Timeouts,
    traffic: &Arc<Traffic>,
) -> HttpClient {
    let mut tcp = HttpConnector::new_with_resolver(Resolver(GaiResolver::new()));
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(Some(timeouts.connect));
    let dialer = Dialer { tcp, proxy: Arc::clone(proxy) };
    let https = HttpsConnectorBuilder::new()
        .with_tls_config(tls)
        .https_or_http()
        .enable_all_versions()
        .wrap_connector(dialer);
    Client::builder(TokioExecutor::new())
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(POOL_IDLE)
        .pool_max_idle_per_host(2)
        .http1_max_buf_size(READ_BUFFER)
        .http2_initial_stream_window_size(STREAM_WINDOW)
        .http2_initial_connection_window_size(CONNECTION_WINDOW)
        // A dead connection must be noticed before the idle time-out, or the retry would use it again.
        .http2_keep_alive_interval(timeouts.idle / 3)
        .http2_keep_alive_timeout(timeouts.idle / 3)
        .build(Connector { https, limit: timeouts.connect, traffic: Arc::clone(traffic) })
}

/// Everything up to the end of the TLS handshake, within one time limit.
#[derive(Clone, Debug)]
pub(super) struct Connector {
    https: HttpsConnector<Dialer>,
    limit: Duration,
    traffic: Arc<Traffic>,
}

impl Service<Uri> for Connector {
    type Response = MaybeHttpsStream<Stream>;
    type Error = BoxError;
    type Future = BoxFuture<Self::Response, BoxError>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.https.poll_ready(context)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let authority = target::authority(&uri);
        let traffic = Arc::clone(&self.traffic);
        let connecting = tokio::time::timeout(self.limit, self.https.call(uri));
        Box::pin(async move {
            let connected = connecting.await.unwrap_or_else(|_| {
                Err(io::Error::new(io::ErrorKind::TimedOut, "no connection within the time allowed").into())
            })?;
            if let MaybeHttpsStream::Https(stream) = &connected {
                let chain = stream.inner().get_ref().1.peer_certificates();
                let end = chain.and_then(<[_]>::first).and_then(certificate::not_after);
                if let Some((authority, end)) = authority.zip(end) {
                    traffic.certificates().note(authority, end);
                }
            }
            Ok(connected)
        })
    }
}

/// TCP to the origin, directly or by way of a proxy.
#[derive(Clone, Debug)]
struct Dialer {
    tcp: HttpConnector<Resolver>,
    proxy: Arc<Matcher>,
}

impl Service<Uri> for Dialer {
    type Response = Stream;
    type Error = BoxError;
    type Future = BoxFuture<Stream, BoxError>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.tcp.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let Some(proxy) = self.proxy.intercept(&uri) else {
            let connecting = self.tcp.call(uri);
            return Box::pin(async move { Ok(Stream { tcp: connecting.await?, absolute_form: false }) });
        };
        if uri.scheme_str() != Some("https") {
            let connecting = self.tcp.call(proxy.uri().clone());
            return Box::pin(async move { Ok(Stream { tcp: connecting.await?, absolute_form: true }) });
        }
        let mut tunnel = Tunnel::new(proxy.uri().clone(), self.tcp.clone());
        if let Some(credentials) = proxy.basic_auth() {
            tunnel = tunnel.with_auth(credentials.clone());
        }
        let connecting = tunnel.call(uri);
        Box::pin(async move { Ok(Stream { tcp: connecting.await?, absolute_form: false }) })
    }
}

/// A TCP connection that knows whether a proxy wants the whole URL in the request line (RFC 9112 §3.2.2).
#[derive(Debug)]
pub(super) struct Stream {
    tcp: TokioIo<TcpStream>,
    absolute_form: bool,
}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        self.tcp.connected().proxy(self.absolute_form)
    }
}

impl Read for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_read(context, buffer)
    }
}

impl Write for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(context)
    }
}

/// The system's resolver; its errors can be told from others.
#[derive(Clone, Debug)]
struct Resolver(GaiResolver);

impl Service<Name> for Resolver {
    type Response = GaiAddrs;
    type Error = ResolveError;
    type Future = BoxFuture<GaiAddrs, ResolveError>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), ResolveError>> {
        self.0.poll_ready(context).map_err(ResolveError)
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let host = name.to_string();
        let resolving = self.0.call(name);
        Box::pin(async move {
            resolving
                .await
                .map_err(|error| ResolveError(io::Error::new(error.kind(), format!("{host}: {error}"))))
        })
    }
}
