//! The listener of the session port: who is let in, what is counted and logged, and how it changes with the configuration.
//!
//! The configuration limits how many connections are held. Each is for one agreement and ends after a time. It ends earlier if
//! others come before its handshake is over ([`crate::guests`]), so that a slow or silent device keeps nobody out.

use super::credentials::{Credentials, RENEWAL};
use super::exchange::{self, Report};
use super::outcome::Outcome;
use crate::app::Handle;
use crate::config::{self, Config};
use crate::driver::door::{Door, Entry};
use crate::guests::{Guests, Limits, Neighbours, NoPlace, Place, Source};
use crate::ops::Metrics;
use anyhow::anyhow;
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use std::io;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::sleep;

/// Lines a minute about devices that got no session, and at once: more are counted only.
const LINES_A_MINUTE: NonZeroU32 = NonZeroU32::new(30).unwrap();

/// What every connection is served with.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) credentials: Credentials,
    /// The longest session.
    pub(super) lifetime: Duration,
    /// How long the handshake and what follows it may take together.
    pub(super) patience: Duration,
    /// The port of CoAP, which devices are told.
    pub(super) coap_port: Option<u16>,
    handshakes: config::Handshakes,
    /// The only interface that is served, if there is just one.
    interface: Option<String>,
}

impl Settings {
    pub(super) fn new(config: &Config, credentials: Credentials) -> Self {
        let sessions = &config.sessions;
        Self {
            credentials,
            lifetime: sessions.lifetime,
            patience: sessions.handshakes.timeout,
            coap_port: config.listen.coap.first().map(SocketAddr::port).filter(|port| *port != 0),
            handshakes: sessions.handshakes,
            interface: config.listen.interface.clone(),
        }
    }
}

/// The port, open or closed.
#[derive(Debug)]
pub struct SessionPort {
    relay: Handle,
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    /// As configured: the port may be 0.
    listen: SocketAddr,
    address: SocketAddr,
    settings: watch::Sender<Arc<Settings>>,
    task: JoinHandle<()>,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What a port needs to change, all of it at hand.
#[derive(Debug)]
pub struct Prepared(Option<(Settings, SocketAddr, Option<TcpListener>)>);

impl SessionPort {
    /// A port that is closed.
    pub fn closed(relay: Handle) -> Self {
        Self { relay, open: None }
    }

    /// The address that is listened on.
    pub fn address(&self) -> Option<SocketAddr> {
        self.open.as_ref().map(|open| open.address)
    }

    /// Reads certificates and binds an address, where that is another one. Nothing changes yet.
    ///
    /// # Errors
    /// What the operator has to mend.
    pub async fn prepare(&self, config: &Config) -> anyhow::Result<Prepared> {
        let sessions = &config.sessions;
        let Some(port) = &sessions.port else { return Ok(Prepared(None)) };
        let mut credentials = Credentials::load(port).map_err(|mistakes| {
            let mistakes: Vec<String> =
                mistakes.into_iter().map(|(key, message)| format!("sessions.{key}: {message}")).collect();
            anyhow!("operator: {}", mistakes.join("; "))
        })?;
        if let Some(open) = &self.open {
            credentials.remember(&open.settings.borrow().credentials);
        }
        let settings = Settings::new(config, credentials);
        let is_open = self.open.as_ref().is_some_and(|open| open.listen == port.listen);
        let listener = if is_open { None } else { Some(bind(port.listen).await?) };
        Ok(Prepared(Some((settings, port.listen, listener))))
    }

    /// Changes to what was prepared. Connections that are open end as they began, unless the port closes.
    pub fn adopt(&mut self, Prepared(prepared): Prepared) {
        let Some((settings, listen, listener)) = prepared else {
            self.open = None;
            return self.relay.metrics.set_session_certificate(None);
        };
        let not_after = settings.credentials.not_after();
        warn_of_expiry(not_after);
        self.relay.metrics.set_session_certificate(not_after);
        match (listener, &self.open) {
            (None, Some(open)) => drop(open.settings.send_replace(Arc::new(settings))),
            (None, None) => {}
            (Some(listener), _) => {
                let address = listener.local_addr().unwrap_or(listen);
                tracing::info!(%address, "agrees on sessions");
                let (sender, receiver) = watch::channel(Arc::new(settings));
                let host = Host { listener, settings: receiver, relay: self.relay.clone() };
                self.open = Some(Open { listen, address, settings: sender, task: tokio::spawn(host.run()) });
            }
        }
    }
}

async fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| {
        let remedy = match error.kind() {
            io::ErrorKind::AddrInUse => "another process has it; stop that one or choose another port",
            io::ErrorKind::AddrNotAvailable => {
                "this machine does not have this address; choose one that it has"
            }
            io::ErrorKind::PermissionDenied => {
                "ports below 1024 need CAP_NET_BIND_SERVICE; choose a higher one"
            }
            _ => "choose another address, or \"\" for none",
        };
        anyhow!("operator: sessions.listen = \"{address}\" cannot be bound ({error}): {remedy}")
    })
}

fn warn_of_expiry(not_after: Option<SystemTime>) {
    let Some(not_after) = not_after else { return };
    let shown = humantime::format_rfc3339_seconds(not_after);
    match not_after.duration_since(SystemTime::now()) {
        Err(_) => tracing::error!(
            "operator: sessions.certificate expired at {shown}: no device accepts it; renew it"
        ),
        Ok(left) if left < RENEWAL => {
            tracing::warn!("operator: sessions.certificate expires at {shown}: renew it");
        }
        Ok(_) => {}
    }
}

/// The task of an open port.
struct Host {
    listener: TcpListener,
    settings: watch::Receiver<Arc<Settings>>,
    relay: Handle,
}

impl Host {
    async fn run(self) {
        let mut connections = JoinSet::new();
        let (guests, mut neighbours) = (Guests::default(), Neighbours::default());
        let lines = Arc::new(RateLimiter::direct(Quota::per_minute(LINES_A_MINUTE)));
        let (mut rate, mut door) = (0, Door::new(0, 0));
        loop {
            let settings = self.settings.borrow().clone();
            let limits = settings.handshakes;
            if rate != limits.rate {
                (rate, door) = (limits.rate, Door::new(limits.rate, limits.rate));
            }
            while connections.try_join_next().is_some() {}
            let (stream, peer) = match self.listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!("relay: the session port cannot accept a connection: {error}");
                    sleep(Duration::from_secs(1)).await;
                    continue;
                }
            };
            door.sweep(rate, rate);
            let source = neighbours.source(peer.ip(), settings.interface.as_deref());
            let is_admitted = door.judge(source.address()) == Entry::Admitted;
            let place =
                if is_admitted { seat(&guests, source, limits, &mut connections).await } else { None };
            let Some(place) = place else {
                note(&self.relay.metrics, &lines, peer, &Outcome::Rate.into());
                continue;
            };
            let served = self.serve(stream, peer, place, lines.clone());
            connections.spawn(served);
        }
    }

    /// A connection, with the settings that are in force when it begins.
    fn serve(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
        place: Place,
        lines: Arc<DefaultDirectRateLimiter>,
    ) -> impl Future<Output = ()> + Send + 'static {
        // The answer is small, and nothing follows that it could wait for.
        let _ = stream.set_nodelay(true);
        let (settings, relay) = (self.settings.borrow().clone(), self.relay.clone());
        async move {
            let report = tokio::select! {
                biased;
                () = place.displaced() => Outcome::Displaced.into(),
                report = exchange::serve(stream, &settings, &relay, &place) => report,
            };
            drop(place);
            note(&relay.metrics, &lines, peer, &report);
        }
    }
}

/// A place for a connection, as soon as there is one; `None` when its source has too many.
async fn seat(
    guests: &Guests,
    source: Source,
    limits: config::Handshakes,
    connections: &mut JoinSet<()>,
) -> Option<Place> {
    let limits = Limits { total: limits.total, per_source: limits.per_client };
    loop {
        match guests.admit(source, limits) {
            Ok(place) => return Some(place),
            Err(NoPlace::OfSource) => return None,
            // All have shown a certificate: none of them stays for long.
            Err(NoPlace::AtAll) => drop(connections.join_next().await?),
        }
    }
}

/// Counts what became of a connection, and logs it. Names are recorded as strings, so that they are quoted.
fn note(metrics: &Metrics, lines: &DefaultDirectRateLimiter, peer: SocketAddr, report: &Report) {
    let Report { outcome, name, lifetime } = report;
    metrics.agreement(*outcome);
    let device = name.as_deref().unwrap_or_default();
    let (result, address) = (outcome.label(), peer.ip());
    match lifetime {
        Some(lifetime) => {
            tracing::info!(device, %address, result, seconds = lifetime.as_secs(), "session agreed on");
        }
        None if lines.check().is_ok() => {
            tracing::warn!(device, %address, result, "no session: {}", outcome.advice());
        }
        None => tracing::debug!(device, %address, result, "no session"),
    }
}
