use super::*;
use crate::app;
use crate::config::{Config, Port};
use crate::guests::{Guests, Limits, Neighbours};
use crate::ops::status::Page;
use crate::sessions::Credentials;
use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::io::{Error, ErrorKind};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};
use tokio::io::{DuplexStream, ReadBuf, duplex};
use tokio::task::yield_now;
use tokio_rustls::TlsConnector;

const LOCALHOST: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);

/// What becomes of what the relay writes.
const ARRIVES: u8 = 0;
const BREAKS: u8 = 1;
const STANDS_STILL: u8 = 2;

/// The relay's end of a connection.
struct Wire {
    inner: DuplexStream,
    fate: Arc<AtomicU8>,
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        match self.fate.load(Ordering::SeqCst) {
            ARRIVES => Pin::new(&mut self.inner).poll_write(cx, bytes),
            BREAKS => Poll::Ready(Err(Error::from(ErrorKind::BrokenPipe))),
            _ => Poll::Pending,
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

/// A relay, and a device that it trusts: both have the same certificate.
struct World {
    config: Config,
    device: TlsConnector,
    _directory: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let own = params.self_signed(&key).unwrap();
        let [certificate, key_file] = ["certificate", "key"].map(|name| directory.path().join(name));
        std::fs::write(&certificate, own.pem()).unwrap();
        crate::secret::write(&key_file, key.serialize_pem().as_bytes()).unwrap();
        let listen = SocketAddr::new(LOCALHOST, 0);
        let mut config = Config::default();
        config.listen.coap = vec![listen];
        let client_ca = certificate.clone();
        config.sessions.port = Some(Port { listen, certificate, key: key_file, client_ca, client_crl: None });
        let mut roots = RootCertStore::empty();
        roots.add(own.der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut tls = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_root_certificates(roots)
            .with_client_auth_cert(vec![own.der().clone()], PrivateKeyDer::Pkcs8(key.serialize_der().into()))
            .unwrap();
        tls.alpn_protocols = vec![ALPN.to_vec()];
        Self { config, device: TlsConnector::from(Arc::new(tls)), _directory: directory }
    }
}

/// A device asks, and what the relay writes from then on meets this fate. Gives what became of the connection, if anything did before
/// `is_over` said that this has been waited for long enough, and how many sessions there are then.
async fn ask(fate: u8, is_over: impl AsyncFn(&Handle)) -> (Option<Outcome>, usize, String) {
    let world = World::new();
    let settings = Settings::new(
        &world.config,
        Credentials::load(world.config.sessions.port.as_ref().unwrap()).unwrap(),
    );
    let (driver, relay) = app::build(world.config.clone()).unwrap();
    let source = Neighbours::default().source(LOCALHOST, None);
    let place = Guests::default().admit(source, Limits { total: 1, per_source: 1 }).unwrap();
    let (inner, theirs) = duplex(1 << 16);
    let wire = Wire { inner, fate: Arc::new(AtomicU8::new(ARRIVES)) };
    let switch = wire.fate.clone();
    let device = async {
        let name = ServerName::try_from("localhost").unwrap();
        let mut tls = world.device.connect(name, theirs).await.unwrap();
        // The last that the relay sends before it is asked.
        let (stream, connection) = tls.get_mut();
        while connection.tls13_tickets_received() == 0 {
            let mut records = [0; 4096];
            let count = stream.read(&mut records).await.unwrap();
            connection.read_tls(&mut &records[..count]).unwrap();
            connection.process_new_packets().unwrap();
        }
        switch.store(fate, Ordering::SeqCst);
        tls.write_all(&Ask { lifetime: 0 }.encode()).await.unwrap();
        is_over(&relay).await;
        tls
    };
    let scene = async {
        let outcome = {
            let mut device = std::pin::pin!(device);
            let mut served = std::pin::pin!(serve(wire, &settings, &relay, &place));
            tokio::select! {
                report = &mut served => Some(report.outcome),
                _ = &mut device => None,
            }
        };
        // What is dropped is told to the driver before what is asked now.
        let (_, sessions) = relay.sessions(Page::default()).await.unwrap();
        (outcome, sessions, relay.metrics.gather())
    };
    tokio::select! {
        () = driver.run() => panic!("the relay has stopped"),
        seen = scene => seen,
    }
}

async fn for_ever(_: &Handle) {
    std::future::pending::<()>().await;
}

/// Until there is a session.
async fn agreed(relay: &Handle) {
    while relay.sessions(Page::default()).await.unwrap().1 == 0 {
        yield_now().await;
    }
}

#[tokio::test]
async fn a_session_whose_answer_was_written_stays() {
    let (outcome, sessions, _) = ask(ARRIVES, for_ever).await;
    assert_eq!((outcome, sessions), (Some(Outcome::Granted), 1));
}

#[tokio::test]
async fn a_session_whose_answer_could_not_be_written_ends_at_once() {
    let (outcome, sessions, metrics) = ask(BREAKS, for_ever).await;
    assert_eq!((outcome, sessions), (Some(Outcome::Broken), 0));
    for line in ["added\"} 1", "withdrawn\"} 1"] {
        let line = format!("sixfold_session_events_total{{event=\"{line}");
        assert!(metrics.contains(&line), "{line}: {metrics}");
    }
    assert!(metrics.contains("sixfold_sessions 0"), "{metrics}");
}

/// As by a time-out, or when the port is closed.
#[tokio::test]
async fn a_session_whose_connection_ends_while_its_answer_waits_ends_too() {
    let (outcome, sessions, _) = ask(STANDS_STILL, agreed).await;
    assert_eq!((outcome, sessions), (None, 0));
}
