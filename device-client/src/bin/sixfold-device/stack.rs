//! A boot program's own IPv6 stack ([`sixfold_ip`]) over a TAP or TUN interface, or the laboratory's air.

use crate::cli::{Link, Run};
use crate::failure::Failure;
use crate::progress::Progress;
use crate::radio::Radio;
use crate::way::{Heard, Way};
use sixfold_ip::{Buffers, Config, HardwareAddress, Received, Sockets, Stack, State};
use sixfold_profile::Instant;
use sixfold_profile::ticket::{Endpoint, Ticket};
use smoltcp::phy::{self, Device, Medium, TunTapInterface};
use smoltcp::wire::{EthernetAddress, Ieee802154Address};
use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::time::Duration;

/// The longest datagram: what a packet of 1280 bytes has room for (RFC 8200 §5).
const DATAGRAM: usize = 1232;

/// A stack on an interface, in real time.
pub(crate) struct StackWay<'s, D> {
    device: D,
    stack: Stack<'s>,
    epoch: std::time::Instant,
}

/// Opens the link that the command line names, if it names one, brings a stack up on it, and lets `work` use it.
pub(crate) fn with_stack<R>(
    run: &Run,
    ticket: &Ticket<'_>,
    group: Option<Endpoint>,
    seed: u32,
    progress: &mut Progress,
    work: impl FnOnce(&mut dyn Way, &mut Progress) -> Result<R, Failure>,
) -> Result<R, Failure> {
    let [.., a, b, c, d, e] = *ticket.interface_identifier();
    let config = |hardware_address, pan_id| Config {
        hardware_address,
        pan_id,
        interface_identifier: *ticket.interface_identifier(),
        relay: ticket.relay(),
        group,
        seed,
    };
    match &run.link {
        Link { tap: Some(name), .. } => {
            // Locally administered, and another one in each device.
            let address = HardwareAddress::Ethernet(EthernetAddress([2, a, b, c, d, e]));
            let device = interface(name, Medium::Ethernet)?;
            up(device, config(address, None), run.timeout, progress, work)
        }
        Link { tun: Some(name), .. } => {
            let device = interface(name, Medium::Ip)?;
            up(device, config(HardwareAddress::Ip, None), run.timeout, progress, work)
        }
        Link { frames: Some(path), eui64, pan_id, .. } => {
            let address = HardwareAddress::Ieee802154(Ieee802154Address::Extended(eui64.unwrap_or_default()));
            let radio = Radio::join(path).map_err(Failure::file(path, "join the air at"))?;
            up(radio, config(address, Some(*pan_id)), run.timeout, progress, work)
        }
        Link { .. } => Err(Failure::Usage("no link was named".into())),
    }
}

fn interface(name: &str, medium: Medium) -> Result<TunTapInterface, Failure> {
    TunTapInterface::new(name, medium).map_err(Failure::file(Path::new(name), "open the interface"))
}

/// Brings a stack up on a link, and lets `work` use it.
fn up<D: Device + AsRawFd, R>(
    mut device: D,
    config: Config,
    timeout: Option<Duration>,
    progress: &mut Progress,
    work: impl FnOnce(&mut dyn Way, &mut Progress) -> Result<R, Failure>,
) -> Result<R, Failure> {
    let (mut buffers, mut sockets) = (Buffers::<DATAGRAM>::new(), Sockets::default());
    let stack = Stack::new(config, &mut buffers, &mut sockets, &mut device, Instant::ZERO)
        .map_err(|error| Failure::Usage(error.to_string()))?;
    let mut way = StackWay { device, stack, epoch: std::time::Instant::now() };
    way.until_ready(timeout, progress)?;
    work(&mut way, progress)
}

impl<D: Device + AsRawFd> StackWay<'_, D> {
    /// Waits for an address to send from.
    fn until_ready(&mut self, timeout: Option<Duration>, progress: &mut Progress) -> Result<(), Failure> {
        let mut told = None;
        loop {
            let state = self.work();
            match state {
                State::Ready { source } => {
                    progress.say(&format!("the address is {source}"));
                    return Ok(());
                }
                State::Duplicate if told != Some(state) => progress.say(
                    "another node has this address: prepare again with another --dad-counter; waiting for it to go",
                ),
                _ => {}
            }
            told = Some(state);
            if timeout.is_some_and(|timeout| self.epoch.elapsed() >= timeout) {
                return Err(Failure::TimedOut(format!("there is no address to send from ({state:?})")));
            }
            self.wait(self.now() + Duration::from_secs(1));
        }
    }

    fn work(&mut self) -> State {
        let now = self.now();
        self.stack.poll(now, &mut self.device);
        self.stack.state()
    }

    /// Waits for frames until this time, or until the stack has something to do.
    fn wait(&mut self, until: Instant) {
        let now = self.now();
        let due = self.stack.poll_timeout(now).map_or(until, |due| due.min(until));
        let wait = smoltcp::time::Duration::from_micros(due.since(now).as_micros() as u64);
        // When waiting fails, the next look at the device shows why.
        let _: io::Result<()> = phy::wait(self.device.as_raw_fd(), Some(wait));
    }
}

impl<D: Device + AsRawFd> Way for StackWay<'_, D> {
    fn now(&self) -> Instant {
        Instant::ZERO + self.epoch.elapsed()
    }

    fn send(&mut self, datagram: &[u8]) {
        let now = self.now();
        // What cannot be sent now is lost, and will be sent again.
        let _ = self.stack.send(now, datagram);
        self.stack.poll(now, &mut self.device);
    }

    fn receive<'b>(&mut self, until: Instant, buffer: &'b mut [u8]) -> Option<Heard<'b>> {
        loop {
            self.work();
            if let Some(Received { length, is_for_group }) = self.stack.receive(buffer) {
                let datagram = buffer.get(..length)?;
                return Some(if is_for_group { Heard::Group(datagram) } else { Heard::Own(datagram) });
            }
            if self.now() >= until {
                return None;
            }
            self.wait(until);
        }
    }

    fn keep_message_ids_apart(&mut self, _requests: u32) {
        // No link of constrained devices carries 65 536 requests in 247 s.
    }
}
