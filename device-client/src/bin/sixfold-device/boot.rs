//! `sixfold-device boot`: a boot program over sockets of Linux, or a stack of its own.

use crate::cli;
use crate::failure::Failure;
use crate::flash::open;
use crate::group::Listener;
use crate::progress::Progress;
use crate::relay::seed;
use crate::stack::with_stack;
use crate::way::{Heard, HostWay, Way};
use crate::wire::{MAX_REQUEST, Wire};
use embedded_storage::nor_flash::ReadNorFlash;
use serde_json::json;
use sixfold_device::Boot;
use sixfold_device::boot::{Choice, Event, Which, choose, record};
use sixfold_device::flash_file::FlashFile;
use sixfold_device::uri::Host;
use sixfold_profile::ticket::{Endpoint, MAX_TICKET, Ticket};
use sixfold_profile::{Hex, Instant};
use std::fs::{self, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

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
    let heard = if is_pending { update(flash, which, ticket, arguments)? } else { 0 };
    report(flash, which, &ticket, heard, arguments)
}

/// Gives the number of datagrams that were heard in the group.
fn update(
    flash: &mut FlashFile,
    which: Which,
    ticket: Ticket<'_>,
    arguments: &cli::Run,
) -> Result<u64, Failure> {
    let layout = flash.layout().clone();
    let mut memory = vec![0; if arguments.no_listen { 0 } else { arguments.memory }];
    let mut boot = Boot::new(flash, &layout, which, ticket, seed()).map_err(Failure::boot)?;
    boot.listen(&mut memory);
    let group = boot.group().map(|group| group.endpoint).filter(|group| group.port != 0);
    let deadline = arguments.timeout.map(|timeout| Instant::ZERO + timeout);
    let mut progress = Progress::new(arguments.quiet);
    let done = if arguments.link.is_own() {
        with_stack(arguments, &ticket, group, seed(), &mut progress, |way, progress| {
            drive(boot, way, deadline, &ticket, progress)
        })
    } else {
        let relay = Host::V6(ticket.relay().address, arguments.interface.clone());
        let wire = Wire::open(&relay, ticket.relay().port)?;
        let listener = group.map(|group| listener(group, &ticket, arguments, &progress));
        drive(boot, &mut HostWay { wire, listener }, deadline, &ticket, &mut progress)
    };
    progress.end();
    done
}

fn listener(group: Endpoint, ticket: &Ticket<'_>, arguments: &cli::Run, progress: &Progress) -> Listener {
    let mut listener = Listener::new(group, ticket.relay(), arguments.interface.clone());
    if let Err(error) = listener.join() {
        progress.say(&format!("cannot hear the group {}: {error}", group.address));
    }
    listener
}

/// Runs until the image is bootable, and gives the number of datagrams that were heard in the group.
fn drive(
    mut boot: Boot<'_, &mut FlashFile>,
    way: &mut dyn Way,
    deadline: Option<Instant>,
    ticket: &Ticket<'_>,
    progress: &mut Progress,
) -> Result<u64, Failure> {
    let mut request = [0; MAX_REQUEST];
    let mut buffer = [0; MAX_DATAGRAM];
    let mut heard = 0;
    loop {
        way.keep_message_ids_apart(boot.exchange().requests());
        while let Some(length) = boot.poll_transmit(way.now(), &mut request).map_err(Failure::boot)? {
            way.send(&request[..length]);
        }
        let Some(until) = boot.poll_timeout() else { return Ok(heard) };
        if deadline.is_some_and(|deadline| way.now() >= deadline) {
            return Err(Failure::TimedOut(
                "the time given by --timeout is over; the same command goes on".into(),
            ));
        }
        let datagram = way.receive(deadline.map_or(until, |deadline| deadline.min(until)), &mut buffer);
        let now = way.now();
        let event = match datagram {
            Some(Heard::Own(datagram)) => boot.handle_datagram(now, &mut datagram.to_vec()),
            Some(Heard::Group(datagram)) => {
                heard += 1;
                progress.heard(heard);
                boot.handle_group_datagram(now, datagram)
            }
            None => Ok(None),
        };
        let is_member = boot.group().is_some();
        for event in [event, boot.handle_timeout(now)] {
            match event.map_err(Failure::boot)? {
                // A member is told to wait for the stream.
                None | Some(Event::Wait(_)) if is_member => {}
                event => event.into_iter().for_each(|event| show(progress, ticket, now, event)),
            }
        }
        // A member works on all chunks at once.
        if let Some(missing) = boot.missing() {
            progress.at(u64::from(ticket.image_size() - missing), Some(ticket.image_size()));
        }
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
    heard: u64,
    arguments: &cli::Run,
) -> Result<(), Failure> {
    let mut image = vec![0; ticket.image_size() as usize];
    let start = flash.layout().slot(which).start;
    flash.read(start, &mut image).map_err(|error| Failure::Flash(error.to_string()))?;
    if let Some(path) = &arguments.extract {
        extract(path, &image).map_err(Failure::file(path, "write"))?;
    }
    let digest = Hex(&hmac_sha256::Hash::hash(&image)).to_string();
    let (bytes, sequence) = (ticket.image_size(), ticket.sequence_number());
    let line = if arguments.json {
        let slot = format!("{which:?}");
        json!({ "sha256": digest, "bytes": bytes, "sequence": sequence, "slot": slot, "heard": heard })
            .to_string()
    } else {
        format!("{digest}  sequence number {sequence}, {bytes} bytes, slot {which:?}")
    };
    writeln!(io::stdout(), "{line}").map_err(Failure::Stdout)
}

/// Writes a file as a whole or not at all; into what is no file, as /dev/stdout, there is only to write.
fn extract(path: &Path, image: &[u8]) -> io::Result<()> {
    if fs::metadata(path).is_ok_and(|there| !there.is_file()) {
        return fs::write(path, image);
    }
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // As any file that somebody makes, and not for its owner alone.
    let everybody = Permissions::from_mode(0o666);
    let mut file = tempfile::Builder::new().prefix(".sixfold-").permissions(everybody).tempfile_in(folder)?;
    file.write_all(image)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_replaces_a_file_and_goes_into_what_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("image");
        for image in [&b"first"[..], b"second"] {
            extract(&file, image).unwrap();
            assert_eq!(fs::read(&file).unwrap(), image);
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        extract(Path::new("/dev/null"), b"nothing").unwrap();
        assert!(!fs::metadata("/dev/null").unwrap().is_file());
        assert!(extract(Path::new("/dev/full"), b"too much").is_err());
        assert!(extract(&folder.path().join("no/folder"), b"x").is_err());
    }
}
