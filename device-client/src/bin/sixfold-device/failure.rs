//! What can go wrong, whose fault it is, and the exit status that says so to scripts.

use crate::trust::Untrusted;
use sixfold_device::boot::BootError;
use sixfold_device::fetch::{Change, Violation};
use sixfold_device::flash_file::FlashError;
use sixfold_device::prepare::{PrepareError, TargetError};
use sixfold_device::uri::UriError;
use sixfold_manifest::Refusal;
use sixfold_profile::coap::Code;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Why there is no complete file.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The operator asked for something that cannot be.
    Usage(String),
    /// 4.04, with the server's words.
    NotFound(String),
    /// No answer in time: the server, or the way to it.
    TimedOut(String),
    /// The resource changed too often.
    Unstable(Change),
    /// The server answered with an error, and in what words.
    Refused(Code, String),
    /// The server rejected the request with RST.
    Reset,
    /// The server's answers contradict the standards.
    Violation(Violation),
    /// This machine: a file, and what could not be done with it.
    File(PathBuf, &'static str, io::Error),
    /// This machine: its standard output.
    Stdout(io::Error),
    /// A body is longer than so many bytes, the most that it may have.
    TooLong(usize),
    /// Nobody signed the manifest whom this device trusts.
    Untrusted(Untrusted),
    /// The manifest is not for this device.
    Unfit(Refusal),
    /// The relay's image is not the signed one, as far as its size tells.
    OtherSize(String),
    /// The manifest names no resource that can be fetched.
    Reference(TargetError),
    /// The flash, or what is in it.
    Flash(String),
    /// There is no ticket.
    NoTicket,
    /// There is no image that may run, and no ticket.
    Lost,
}

impl From<PrepareError<Failure, Untrusted, FlashError>> for Failure {
    fn from(error: PrepareError<Self, Untrusted, FlashError>) -> Self {
        match error {
            PrepareError::Fetch { error, .. } => error,
            PrepareError::Untrusted(error) => Self::Untrusted(error),
            PrepareError::Refused(refusal) => Self::Unfit(refusal),
            PrepareError::Target(error) => Self::Reference(error),
            PrepareError::OtherSize { .. } => Self::OtherSize(error.to_string()),
            PrepareError::Flash(error) => Self::boot(error),
        }
    }
}

impl Failure {
    /// As listed in `--help`.
    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Usage(_) => 2,
            Self::NotFound(_) => 3,
            Self::TimedOut(_) => 4,
            Self::Unstable(_) => 5,
            Self::Refused(..) | Self::Reset | Self::Violation(_) | Self::TooLong(_) => 6,
            Self::File(..) | Self::Stdout(_) | Self::Flash(_) => 7,
            Self::Untrusted(untrusted) => untrusted.exit_code(),
            Self::Unfit(Refusal::Vendor(_)) => 12,
            Self::Unfit(Refusal::Class(_)) => 13,
            Self::Unfit(Refusal::Sequence { .. }) => 14,
            Self::Unfit(Refusal::TooLarge { .. }) => 15,
            Self::Unfit(Refusal::ChunkSize { .. }) => 16,
            Self::Unfit(Refusal::Index) => 17,
            Self::OtherSize(_) => 18,
            Self::Reference(_) => 19,
            Self::NoTicket => 20,
            Self::Lost => 21,
        })
    }

    /// Whatever stops a boot program.
    pub(crate) fn boot(error: BootError<FlashError>) -> Self {
        Self::Flash(error.to_string())
    }

    /// For `map_err`: names the file and what was to be done with it.
    pub(crate) fn file(path: &Path, what: &'static str) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |error| Self::File(path, what, error)
    }

    /// An error response.
    pub(crate) fn refused(code: Code, diagnostic: &[u8]) -> Self {
        let words = printable(diagnostic);
        if code == Code::NOT_FOUND { Self::NotFound(words) } else { Self::Refused(code, words) }
    }
}

/// The server's words without what could upset a terminal, and not too many of them.
fn printable(diagnostic: &[u8]) -> String {
    let text = String::from_utf8_lossy(diagnostic);
    text.chars().filter(|c| !c.is_control()).take(200).collect()
}

impl From<UriError> for Failure {
    fn from(error: UriError) -> Self {
        Self::Usage(error.to_string())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(what) | Self::TimedOut(what) => f.write_str(what),
            Self::NotFound(words) => {
                write!(f, "the server has no such resource: {:?}{}", Code::NOT_FOUND, Words(words))
            }
            Self::Unstable(change) => {
                write!(
                    f,
                    "the resource changed too often while it was fetched; try again later (the last time, {change})"
                )
            }
            Self::Refused(code, words) => write!(f, "the server refused: {code:?}{}", Words(words)),
            Self::Reset => f.write_str("the server rejected the request with RST: is this its CoAP port?"),
            Self::Violation(violation) => write!(f, "the server's answer makes no sense: {violation}"),
            Self::File(path, what, error) => write!(f, "cannot {what} {}: {error}", path.display()),
            Self::TooLong(limit) => write!(f, "the server sends more than {limit} bytes"),
            Self::Untrusted(error) => error.fmt(f),
            Self::Unfit(refusal) => refusal.fmt(f),
            Self::Reference(error) => write!(f, "the manifest's URI cannot be used: {error}"),
            Self::OtherSize(what) | Self::Flash(what) => f.write_str(what),
            Self::NoTicket => f.write_str("there is no ticket in flash: prepare first"),
            Self::Lost => f.write_str(
                "the only image was being replaced, and its record cannot be read any more: prepare again",
            ),
            Self::Stdout(error) => write!(f, "cannot write to stdout: {error}"),
        }
    }
}

/// A server's words in brackets, if it said anything.
struct Words<'a>(&'a str);

impl fmt::Display for Words<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { Ok(()) } else { write!(f, " ({})", self.0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_servers_words_cannot_upset_a_terminal() {
        let failure = Failure::refused(Code::FORBIDDEN, b"no\x1b[2J\n \xff");
        assert_eq!(failure.to_string(), "the server refused: 4.03 Forbidden (no[2J \u{fffd})");
        assert_eq!(Failure::refused(Code::FORBIDDEN, &[b'x'; 5000]).to_string().len(), 237);
    }
}
