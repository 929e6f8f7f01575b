//! A relay with a session port, and devices that speak to it through rustls alone.
#![allow(unreachable_pub, reason = "all of it is for the tests beside it")]

use super::support::Authority;
use rcgen::{CertificateParams, DnType, SanType};
use rustls::client::WantsClientCert;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ConfigBuilder, HandshakeKind, KeyLog, RootCertStore, SupportedCipherSuite};
use sixfold_profile::agreement::{
    ALPN, ANSWER, Answer, Ask, MASTER_SALT, MASTER_SECRET, SALT_LABEL, SECRET_LABEL, exporter_context,
};
use sixfold_relay::app::{self, Handle};
use sixfold_relay::config::{Config, Port};
use sixfold_relay::ops::status::Page;
use sixfold_relay::sessions::SessionPort;
use std::collections::HashMap;
use std::io::{self, IoSlice};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::sleep;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

pub type Files = (PathBuf, PathBuf);

type Builder = ConfigBuilder<ClientConfig, WantsClientCert>;

const ANY: SocketAddr = SocketAddr::new(IpAddr::V6(Ipv6Addr::LOCALHOST), 0);

/// A running relay, with one authority for its own certificate and for devices.
pub struct World {
    pub authority: Authority,
    pub handle: Handle,
    pub port: SessionPort,
    pub config: Config,
    pub coap_port: u16,
    /// The relay runs until this is dropped.
    _stop: oneshot::Sender<()>,
}

impl World {
    pub async fn start(adjust: impl FnOnce(&mut Config)) -> Self {
        let authority = Authority::new();
        let mut config = Config::default();
        config.listen.coap = vec![ANY];
        config.admin.listen = None;
        // Tests connect faster than devices do.
        config.sessions.handshakes.rate = 1000;
        config.sessions.port = Some(server(&authority));
        adjust(&mut config);
        let (stop, stopped) = oneshot::channel();
        let (handle, coap_port) = run(config.clone(), stopped).await;
        let mut port = SessionPort::closed(handle.clone());
        config.listen.coap = vec![SocketAddr::new(ANY.ip(), coap_port)];
        port.adopt(port.prepare(&config).await.unwrap());
        Self { authority, handle, port, config, coap_port, _stop: stop }
    }

    pub fn address(&self) -> SocketAddr {
        self.port.address().unwrap()
    }

    /// A device's certificate.
    pub fn issue(&self, name: &str) -> Files {
        issue(&self.authority, name)
    }

    /// Changes the session port's configuration, as a reload does.
    pub async fn reload(&mut self, adjust: impl FnOnce(&mut Config)) -> anyhow::Result<()> {
        let mut config = self.config.clone();
        adjust(&mut config);
        let prepared = self.port.prepare(&config).await?;
        self.port.adopt(prepared);
        self.config = config;
        Ok(())
    }

    /// The sum of the samples that begin so.
    pub fn metric(&self, series: &str) -> f64 {
        let metrics = self.handle.metrics.gather();
        let samples = metrics.lines().filter(|line| line.starts_with(series));
        samples.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }

    /// The names of those who have sessions.
    pub async fn sessions(&self) -> Vec<String> {
        let (list, _) = self.handle.sessions(Page::default()).await.unwrap();
        list.iter().map(|session| session.name.to_string()).collect()
    }

    /// Connections that ended so.
    pub fn counted(&self, result: &str) -> f64 {
        self.metric(&format!("sixfold_agreements_total{{result=\"{result}\"}}"))
    }

    /// Waits until so many connections have ended so.
    pub async fn wait_until_counted(&self, result: &str, count: f64) {
        for _ in 0..3000 {
            if self.counted(result) >= count {
                return;
            }
            sleep(Duration::from_millis(20)).await;
        }
        let all = self.handle.metrics.gather();
        let all: Vec<&str> = all.lines().filter(|line| line.starts_with("sixfold_agreements")).collect();
        panic!("{result} was not counted {count} times: {all:#?}");
    }
}

/// Starts a relay on a thread of its own, which its event loop does not leave.
async fn run(config: Config, stopped: oneshot::Receiver<()>) -> (Handle, u16) {
    let (sender, built) = oneshot::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (mut driver, handle) = app::build(config).unwrap();
            let port = app::first_address(&mut driver).unwrap().port();
            assert!(sender.send((handle, port)).is_ok());
            tokio::select! {
                () = driver.run() => {}
                _ = stopped => {}
            }
        });
    });
    built.await.unwrap()
}

/// A port of this machine with a new certificate, whose devices are of the same authority.
pub fn server(authority: &Authority) -> Port {
    let (certificate, key) = authority.issue(|_| {});
    Port { listen: ANY, certificate, key, client_ca: authority.ca_file(), client_crl: None }
}

pub fn issue(authority: &Authority, name: &str) -> Files {
    let dns = SanType::DnsName(name.try_into().unwrap());
    authority.issue(|params| params.subject_alt_names = vec![dns])
}

/// Without a DNS name.
pub fn call(params: &mut CertificateParams, common_name: &str) {
    params.subject_alt_names = Vec::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
}

/// What came of an agreement.
#[derive(Debug)]
pub struct Agreed {
    pub answer: [u8; ANSWER],
    pub kind: HandshakeKind,
    pub secret: Vec<u8>,
    pub salt: Vec<u8>,
    /// Sent and received, below TLS.
    pub bytes: u64,
}

/// A device, which remembers its last handshake.
pub struct Device {
    pub tls: ClientConfig,
    /// What it says after the handshake.
    pub ask: Vec<u8>,
}

impl Device {
    pub fn new(trusted: &Authority, files: Files) -> Self {
        Self::of(identified(builder(trusted, None), files))
    }

    /// One that knows a single cipher suite.
    pub fn with_suite(suite: SupportedCipherSuite, trusted: &Authority, files: Files) -> Self {
        Self::of(identified(builder(trusted, Some(suite)), files))
    }

    pub fn without_certificate(trusted: &Authority) -> Self {
        Self::of(builder(trusted, None).with_no_client_auth())
    }

    fn of(mut tls: ClientConfig) -> Self {
        tls.alpn_protocols = vec![ALPN.to_vec()];
        Self { tls, ask: Ask { lifetime: 0 }.encode().to_vec() }
    }

    /// A handshake that the relay has ended too: it has sent its ticket.
    pub async fn shake_hands(&mut self, world: &World) -> io::Result<TlsStream<Counting>> {
        let mut tls = self.connect(world).await?;
        let (stream, connection) = tls.get_mut();
        while connection.tls13_tickets_received() == 0 {
            let mut records = [0; 4096];
            let count = stream.read(&mut records).await?;
            connection.read_tls(&mut &records[..count])?;
            connection.process_new_packets().map_err(io::Error::other)?;
        }
        Ok(tls)
    }

    async fn connect(&self, world: &World) -> io::Result<TlsStream<Counting>> {
        let stream = Counting::new(TcpStream::connect(world.address()).await?);
        let name = ServerName::try_from("localhost").unwrap();
        TlsConnector::from(Arc::new(self.tls.clone())).connect(name, stream).await
    }

    /// The whole agreement.
    pub async fn agree(&mut self, world: &World) -> io::Result<Agreed> {
        let mut tls = self.connect(world).await?;
        let bytes = tls.get_ref().0.count.clone();
        tls.write_all(&self.ask).await?;
        let mut answer = [0; ANSWER];
        tls.read_exact(&mut answer).await?;
        let connection = tls.get_ref().1;
        let export = |label, length| {
            let Ok(Answer::Granted(grant)) = Answer::decode(&answer) else { return Vec::new() };
            let (context, used) = exporter_context(grant.device_id, grant.relay_id).unwrap();
            connection.export_keying_material(vec![0; length], label, Some(&context[..used])).unwrap()
        };
        Ok(Agreed {
            answer,
            kind: connection.handshake_kind().unwrap(),
            secret: export(SECRET_LABEL, MASTER_SECRET),
            salt: export(SALT_LABEL, MASTER_SALT),
            bytes: bytes.load(Ordering::SeqCst),
        })
    }
}

fn builder(trusted: &Authority, suite: Option<SupportedCipherSuite>) -> Builder {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(trusted.ca_file()).unwrap()).unwrap();
    let mut provider = rustls::crypto::ring::default_provider();
    if let Some(suite) = suite {
        provider.cipher_suites = vec![suite];
    }
    ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots)
}

fn identified(builder: Builder, (certificate, key): Files) -> ClientConfig {
    let chain = CertificateDer::pem_file_iter(certificate).unwrap().map(Result::unwrap).collect();
    builder.with_client_auth_cert(chain, PrivateKeyDer::from_pem_file(key).unwrap()).unwrap()
}

/// The secrets of a connection, by their label.
#[derive(Debug, Default)]
pub struct Secrets(Mutex<HashMap<String, Vec<u8>>>);

impl Secrets {
    pub fn of(&self, label: &str) -> Vec<u8> {
        self.0.lock().unwrap()[label].clone()
    }
}

impl KeyLog for Secrets {
    fn log(&self, label: &str, _client_random: &[u8], secret: &[u8]) {
        self.0.lock().unwrap().insert(label.to_owned(), secret.to_vec());
    }
}

/// A connection whose bytes are counted.
#[derive(Debug)]
pub struct Counting {
    stream: TcpStream,
    count: Arc<AtomicU64>,
}

impl Counting {
    fn new(stream: TcpStream) -> Self {
        Self { stream, count: Arc::default() }
    }

    fn add(&self, bytes: usize) {
        self.count.fetch_add(bytes as u64, Ordering::SeqCst);
    }
}

impl AsyncRead for Counting {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let outcome = Pin::new(&mut self.stream).poll_read(context, buffer);
        self.add(buffer.filled().len() - before);
        outcome
    }
}

impl AsyncWrite for Counting {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write(context, bytes);
        if let Poll::Ready(Ok(written)) = outcome {
            self.add(written);
        }
        outcome
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write_vectored(context, parts);
        if let Poll::Ready(Ok(written)) = outcome {
            self.add(written);
        }
        outcome
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
