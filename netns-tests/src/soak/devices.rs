//! The devices of a soak: one thread, a socket each, the fetch core of real devices, and every byte compared.

use super::shared::{Phase, Shared, Way};
use super::trouble::Chance;
use crate::topology::RELAY;
use anyhow::{Context, Result, anyhow};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use sixfold_device::fetch::{Event, Fetch, Received};
use sixfold_device::uri::{CoapUri, encode};
use sixfold_profile::Instant;
use sixfold_profile::coap::{Block, Options, Szx, params};
use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant as Clock};

/// How long a device that failed waits before it goes on where it was.
const PAUSE: Duration = Duration::from_secs(1);
/// A device that has an image asks for another one after at most this long.
const LEISURE_MS: u64 = 3_000;

/// Longer than any soak settles.
const LONG: Duration = Duration::from_secs(3600);

/// The file of an image at the origin.
pub(super) fn name(image: usize) -> String {
    format!("image-{image}.bin")
}

/// The options of a request for each image.
pub(super) fn targets(images: usize) -> Result<Vec<Vec<u8>>> {
    let target = |image| {
        let text = format!("coap://{RELAY}/fw/{}", name(image));
        let uri = CoapUri::parse(&text).map_err(|error| anyhow!("{text}: {error:?}"))?;
        encode(&uri.options()).map_err(|_| anyhow!("{text} is too long"))
    };
    (0..images).map(target).collect()
}

/// All devices.
pub(super) struct Fleet<'t> {
    targets: &'t [Vec<u8>],
    shared: &'t Shared,
    epoll: Epoll,
    devices: Vec<Device<'t>>,
    /// The number of the first one, as `shared` knows it.
    first: usize,
    chance: Chance,
    started: Clock,
}

struct Device<'t> {
    socket: UdpSocket,
    image: usize,
    fetch: Option<Fetch<'t>>,
    /// What has come so far, and the last block of it: where to go on.
    body: Vec<u8>,
    last: Option<Received<'static>>,
    /// When it begins, or goes on.
    begins: Instant,
    /// When it asked for the first block.
    began: Clock,
}

/// What became of a device's fetch.
enum End {
    Goes,
    Complete,
    Failed(String),
    Wrong(String),
}

impl<'t> Fleet<'t> {
    pub(super) fn new(targets: &'t [Vec<u8>], count: usize, seed: u64, shared: &'t Shared) -> Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let relay: SocketAddr = format!("{RELAY}:{}", params::PORT).parse()?;
        let mut chance = Chance::new(seed ^ 0xdeed);
        let mut devices = Vec::new();
        for number in 0..count {
            let socket = UdpSocket::bind("[::]:0").context("a socket for each device")?;
            socket.connect(relay)?;
            socket.set_nonblocking(true)?;
            epoll.add(&socket, EpollEvent::new(EpollFlags::EPOLLIN, number as u64))?;
            let begins = Instant::ZERO + Duration::from_millis(chance.below(LEISURE_MS));
            devices.push(Device {
                socket,
                image: 0,
                fetch: None,
                body: Vec::new(),
                last: None,
                begins,
                began: Clock::now(),
            });
        }
        Ok(Self {
            targets,
            shared,
            epoll,
            devices,
            first: shared.enrol(count),
            chance,
            started: Clock::now(),
        })
    }

    pub(super) fn run(&mut self) -> Result<()> {
        let mut ready = vec![EpollEvent::empty(); 256];
        let mut buffer = [0; 2048];
        while self.shared.phase() != Phase::Over {
            let count = self.epoll.wait(&mut ready, EpollTimeout::from(10u8))?;
            for event in ready.iter().take(count) {
                let number = event.data() as usize;
                while let Some(length) = receive(&self.devices[number].socket, &mut buffer)? {
                    self.hear(number, &buffer[..length])?;
                }
            }
            self.let_time_pass()?;
        }
        Ok(())
    }

    fn now(&self) -> Instant {
        Instant::ZERO + self.started.elapsed()
    }

    fn hear(&mut self, number: usize, datagram: &[u8]) -> Result<()> {
        let (now, device) = (self.now(), &mut self.devices[number]);
        let Some(event) = device.fetch.as_mut().and_then(|fetch| fetch.handle_datagram(now, datagram)) else {
            return self.send(number);
        };
        let end = device.take(&event, self.shared);
        self.conclude(number, end)
    }

    fn let_time_pass(&mut self) -> Result<()> {
        let now = self.now();
        for number in 0..self.devices.len() {
            let device = &mut self.devices[number];
            match &mut device.fetch {
                None if now >= device.begins => {
                    let seed = (self.chance.next() & 0xffff_ffff) as u32;
                    let fresh = self.chance.below(self.targets.len() as u64) as usize;
                    device.begin(self.targets, fresh, seed);
                    self.send(number)?;
                }
                Some(fetch) if fetch.poll_timeout().is_some_and(|at| at <= now) => {
                    match fetch.handle_timeout(now) {
                        Some(_) => self.conclude(number, End::Failed("no answer".to_owned()))?,
                        None => self.send(number)?,
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Sends what is due. What cannot be sent is lost, as on any link.
    fn send(&mut self, number: usize) -> Result<()> {
        let (now, mut buffer) = (self.now(), [0; 1280]);
        let device = &mut self.devices[number];
        let Some(fetch) = &mut device.fetch else { return Ok(()) };
        while let Some(length) =
            fetch.poll_transmit(now, &mut buffer).map_err(|_| anyhow!("a request that is too long"))?
        {
            let _ = device.socket.send(&buffer[..length]);
        }
        Ok(())
    }

    fn conclude(&mut self, number: usize, end: End) -> Result<()> {
        if matches!(end, End::Goes | End::Complete) {
            // The last ACK too.
            self.send(number)?;
        }
        let now = self.now();
        let leisure = Duration::from_millis(self.chance.below(LEISURE_MS));
        let device = &mut self.devices[number];
        match end {
            End::Goes => {}
            End::Complete => {
                self.shared.finish(self.first + number, Way::Alone, device.began);
                // Who has what it is to get leaves the link to the others.
                let rest = if self.shared.is_waited_for(self.first + number) { leisure } else { LONG };
                device.rest(now + rest);
            }
            End::Failed(why) => {
                self.shared.fail(why);
                device.fetch = None;
                device.begins = now + PAUSE + leisure / 4;
            }
            End::Wrong(why) => {
                self.shared.wrong(format!("device {number}, image {}: {why}", device.image));
                device.rest(now + leisure);
            }
        }
        Ok(())
    }
}

impl<'t> Device<'t> {
    /// Goes on where it failed, or asks for another image.
    fn begin(&mut self, targets: &'t [Vec<u8>], fresh: usize, seed: u32) {
        let place = self.last.and_then(|last| {
            let num = u32::try_from(self.body.len() / last.szx.size()).ok()?;
            Block::new(num, false, last.szx).zip(last.etag)
        });
        if place.is_none() {
            self.body.clear();
            self.image = fresh;
            self.began = Clock::now();
        }
        let target = Options::new(&targets[self.image]);
        self.fetch = Some(match place {
            Some((block, etag)) => Fetch::resume(target, block, etag, seed),
            None => Fetch::new(target, Szx::MAX, seed),
        });
    }

    fn rest(&mut self, until: Instant) {
        (self.fetch, self.last) = (None, None);
        self.body.clear();
        self.begins = until;
    }

    fn take(&mut self, event: &Event<'_>, shared: &Shared) -> End {
        match event {
            Event::Block(block) => self.take_block(block, shared),
            Event::StartOver(_) => {
                shared.start_over();
                self.body.clear();
                self.last = None;
                End::Goes
            }
            Event::Wait(_) => End::Goes,
            Event::Refused { code, diagnostic } => {
                End::Failed(format!("{code} {}", String::from_utf8_lossy(diagnostic)))
            }
            Event::TimedOut => End::Failed("no answer".to_owned()),
            Event::Reset => End::Failed("reset".to_owned()),
            Event::Violation(violation) => End::Wrong(format!("a violation: {violation:?}")),
        }
    }

    fn take_block(&mut self, block: &Received<'_>, shared: &Shared) -> End {
        if block.offset as usize != self.body.len() {
            return End::Wrong(format!("bytes from {} after {}", block.offset, self.body.len()));
        }
        self.body.extend_from_slice(block.payload);
        self.last = Some(Received { payload: &[], ..*block });
        if block.more {
            return End::Goes;
        }
        if shared.is_right(self.image, &self.body, self.began) {
            End::Complete
        } else {
            End::Wrong(format!("{} bytes that were never published, or not last", self.body.len()))
        }
    }
}

/// `None` when there is nothing; errors of the network are as good as nothing.
fn receive(socket: &UdpSocket, buffer: &mut [u8]) -> Result<Option<usize>> {
    match socket.recv(buffer) {
        Ok(length) => Ok(Some(length)),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
        Err(error)
            if matches!(
                error.kind(),
                ErrorKind::ConnectionRefused | ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable
            ) =>
        {
            Ok(None)
        }
        Err(error) => Err(error).context("a device's socket"),
    }
}
