//! `sixfold-device flash`: makes flash, and says what is in it.

use crate::cli;
use crate::failure::Failure;
use embedded_storage::nor_flash::NorFlash;
use sixfold_device::boot::{Choice, Record, SessionState, Which, choose, record, session_state};
use sixfold_device::flash_file::{FlashFile, Geometry, PAGE};
use sixfold_profile::Hex;
use sixfold_profile::ticket::{MAX_TICKET, Ticket};
use std::fmt::Write as _;
use std::fs;
use std::io::{self, ErrorKind, Write};
use std::path::Path;

/// Opens flash, with words for what is wrong with it.
pub(crate) fn open(path: &Path) -> Result<FlashFile, Failure> {
    FlashFile::open(path).map_err(|error| match error.kind() {
        ErrorKind::InvalidData => Failure::Usage(format!(
            "{} is not flash: make it with sixfold-device flash create",
            path.display()
        )),
        ErrorKind::WouldBlock => Failure::Usage(format!("{} is used by another process", path.display())),
        _ => Failure::file(path, "open")(error),
    })
}

/// `sixfold-device flash create`.
pub(crate) fn create(arguments: &cli::Create) -> Result<(), Failure> {
    let geometry =
        Geometry { slot_bytes: arguments.slot_size, two_slots: arguments.two_slots, sessions: true };
    let Some(layout) = geometry.layout() else {
        return Err(Failure::Usage(format!("--slot-size must be a multiple of {PAGE}, and not too large")));
    };
    let image = arguments.factory.as_deref().map(|path| fs::read(path).map_err(Failure::file(path, "read")));
    let mut image = image.transpose()?.unwrap_or_default();
    if image.len() > arguments.slot_size as usize {
        return Err(Failure::Usage("the factory's image is larger than the slot".into()));
    }
    image.resize(image.len().next_multiple_of(FlashFile::WRITE_SIZE), 0xff);
    let start = layout.slot(Which::A).start;
    FlashFile::create(&arguments.file, geometry, |flash| flash.write(start, &image))
        .map(|_| ())
        .map_err(Failure::file(&arguments.file, "create"))
}

/// `sixfold-device flash show`.
pub(crate) fn show(arguments: &cli::Show) -> Result<(), Failure> {
    let mut flash = open(&arguments.file)?;
    let text = describe(&mut flash).map_err(|error| Failure::Flash(error.to_string()))?;
    io::stdout().write_all(text.as_bytes()).map_err(Failure::Stdout)
}

type Error = sixfold_device::boot::BootError<sixfold_device::flash_file::FlashError>;

fn describe(flash: &mut FlashFile) -> Result<String, Error> {
    let layout = flash.layout().clone();
    let mut text = String::new();
    for which in Which::BOTH {
        let (place, slot) = (layout.record(which), layout.slot(which));
        let _ =
            writeln!(text, "record {which:?} at {:#x}, slot {:#x}..{:#x}", place.start, slot.start, slot.end);
        let mut buffer = [0; MAX_TICKET];
        match record::read_ticket(flash, place, &mut buffer) {
            Ok(ticket) => {
                let record = Record::new::<FlashFile>(place, &ticket)?;
                describe_record(flash, &record, &ticket, &mut text)?;
                let state = session_state(flash, place, &mut [0; MAX_TICKET]);
                text += &describe_session(&ticket, state)?;
            }
            Err(error @ Error::Flash(_)) => return Err(error),
            Err(_) if record::is_retired(flash, place)? => text += "  retired: its image was replaced\n",
            Err(error) => {
                let _ = writeln!(text, "  {error}");
            }
        }
    }
    let choice = match choose(flash, &layout, &mut [0; MAX_TICKET])? {
        Choice::Run(which) => format!("runs the image of record {which:?}"),
        Choice::Update { record, fallback: None } => format!("fetches the image of record {record:?}"),
        Choice::Update { record, fallback: Some(fallback) } => {
            format!(
                "fetches the image of record {record:?}, and can run that of record {fallback:?} meanwhile"
            )
        }
        Choice::Nothing => "runs what the factory left in the slot".to_owned(),
        Choice::Lost => "runs nothing: the only image was being replaced, and its record is gone".to_owned(),
    };
    let _ = writeln!(text, "after a reset the boot program {choice}");
    Ok(text)
}

fn describe_record(
    flash: &mut FlashFile,
    record: &Record,
    ticket: &Ticket<'_>,
    text: &mut String,
) -> Result<(), Error> {
    let mut marked = 0;
    for chunk in 0..record.chunks() {
        marked += u32::from(record.is_marked(flash, chunk)?);
    }
    let bootable = if record.is_marked(flash, record.chunks())? { ", bootable" } else { "" };
    let _ = writeln!(
        text,
        "  sequence number {}\n  image {} bytes, SHA-256 {}\n  relay [{}]:{}, blocks of {} bytes\n  {marked} of {} chunks of {} bytes{bootable}",
        ticket.sequence_number(),
        ticket.image_size(),
        Hex(ticket.image_digest()),
        ticket.relay().address,
        ticket.relay().port,
        ticket.szx().size(),
        record.chunks(),
        ticket.chunk_size().bytes(),
    );
    Ok(())
}

/// A line about the ticket's session, if it has one.
fn describe_session(ticket: &Ticket<'_>, state: Result<SessionState, Error>) -> Result<String, Error> {
    let (Ok(session), Ok(state)) = (ticket.session(), &state) else {
        return match state {
            Err(error @ Error::Flash(_)) => Err(error),
            _ => Ok("  a session that cannot be used: prepare again\n".to_owned()),
        };
    };
    let Some(session) = session else { return Ok(String::new()) };
    let state = words(*state).unwrap_or("has numbers left");
    let plain = if session.plain_allowed { ", and may be done without then" } else { "" };
    Ok(format!("  the session of {} {state}{plain}\n", Hex(session.sender_id)))
}

/// Why another session is wanted; `None` when the one that is there will do, or none is there.
pub(crate) const fn words(state: SessionState) -> Option<&'static str> {
    match state {
        SessionState::None | SessionState::Usable => None,
        SessionState::Refused => {
            Some("was lost: the relay, or somebody on the link, said that it does not know it")
        }
        SessionState::UsedUp => Some("has no numbers left"),
    }
}

/// What became of the session of the record in force; [`SessionState::None`], too, where there is no ticket that can be used.
pub(crate) fn last_session(flash: &mut FlashFile) -> Result<SessionState, Failure> {
    let layout = flash.layout().clone();
    let mut buffer = [0; MAX_TICKET];
    let state = choose(flash, &layout, &mut buffer).and_then(|choice| match choice {
        Choice::Run(which) | Choice::Update { record: which, .. } => {
            session_state(flash, layout.record(which), &mut buffer)
        }
        Choice::Nothing | Choice::Lost => Ok(SessionState::None),
    });
    match state {
        Err(error @ Error::Flash(_)) => Err(Failure::Flash(error.to_string())),
        state => Ok(state.unwrap_or(SessionState::None)),
    }
}
