//! A device that runs the boot program's core, from a ticket in its flash to a bootable image.
//!
//! Its flash takes time: what it has to say waits until the operations that it follows from are over.

use super::flash::{Flash, Misuse, PAGE};
use crate::host::{Client, Datagram, Host, Progress, State};
use crate::random::Random;
use crate::sim::target;
use hmac_sha256::Hash;
use sixfold_device::Boot;
use sixfold_device::boot::{BootError, Event, Layout, Record, Which, install};
use sixfold_engine::Fanout;
use sixfold_profile::Instant;
use sixfold_profile::coap::Szx;
use sixfold_profile::index::ChunkSize;
use sixfold_profile::ticket::{ContentKey, Endpoint, Fields, Group, MAX_TICKET, Ticket};
use std::collections::VecDeque;
use std::net::SocketAddrV6;
use std::rc::Rc;

const LONGEST_REQUEST: usize = 128;
/// How many datagrams wait in the receiver's buffers while the flash is busy; more are lost.
const BUFFERS: usize = 32;

/// A stream's Token is the beginning of the image's ETag.
const GROUP_TOKEN: usize = 2;

/// What a main program was told by the relay.
#[derive(Debug)]
pub(super) struct Told<'d> {
    pub(super) relay: SocketAddrV6,
    pub(super) group: Fanout,
    pub(super) etag: &'d [u8],
    /// Where the image is encrypted.
    pub(super) content_key: Option<ContentKey<'static>>,
}

/// What a main program left in every device's flash.
#[derive(Clone, Debug)]
pub(super) struct Prepared {
    flash: Flash,
    layout: Layout,
    which: Which,
    ticket: Ticket<'static>,
}

impl Prepared {
    /// A ticket for `image`, which has this number; `None` when it has no place in flash.
    pub(super) fn new(told: &Told<'_>, number: u32, image: &[u8], szx: Szx) -> Option<Self> {
        let chunk_size = ChunkSize::from_bytes(PAGE as u32)?;
        let index: Vec<u8> = image.chunks(PAGE).flat_map(Hash::hash).collect();
        let image_size = u32::try_from(image.len()).ok()?;
        let content_key = told.content_key;
        let record = Record::size(image_size, chunk_size, PAGE as u32, 4, false)?;
        let slot = 2 * record..(2 * record).checked_add(image_size.checked_next_multiple_of(PAGE as u32)?)?;
        let layout = Layout::single([0..record, record..2 * record], slot);
        let fields = Fields {
            image_size,
            image_digest: Hash::hash(image),
            index_digest: Hash::hash(&index),
            chunk_size,
            szx,
            sequence_number: 1,
            relay: Endpoint { address: *told.relay.ip(), port: told.relay.port() },
            interface_identifier: [0; 8],
            etag: Some(told.etag),
            group: Some(Group {
                endpoint: Endpoint { address: told.group.group, port: told.group.port },
                token: told.etag.get(..GROUP_TOKEN)?,
            }),
            session: None,
            content_key,
            options: target::bytes(number),
        };
        let mut flash = Flash::new(2 * record as usize / PAGE, image, content_key.is_some());
        let which = install(&mut flash, &layout, &fields, &index).ok()?;
        // The main program took its time for that before the power went.
        flash.take_spent();
        // Some hundred bytes a fleet, for as long as the program runs: its devices live anywhere.
        let encoded = Box::leak(Box::new([0; MAX_TICKET]));
        fields.write(encoded).ok()?;
        let ticket = Ticket::read(encoded).ok()?;
        Some(Self { flash, layout, which, ticket })
    }

    /// A core that listens if there is memory for it.
    fn boot<'m>(&self, flash: Flash, memory: Option<&'m mut [u8]>, seed: u32) -> Option<Boot<'m, Flash>> {
        let mut boot = Boot::new(flash, &self.layout, self.which, self.ticket, seed).ok()?;
        if let Some(memory) = memory {
            boot.listen(memory);
        }
        Some(boot)
    }
}

/// One device. It never gives up.
#[derive(Debug)]
pub(super) struct BootDevice<'m> {
    local: SocketAddrV6,
    relay: SocketAddrV6,
    prepared: Option<Rc<Prepared>>,
    boot: Option<Boot<'m, Flash>>,
    /// Memory for listening, for each time that it powers on.
    memory: Vec<&'m mut [u8]>,
    random: Random,
    /// Its flash is busy until then.
    busy: Instant,
    /// What came while it was.
    waiting: VecDeque<Datagram>,
    /// It may have something to say as soon as its flash is idle.
    pending: bool,
    received: u64,
    wrong: u64,
    discarded: u64,
    state: State,
    /// Of the cores before this one.
    retransmissions: u64,
}

impl<'m> BootDevice<'m> {
    /// A device that begins when it is first polled; without a ticket that can be used, it has given up.
    pub(super) fn new(
        local: SocketAddrV6,
        relay: SocketAddrV6,
        prepared: Option<Rc<Prepared>>,
        mut memory: Vec<&'m mut [u8]>,
        mut random: Random,
    ) -> Self {
        let (seed, lent) = (random.bits(), memory.pop());
        let boot = prepared.as_ref().and_then(|prepared| prepared.boot(prepared.flash.clone(), lent, seed));
        let state = if boot.is_some() { State::Fetching } else { State::GaveUp };
        Self {
            local,
            relay,
            prepared,
            boot,
            memory,
            random,
            busy: Instant::ZERO,
            waiting: VecDeque::new(),
            pending: false,
            received: 0,
            wrong: 0,
            discarded: 0,
            state,
            retransmissions: 0,
        }
    }

    /// Gives an input to the core, and notes what comes of it.
    fn input(
        &mut self,
        now: Instant,
        input: impl FnOnce(&mut Boot<'m, Flash>) -> Result<Option<Event>, BootError<Misuse>>,
    ) {
        let Some(boot) = &mut self.boot else { return };
        let event = input(boot);
        self.busy = now.max(self.busy) + boot.flash_mut().take_spent();
        self.pending = true;
        self.discarded = boot.flash_mut().discarded();
        match event {
            Ok(Some(Event::Chunks { done, .. })) => self.received = u64::from(done) * PAGE as u64,
            Ok(_) => {}
            Err(_) => self.state = State::GaveUp,
        }
    }

    /// Runs the image, once it may: when the flash operations are over, of which the last one marks it.
    fn run(&mut self, now: Instant) {
        if let Some(boot) = self.boot.as_mut().filter(|boot| now >= self.busy && boot.is_bootable()) {
            self.state = State::Done;
            self.wrong = boot.flash_mut().wrong();
        }
    }

    /// Whether it has joined the group that a datagram is for.
    fn is_for_group(&self, datagram: &Datagram) -> bool {
        let group = self.boot.as_ref().and_then(Boot::group).map(|group| group.endpoint);
        group.is_some_and(|group| (group.address, group.port) == (*datagram.to.ip(), datagram.to.port()))
    }

    fn take(&mut self, now: Instant, datagram: &Datagram) {
        if datagram.from != self.relay {
            return;
        }
        if datagram.to == self.local {
            self.input(now, |boot| boot.handle_datagram(now, &mut datagram.payload.clone()));
        } else if self.is_for_group(datagram) {
            self.input(now, |boot| boot.handle_group_datagram(now, &datagram.payload));
        }
    }
}

impl Host for BootDevice<'_> {
    fn handle_datagram(&mut self, now: Instant, datagram: &Datagram) {
        if now >= self.busy && self.waiting.is_empty() {
            self.take(now, datagram);
        } else if self.waiting.len() < BUFFERS {
            self.waiting.push_back(datagram.clone());
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        while now >= self.busy
            && let Some(datagram) = self.waiting.pop_front()
        {
            self.take(now, &datagram);
        }
        if now >= self.busy {
            self.input(now, |boot| boot.handle_timeout(now));
        }
        self.run(now);
    }

    fn poll_transmit(&mut self, now: Instant) -> Option<Datagram> {
        if now < self.busy {
            return None;
        }
        let mut buffer = [0; LONGEST_REQUEST];
        let length = self.boot.as_mut()?.poll_transmit(now, &mut buffer).unwrap_or_else(|_| {
            self.state = State::GaveUp;
            None
        });
        self.pending = length.is_some();
        let payload = buffer[..length?].to_vec();
        Some(Datagram { from: self.local, to: self.relay, payload })
    }

    fn poll_timeout(&self) -> Option<Instant> {
        if self.pending || !self.waiting.is_empty() {
            return Some(self.busy);
        }
        self.boot.as_ref()?.poll_timeout().map(|due| due.max(self.busy))
    }

    fn retransmissions(&self) -> u64 {
        self.retransmissions + self.boot.as_ref().map_or(0, |boot| boot.exchange().retransmissions().into())
    }
}

impl Client for BootDevice<'_> {
    fn progress(&self) -> Progress {
        let Self { state, received, wrong, discarded, .. } = *self;
        Progress { state, received, wrong, discarded }
    }

    fn power_cut(&mut self) {
        self.retransmissions = self.retransmissions();
        self.waiting.clear();
        let (boot, prepared) = (self.boot.take(), self.prepared.clone());
        let (seed, lent) = (self.random.bits(), self.memory.pop());
        self.boot =
            boot.zip(prepared).and_then(|(boot, prepared)| prepared.boot(boot.into_flash(), lent, seed));
    }
}
