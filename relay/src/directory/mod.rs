//! Registration with a resource directory (RFC 9176), so that devices find the relay without multicast.
//!
//! [`Registration`] decides what is asked next, [`Exchange`] carries one request across a lossy network; both are pure. Here
//! they get a socket and a clock. The relay's own CoAP server knows nothing of this: a directory is asked from another port,
//! and told where the server is (`base`, section 5).

mod exchange;
mod registration;

pub use exchange::{Exchange, Progress, Request, Response};
pub use registration::{Outcome, Registration};

use anyhow::{Context, anyhow};
use sixfold_profile::Instant;
use sixfold_profile::coap::params;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tokio::net::{UdpSocket, lookup_host};
use tokio::sync::watch;
use tokio::time::{sleep, sleep_until, timeout};

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
    /// Where devices reach the relay; empty for the address that faces the directory.
    pub base: String,
    /// The port of the relay's own server.
    pub server_port: u16,
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
            let outcome = turn(&settings, &mut registration).await;
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

/// Asks what is to be asked next.
async fn turn(settings: &Settings, registration: &mut Registration) -> anyhow::Result<Outcome> {
    let heard = async {
        let socket = open(settings).await?;
        let base = base(settings, socket.local_addr()?);
        ask(&socket, &registration.request(&base)).await
    };
    let heard = heard.await;
    registration.concluded(heard.as_ref().ok());
    let outcome = registration.judge(&heard?);
    outcome.map_err(|fault| anyhow!("the resource directory {fault}"))
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

/// The URI of the relay's server, if it is told by the address that faces the directory.
fn base(settings: &Settings, facing: SocketAddr) -> String {
    if !settings.base.is_empty() {
        return settings.base.clone();
    }
    let address = SocketAddr::new(facing.ip().to_canonical(), settings.server_port).to_string();
    let standard = format!(":{}", params::PORT);
    format!("coap://{}", address.strip_suffix(&standard).unwrap_or(&address))
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

    #[test]
    fn where_the_relay_is() {
        let mut settings = Settings {
            host: "rd".to_owned(),
            port: 5683,
            path: String::new(),
            endpoint: "r1".to_owned(),
            lifetime: Duration::from_secs(3600),
            base: String::new(),
            server_port: 5683,
            links: String::new(),
        };
        let facing = "[2001:db8::1]:40000".parse().unwrap();
        assert_eq!(base(&settings, facing), "coap://[2001:db8::1]");
        assert_eq!(base(&settings, "192.0.2.1:40000".parse().unwrap()), "coap://192.0.2.1");
        settings.server_port = 5999;
        assert_eq!(base(&settings, facing), "coap://[2001:db8::1]:5999");
        settings.base = "coap://relay.example".to_owned();
        assert_eq!(base(&settings, facing), "coap://relay.example");
    }
}
