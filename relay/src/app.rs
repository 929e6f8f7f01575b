//! The start-up story: configure, build, spawn, wait, drain.

use crate::config::Config;
use crate::confine::Confinement;
use crate::directory::Directory;
use crate::driver::{Command, Driver, SessionCommand, Untold};
use crate::ops::status::Page;
use crate::ops::supervisor::{self, State};
use crate::ops::{Admin, Metrics, Order, Readiness, Report, Status, StatusSource};
use crate::pacing::Pacing;
use crate::sessions::{self, SessionPort};
use crate::spool::{self, Place};
use anyhow::{Context, anyhow};
use sixfold_engine::{Id, NewSession, SessionError, SessionStatus, Unable};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, oneshot};
use tokio::time::interval;

/// Speaks to a running driver. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Handle {
    commands: mpsc::Sender<Command>,
    /// The counters of this relay.
    pub metrics: Arc<Metrics>,
}

impl Handle {
    /// Changes the configuration; images and running transfers stay.
    ///
    /// # Errors
    /// What is wrong with the new configuration; the old one is still in force then.
    pub async fn reload(&self, config: Config) -> anyhow::Result<()> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(Command::Reload(Box::new(config), reply)).await.map_err(|_| stopped())?;
        answer.await.map_err(|_| stopped())?
    }

    /// What the relay is doing.
    ///
    /// # Errors
    /// When it has stopped.
    pub async fn status(&self, page: Page) -> anyhow::Result<Status> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(Command::Status(page, reply)).await.map_err(|_| stopped())?;
        answer.await.map_err(|_| stopped())
    }

    /// Does what an operator orders.
    ///
    /// # Errors
    /// When it has stopped; and why it is not done.
    pub async fn order(&self, order: Order) -> anyhow::Result<Result<Report, Unable>> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(Command::Order(order, reply)).await.map_err(|_| stopped())?;
        answer.await.map_err(|_| stopped())
    }

    /// Waits until the event loop has turned.
    ///
    /// # Errors
    /// When it has stopped.
    pub async fn turn(&self) -> anyhow::Result<()> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(Command::Turn(reply)).await.map_err(|_| stopped())?;
        answer.await.map_err(|_| stopped())
    }

    /// A Recipient ID for a new session; `None` when none was found, or there is no randomness.
    ///
    /// # Errors
    /// When it has stopped.
    pub async fn fresh_recipient_id(&self) -> anyhow::Result<Option<Id>> {
        self.ask_session(SessionCommand::FreshId).await
    }

    /// Takes a session into use that was agreed on, and whose device has to be told.
    ///
    /// # Errors
    /// When it has stopped. What is wrong with the session is the inner result.
    pub async fn add_session(&self, session: NewSession) -> anyhow::Result<Result<Untold, SessionError>> {
        self.ask_session(|reply| SessionCommand::Add(Box::new(session), reply)).await
    }

    /// A page of the sessions, and how many there are.
    ///
    /// # Errors
    /// When it has stopped.
    pub async fn sessions(&self, page: Page) -> anyhow::Result<(Vec<SessionStatus>, usize)> {
        self.ask_session(|reply| SessionCommand::List(page, reply)).await
    }

    async fn ask_session<A>(
        &self,
        command: impl FnOnce(oneshot::Sender<A>) -> SessionCommand,
    ) -> anyhow::Result<A> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(Command::Session(command(reply))).await.map_err(|_| stopped())?;
        answer.await.map_err(|_| stopped())
    }

    /// Lets the relay finish what is under way, and stop. [`Driver::run`] returns then.
    pub async fn drain(&self) {
        // A driver that is gone has drained.
        let _ = self.commands.send(Command::Drain).await;
    }
}

impl StatusSource for Handle {
    async fn status(&self, page: Page) -> anyhow::Result<Status> {
        Handle::status(self, page).await
    }

    async fn order(&self, order: Order) -> anyhow::Result<Result<Report, Unable>> {
        Handle::order(self, order).await
    }

    fn metrics(&self) -> String {
        self.metrics.gather()
    }
}

fn stopped() -> anyhow::Error {
    anyhow!("relay: has stopped")
}

/// Builds a relay whose sockets are open. It works while [`Driver::run`] is awaited.
///
/// # Errors
/// What is in the way: an address in use, a file that cannot be read.
pub fn build(config: Config) -> anyhow::Result<(Driver, Handle)> {
    let metrics = Arc::new(Metrics::new()?);
    let (commands, receiver) = mpsc::channel(16);
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|error| anyhow!("relay: no randomness from the system: {error}"))?;
    let driver = Driver::start(config, seed, receiver, metrics.clone())?;
    Ok((driver, Handle { commands, metrics }))
}

/// Serves with the configuration in `file` until SIGTERM or SIGINT; SIGHUP reads the file again.
///
/// # Errors
/// What keeps it from starting.
pub async fn serve(file: &Path, config: Config, confinement: &Confinement) -> anyhow::Result<()> {
    // Before anybody is told that it serves, and may send one.
    let signals = Signals::catch()?;
    let (admin_settings, directory_settings) = (config.admin.clone(), config.directory());
    let (driver, handle) = build(config.clone())?;
    let mut port = SessionPort::closed(handle.clone());
    port.adopt(port.prepare(&config).await?);
    let readiness = Readiness::default();
    let admin = Admin::bind(&admin_settings, handle.clone(), readiness.clone()).await?;
    let pacing = Pacing::of(&config);
    tracing::info!("{pacing}");
    for (what, remedy) in &pacing.doubts {
        tracing::warn!("operator: {what}; {remedy}");
    }
    readiness.ready();
    supervisor::tell(State::Ready(&format!("serves with {}", file.display())));
    tracing::info!("ready");
    let (mut directory, registering) = Directory::new(directory_settings);
    let serving = async {
        tokio::select! {
            () = driver.run() => {}
            () = registering => {}
            () = serve_admin(admin) => {}
            () = show_life(&handle) => {}
        }
    };
    let ((), outcome) = tokio::join!(
        serving,
        supervise(file, signals, &handle, port, &mut directory, &readiness, confinement)
    );
    outcome
}

/// Never returns: the relay outlives its admin address.
async fn serve_admin(admin: Option<Admin>) {
    if let Some(admin) = admin {
        admin.run().await;
    }
    std::future::pending::<()>().await;
}

/// Never returns. Feeds the service manager's watchdog for as long as the event loop turns.
async fn show_life(handle: &Handle) {
    if let Some(beat) = supervisor::beat() {
        let mut beat = interval(beat);
        while handle.turn().await.is_ok() {
            supervisor::tell(State::Alive);
            beat.tick().await;
        }
    }
    std::future::pending::<()>().await;
}

/// What the relay is told by signals. One that is not caught ends it.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn catch() -> anyhow::Result<Self> {
        let catch = |kind, name| signal(kind).with_context(|| format!("relay: cannot listen for {name}"));
        Ok(Self {
            terminate: catch(SignalKind::terminate(), "SIGTERM")?,
            interrupt: catch(SignalKind::interrupt(), "SIGINT")?,
            hangup: catch(SignalKind::hangup(), "SIGHUP")?,
        })
    }
}

/// Turns signals into commands; returns when the relay was told to drain.
async fn supervise(
    file: &Path,
    mut signals: Signals,
    handle: &Handle,
    mut port: SessionPort,
    directory: &mut Directory,
    readiness: &Readiness,
    confinement: &Confinement,
) -> anyhow::Result<()> {
    loop {
        tokio::select! {
            _ = signals.terminate.recv() => break,
            _ = signals.interrupt.recv() => break,
            _ = signals.hangup.recv() => reload(file, handle, &mut port, directory, confinement).await,
        }
    }
    tracing::info!("draining");
    supervisor::tell(State::Stopping);
    readiness.draining();
    drop(port);
    directory.withdraw().await;
    handle.drain().await;
    Ok(())
}

async fn reload(
    file: &Path,
    handle: &Handle,
    port: &mut SessionPort,
    directory: &Directory,
    confinement: &Confinement,
) {
    supervisor::tell(State::Reloading);
    let outcome = match Config::load(file) {
        Ok(config) => match confinement.permits(&config, file) {
            Ok(()) => {
                let settings = config.directory();
                take(config, handle, port).await.inspect(|()| directory.change(settings))
            }
            Err(error) => Err(error),
        },
        Err(mistakes) => Err(anyhow!("{mistakes}")),
    };
    handle.metrics.config_reload(outcome.is_ok());
    let status = match outcome {
        Ok(()) => {
            tracing::info!("configuration reloaded from {}", file.display());
            format!("serves with {}", file.display())
        }
        Err(error) => {
            tracing::error!("configuration not reloaded, the old one stays: {error:#}");
            // A status is one line.
            format!("configuration not reloaded, the old one stays: {error:#}").replace('\n', "; ")
        }
    };
    supervisor::tell(State::Ready(&status));
}

/// Either all of the relay changes, or nothing.
async fn take(config: Config, handle: &Handle, port: &mut SessionPort) -> anyhow::Result<()> {
    let prepared = port.prepare(&config).await?;
    handle.reload(config).await?;
    port.adopt(prepared);
    Ok(())
}

/// The addresses of a relay that was built, for programs that asked for any free port.
pub fn first_address(driver: &mut Driver) -> anyhow::Result<SocketAddr> {
    driver.addresses().first().copied().ok_or_else(|| anyhow!("relay: no socket is open"))
}

/// What is to be said of a directory for images that is not there: serve makes it where it can, and goes on without where it cannot.
fn spool_line(path: &Path) -> Option<String> {
    let shown = path.display();
    Some(match spool::place(path) {
        Place::There => return None,
        Place::ToBeMade(_) => format!("cache.disk {shown} is not there yet: the relay makes it\n"),
        Place::OutOfReach(parent) => format!(
            "warning: cache.disk {shown} is not there, and cannot be made in {}: images will not outlive a restart; make it for the \
             relay's user, or correct the path\n",
            parent.display()
        ),
    })
}

/// What a configuration would serve, for people.
pub fn summary(config: &Config) -> String {
    let mut text = String::new();
    let interface = config.listen.interface.as_ref().map_or(String::new(), |name| format!(" on {name}"));
    for address in &config.listen.coap {
        text += &format!("serves CoAP at {address}{interface}\n");
    }
    for route in &config.routes {
        text += &format!("/{} comes from {}\n", route.path.join("/"), route.origin.prefix);
    }
    for prefix in &config.proxy.forward {
        text += &format!("forward proxy for {prefix}\n");
    }
    if let Some(port) = &config.sessions.port {
        text += &format!("agrees on sessions at {}, {}\n", port.listen, sessions::validity(port));
    }
    if let Some(files) = &config.sessions.edhoc {
        text +=
            &format!("agrees on sessions by EDHOC, with the credential {}\n", sessions::edhoc::shown(files));
    }
    let pacing = Pacing::of(config);
    text += &format!("{pacing}\n");
    for (what, remedy) in &pacing.doubts {
        text += &format!("warning: {what}; {remedy}\n");
    }
    text += &config.cache.disk.as_ref().and_then(|disk| spool_line(&disk.path)).unwrap_or_default();
    if config.routes.is_empty() && config.proxy.forward.is_empty() {
        text +=
            "there is no [[route]] and no [proxy] forward: every request will be answered with an error\n";
    }
    text
}
