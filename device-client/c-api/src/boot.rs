//! The boot program's core (`sixfold_device::boot`) for C.

use crate::flash::{CFlash, SixfoldFlash, SixfoldLayout, SixfoldRange};
use crate::status::{SixfoldCause, SixfoldStatus};
use core::slice;
use sixfold_device::boot::{Boot, Choice, Event, Which, choose, record};
use sixfold_profile::Instant;
use sixfold_profile::ticket::MAX_TICKET;

/// How many bytes a ticket needs in memory.
pub const SIXFOLD_TICKET_SIZE: usize = 512;
const _: () = assert!(SIXFOLD_TICKET_SIZE == MAX_TICKET);

/// The size of [`SixfoldBoot`], as the header says it: what is needed by a library that listens and knows sessions, and some room for
/// other compilers.
#[cfg(target_pointer_width = "64")]
const BOOT_SIZE: usize = 592;
#[cfg(not(target_pointer_width = "64"))]
const BOOT_SIZE: usize = 456;

pub(crate) type Core = Boot<'static, CFlash>;

/// One update. It is the calling program's memory, and says nothing before `sixfold_boot_begin`.
#[repr(C)]
#[derive(Debug)]
pub struct SixfoldBoot {
    opaque: [u64; BOOT_SIZE / 8],
}

const _: () =
    assert!(size_of::<Core>() <= size_of::<SixfoldBoot>() && align_of::<Core>() <= align_of::<u64>());

/// What is to be done after a reset.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SixfoldAction {
    /// Run the image of `record`.
    Run = 0,
    /// Fetch the image of `record`. That of `fallback`, unless it is negative, can run instead: with two slots for as long as
    /// this one does not arrive, with one slot only until `sixfold_boot_begin` succeeded.
    Update,
    /// No record is valid: what is in slot 0 came from the factory.
    Nothing,
    /// The only image was being replaced, and its record cannot be read any more: nothing may run.
    Lost,
}

/// What is to be done after a reset, with what.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct SixfoldChoice {
    /// What.
    pub action: SixfoldAction,
    /// With which record, 0 or 1; negative when with none.
    pub record: i8,
    /// Whose image can run instead; negative when none can.
    pub fallback: i8,
}

/// What the boot program's surroundings have to know of a ticket.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct SixfoldTicket {
    /// The relay's IPv6 address.
    pub relay_address: [u8; 16],
    /// The relay's UDP port.
    pub relay_port: u16,
    /// The lower half of the device's addresses (RFC 7217).
    pub interface_identifier: [u8; 8],
    /// Where the image goes; `end` is behind its last byte.
    pub image: SixfoldRange,
    /// Its SHA-256.
    pub image_digest: [u8; 32],
}

/// What happened.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SixfoldEventKind {
    /// Nothing worth telling.
    None = 0,
    /// `done` of `all` chunks are whole.
    Chunks,
    /// Something went wrong, `cause`: the device tries again at `until_us`.
    Sleep,
    /// The relay asked the device to come back at `until_us`.
    Wait,
    /// The image is whole and marked: it may run.
    Bootable,
}

/// What happened, for whoever shows progress. Only what the kind names is meant.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct SixfoldEvent {
    /// What.
    pub kind: SixfoldEventKind,
    /// Why the device sleeps.
    pub cause: SixfoldCause,
    /// Chunks that are whole.
    pub done: u32,
    /// All chunks.
    pub all: u32,
    /// A time, in microseconds.
    pub until_us: u64,
}

const NOTHING: SixfoldEvent =
    SixfoldEvent { kind: SixfoldEventKind::None, cause: SixfoldCause::Silence, done: 0, all: 0, until_us: 0 };

impl SixfoldEvent {
    pub(crate) fn new(now: Instant, event: Option<Event>) -> Self {
        match event {
            None => NOTHING,
            Some(Event::Chunks { done, all }) => {
                Self { kind: SixfoldEventKind::Chunks, done, all, ..NOTHING }
            }
            Some(Event::Sleep { cause, until }) => {
                let kind = SixfoldEventKind::Sleep;
                Self { kind, cause: cause.into(), until_us: until.as_micros(), ..NOTHING }
            }
            Some(Event::Wait(time)) => {
                Self { kind: SixfoldEventKind::Wait, until_us: (now + time).as_micros(), ..NOTHING }
            }
            Some(Event::Bootable) => Self { kind: SixfoldEventKind::Bootable, ..NOTHING },
        }
    }
}

pub(crate) const fn which(record: i8) -> Result<Which, SixfoldStatus> {
    match record {
        0 => Ok(Which::A),
        1 => Ok(Which::B),
        _ => Err(SixfoldStatus::Argument),
    }
}

const fn number(which: Option<Which>) -> i8 {
    match which {
        None => -1,
        Some(Which::A) => 0,
        Some(Which::B) => 1,
    }
}

/// The core in the caller's memory.
///
/// # Safety
/// `boot` is null, or what `sixfold_boot_begin` filled, and nobody else uses it meanwhile.
pub(crate) unsafe fn core_of<'b>(boot: *mut SixfoldBoot) -> Result<&'b mut Core, SixfoldStatus> {
    // SAFETY: size and alignment were checked above; the rest is this function's condition.
    unsafe { boot.cast::<Core>().as_mut() }.ok_or(SixfoldStatus::Argument)
}

pub(crate) fn status(result: Result<(), SixfoldStatus>) -> SixfoldStatus {
    result.err().unwrap_or(SixfoldStatus::Ok)
}

/// Decides after a reset. `ticket` is only used meanwhile.
///
/// # Safety
/// Pointers are null or point to what they say.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sixfold_boot_choose(
    flash: *const SixfoldFlash,
    layout: *const SixfoldLayout,
    ticket: *mut [u8; SIXFOLD_TICKET_SIZE],
    choice: *mut SixfoldChoice,
) -> SixfoldStatus {
    // SAFETY: this function's condition.
    let (flash, layout, ticket, choice) =
        unsafe { (flash.as_ref(), layout.as_ref(), ticket.as_mut(), choice.as_mut()) };
    let decide = || {
        let (flash, layout) = (flash.ok_or(SixfoldStatus::Argument)?, layout.ok_or(SixfoldStatus::Argument)?);
        let (ticket, choice) =
            (ticket.ok_or(SixfoldStatus::Argument)?, choice.ok_or(SixfoldStatus::Argument)?);
        let (action, record, fallback) = match choose(&mut CFlash::new(flash)?, &layout.layout(), ticket)? {
            Choice::Run(which) => (SixfoldAction::Run, Some(which), None),
            Choice::Update { record, fallback } => (SixfoldAction::Update, Some(record), fallback),
            Choice::Nothing => (SixfoldAction::Nothing, None, None),
            Choice::Lost => (SixfoldAction::Lost, None, None),
        };
        *choice = SixfoldChoice { action, record: number(record), fallback: number(fallback) };
        Ok(())
    };
    status(decide())
}

/// Goes on with the update of a record, 0 or 1. `boot` and `ticket` are used until the update is over, and `flash`'s callbacks
/// are called until then. `seed` should differ from device to device and be hard to guess. `says` tells what the ticket
/// says.
///
/// # Safety
/// Pointers are null or point to what they say; `boot` and `ticket` stay where they are.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sixfold_boot_begin(
    boot: *mut SixfoldBoot,
    flash: *const SixfoldFlash,
    layout: *const SixfoldLayout,
    record: i8,
    ticket: *mut [u8; SIXFOLD_TICKET_SIZE],
    seed: u32,
    says: *mut SixfoldTicket,
) -> SixfoldStatus {
    // SAFETY: this function's condition.
    let (flash, layout, ticket, says) =
        unsafe { (flash.as_ref(), layout.as_ref(), ticket.as_mut(), says.as_mut()) };
    let begin = || {
        let (flash, layout) = (flash.ok_or(SixfoldStatus::Argument)?, layout.ok_or(SixfoldStatus::Argument)?);
        let which = which(record)?;
        let (mut flash, layout) = (CFlash::new(flash)?, layout.layout());
        if boot.is_null() {
            return Err(SixfoldStatus::Argument);
        }
        let buffer = ticket.ok_or(SixfoldStatus::Argument)?;
        let ticket = record::read_ticket(&mut flash, layout.record(which), buffer)?;
        let core = Boot::new(flash, &layout, which, ticket, seed)?;
        let slot = layout.slot(which).start;
        if let Some(says) = says {
            *says = SixfoldTicket {
                relay_address: ticket.relay().address.octets(),
                relay_port: ticket.relay().port,
                interface_identifier: *ticket.interface_identifier(),
                // No overflow: the core checked that the image fits its slot.
                image: SixfoldRange { start: slot, end: slot + ticket.image_size() },
                image_digest: *ticket.image_digest(),
            };
        }
        // SAFETY: it is not null, large enough and aligned; what was there needs no end.
        unsafe { boot.cast::<Core>().write(core) };
        Ok(())
    };
    status(begin())
}

/// Takes a datagram from the relay's address, and may change it. `event` may be null.
///
/// # Safety
/// `boot` is one that was begun, `datagram` points to `length` bytes, and nobody else uses them meanwhile.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sixfold_boot_datagram(
    boot: *mut SixfoldBoot,
    now_us: u64,
    datagram: *mut u8,
    length: usize,
    event: *mut SixfoldEvent,
) -> SixfoldStatus {
    let take = |core: &mut Core, now| {
        if datagram.is_null() {
            return Err(SixfoldStatus::Argument);
        }
        // SAFETY: it is not null; the rest is this function's condition.
        let bytes = unsafe { slice::from_raw_parts_mut(datagram, length) };
        Ok(core.handle_datagram(now, bytes)?)
    };
    // SAFETY: this function's condition.
    unsafe { hear(boot, now_us, event, take) }
}

/// Lets the core take a datagram, and says what happened.
///
/// # Safety
/// `boot` is null or one that was begun, `event` is null or points to one, and nobody else uses them meanwhile.
pub(crate) unsafe fn hear(
    boot: *mut SixfoldBoot,
    now_us: u64,
    event: *mut SixfoldEvent,
    handle: impl FnOnce(&mut Core, Instant) -> Result<Option<Event>, SixfoldStatus>,
) -> SixfoldStatus {
    let now = Instant::from_micros(now_us);
    let take = || {
        // SAFETY: this function's condition.
        let happened = handle(unsafe { core_of(boot) }?, now)?;
        // SAFETY: this function's condition.
        unsafe { tell(event, SixfoldEvent::new(now, happened)) };
        Ok(())
    };
    status(take())
}

/// To be called when `sixfold_boot_deadline` is due; too early or too often does no harm. `event` may be null.
///
/// # Safety
/// `boot` is one that was begun, and nobody else uses it meanwhile.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sixfold_boot_timeout(
    boot: *mut SixfoldBoot,
    now_us: u64,
    event: *mut SixfoldEvent,
) -> SixfoldStatus {
    let now = Instant::from_micros(now_us);
    let pass = || {
        // SAFETY: this function's condition.
        let happened = unsafe { core_of(boot) }?.handle_timeout(now)?;
        // SAFETY: this function's condition.
        unsafe { tell(event, SixfoldEvent::new(now, happened)) };
        Ok(())
    };
    status(pass())
}

/// # Safety
/// `event` is null or points to an event.
unsafe fn tell(event: *mut SixfoldEvent, happened: SixfoldEvent) {
    // SAFETY: this function's condition.
    if let Some(event) = unsafe { event.as_mut() } {
        *event = happened;
    }
}

/// Writes the next datagram to be sent to the relay now, and its length: 0 when there is none. Call it at the start and after
/// each `sixfold_boot_datagram` and `sixfold_boot_timeout` until there is none. 384 bytes are always enough, and 320 for a boot program that does not listen; in a library that knows sessions
/// (feature `oscore`), 832, and for it flash may be written here.
///
/// # Safety
/// `boot` is one that was begun, `buffer` points to `size` bytes, and nobody else uses them meanwhile.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sixfold_boot_transmit(
    boot: *mut SixfoldBoot,
    now_us: u64,
    buffer: *mut u8,
    size: usize,
    length: *mut usize,
) -> SixfoldStatus {
    let write = || {
        // SAFETY: this function's condition.
        let (core, length) = unsafe { (core_of(boot)?, length.as_mut().ok_or(SixfoldStatus::Argument)?) };
        if buffer.is_null() {
            return Err(SixfoldStatus::Argument);
        }
        // SAFETY: it is not null; the rest is this function's condition.
        let buffer = unsafe { slice::from_raw_parts_mut(buffer, size) };
        *length = core.poll_transmit(Instant::from_micros(now_us), buffer)?.unwrap_or(0);
        Ok(())
    };
    status(write())
}

/// When `sixfold_boot_timeout` is due, in microseconds: ask after there is nothing more to send. UINT64_MAX when the image
/// may run, and for null.
///
/// # Safety
/// `boot` is null or one that was begun.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sixfold_boot_deadline(boot: *mut SixfoldBoot) -> u64 {
    // SAFETY: this function's condition.
    let deadline = unsafe { core_of(boot) }.ok().and_then(|core| core.poll_timeout());
    deadline.map_or(u64::MAX, Instant::as_micros)
}

/// Whether the image may run.
///
/// # Safety
/// `boot` is null or one that was begun.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sixfold_boot_is_bootable(boot: *mut SixfoldBoot) -> bool {
    // SAFETY: this function's condition.
    unsafe { core_of(boot) }.is_ok_and(|core| core.is_bootable())
}
