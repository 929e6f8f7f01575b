//! Stop-and-wait clients, each with a port of its own, driven by one thread.

use super::device::Device;
use super::exchange::{Answer, MAX_MESSAGE, Resource, acknowledgement};
use anyhow::{Context, Result, ensure};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use sixfold_profile::coap::Szx;
use std::io::ErrorKind;
use std::net::{Ipv6Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

/// A request without an answer for this long is sent again.
const RETRY_AFTER: Duration = Duration::from_millis(250);

/// How long servers may take for what takes a good one milliseconds.
const PATIENCE: Duration = Duration::from_secs(10);

/// A port is given up after so many requests: Message IDs must not repeat within EXCHANGE_LIFETIME.
const REQUESTS_PER_PORT: u16 = 60_000;

/// What the clients saw.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    /// Blocks that arrived, each compared with what it must be.
    pub(super) blocks: u64,
    /// Requests that were sent again.
    pub(super) retries: u64,
}

/// How the beginning went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Started {
    /// When the last client got its first block; `None` if some were still waiting when patience ended.
    pub(super) after: Option<Duration>,
    /// Requests that were sent again until then.
    pub(super) retries: u64,
}

/// A number of clients that fetch the same resource from one server, over and over.
pub(super) struct Load<'a> {
    server: SocketAddr,
    resource: &'a Resource,
    szx: Szx,
    epoll: Epoll,
    clients: Vec<Client>,
    /// Sockets given up. Kept open, so that the system does not hand out their ports again.
    retired: Vec<UdpSocket>,
    /// How many clients have got a block.
    served: usize,
    tally: Tally,
}

struct Client {
    socket: UdpSocket,
    message_id: u16,
    num: u32,
    sent: Instant,
    served: bool,
    /// What was asked last.
    request: Vec<u8>,
    /// Its session, if it has one.
    device: Option<Device>,
}

impl<'a> Load<'a> {
    /// Opens the sockets of `clients` clients, which ask in plain.
    pub(super) fn new(server: SocketAddr, resource: &'a Resource, szx: Szx, clients: usize) -> Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let clients =
            (0..clients).map(|number| Client::new(server, &epoll, number)).collect::<Result<_>>()?;
        Ok(Self {
            server,
            resource,
            szx,
            epoll,
            clients,
            retired: Vec::new(),
            served: 0,
            tally: Tally::default(),
        })
    }

    /// Gives each client the session of its number.
    pub(super) fn protect(&mut self) -> Result<()> {
        for (number, client) in self.clients.iter_mut().enumerate() {
            client.device = Some(Device::new(number.try_into().context("more clients than Sender IDs")?)?);
        }
        Ok(())
    }

    /// Lets all clients begin at once, as after a power cut, and goes on until each has got a block, or for as
    /// long as patience lasts.
    pub(super) fn start(&mut self) -> Result<Started> {
        let begin = Instant::now();
        for number in 0..self.clients.len() {
            self.ask(number)?;
        }
        self.drive(begin + PATIENCE, |load| load.served == load.clients.len())?;
        ensure!(self.served > 0, "no client got a block within {} s", PATIENCE.as_secs());
        let after = (self.served == self.clients.len()).then(|| begin.elapsed());
        Ok(Started { after, retries: self.tally.retries })
    }

    /// Goes on for `duration` and says what was got meanwhile.
    pub(super) fn run(&mut self, duration: Duration) -> Result<Tally> {
        self.tally = Tally::default();
        self.drive(Instant::now() + duration, |_| false)?;
        Ok(self.tally)
    }

    /// Lets a single client fetch as many blocks as the body has.
    pub(super) fn fetch_once(&mut self) -> Result<()> {
        self.start()?;
        let blocks = u64::from(self.resource.blocks(self.szx));
        self.drive(Instant::now() + PATIENCE, |load| load.tally.blocks >= blocks)?;
        ensure!(self.tally.blocks >= blocks, "only {} of {blocks} blocks came", self.tally.blocks);
        Ok(())
    }

    fn drive(&mut self, end: Instant, done: impl Fn(&Self) -> bool) -> Result<()> {
        let mut events = vec![EpollEvent::empty(); 256];
        let mut next_sweep = Instant::now();
        while !done(self) {
            let ready = self.epoll.wait(&mut events, EpollTimeout::from(10u8))?;
            for event in &events[..ready] {
                self.receive(event.data() as usize)?;
            }
            let now = Instant::now();
            if now >= end {
                break;
            }
            if now >= next_sweep {
                self.retry(now)?;
                next_sweep = now + RETRY_AFTER / 10;
            }
        }
        Ok(())
    }

    /// Reads one datagram: a client rarely has more than one waiting, and readiness is level-triggered.
    fn receive(&mut self, number: usize) -> Result<()> {
        let mut buffer = [0; MAX_MESSAGE];
        let client = &mut self.clients[number];
        let length = match client.socket.recv(&mut buffer) {
            Ok(length) => length,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::ConnectionRefused) => {
                return Ok(());
            }
            Err(error) => return Err(error).context("load: receive"),
        };
        let length = match &client.device {
            Some(device) => device.unprotect(&mut buffer[..length], &client.message_id.to_be_bytes())?,
            None => length,
        };
        let answer = self.resource.check(&buffer[..length], client.message_id, client.num, self.szx)?;
        if let Answer::Block { acknowledge } = answer {
            if let Some(message_id) = acknowledge {
                client.socket.send(&acknowledgement(message_id))?;
            }
            self.tally.blocks += 1;
            self.served += usize::from(!std::mem::replace(&mut client.served, true));
            client.num = (client.num + 1) % self.resource.blocks(self.szx);
            client.message_id += 1;
            if client.message_id == REQUESTS_PER_PORT {
                self.change_port(number)?;
            }
            self.ask(number)?;
        }
        Ok(())
    }

    fn ask(&mut self, number: usize) -> Result<()> {
        let client = &mut self.clients[number];
        let mut buffer = [0; MAX_MESSAGE];
        let length = self.resource.request(client.message_id, client.num, self.szx, &mut buffer)?;
        client.request = match &mut client.device {
            Some(device) => device.protect(&buffer[..length])?,
            None => buffer[..length].to_vec(),
        };
        self.send(number)
    }

    fn send(&mut self, number: usize) -> Result<()> {
        let client = &mut self.clients[number];
        client.sent = Instant::now();
        match client.socket.send(&client.request) {
            Err(error) if !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::ConnectionRefused) => {
                Err(error).context("load: send")
            }
            _ => Ok(()),
        }
    }

    fn retry(&mut self, now: Instant) -> Result<()> {
        for number in 0..self.clients.len() {
            if now.duration_since(self.clients[number].sent) >= RETRY_AFTER {
                self.tally.retries += 1;
                self.send(number)?;
            }
        }
        Ok(())
    }

    fn change_port(&mut self, number: usize) -> Result<()> {
        let fresh = Client::new(self.server, &self.epoll, number)?;
        let client = &mut self.clients[number];
        self.epoll.delete(&client.socket)?;
        let old = std::mem::replace(&mut client.socket, fresh.socket);
        client.message_id = fresh.message_id;
        self.retired.push(old);
        Ok(())
    }
}

impl Client {
    fn new(server: SocketAddr, epoll: &Epoll, number: usize) -> Result<Self> {
        let socket = UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).context("load: one socket per client")?;
        socket.connect(server)?;
        socket.set_nonblocking(true)?;
        epoll.add(&socket, EpollEvent::new(EpollFlags::EPOLLIN, number as u64))?;
        let (sent, request) = (Instant::now(), Vec::new());
        Ok(Self { socket, message_id: 0, num: 0, sent, served: false, request, device: None })
    }
}
