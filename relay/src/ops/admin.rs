//! The admin address: metrics, health and status over HTTP/1.1. Read-only; connections are few and short.

use super::status::Status;
use anyhow::Context;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

/// Connections at the same time: a scraper or two, and somebody with a browser.
const CONNECTIONS: usize = 32;

/// A client that does not finish its request header by then is not asking.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// No connection lasts longer; scrapers open another one.
const CONNECTION_LIFETIME: Duration = Duration::from_secs(120);

/// Where the admin address gets what it shows.
pub trait StatusSource: Clone + Send + Sync + 'static {
    /// The status now.
    fn status(&self) -> impl Future<Output = anyhow::Result<Status>> + Send;

    /// The metrics now, in the Prometheus text format.
    fn metrics(&self) -> String;
}

/// Can the relay serve devices?
#[derive(Clone, Debug, Default)]
pub struct Readiness(Arc<AtomicU8>);

const READY: u8 = 1;
const DRAINING: u8 = 2;

impl Readiness {
    /// It can.
    pub fn ready(&self) {
        self.0.store(READY, Ordering::Relaxed);
    }

    /// It was told to stop.
    pub fn draining(&self) {
        self.0.store(DRAINING, Ordering::Relaxed);
    }

    fn answer(&self) -> (StatusCode, &'static str) {
        match self.0.load(Ordering::Relaxed) {
            READY => (StatusCode::OK, "ready\n"),
            DRAINING => (StatusCode::SERVICE_UNAVAILABLE, "draining\n"),
            _ => (StatusCode::SERVICE_UNAVAILABLE, "starting\n"),
        }
    }
}

/// A bound admin address.
#[derive(Debug)]
pub struct Admin {
    listener: TcpListener,
    router: Router,
}

impl Admin {
    /// Takes the address.
    ///
    /// # Errors
    /// When it cannot be had.
    pub async fn bind<S: StatusSource>(
        address: SocketAddr,
        source: S,
        readiness: Readiness,
    ) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(address).await.with_context(|| {
            format!("operator: cannot open the admin address {address}; is it in use? See admin.listen (\"\" turns it off)")
        })?;
        let router = Router::new()
            .route("/metrics", get(metrics::<S>))
            .route("/api/status", get(status::<S>))
            .with_state(source)
            .route("/healthz", get(|| async { "alive\n" }))
            .route(
                "/readyz",
                get(|State(readiness): State<Readiness>| async move { readiness.answer() })
                    .with_state(readiness),
            );
        Ok(Self { listener, router })
    }

    /// The address, with its port where any was asked for.
    ///
    /// # Errors
    /// When the system does not know it any more.
    pub fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves for ever. To be used within a tokio runtime.
    pub async fn run(self) {
        let places = Arc::new(Semaphore::new(CONNECTIONS));
        loop {
            // Never closed, so a place always comes.
            let Ok(place) = places.clone().acquire_owned().await else { return };
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    let router = self.router.clone();
                    tokio::spawn(async move {
                        let _ = tokio::time::timeout(CONNECTION_LIFETIME, converse(stream, router)).await;
                        drop(place);
                    });
                }
                // Out of file descriptors, most likely: others have to go first.
                Err(error) => {
                    tracing::warn!("relay: admin address: {error}");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
        }
    }
}

async fn converse(stream: TcpStream, router: Router) {
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    if let Err(error) = connection.await {
        tracing::debug!("admin connection: {error}");
    }
}

async fn metrics<S: StatusSource>(State(source): State<S>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], source.metrics())
}

async fn status<S: StatusSource>(State(source): State<S>) -> Response {
    match source.status().await {
        Ok(status) => Json(status).into_response(),
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, format!("{error:#}\n")).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::status;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[derive(Clone)]
    struct Fixed;

    impl StatusSource for Fixed {
        async fn status(&self) -> anyhow::Result<Status> {
            let text = r#"{"version":"9","uptime_s":1.5,"listen":["[::1]:5683"],"cache":{"bytes":1,"limit_bytes":2},
                "origin":{"bytes":3,"retries":0,"resumes":0,"requests":{"complete":1}},
                "images":[{"url":"https://h/\n","etag":null,"state":"fresh","available_bytes":3,"total_bytes":3,"fresh_for_s":9,"observers":0}],
                "transfers":[{"peer":"[::1]:9","url":"u","etag":"00","sent_bytes":1,"total_bytes":2,"age_s":1,"duration_s":1,"finished":false}]}"#;
            Ok(serde_json::from_str(text)?)
        }

        fn metrics(&self) -> String {
            "sixfold_x 1\n".into()
        }
    }

    async fn start() -> (SocketAddr, Readiness) {
        let readiness = Readiness::default();
        let admin = Admin::bind("[::1]:0".parse().unwrap(), Fixed, readiness.clone()).await.unwrap();
        let address = admin.local_addr().unwrap();
        tokio::spawn(admin.run());
        (address, readiness)
    }

    async fn get(address: SocketAddr, path: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        text
    }

    #[tokio::test]
    async fn serves_what_it_should_and_nothing_else() {
        let (address, readiness) = start().await;
        let metrics = get(address, "/metrics").await;
        assert!(
            metrics.starts_with("HTTP/1.1 200")
                && metrics.contains("version=0.0.4")
                && metrics.ends_with("sixfold_x 1\n")
        );
        assert!(get(address, "/healthz").await.starts_with("HTTP/1.1 200"));
        assert!(get(address, "/readyz").await.ends_with("starting\n"));
        readiness.ready();
        assert!(get(address, "/readyz").await.starts_with("HTTP/1.1 200"));
        readiness.draining();
        assert!(get(address, "/readyz").await.starts_with("HTTP/1.1 503"));
        assert!(get(address, "/etc/passwd").await.starts_with("HTTP/1.1 404"));
    }

    #[tokio::test]
    async fn the_status_command_reads_it_back() {
        let (address, _) = start().await;
        let status = status::fetch(&format!("http://{address}/")).await.unwrap();
        let shown = status.to_string();
        assert!(
            shown.contains("50 %") && shown.contains("https://h/\\n") && shown.contains("1 complete"),
            "{shown}"
        );
    }

    #[tokio::test]
    async fn the_status_command_says_what_is_wrong() {
        let closed = TcpListener::bind("[::1]:0").await.unwrap().local_addr().unwrap();
        let error = |url: String| async move { format!("{:#}", status::fetch(&url).await.unwrap_err()) };
        assert!(error(format!("http://{closed}")).await.contains("is the relay running"));
        assert!(error("https://h".into()).await.contains("plain HTTP"));
        let (address, _) = start().await;
        assert!(error(format!("http://{address}/metrics")).await.contains("404"));
    }

    #[tokio::test]
    async fn an_address_in_use_is_the_operators_to_free() {
        let (address, readiness) = start().await;
        let error = Admin::bind(address, Fixed, readiness).await.unwrap_err();
        assert!(format!("{error:#}").contains("admin.listen"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_never_finishes_its_header_is_let_go() {
        let (address, _) = start().await;
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET /healthz HTT").await.unwrap();
        let mut rest = Vec::new();
        // Returns when the server closes the connection; virtual time makes it so at once.
        let _ = stream.read_to_end(&mut rest).await;
        assert!(!rest.starts_with(b"HTTP/1.1 200"));
    }
}
