//! Registration with a resource directory (RFC 9176), so that devices find the relay without multicast.
//!
//! [`Registration`] decides what is asked next, [`Exchange`] carries one request across a lossy network; both are pure. Here
//! they get a socket and a clock. The relay's own CoAP server knows nothing of this: a directory is asked from another port,
//! and told where the server is (`base`, section 5).

mod base;
mod exchange;
mod registration;

pub use exchange::{Exchange, Progress, Request, Response};
pub use registration::{Outcome, Registration};

use anyhow::{Context, anyhow};
use base::base;
use sixfold_profile::Instant;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tokio::net::{UdpSocket, lookup_host};
use tokio::sync::watch;
use tokio::time::{interval, sleep, sleep_until, timeout};

/// How often it is looked whether devices reach the relay elsewhere.
const LOOK: Duration = Duration::from_secs(15);

/// How long a stopping relay waits for the directory to forget it.
const FAREWELL: Duration = Duration::from_secs(1);

/// What to register, and where. `None` in its place: nowhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The directory's host: a name or an address.
    pub host: String,
    /// The directory's port.
    pub port: u16,
    /// The path of its registration resource, without its first slash; empty if that is to be asked for (section 4.3).
    pub path: String,
    /// The name of this relay, unique in the directory.
    pub endpoint: String,
    /// How long the directory remembers the relay if it hears nothing more.
    pub lifetime: Duration,
    /// Where devices reach the relay; empty for the address that it listens on, or one of `interface`, or the one that faces the
    /// directory.
    pub base: String,
    /// The first address of the relay's own server.
    pub server: SocketAddr,
    /// The interface that it serves, if it serves one alone.
    pub interface: Option<String>,
    /// What devices find there, in link-format (RFC 6690).
    pub links: String,
}

/// Speaks to a running [`keep`].
#[derive(Debug)]
pub struct Directory {
    settings: watch::Sender<Option<Settings>>,
    registered: watch::Receiver<bool>,
}

impl Directory {
    /// A handle, and the future that does the work.
    pub fn new(settings: Option<Settings>) -> (Self, impl Future<Output = ()>) {
        let (settings, changes) = watch::channel(settings);
        let (report, registered) = watch::channel(false);
        (Self { settings, registered }, keep(changes, report))
    }

    /// What is to be registered from now on.
    pub fn change(&self, settings: Option<Settings>) {
        self.settings.send_if_modified(|old| {
            let changes = *old != settings;
            if changes {
                *old = settings;
            }
            changes
        });
    }

    /// Has the directory forget the relay, and waits for that for a moment.
    pub async fn withdraw(&mut self) {
        self.change(None);
        // A directory that is silent forgets the relay by itself when its lifetime is over.
        let _ = timeout(FAREWELL, self.registered.wait_for(|registered| !registered)).await;
    }
}

/// Keeps the registration alive for as long as it is polled.
async fn keep(mut changes: watch::Receiver<Option<Settings>>, report: watch::Sender<bool>) {
    loop {
        let settings = changes.borrow_and_update().clone();
        let Some(settings) = settings else {
            if changes.changed().await.is_err() {
                return std::future::pending().await;
            }
            continue;
        };
        let mut registration = Registration::new(&settings);
        let mut complained = false;
        loop {
            let mut told = None;
            let outcome = turn(&settings, &mut registration, &mut told).await;
            report.send_replace(registration.is_registered());
            let pause = registration.pause(random());
            match outcome {
                Ok(Outcome::Registered) => {
                    complained = false;
                    tracing::info!(directory = settings.host, endpoint = settings.endpoint, "registered");
                }
                Ok(Outcome::Under) => {}
                Err(error) if !complained => {
                    complained = true;
                    tracing::warn!(directory = settings.host, "not registered, tried again: {error:#}");
                }
                Err(error) => tracing::debug!(directory = settings.host, "not registered: {error:#}"),
            }
            tokio::select! {
                () = sleep(pause) => {}
                () = moved(&settings, told) => tracing::info!("the relay has another address: the resource directory is told"),
                _ = changes.changed() => break,
            }
        }
        if let Some(farewell) = registration.farewell()
            && let Ok(socket) = open(&settings).await
        {
            let _ = timeout(FAREWELL, ask(&socket, &farewell)).await;
        }
        report.send_replace(false);
    }
}

/// Who was told, and what: the directory and the base, which is empty while there is none.
type Told = (SocketAddr, String);

/// Asks what is to be asked next.
async fn turn(
    settings: &Settings,
    registration: &mut Registration,
    told: &mut Option<Told>,
) -> anyhow::Result<Outcome> {
    let heard = async {
        let socket = open(settings).await?;
        let directory = socket.peer_addr()?;
        let base = base(settings, directory);
        *told = Some((directory, base.as_ref().map_or_else(|_| String::new(), Clone::clone)));
        ask(&socket, &registration.request(&base?)).await
    };
    let heard = heard.await;
    registration.concluded(heard.as_ref().ok());
    let outcome = registration.judge(&heard?);
    outcome.map_err(|fault| anyhow!("the resource directory {fault}"))
}

/// Returns when devices reach the relay elsewhere than the directory was told, or at all; never, if the directory was not found. While
/// there is no address, what it was told is the best there is.
async fn moved(settings: &Settings, told: Option<Told>) {
    let Some((directory, told)) = told else { return std::future::pending().await };
    let mut looks = interval(LOOK);
    loop {
        looks.tick().await;
        if base(settings, directory).is_ok_and(|base| base != told) {
            return;
        }
    }
}

async fn open(settings: &Settings) -> anyhow::Result<UdpSocket> {
    let host = settings.host.trim_matches(['[', ']']);
    let mut addresses =
        lookup_host((host, settings.port)).await.with_context(|| format!("operator: {host}"))?;
    let address = addresses.next().with_context(|| format!("operator: {host} has no address"))?;
    let any: IpAddr = if address.is_ipv6() { IpAddr::from([0u16; 8]) } else { IpAddr::from([0u8; 4]) };
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(address).await.with_context(|| format!("relay: no way to {address}"))?;
    Ok(socket)
}

/// One request and its response.
async fn ask(socket: &UdpSocket, request: &Request) -> anyhow::Result<Response> {
    let started = tokio::time::Instant::now();
    let now = || Instant::ZERO + started.elapsed();
    let (mut exchange, first) = Exchange::start(request, now(), random())
        .ok_or_else(|| anyhow!("operator: too long for a datagram: shorten the endpoint's name and base"))?;
    socket.send(&first).await?;
    let mut buffer = [0; 2048];
    loop {
        let progress = tokio::select! {
            // An ICMP error (nobody listens) comes out of the socket too; the time-out decides.
            length = socket.recv(&mut buffer) => match length {
                Ok(length) => exchange.hear(now(), buffer.get(..length).unwrap_or_default()),
                Err(_) => {
                    sleep_until(started + exchange.deadline().since(Instant::ZERO)).await;
                    exchange.wait(now())
                }
            },
            () = sleep_until(started + exchange.deadline().since(Instant::ZERO)) => exchange.wait(now()),
        };
        match progress {
            Progress::Waits => {}
            Progress::Sends(datagram) => drop(socket.send(&datagram).await?),
            Progress::Answered { response, acknowledgement } => {
                if let Some(datagram) = acknowledgement {
                    socket.send(&datagram).await?;
                }
                return Ok(response);
            }
            Progress::Failed => return Err(anyhow!("the resource directory does not answer")),
        }
    }
}

fn random() -> u64 {
    // Without randomness from the system the relay does not start.
    getrandom::u64().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of a relay that is listened to everywhere.
    pub(super) fn settings() -> Settings {
        Settings {
            host: "::1".to_owned(),
            port: 5683,
            path: String::new(),
            endpoint: "r1".to_owned(),
            lifetime: Duration::from_secs(3600),
            base: String::new(),
            server: "[::]:5683".parse().unwrap(),
            interface: None,
            links: String::new(),
        }
    }

    /// In virtual time.
    #[tokio::test(start_paused = true)]
    async fn an_address_that_is_gone_is_noticed() {
        let settings = settings();
        let directory = "[::1]:5683".parse().unwrap();
        let told = |base: &str| Some((directory, base.to_owned()));
        moved(&settings, told("coap://[2001:db8::1]")).await;
        let hour = Duration::from_secs(3600);
        assert!(timeout(hour, moved(&settings, told("coap://[::1]"))).await.is_err(), "it is there still");
        assert!(timeout(hour, moved(&settings, None)).await.is_err());
    }
}
