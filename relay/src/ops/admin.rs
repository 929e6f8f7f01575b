//! The admin address: metrics, health, status and orders over plain HTTP/1.1.
//!
//! It has no passwords; that is why it listens on loopback unless the operator wants otherwise, takes orders from nowhere
//! else even then, and answers by its own names alone ([`super::hosts`]). A client that is slow keeps nobody out: every connection is for one request, ends after [`PATIENCE`] at the latest,
//! and makes room when [`MAX_CONNECTIONS`] are there and another one comes ([`crate::guests`]).

use super::metrics::devices;
use super::status::{self, Page};
use super::{Order, Report, Status, hosts, order, page};
use crate::config::Admin as Settings;
use crate::guests::{Guests, Limits, Neighbours, Place};
use anyhow::anyhow;
use axum::extract::Request;
use axum::http::header::CONTENT_TYPE;
use axum::http::{StatusCode, Uri};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::get;
use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use sixfold_engine::Unable;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tracing::{debug, warn};

/// Connections served at the same time.
const MAX_CONNECTIONS: usize = 16;

/// Everything on this machine is one source, so there is no other limit for a source.
const LIMITS: Limits = Limits { total: MAX_CONNECTIONS, per_source: MAX_CONNECTIONS };

/// How long a client may take.
const PATIENCE: Patience = Patience { header: Duration::from_secs(5), all: Duration::from_secs(10) };

/// The longest header of a request, in bytes.
const MAX_HEADER: usize = 16 << 10;

/// What a scraper that asks for no part gets: [`Page::MOST`].
const ALL: &str = "limit=1000";

/// Whom the admin address asks.
pub trait StatusSource {
    /// What the relay is doing, with this part of the long tables.
    ///
    /// # Errors
    /// When it has stopped.
    fn status(&self, page: Page) -> impl Future<Output = anyhow::Result<Status>> + Send;

    /// Does what it is told.
    ///
    /// # Errors
    /// When it has stopped; and why it does not.
    fn order(&self, order: Order) -> impl Future<Output = anyhow::Result<Result<Report, Unable>>> + Send;

    /// All metrics in the Prometheus text format.
    fn metrics(&self) -> String;
}

/// Whether the relay serves. Clones show, and change, the same state.
#[derive(Clone, Debug, Default)]
pub struct Readiness(watch::Sender<Phase>);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    #[default]
    Starting,
    Ready,
    Draining,
}

impl Readiness {
    /// From now on the relay serves.
    pub fn ready(&self) {
        self.0.send_replace(Phase::Ready);
    }

    /// From now on the relay finishes what is under way, and stops.
    pub fn draining(&self) {
        self.0.send_replace(Phase::Draining);
    }

    /// Ready also without an interface: it comes later, or again, and a relay that was restarted for it, or taken out of service, would
    /// serve no earlier. The text says which ones are absent.
    async fn answer(&self, source: impl StatusSource) -> (StatusCode, String) {
        let phase = *self.0.borrow();
        match phase {
            Phase::Starting => (StatusCode::SERVICE_UNAVAILABLE, "starting\n".to_owned()),
            Phase::Ready => match source.status(Page { limit: 0, ..Page::default() }).await {
                Ok(status) => (StatusCode::OK, ready(&status.absent)),
                Err(error) => (StatusCode::SERVICE_UNAVAILABLE, format!("{error:#}\n")),
            },
            Phase::Draining => (StatusCode::SERVICE_UNAVAILABLE, "draining\n".to_owned()),
        }
    }
}

fn ready(absent: &[String]) -> String {
    match absent {
        [] => "ready\n".to_owned(),
        _ => format!(
            "ready, but waiting for interfaces that are not there, or not up: {}\n",
            absent.join(", ")
        ),
    }
}

/// An admin server whose address is bound.
#[derive(Debug)]
pub struct Admin {
    listener: TcpListener,
    router: Router,
    patience: Patience,
}

/// How long a client may take.
#[derive(Clone, Copy, Debug)]
struct Patience {
    /// For the header of its request.
    header: Duration,
    /// From the first byte of its connection to the last.
    all: Duration,
}

impl Admin {
    /// Binds the address of the settings; `None` if they turn it off. [`Admin::run`] serves.
    ///
    /// # Errors
    /// When the address cannot be bound: the operator's to mend.
    pub async fn bind(
        settings: &Settings,
        source: impl StatusSource + Clone + Send + Sync + 'static,
        readiness: Readiness,
    ) -> anyhow::Result<Option<Self>> {
        let Some(address) = settings.listen else { return Ok(None) };
        let listener = TcpListener::bind(address).await.map_err(|error| {
            let remedy = remedy(error.kind());
            anyhow!("operator: admin.listen = \"{address}\" cannot be bound ({error}): {remedy}")
        })?;
        let router = for_names(router(source, readiness), settings.hosts.clone());
        Ok(Some(Self { listener, router, patience: PATIENCE }))
    }

    /// The address bound, for those who asked for any free port.
    ///
    /// # Errors
    /// When the system does not tell.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves for ever. Connections end when this is dropped.
    pub async fn run(self) {
        let mut connections = JoinSet::new();
        let (guests, mut neighbours) = (Guests::default(), Neighbours::default());
        loop {
            match self.listener.accept().await {
                Ok((stream, client)) => {
                    let source = neighbours.source(client.ip(), None);
                    // Each of those that are there would make room.
                    let Ok(place) = guests.admit(source, LIMITS) else { continue };
                    let router = self.router.clone().layer(Extension(client));
                    connections.spawn(serve(stream, router, place, self.patience));
                }
                Err(error) => {
                    warn!("relay: the admin address cannot accept a connection: {error}");
                    sleep(Duration::from_secs(1)).await;
                }
            }
            while connections.try_join_next().is_some() {}
        }
    }
}

fn remedy(kind: io::ErrorKind) -> &'static str {
    match kind {
        io::ErrorKind::AddrInUse => {
            "another process has it, maybe another relay; stop that one or choose another port"
        }
        io::ErrorKind::AddrNotAvailable => "this machine does not have this address; choose one that it has",
        io::ErrorKind::PermissionDenied => "ports below 1024 need CAP_NET_BIND_SERVICE; choose a higher one",
        _ => "choose another address, or \"\" for none",
    }
}

async fn serve(stream: TcpStream, router: Router, place: Place, patience: Patience) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(patience.header)
        .max_buf_size(MAX_HEADER)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let served = tokio::select! {
        biased;
        () = place.displaced() => return debug!("a client of the admin address made room for another one"),
        served = timeout(patience.all, connection) => served,
    };
    match served {
        Ok(Ok(())) => {}
        Ok(Err(error)) => debug!("a client of the admin address failed: {error}"),
        Err(_) => debug!("a client of the admin address was too slow"),
    }
}

/// The same for those alone that ask by a name of this relay.
fn for_names(router: Router, names: Vec<String>) -> Router {
    let names: Arc<[String]> = names.into();
    router.layer(from_fn(move |request: Request, next: Next| {
        let objection = hosts::objection(&request, &names);
        async move {
            match objection {
                None => next.run(request).await,
                Some(objection) => objection,
            }
        }
    }))
}

fn router<S: StatusSource + Clone + Send + Sync + 'static>(source: S, readiness: Readiness) -> Router {
    let metrics = source.clone();
    let metrics = move || async move { ([(CONTENT_TYPE, prometheus::TEXT_FORMAT)], metrics.metrics()) };
    let show = {
        let source = source.clone();
        move |uri: Uri| async move { describe(source, uri.query().unwrap_or_default(), show).await }
    };
    let named = {
        let source = source.clone();
        move |uri: Uri| async move { describe(source, uri.query().unwrap_or(ALL), named).await }
    };
    let ready = {
        let source = source.clone();
        move || async move { readiness.answer(source).await }
    };
    let router = page::ASSETS
        .into_iter()
        .fold(order::router(source.clone()), |router, asset| router.route(asset.path, get(asset)));
    router
        .route("/", get(show))
        .route("/metrics", get(metrics))
        .route(devices::PATH, get(named))
        .route("/healthz", get("ok\n"))
        .route("/readyz", get(ready))
        .route(
            status::PATH,
            get(move |uri: Uri| async move {
                let query = uri.query().unwrap_or_default();
                describe(source, query, |status, _| Json(status).into_response()).await
            }),
        )
        .fallback((
            StatusCode::NOT_FOUND,
            "not found: / /metrics /metrics/devices /healthz /readyz /api/status\n",
        ))
}

fn show(status: Status, part: Page) -> Response {
    page::guarded("text/html; charset=utf-8", page::page(&status, part))
}

fn named(status: Status, _: Page) -> Response {
    match devices::text(&status.sessions) {
        Ok(text) => ([(CONTENT_TYPE, prometheus::TEXT_FORMAT)], text).into_response(),
        Err(error) => {
            (StatusCode::INTERNAL_SERVER_ERROR, format!("relay: metrics cannot be written: {error}\n"))
                .into_response()
        }
    }
}

/// Answers with the part of the status that the query asks for, in the form that `form` gives it.
async fn describe(source: impl StatusSource, query: &str, form: fn(Status, Page) -> Response) -> Response {
    let part = match Page::from_query(query) {
        Ok(part) => part,
        Err(mistake) => return (StatusCode::BAD_REQUEST, format!("{mistake}\n")).into_response(),
    };
    match source.status(part).await {
        Ok(status) => form(status, part),
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, format!("{error:#}\n")).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::status::Totals;
    use super::*;
    use std::net::{IpAddr, Ipv6Addr};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    const ANY: SocketAddr = SocketAddr::new(IpAddr::V6(Ipv6Addr::LOCALHOST), 0);

    /// A relay that does nothing, or has stopped.
    #[derive(Clone)]
    struct Relay(Option<Arc<Status>>);

    impl StatusSource for Relay {
        async fn status(&self, _: Page) -> anyhow::Result<Status> {
            self.0.as_deref().cloned().ok_or_else(|| anyhow!("relay: has stopped"))
        }

        async fn order(&self, order: Order) -> anyhow::Result<Result<Report, Unable>> {
            Ok(match order {
                Order::Purge { name: None } => Ok(Report::Purged { images: 7 }),
                _ => Err(Unable::NotConfigured),
            })
        }

        fn metrics(&self) -> String {
            "# metrics\n".to_owned()
        }
    }

    fn idle() -> Status {
        let origin = status::Origin { bytes: 0, retries: 0, resumes: 0, requests: Default::default() };
        let cache = status::Cache { bytes: 0, limit_bytes: 1 << 20 };
        let (links, images, transfers) = (Vec::new(), Vec::new(), Vec::new());
        let (bans, sessions) = (Vec::new(), Vec::new());
        Status {
            version: "1.2.3".to_owned(),
            uptime_s: 1,
            listen: vec![ANY],
            cache,
            origin,
            totals: Totals::default(),
            links,
            unpaced: Vec::new(),
            absent: Vec::new(),
            images,
            bans,
            transfers,
            sessions,
        }
    }

    async fn start(status: Option<Status>) -> (SocketAddr, Readiness) {
        start_with(status, PATIENCE).await
    }

    async fn start_with(status: Option<Status>, patience: Patience) -> (SocketAddr, Readiness) {
        let readiness = Readiness::default();
        let settings = Settings { listen: Some(ANY), hosts: vec!["relay.example".to_owned()] };
        let relay = Relay(status.map(Arc::new));
        let mut admin = Admin::bind(&settings, relay, readiness.clone()).await.unwrap().unwrap();
        admin.patience = patience;
        let address = admin.local_addr().unwrap();
        tokio::spawn(admin.run());
        (address, readiness)
    }

    /// Everything that comes until the server closes.
    async fn exchange(address: SocketAddr, request: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        // A server that did not read everything may reset the connection after its answer.
        let _ = stream.read_to_end(&mut answer).await;
        String::from_utf8(answer).unwrap()
    }

    async fn get(address: SocketAddr, path: &str) -> String {
        exchange(address, &format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")).await
    }

    #[tokio::test]
    async fn each_path_has_its_answer() {
        let (address, _) = start(Some(idle())).await;
        let metrics = get(address, "/metrics").await;
        assert!(metrics.starts_with("HTTP/1.1 200") && metrics.ends_with("\r\n\r\n# metrics\n"), "{metrics}");
        assert!(metrics.contains("content-type: text/plain; version=0.0.4\r\n"), "{metrics}");
        assert!(get(address, "/healthz").await.starts_with("HTTP/1.1 200"));
        let status = get(address, "/api/status").await;
        assert!(status.contains("content-type: application/json\r\n"), "{status}");
        assert!(status.contains("\"version\":\"1.2.3\""), "{status}");
        assert!(get(address, "/api/status?limit=5&skip=10").await.starts_with("HTTP/1.1 200"));
        let wrong = get(address, "/api/status?limit=5000").await;
        assert!(wrong.starts_with("HTTP/1.1 400") && wrong.contains("limit: give 1000 at most"), "{wrong}");
        assert!(get(address, "/elsewhere").await.starts_with("HTTP/1.1 404"));
        let post = "POST /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9999999\r\n\r\n";
        assert!(exchange(address, post).await.starts_with("HTTP/1.1 405"));
    }

    #[tokio::test]
    async fn the_page_and_its_files_are_guarded() {
        let (address, _) = start(Some(idle())).await;
        for (path, media_type) in [
            ("/", "text/html"),
            ("/status.css", "text/css"),
            ("/status.js", "text/javascript"),
            ("/icon.svg", "image/svg"),
        ] {
            let answer = get(address, path).await;
            assert!(answer.starts_with("HTTP/1.1 200"), "{path}: {answer}");
            assert!(answer.contains(&format!("content-type: {media_type}")), "{path}: {answer}");
            let policy = "content-security-policy: default-src 'none'; script-src 'self'; style-src 'self';";
            assert!(answer.contains(policy) && !answer.contains("unsafe"), "{path}: {answer}");
            assert!(answer.contains("x-content-type-options: nosniff"), "{path}: {answer}");
        }
        let page = get(address, "/?limit=5").await;
        assert!(page.contains("sixfold-relay 1.2.3, up 1 s"), "{page}");
        for elsewhere in ["http://", "https://", "style=", "onload=", "//"] {
            let lines = page.lines().skip_while(|line| !line.is_empty());
            let markup: String = lines.filter(|line| !line.contains("coap://")).collect();
            assert!(!markup.contains(elsewhere), "{elsewhere} in {markup}");
        }
    }

    #[tokio::test]
    async fn a_name_that_is_not_the_relays_is_refused() {
        let (address, _) = start(Some(idle())).await;
        let by = async |path: &str, name: &str| {
            exchange(address, &format!("GET {path} HTTP/1.1\r\nHost: {name}\r\n\r\n")).await
        };
        for path in ["/", "/metrics", "/api/status", "/status.js", "/readyz", "/elsewhere"] {
            let refused = by(path, "evil.example:9683").await;
            assert!(
                refused.starts_with("HTTP/1.1 421") && refused.contains("admin.hosts"),
                "{path}: {refused}"
            );
            assert!(!refused.contains("1.2.3"), "{path}: {refused}");
        }
        for name in ["relay.example:9683", "localhost", "[2001:db8::1]:9683"] {
            assert!(by("/api/status", name).await.starts_with("HTTP/1.1 200"), "{name}");
        }
        // The name in the request line counts, whatever the field says (RFC 9112 section 3.2.2).
        let absolute = "GET http://evil.example/metrics HTTP/1.1\r\nHost: localhost\r\n\r\n";
        assert!(exchange(address, absolute).await.starts_with("HTTP/1.1 421"));
        let order = "POST /api/order HTTP/1.1\r\nHost: evil.example\r\nContent-Length: 0\r\n\r\n";
        assert!(exchange(address, order).await.starts_with("HTTP/1.1 421"));
        assert!(exchange(address, "GET /healthz HTTP/1.0\r\n\r\n").await.starts_with("HTTP/1.0 200"));
    }

    #[tokio::test]
    async fn readiness_follows_the_relay() {
        let (address, readiness) = start(Some(idle())).await;
        let starting = get(address, "/readyz").await;
        assert!(starting.starts_with("HTTP/1.1 503") && starting.ends_with("starting\n"), "{starting}");
        readiness.ready();
        assert!(get(address, "/readyz").await.starts_with("HTTP/1.1 200"));
        let (limping, readiness_there) =
            start(Some(Status { absent: vec!["wpan0".to_owned()], ..idle() })).await;
        readiness_there.ready();
        let ready = get(limping, "/readyz").await;
        assert!(
            ready.starts_with("HTTP/1.1 200") && ready.ends_with("not there, or not up: wpan0\n"),
            "{ready}"
        );
        readiness.draining();
        let draining = get(address, "/readyz").await;
        assert!(draining.starts_with("HTTP/1.1 503") && draining.ends_with("draining\n"), "{draining}");
    }

    #[tokio::test]
    async fn the_status_client_reads_what_is_served() {
        let (address, _) = start(Some(idle())).await;
        assert_eq!(status::fetch(&format!("http://{address}"), Page::default()).await.unwrap(), idle());
    }

    #[tokio::test]
    async fn the_status_client_says_what_is_wrong() {
        let complaint =
            async |url: String| format!("{:#}", status::fetch(&url, Page::default()).await.unwrap_err());
        let (stopped, _) = start(None).await;
        let answer = complaint(format!("http://{stopped}")).await;
        assert_eq!(answer, format!("http://{stopped}/api/status?limit=100 answers: relay: has stopped"));
        let other = complaint(format!("http://{stopped}/elsewhere")).await;
        assert!(other.contains("not a relay's admin address") && other.contains("404"), "{other}");
        let unused = TcpListener::bind(ANY).await.unwrap().local_addr().unwrap();
        let nobody = complaint(format!("http://{unused}")).await;
        assert!(nobody.starts_with("operator: ") && nobody.contains("is the relay running"), "{nobody}");
    }

    #[tokio::test]
    async fn orders_are_for_programs_that_say_what_they_send() {
        let (address, _) = start(Some(idle())).await;
        let post = async |fields: &str, body: &str| {
            let length = body.len();
            let head = "POST /api/order HTTP/1.1\r\nHost: localhost\r\n";
            exchange(address, &format!("{head}{fields}Content-Length: {length}\r\n\r\n{body}")).await
        };
        let (json, purge) = ("Content-Type: application/json\r\n", "{\"order\":\"purge\"}");
        let done = post(json, purge).await;
        assert!(
            done.starts_with("HTTP/1.1 200") && done.ends_with("{\"report\":\"purged\",\"images\":7}"),
            "{done}"
        );
        // What a page of another site can make a browser send without asking first.
        for form in
            ["", "Content-Type: text/plain\r\n", "Content-Type: application/x-www-form-urlencoded\r\n"]
        {
            assert!(post(form, purge).await.starts_with("HTTP/1.1 415"), "{form}");
        }
        let page = post(&format!("{json}Origin: http://[::1]:9683\r\n"), purge).await;
        assert!(page.starts_with("HTTP/1.1 403") && page.contains("browsers"), "{page}");
        assert!(
            exchange(address, "OPTIONS /api/order HTTP/1.1\r\nHost: localhost\r\n\r\n")
                .await
                .starts_with("HTTP/1.1 405")
        );
        assert!(get(address, "/api/order").await.starts_with("HTTP/1.1 405"));
        assert!(post(json, "{\"order\":\"explode\"}").await.starts_with("HTTP/1.1 422"));
        assert!(
            post(json, &format!("{{\"order\":\"ban\",\"name\":\"{}\"}}", "a".repeat(5000)))
                .await
                .starts_with("HTTP/1.1 413")
        );
    }

    #[tokio::test]
    async fn the_order_client_hears_what_is_done_and_what_is_not() {
        let (address, _) = start(Some(idle())).await;
        let url = format!("http://{address}");
        let done = order::tell(&url, &Order::Purge { name: None }).await.unwrap();
        assert_eq!(done, Report::Purged { images: 7 });
        let complaint =
            order::tell(&url, &Order::LiftBan { name: "/a".to_owned() }).await.unwrap_err().to_string();
        assert!(complaint.starts_with("operator: no [[route]]"), "{complaint}");
    }

    #[tokio::test]
    async fn an_address_in_use_is_named_with_a_remedy() {
        let (address, _) = start(None).await;
        let settings = Settings { listen: Some(address), hosts: Vec::new() };
        let error = Admin::bind(&settings, Relay(None), Readiness::default()).await.unwrap_err().to_string();
        assert!(error.starts_with("operator: admin.listen = ") && error.contains("another port"), "{error}");
        assert!(error.contains(&address.to_string()), "{error}");
    }

    /// So many slow clients, which are connected. Each ends when the relay closes its connection.
    async fn dawdlers(address: SocketAddr, count: usize) -> JoinSet<()> {
        let mut all = JoinSet::new();
        for turn in 0..count {
            let stream = TcpStream::connect(address).await.unwrap();
            all.spawn(dawdle(stream, SLOW[turn % SLOW.len()]));
        }
        all
    }

    /// Sends this, and then a byte now and then.
    async fn dawdle(mut stream: TcpStream, first: &str) {
        let _ = stream.write_all(first.as_bytes()).await;
        let (mut incoming, mut outgoing) = stream.into_split();
        let drip = async {
            while outgoing.write_all(b"a").await.is_ok() {
                sleep(Duration::from_millis(100)).await;
            }
        };
        let mut answer = Vec::new();
        tokio::select! {
            _ = incoming.read_to_end(&mut answer) => {}
            () = drip => {}
        }
    }

    /// Silent, a header byte by byte, and a body byte by byte.
    const SLOW: [&str; 3] = [
        "",
        "GET /metrics HTTP/1.1\r\nX: ",
        "POST /api/order HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 4000\r\n\r\n",
    ];

    #[tokio::test]
    async fn slow_clients_keep_nobody_out() {
        let hour = Duration::from_secs(3600);
        let (address, _) = start_with(Some(idle()), Patience { header: hour, all: hour }).await;
        let _slow = dawdlers(address, 4 * MAX_CONNECTIONS).await;
        for _ in 0..3 {
            let answer = timeout(Duration::from_secs(60), get(address, "/healthz")).await.unwrap();
            assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        }
    }

    #[tokio::test]
    async fn slow_clients_make_room_in_time() {
        let (address, _) = start(Some(idle())).await;
        let slow = dawdlers(address, SLOW.len()).await;
        timeout(Duration::from_secs(60), slow.join_all()).await.unwrap();
    }

    #[tokio::test]
    async fn a_long_header_is_refused() {
        let (address, _) = start(Some(idle())).await;
        let request = |padding| {
            let padding = "a".repeat(padding);
            format!("GET /healthz HTTP/1.1\r\nHost: localhost\r\nPadding: {padding}\r\n\r\n")
        };
        assert!(exchange(address, &request(MAX_HEADER / 2)).await.starts_with("HTTP/1.1 200"));
        assert!(!exchange(address, &request(2 * MAX_HEADER)).await.starts_with("HTTP/1.1 200"));
    }
}
