//! The air in real time: one thread between the channel model and the TUN devices.
//!
//! The model's clock is the system's monotonic one. What is due happens as soon as the system wakes the thread; how late
//! it was at worst is measured, since a machine that is too slow makes figures that mean nothing.

use crate::lab::tun::Tun;
use crate::peer;
use anyhow::{Context, Result, anyhow};
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::prctl;
use nix::sys::time::TimeSpec;
use nix::unistd::gettid;
use sixfold_air::air::{Air, Event};
use sixfold_air::counters::Counters;
use sixfold_air::pcap::Pcap;
use sixfold_air::scenario::Scenario;
use sixfold_air::topology::NodeId;
use sixfold_profile::Instant;
use std::fs::File;
use std::io::{self, BufWriter, PipeReader, PipeWriter, Read, Write};
use std::net::Ipv6Addr;
use std::os::fd::AsFd;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// More than any packet or frame of a 6LoWPAN link.
const BUFFER: usize = 2048;
/// How many packets are taken from one node before the others have their turn.
const MOST_AT_ONCE: usize = 16;

/// How a node is joined to the air.
#[derive(Debug)]
pub enum Port {
    /// By IPv6 packets.
    Tun(Tun),
    /// By frames: a stack of its own behind a socket, which sends to it from a named socket and is answered there.
    Frames(UnixDatagram),
    /// By IPv6 packets, in the same way: a machine behind a serial line.
    Packets(UnixDatagram),
}

/// The air, live.
#[derive(Debug)]
pub struct LiveAir {
    requests: mpsc::Sender<Request>,
    wake: PipeWriter,
    thread: Option<JoinHandle<Result<Traffic>>>,
}

/// What the air has done so far.
#[derive(Clone, Debug, Default)]
pub struct Traffic {
    /// The counters of each node.
    pub counters: Vec<Counters>,
    /// How late something happened at worst.
    pub latest: Duration,
    /// Packets that a TUN device did not take.
    pub refused: u64,
}

enum Request {
    Traffic(mpsc::Sender<Traffic>),
    Assign(Ipv6Addr, NodeId),
    Stop,
}

impl LiveAir {
    /// Starts the air. `ports` has one entry a node; `clock` is when the model's time began.
    pub fn start(
        scenario: &Scenario,
        seed: u64,
        ports: Vec<Port>,
        capture: Option<File>,
        clock: Clock,
    ) -> Result<Self> {
        let (requests, inbox) = mpsc::channel();
        let (bell, wake) = io::pipe()?;
        let scenario = scenario.clone();
        let capture = capture.map(|file| Pcap::begin(BufWriter::new(file))).transpose()?;
        let thread = thread::Builder::new().name("air".to_owned()).spawn(move || {
            go_first();
            let air = Air::new(scenario.topology, scenario.radio, scenario.network, seed);
            Driver::new(air, &ports, capture, clock).run(&inbox, &bell)
        })?;
        Ok(Self { requests, wake, thread: Some(thread) })
    }

    /// What has been counted so far.
    pub fn traffic(&self) -> Result<Traffic> {
        let (answer, traffic) = mpsc::channel();
        self.ask(Request::Traffic(answer));
        traffic.recv().map_err(|_| anyhow!("the air has stopped"))
    }

    /// Says that an address is a node's, see [`Air::assign`].
    pub fn assign(&self, address: Ipv6Addr, node: NodeId) {
        self.ask(Request::Assign(address, node));
    }

    /// Ends the air; gives what was counted until its end. The capture is complete.
    pub fn stop(mut self) -> Result<Traffic> {
        self.ask(Request::Stop);
        let ended = self.thread.take().context("the air has stopped")?.join();
        ended.map_err(|_| anyhow!("the air panicked"))?
    }

    fn ask(&self, request: Request) {
        // Should the thread be gone, whoever waits for an answer learns it there.
        let _ = self.requests.send(request);
        let _ = (&self.wake).write(&[0]);
    }
}

impl Drop for LiveAir {
    fn drop(&mut self) {
        let Some(thread) = self.thread.take() else { return };
        self.ask(Request::Stop);
        if let Ok(Err(error)) = thread.join() {
            eprintln!("the air: {error:#}");
        }
    }
}

/// The system's monotonic clock, from a common zero.
#[derive(Clone, Copy, Debug)]
pub struct Clock(std::time::Instant);

impl Clock {
    /// A clock that shows zero now.
    pub fn start() -> Self {
        Self(std::time::Instant::now())
    }

    /// The time.
    pub fn now(self) -> Instant {
        Instant::from_micros(self.0.elapsed().as_micros() as u64)
    }
}

/// Puts this thread before everything else on this machine, where that is allowed: it works for microseconds at a time
/// and waits for milliseconds.
fn go_first() {
    let mut chrt = Command::new("chrt");
    chrt.args(["--fifo", "--pid", "1", &gettid().to_string()]).env("PATH", peer::search_path());
    let _ = chrt.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
}

struct Driver<'p> {
    air: Air,
    ports: &'p [Port],
    /// Where what a node hears goes, once it has sent something.
    peers: Vec<Option<SocketAddr>>,
    capture: Option<Pcap<BufWriter<File>>>,
    clock: Clock,
    latest: Duration,
    refused: u64,
}

impl<'p> Driver<'p> {
    fn new(mut air: Air, ports: &'p [Port], capture: Option<Pcap<BufWriter<File>>>, clock: Clock) -> Self {
        if capture.is_some() {
            air.sniff();
        }
        for (node, port) in air.topology().ids().zip(ports) {
            if matches!(port, Port::Frames(_)) {
                air.use_frames(node);
            }
        }
        let peers = ports.iter().map(|_| None).collect();
        Self { air, ports, peers, capture, clock, latest: Duration::ZERO, refused: 0 }
    }

    fn run(mut self, inbox: &mpsc::Receiver<Request>, bell: &PipeReader) -> Result<Traffic> {
        // Wake up when asked, not up to 50 µs later.
        prctl::set_timerslack(1).context("PR_SET_TIMERSLACK")?;
        let mut waiting: Vec<PollFd<'_>> =
            self.ports.iter().map(|port| PollFd::new(port.as_fd(), PollFlags::POLLIN)).collect();
        waiting.push(PollFd::new(bell.as_fd(), PollFlags::POLLIN));
        loop {
            self.catch_up()?;
            let timeout = self.air.poll_timeout().map(|due| TimeSpec::from(due.since(self.clock.now())));
            match ppoll(&mut waiting, timeout, None) {
                Ok(_) | Err(nix::Error::EINTR) => {}
                Err(error) => return Err(error).context("ppoll"),
            }
            for (index, fd) in waiting.iter().enumerate() {
                if fd.any().unwrap_or(true) && index < self.ports.len() {
                    self.take(NodeId(index as u32))?;
                }
            }
            if waiting.last().is_some_and(|bell| bell.any().unwrap_or(true)) && !self.answer(inbox, bell)? {
                self.catch_up()?;
                return Ok(self.traffic());
            }
        }
    }

    /// Does everything that is due.
    fn catch_up(&mut self) -> Result<()> {
        let now = self.clock.now();
        if let Some(due) = self.air.poll_timeout() {
            self.latest = self.latest.max(now.since(due));
        }
        self.air.handle_timeout(now);
        while let Some(event) = self.air.poll_event() {
            match event {
                Event::Packet { node, packet } => self.deliver(node, &packet),
                Event::Frame { node, mpdu } => self.deliver(node, &mpdu),
                Event::Sent { at, mpdu } => {
                    if let Some(capture) = &mut self.capture {
                        capture.frame(at, &mpdu).context("writing the capture")?;
                    }
                }
            }
        }
        // However this program ends, the capture ends with a whole frame.
        self.capture.as_mut().map_or(Ok(()), Pcap::flush).context("writing the capture")
    }

    fn deliver(&mut self, node: NodeId, bytes: &[u8]) {
        let taken = match &self.ports[node.index()] {
            Port::Tun(tun) => tun.send(bytes),
            Port::Frames(socket) | Port::Packets(socket) => {
                let peer = self.peers[node.index()].as_ref();
                peer.is_some_and(|peer| socket.send_to_addr(bytes, peer).is_ok())
            }
        };
        self.refused += u64::from(!taken);
    }

    /// Takes what a node sends, but not so much that the others have to wait.
    fn take(&mut self, node: NodeId) -> Result<()> {
        let mut buffer = [0; BUFFER];
        for _ in 0..MOST_AT_ONCE {
            match &self.ports[node.index()] {
                Port::Tun(tun) => {
                    let Some(length) = tun.receive(&mut buffer).context("reading a TUN device")? else {
                        return Ok(());
                    };
                    self.air.send_packet(self.clock.now(), node, &buffer[..length]);
                }
                port @ (Port::Frames(socket) | Port::Packets(socket)) => {
                    let Ok((length, from)) = socket.recv_from(&mut buffer) else { return Ok(()) };
                    self.peers[node.index()] = Some(from);
                    let (now, bytes) = (self.clock.now(), &buffer[..length]);
                    match port {
                        Port::Packets(_) => self.air.send_packet(now, node, bytes),
                        _ => self.air.send_frame(now, node, bytes),
                    }
                }
            }
        }
        Ok(())
    }

    /// Answers requests; false when it is to stop.
    fn answer(&mut self, inbox: &mpsc::Receiver<Request>, mut bell: &PipeReader) -> Result<bool> {
        let _ = bell.read(&mut [0; 64])?;
        for request in inbox.try_iter() {
            match request {
                Request::Traffic(answer) => {
                    let _ = answer.send(self.traffic());
                }
                Request::Assign(address, node) => self.air.assign(address, node),
                Request::Stop => return Ok(false),
            }
        }
        Ok(true)
    }

    fn traffic(&mut self) -> Traffic {
        let nodes = self.air.topology().ids();
        let counters = nodes.map(|node| self.air.counters(node)).collect();
        Traffic { counters, latest: self.latest, refused: self.refused }
    }
}

impl AsFd for Port {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        match self {
            Self::Tun(tun) => tun.as_fd(),
            Self::Frames(socket) | Self::Packets(socket) => socket.as_fd(),
        }
    }
}
