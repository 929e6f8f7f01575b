//! A whole device in virtual time: flash, the boot program as firmware would drive it, and a relay that answers at once.
#![allow(dead_code, unreachable_pub)] // Every test program uses its own part of this module.

use super::Peer;
use super::flash::{Flash, PowerGone};
use sixfold_device::boot::{Boot, BootError, Choice, Event, Layout, Which, choose, install, record};
use sixfold_profile::Instant;
use sixfold_profile::coap::Szx;
use sixfold_profile::index::ChunkSize;
use sixfold_profile::ticket::{ContentKey, Endpoint, Fields, MAX_TICKET};
use std::net::{Ipv6Addr, SocketAddr};
use std::time::Duration;

pub const DEVICE: SocketAddr = SocketAddr::new(std::net::IpAddr::V6(Ipv6Addr::LOCALHOST), 1);
/// Uri-Path: fw, app.
pub const OPTIONS: &[u8] = &[0xb2, b'f', b'w', 0x03, b'a', b'p', b'p'];
/// More steps than any of these updates needs; one that hangs or loops is stopped here.
const STEPS: usize = 100_000;

/// What a publisher made.
#[derive(Clone, Debug)]
pub struct Release {
    pub image: Vec<u8>,
    pub index: Vec<u8>,
    pub chunk_size: ChunkSize,
    pub sequence_number: u64,
    /// How the image is encrypted on its way.
    pub content_key: Option<ContentKey<'static>>,
}

impl Release {
    pub fn new(image: Vec<u8>, chunk_size: ChunkSize, sequence_number: u64) -> Self {
        let chunks = image.chunks(chunk_size.bytes() as usize);
        let index = chunks.flat_map(hmac_sha256::Hash::hash).collect();
        Self { image, index, chunk_size, sequence_number, content_key: None }
    }

    pub fn ticket(&self) -> Fields<'static> {
        Fields {
            image_size: self.image.len() as u32,
            image_digest: hmac_sha256::Hash::hash(&self.image),
            index_digest: hmac_sha256::Hash::hash(&self.index),
            chunk_size: self.chunk_size,
            szx: Szx::new(2).unwrap(),
            sequence_number: self.sequence_number,
            relay: Endpoint { address: Ipv6Addr::LOCALHOST, port: 5683 },
            interface_identifier: [2, 0, 0, 0, 0, 0, 0, 1],
            etag: None,
            group: None,
            session: None,
            content_key: self.content_key,
            options: OPTIONS,
        }
    }
}

/// How a boot program's run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It runs the image of this record.
    Runs(Which),
    /// It runs what came from the factory.
    Factory,
    /// It runs nothing.
    Lost,
    /// The power went.
    PowerGone,
    /// It was still trying when its time was over.
    StillTrying,
}

pub struct Device<const WRITE: usize, const ERASE: usize> {
    pub flash: Flash<WRITE, ERASE>,
    pub layout: Layout,
    pub now: Instant,
    /// What the boot program reported.
    pub events: Vec<Event>,
    /// Datagrams on the way to the device pass here.
    pub link: Box<dyn FnMut(Vec<u8>) -> Vec<Vec<u8>>>,
    /// For how long the boot program is watched.
    pub patience: Duration,
    seed: u32,
}

impl<const WRITE: usize, const ERASE: usize> Device<WRITE, ERASE> {
    /// With slots of `slot` pages and records of `record` pages.
    pub fn new(two_slots: bool, record: u32, slot: u32) -> Self {
        let page = ERASE as u32;
        let place = |first: u32, pages: u32| first * page..(first + pages) * page;
        let records = [place(0, record), place(record, record)];
        let first = 2 * record;
        let layout = if two_slots {
            Layout { records, slots: [place(first, slot), place(first + slot, slot)] }
        } else {
            Layout::single(records, place(first, slot))
        };
        let flash = Flash::erased((first + 2 * slot) as usize);
        let (now, events, seed) = (Instant::ZERO, Vec::new(), 1);
        let link = Box::new(|datagram| vec![datagram]);
        Self { flash, layout, now, events, link, patience: Duration::from_secs(100_000), seed }
    }

    /// The main program's part.
    pub fn prepare(&mut self, release: &Release) -> Result<Which, BootError<PowerGone>> {
        install(&mut self.flash, &self.layout, &release.ticket(), &release.index)
    }

    /// A reset, and the boot program until it runs an image.
    pub fn boot(&mut self, server: &mut impl Peer) -> Result<End, BootError<PowerGone>> {
        let mut buffer = [0; MAX_TICKET];
        let record = match choose(&mut self.flash, &self.layout, &mut buffer)? {
            Choice::Run(which) => return Ok(End::Runs(which)),
            Choice::Nothing => return Ok(End::Factory),
            Choice::Lost => return Ok(End::Lost),
            Choice::Update { record, .. } => record,
        };
        let place = self.layout.record(record).clone();
        let ticket = record::read_ticket(&mut self.flash, &place, &mut buffer)?;
        self.seed += 1;
        let boot = Boot::new(&mut self.flash, &self.layout, record, ticket, self.seed)?;
        let run = Run {
            boot,
            now: &mut self.now,
            events: &mut self.events,
            link: &mut self.link,
            patience: self.patience,
        };
        Ok(if run.until_bootable(server)? { End::Runs(record) } else { End::StillTrying })
    }

    /// [`Device::boot`], in which a power cut is no error.
    pub fn boot_or_power_gone(&mut self, server: &mut impl Peer) -> End {
        match self.boot(server) {
            Ok(end) => end,
            Err(BootError::Flash(PowerGone)) => End::PowerGone,
            Err(error) => panic!("{error}"),
        }
    }

    /// The first `length` bytes of a record's slot.
    pub fn slot(&self, which: Which, length: usize) -> &[u8] {
        let start = self.layout.slot(which).start as usize;
        &self.flash.bytes()[start..start + length]
    }
}

struct Run<'a, 't, F> {
    boot: Boot<'t, F>,
    now: &'a mut Instant,
    events: &'a mut Vec<Event>,
    link: &'a mut dyn FnMut(Vec<u8>) -> Vec<Vec<u8>>,
    patience: Duration,
}

impl<F: embedded_storage::nor_flash::NorFlash> Run<'_, '_, F> {
    fn until_bootable(mut self, server: &mut impl Peer) -> Result<bool, BootError<F::Error>> {
        let end = *self.now + self.patience;
        for _ in 0..STEPS {
            if self.boot.is_bootable() {
                assert_eq!(self.boot.poll_timeout(), None);
                return Ok(true);
            }
            if *self.now > end {
                return Ok(false);
            }
            self.step(server)?;
        }
        panic!("after {STEPS} steps the device still does something, at {:?}", *self.now);
    }

    /// Everything that happens now; then the time of the next deadline.
    fn step(&mut self, server: &mut impl Peer) -> Result<(), BootError<F::Error>> {
        let mut buffer = [0; 256];
        while let Some(length) = self.boot.poll_transmit(*self.now, &mut buffer)? {
            server.handle_datagram(*self.now, DEVICE, &buffer[..length]);
        }
        let mut is_quiet = true;
        for (_, datagram) in server.poll_transmit(*self.now) {
            for datagram in (self.link)(datagram) {
                is_quiet = false;
                let event = self.boot.handle_datagram(*self.now, &mut datagram.clone())?;
                self.events.extend(event);
            }
        }
        if is_quiet {
            let deadlines = [self.boot.poll_timeout(), server.poll_timeout()];
            let next = deadlines.into_iter().flatten().min();
            *self.now = next.unwrap_or(*self.now).max(*self.now);
            let event = self.boot.handle_timeout(*self.now)?;
            self.events.extend(event);
        }
        Ok(())
    }
}
