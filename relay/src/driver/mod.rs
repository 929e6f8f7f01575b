//! The event loop: sockets, timers, origin client and commands around one engine.
//!
//! It makes no protocol decisions and keeps no datagrams: what the engine says leaves at once or is counted as
//! dropped. When several things are ready, commands come first: they are rare, and people wait for them. Of these, what
//! ends sessions comes before what shows them. Then come the origin (its bytes answer devices that wait), datagrams in
//! batches, and time.

mod clock;
pub(crate) mod door;
mod edhoc;
mod keeper;
mod links;
mod paced;
mod sessions;

pub use sessions::{SessionCommand, Untold};

use crate::config::Config;
use crate::guests::Neighbours;
use crate::ops::status::{Around, Image, Page};
use crate::ops::{Metrics, Order, Report, Status, logging};
use crate::origin::OriginClient;
use crate::sessions::edhoc::Responder;
use crate::spool::Spool;
use crate::store::MemoryStore;
use crate::udp::{Interface, RecvBatch, interfaces};
use clock::Clock;
use door::{Door, Entry};
use keeper::Keeper;
use links::Links;
use paced::Paced;
use sessions::Withdrawals;
use sixfold_engine::{DropReason, Engine, Event, FetchId, Instant, OriginEvent, Store, Transmit, Unable};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{MissedTickBehavior, Sleep, interval, sleep_until};

/// How often interfaces are looked at, and memory that only shrinks by looking is swept.
const HOUSEKEEPING: Duration = Duration::from_secs(1);

/// How long a draining relay waits for exchanges under way. A supervisor's patience is longer.
const DRAIN: Duration = Duration::from_secs(4);

/// What the driver can be told.
#[derive(Debug)]
pub enum Command {
    /// Take this configuration from now on; images and running transfers stay. Answers with what is wrong with
    /// it, if anything; then the old one stays in force.
    Reload(Box<Config>, oneshot::Sender<anyhow::Result<()>>),
    /// Answer, to show that the event loop turns.
    Turn(oneshot::Sender<()>),
    /// Describe yourself, with this part of the long tables.
    Status(Page, oneshot::Sender<Status>),
    /// Do what an operator orders.
    Order(Order, oneshot::Sender<Result<Report, Unable>>),
    /// Something about sessions.
    Session(SessionCommand),
    /// Finish what is under way and stop.
    Drain,
}

/// The relay at work.
pub struct Driver {
    config: Config,
    spool: Option<Arc<Spool>>,
    engine: Engine<MemoryStore>,
    keeper: Option<Keeper>,
    links: Links,
    paced: Paced,
    origin: OriginClient,
    origin_events: mpsc::Receiver<(FetchId, OriginEvent)>,
    commands: mpsc::Receiver<Command>,
    metrics: Arc<Metrics>,
    door: Door,
    clock: Clock,
    batch: RecvBatch,
    outbox: Vec<Transmit>,
    edhoc: Option<Responder>,
    neighbours: Neighbours,
    withdrawals: Withdrawals,
}

impl Driver {
    /// A driver whose sockets are open (or wait for their interface) and whose origin client is ready.
    ///
    /// # Errors
    /// When an address cannot be bound, a certificate cannot be read, or another relay has the spool or the sessions: the operator's
    /// to mend.
    pub fn start(
        config: Config,
        seed: [u8; 32],
        commands: mpsc::Receiver<Command>,
        metrics: Arc<Metrics>,
    ) -> anyhow::Result<Self> {
        let spool = config.open_spool()?;
        let (sender, origin_events) = mpsc::channel(64);
        let origin = OriginClient::new(config.origin_settings(spool.clone()), sender)?;
        metrics.watch_origin(origin.traffic());
        let links = Links::open(&config.listen)?;
        let store = MemoryStore::new(config.cache.memory);
        let edhoc = edhoc::responder(&config)?;
        let clock = Clock::start();
        let mut engine = Engine::new(config.engine(), store, seed);
        let keeper = Keeper::open(&config.sessions, &mut engine, clock.now())?;
        let door = Door::new(config.limits.client_rate, config.limits.client_burst);
        let mut driver = Self {
            config,
            spool,
            engine,
            keeper,
            links,
            paced: Paced::default(),
            origin,
            origin_events,
            commands,
            metrics,
            door,
            clock,
            batch: RecvBatch::new(),
            outbox: Vec::new(),
            edhoc,
            neighbours: Neighbours::default(),
            withdrawals: Withdrawals::new(),
        };
        driver.pace();
        Ok(driver)
    }

    /// The addresses that CoAP is served on now.
    pub fn addresses(&mut self) -> Vec<SocketAddr> {
        self.links.addresses()
    }

    /// Serves until told to drain.
    pub async fn run(mut self) {
        let mut housekeeping = interval(HOUSEKEEPING);
        housekeeping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut alarm = Alarm::new(self.clock);
        let mut draining = None;
        loop {
            let deadline = [self.engine.poll_timeout(), draining].into_iter().flatten().min();
            tokio::select! {
                biased;
                Some(id) = self.withdrawals.next() => drop(self.engine.withdraw_session(id)),
                Some(command) = self.commands.recv() => match command {
                    Command::Drain => draining = Some(self.clock.now() + DRAIN),
                    Command::Turn(reply) => drop(reply.send(())),
                    Command::Status(page, reply) => drop(reply.send(self.status(page))),
                    Command::Order(order, reply) => drop(reply.send(self.obey(order).await)),
                    Command::Session(command) => self.take_session_command(command),
                    Command::Reload(config, reply) => drop(reply.send(self.reload(*config))),
                },
                Some((id, event)) = self.origin_events.recv() => self.take_origin(id, event),
                ready = self.links.readable() => self.receive(ready),
                () = alarm.ring(deadline) => {}
                _ = housekeeping.tick() => self.keep_house().await,
            }
            let now = self.clock.now();
            if self.engine.poll_timeout().is_some_and(|at| at <= now) {
                self.engine.handle_timeout(now);
            }
            self.flush().await;
            if draining.is_some_and(|until| now >= until || self.is_idle()) {
                break;
            }
        }
        if let Some(keeper) = &mut self.keeper {
            keeper.keep(&mut self.engine, self.clock.now()).await;
        }
    }

    /// Nobody waits for anything.
    fn is_idle(&self) -> bool {
        let load = self.engine.load();
        load.exchanges == 0 && load.outgoing == 0
    }

    fn take_origin(&mut self, id: FetchId, event: OriginEvent) {
        let now = self.clock.now();
        self.engine.handle_origin(now, id, event);
        while let Ok((id, event)) = self.origin_events.try_recv() {
            self.engine.handle_origin(now, id, event);
        }
    }

    fn receive(&mut self, ready: usize) {
        self.links.receive(ready, &mut self.batch);
        let now = self.clock.now();
        for datagram in self.batch.iter() {
            match self.door.judge(datagram.path.peer.ip()) {
                Entry::Admitted => self.engine.handle_datagram(now, datagram.path, datagram.bytes),
                Entry::Refused => self.engine.handle_excess(now, datagram.path, datagram.bytes),
                Entry::Dropped => self.metrics.record(&Event::Dropped(DropReason::ClientRate)),
            }
        }
        for _ in 0..self.batch.truncated() {
            self.metrics.record(&Event::Dropped(DropReason::Malformed));
        }
    }

    /// Takes everything that the engine has to say.
    async fn flush(&mut self) {
        self.answer_edhoc();
        while let Some(transmit) = self.engine.poll_transmit() {
            self.outbox.push(transmit);
        }
        let refused = self.links.send(&mut self.outbox).await;
        for _ in 0..refused {
            self.metrics.record(&Event::Dropped(DropReason::Send));
        }
        while let Some(command) = self.engine.poll_fetch() {
            self.origin.execute(command);
        }
        while let Some(event) = self.engine.poll_event() {
            self.metrics.record(&event);
            logging::log_event(&event);
        }
    }

    async fn keep_house(&mut self) {
        if let Some(keeper) = &mut self.keeper {
            keeper.look(&mut self.engine, self.clock.now()).await;
        }
        self.links.poll_interfaces();
        self.pace();
        self.door.sweep(self.config.limits.client_rate, self.config.limits.client_burst);
        let now = self.clock.now();
        self.metrics.set_cache(self.engine.store().bytes(), self.config.cache.memory);
        self.metrics.set_images(self.engine.image_states(now));
        self.metrics.set_longest_transfers(self.engine.longest_transfers(now));
        self.metrics.set_fanout(self.engine.load());
        let links = self.engine.link_status(now);
        let links = links.iter().map(|link| (self.paced.label(link.interface), link));
        self.metrics.set_links(links);
    }

    /// Tells the engine which interfaces there are to pace.
    fn pace(&mut self) {
        let interfaces = match interfaces() {
            Ok(interfaces) => interfaces,
            Err(error) => return tracing::debug!("looking for interfaces: {error}"),
        };
        self.engine.set_prefixes(interfaces.iter().flat_map(Interface::prefixes).collect());
        let now = self.clock.now();
        for (interface, config) in self.paced.update(&interfaces, &self.config.link) {
            tracing::debug!(interface, paced = config.is_some(), "link");
            self.engine.set_link(now, interface, config);
        }
        let named = self.config.interfaces();
        self.metrics.set_interfaces(named.into_iter().map(|name| (name, self.paced.is_up(name))));
    }

    /// Everything new is made before anything old is let go.
    fn reload(&mut self, config: Config) -> anyhow::Result<()> {
        let disk = config.cache.disk.as_ref();
        let stays = |spool: &&Arc<Spool>| disk.is_some_and(|disk| spool.is_at(&disk.path));
        let spool = match self.spool.as_ref().filter(stays) {
            Some(spool) => Some(Arc::clone(spool)),
            None => config.open_spool()?,
        };
        let edhoc = edhoc::responder(&config)?;
        let settings = config.origin_settings(spool.clone());
        if config.listen != self.config.listen {
            self.links.reopen(&config.listen)?;
        }
        self.origin.reconfigure(settings)?;
        if config.cache.memory != self.config.cache.memory {
            self.engine.store_mut().resize(config.cache.memory);
        }
        // What was half finished begins again: the list of devices may be another one.
        self.edhoc = edhoc;
        self.engine.reconfigure(config.engine());
        self.door = Door::new(config.limits.client_rate, config.limits.client_burst);
        let waits = |config: &Config| (config.admin.clone(), config.log.clone(), config.process.clone());
        if waits(&config) != waits(&self.config) {
            tracing::warn!("operator: changes in [admin], [log] and [process] wait for the next start");
        }
        let kept = |config: &Config| (config.sessions.store.clone(), config.sessions.contexts.clone());
        if kept(&config) != kept(&self.config) {
            tracing::warn!(
                "operator: changes of sessions.store and sessions.contexts wait for the next start"
            );
        }
        self.spool = spool;
        if let (Some(spool), Some(disk)) = (&self.spool, &config.cache.disk) {
            spool.resize(disk.limit);
        }
        self.config = config;
        self.pace();
        Ok(())
    }

    async fn obey(&mut self, order: Order) -> Result<Report, Unable> {
        let now = self.clock.now();
        let stands = |driver: &Self, url: String| {
            let image = driver.engine.image(now, &url);
            let failed = image.as_ref().is_some_and(|image| image.failure.is_some());
            let complaint = driver.origin.traffic().complaints().about(&url).filter(|_| failed);
            Report::Resource { url, image: image.map(Image::of), complaint }
        };
        logging::log_order(&order);
        match order {
            Order::Prefetch { name } => self.engine.prefetch(now, &name).map(|url| stands(self, url)),
            Order::Look { name } => self.engine.locate(&name).map(|url| stands(self, url)),
            Order::Purge { name } => {
                let url = name.map(|name| self.engine.locate(&name)).transpose()?;
                let images = self.engine.purge(now, url.as_deref()) as u64;
                let on_disk = self.spool.as_ref().map_or(0, |spool| spool.purge(url.as_deref()));
                // After a restart what is on disk is known there alone.
                Ok(Report::Purged { images: images.max(on_disk as u64) })
            }
            Order::Ban { name } => {
                let url = self.engine.ban(now, &name)?;
                let is_known = self.engine.is_known(&url);
                let is_directory = self.engine.is_directory(&url);
                Ok(Report::Banned { url, is_known, is_directory })
            }
            Order::LiftBan { name } => {
                let (url, was_banned) = self.engine.lift_ban(&name)?;
                Ok(Report::Lifted { url, was_banned })
            }
            Order::Revoke { name } => {
                let (sessions, is_lasting) = self.revoke(name.as_deref()).await;
                Ok(Report::Revoked { sessions: sessions as u64, is_lasting })
            }
        }
    }

    fn status(&mut self, page: Page) -> Status {
        let now = self.clock.now();
        let listen = self.links.addresses();
        let named = self.config.interfaces().into_iter();
        let around = Around {
            cache_limit_bytes: self.config.cache.memory,
            origin: &self.origin.traffic(),
            transfers_active: self.metrics.transfers_active(),
            sent_bytes: self.metrics.bytes_sent(),
            uptime: self.clock.uptime(),
            listen: &listen,
            interface: &|index| self.paced.label(index),
            unpaced: self.paced.unpaced(self.config.listen.interface.as_deref()),
            absent: named.filter(|name| !self.paced.is_up(name)).map(str::to_owned).collect(),
        };
        Status::describe(&self.engine, &around, now, page)
    }
}

/// One timer, set anew only when the deadline moves.
struct Alarm {
    clock: Clock,
    sleep: Pin<Box<Sleep>>,
    set_to: Option<Instant>,
}

impl Alarm {
    fn new(clock: Clock) -> Self {
        Self { clock, sleep: Box::pin(sleep_until(clock.at(Instant::ZERO))), set_to: None }
    }

    /// Waits until `deadline`, or for ever without one. Cancel safe.
    async fn ring(&mut self, deadline: Option<Instant>) {
        let Some(deadline) = deadline else { return std::future::pending().await };
        if self.set_to != Some(deadline) {
            self.sleep.as_mut().reset(self.clock.at(deadline));
            self.set_to = Some(deadline);
        }
        self.sleep.as_mut().await;
        self.set_to = None;
    }
}
