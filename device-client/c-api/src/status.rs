//! What came of a call.

use core::ffi::{CStr, c_char, c_int};
use sixfold_device::boot::{BootError, Cause};

/// What came of a call.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SixfoldStatus {
    /// Done.
    Ok = 0,
    /// A null pointer, or an argument out of range: the calling program is to blame.
    Argument,
    /// A flash callback said that it failed.
    Flash,
    /// There is no ticket, or it is torn or out of range: prepare again.
    Ticket,
    /// The chunk index is not the one that the ticket names: prepare again.
    Index,
    /// Image or record do not fit their place, or the library was built for flash with other pages.
    Layout,
    /// The ticket's options do not fit a request, or the buffer is too small for it.
    Request,
    /// The ticket has a session that this library cannot use, and must not go on without: prepare again.
    Session,
}

/// Why a boot program sleeps.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SixfoldCause {
    /// The relay does not answer.
    Silence = 0,
    /// The relay refuses, or its answers make no sense.
    Refused,
    /// The relay's image has another size than the signed one.
    OtherSize,
    /// A chunk is not what the publisher signed.
    WrongChunk,
    /// The image in flash is not what the publisher signed.
    WrongImage,
    /// The relay, or somebody on the link, says that it does not know the session.
    UnknownSession,
    /// The session has no numbers left: prepare again.
    NumbersUsedUp,
}

impl<E> From<BootError<E>> for SixfoldStatus {
    fn from(error: BootError<E>) -> Self {
        match error {
            BootError::Flash(_) => Self::Flash,
            BootError::Ticket(_) => Self::Ticket,
            BootError::Index => Self::Index,
            BootError::Layout => Self::Layout,
            BootError::Request => Self::Request,
            BootError::Session => Self::Session,
        }
    }
}

impl From<Cause> for SixfoldCause {
    fn from(cause: Cause) -> Self {
        match cause {
            Cause::Silence => Self::Silence,
            Cause::Refused => Self::Refused,
            Cause::OtherSize => Self::OtherSize,
            Cause::WrongChunk => Self::WrongChunk,
            Cause::WrongImage => Self::WrongImage,
            Cause::Unknown => Self::UnknownSession,
            Cause::UsedUp => Self::NumbersUsedUp,
        }
    }
}

/// A `sixfold_status` in words: English, without a full stop, for ever valid.
#[unsafe(no_mangle)]
pub extern "C" fn sixfold_status_text(status: c_int) -> *const c_char {
    const TEXTS: [&CStr; 8] = [
        c"done",
        c"an argument is null or out of range",
        c"the flash failed",
        c"there is no usable ticket: prepare again",
        c"the chunk index is not the one that the ticket names: prepare again",
        c"image or record do not fit their place in flash, or the library was built for other flash",
        c"the ticket's options do not fit a request",
        c"the ticket's session cannot be used: prepare again",
    ];
    text_of(&TEXTS, status)
}

/// A `sixfold_cause` in words: English, without a full stop, for ever valid.
#[unsafe(no_mangle)]
pub extern "C" fn sixfold_cause_text(cause: c_int) -> *const c_char {
    const TEXTS: [&CStr; 7] = [
        c"the relay does not answer",
        c"the relay refuses, or its answers make no sense",
        c"the relay's image has another size than the signed one",
        c"a chunk is not what the publisher signed",
        c"the image in flash is not what the publisher signed",
        c"the relay, or somebody on the link, says that it does not know the session",
        c"the session has no numbers left: prepare again",
    ];
    text_of(&TEXTS, cause)
}

pub(crate) fn text_of(texts: &[&'static CStr], number: c_int) -> *const c_char {
    let text = usize::try_from(number).ok().and_then(|number| texts.get(number));
    text.unwrap_or(&c"no such number").as_ptr()
}
