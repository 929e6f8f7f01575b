//! `sixfold-device boot`: a boot program over a socket of Linux.

use crate::cli;
use crate::failure::Failure;
use crate::flash::{hex, open};
use crate::progress::Progress;
use crate::relay::seed;
use crate::stack::with_stack;
use crate::way::Way;
use crate::wire::{MAX_REQUEST, Wire};
use embedded_storage::nor_flash::ReadNorFlash;
use serde_json::json;
use sixfold_device::Boot;
use sixfold_device::boot::{Choice, Event, Which, choose, record};
use sixfold_device::flash_file::FlashFile;
use sixfold_device::uri::Host;
use sixfold_profile::Instant;

use sixfold_profile::ticket::{MAX_TICKET, Ticket};
use std::fs;
use std::io::{self, Write};

/// The longest datagram that comes: a message of 1152 bytes, and room for what is not one.
const MAX_DATAGRAM: usize = 2048;

/// Boots, and prints what would run.
pub(crate) fn run(arguments: &cli::Boot) -> Result<(), Failure> {
    let mut flash = open(&arguments.flash)?;
    boot(&mut flash, &arguments.run)
}

/// Goes on until an image is whole, and prints which.
pub(crate) fn boot(flash: &mut FlashFile, arguments: &cli::Run) -> Result<(), Failure> {
    let layout = flash.layout().clone();
    let mut buffer = [0; MAX_TICKET];
    let (which, is_pending) = match choose(flash, &layout, &mut buffer).map_err(Failure::boot)? {
        Choice::Run(which) => (which, false),
        Choice::Update { record, .. } => (record, true),
        Choice::Nothing => return Err(Failure::NoTicket),
        Choice::Lost => return Err(Failure::Lost),
    };
    let place = layout.record(which).clone();
    let ticket = record::read_ticket(flash, &place, &mut buffer).map_err(Failure::boot)?;
    if is_pending {
        let progress = Progress::new(arguments.quiet);
        let done = update(flash, which, ticket, arguments, progress);
        done?;
    }
    report(flash, which, &ticket, arguments)
}

fn update(
    flash: &mut FlashFile,
    which: Which,
    ticket: Ticket<'_>,
    arguments: &cli::Run,
    mut progress: Progress,
) -> Result<(), Failure> {
    let layout = flash.layout().clone();
    let boot = Boot::new(flash, &layout, which, ticket, seed()).map_err(Failure::boot)?;
    let deadline = arguments.timeout.map(|timeout| Instant::ZERO + timeout);
    let done = if arguments.link.is_own() {
        with_stack(arguments, &ticket, seed(), &mut progress, |way, progress| {
            drive(boot, way, deadline, |now, event| show(progress, &ticket, now, event))
        })
    } else {
        let relay = Host::V6(ticket.relay().address, arguments.interface.clone());
        let mut wire = Wire::open(&relay, ticket.relay().port)?;
        drive(boot, &mut wire, deadline, |now, event| show(&mut progress, &ticket, now, event))
    };
    progress.end();
    done
}

/// Runs until the image is bootable.
fn drive(
    mut boot: Boot<'_, &mut FlashFile>,
    way: &mut dyn Way,
    deadline: Option<Instant>,
    mut show: impl FnMut(Instant, Event),
) -> Result<(), Failure> {
    let mut request = [0; MAX_REQUEST];
    let mut buffer = [0; MAX_DATAGRAM];
    loop {
        way.keep_message_ids_apart(boot.exchange().requests());
        while let Some(length) = boot.poll_transmit(way.now(), &mut request).map_err(Failure::boot)? {
            way.send(&request[..length]);
        }
        let Some(until) = boot.poll_timeout() else { return Ok(()) };
        if deadline.is_some_and(|deadline| way.now() >= deadline) {
            return Err(Failure::TimedOut(
                "the time given by --timeout is over; the same command goes on".into(),
            ));
        }
        let datagram = way.receive(deadline.map_or(until, |deadline| deadline.min(until)), &mut buffer);
        let now = way.now();
        if let Some(datagram) = datagram {
            boot.handle_datagram(now, datagram)
                .map_err(Failure::boot)?
                .into_iter()
                .for_each(|event| show(now, event));
        }
        boot.handle_timeout(now).map_err(Failure::boot)?.into_iter().for_each(|event| show(now, event));
    }
}

fn show(progress: &mut Progress, ticket: &Ticket<'_>, now: Instant, event: Event) {
    match event {
        Event::Chunks { done, .. } => {
            let bytes = u64::from(done) * u64::from(ticket.chunk_size().bytes());
            progress.at(bytes, Some(ticket.image_size()));
        }
        Event::Sleep { cause, until } => {
            let seconds = until.since(now).as_secs();
            progress.say(&format!("{cause}; trying again in {seconds} s"));
        }
        Event::Wait(time) => {
            progress.say(&format!("the relay is busy and asks to wait {} s", time.as_secs()));
        }
        Event::Bootable => {}
    }
}

fn report(
    flash: &mut FlashFile,
    which: Which,
    ticket: &Ticket<'_>,
    arguments: &cli::Run,
) -> Result<(), Failure> {
    let mut image = vec![0; ticket.image_size() as usize];
    let start = flash.layout().slot(which).start;
    flash.read(start, &mut image).map_err(|error| Failure::Flash(error.to_string()))?;
    if let Some(path) = &arguments.extract {
        fs::write(path, &image).map_err(Failure::file(path, "write"))?;
    }
    let digest = hex(&hmac_sha256::Hash::hash(&image));
    let (bytes, sequence) = (ticket.image_size(), ticket.sequence_number());
    let line = if arguments.json {
        let slot = format!("{which:?}");
        json!({ "sha256": digest, "bytes": bytes, "sequence": sequence, "slot": slot }).to_string()
    } else {
        format!("{digest}  sequence number {sequence}, {bytes} bytes, slot {which:?}")
    };
    writeln!(io::stdout(), "{line}").map_err(Failure::Stdout)
}
