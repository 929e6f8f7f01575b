//! What can go wrong, whose fault it is, and the exit status that says so to scripts.

use crate::trust::Untrusted;
use sixfold_device::agree::AgreeError;
use sixfold_device::boot::BootError;
use sixfold_device::fetch::{Change, Violation};
use sixfold_device::flash_file::FlashError;
use sixfold_device::prepare::{PrepareError, TargetError};
use sixfold_device::uri::UriError;
use sixfold_manifest::encryption::NoContentKey;
use sixfold_manifest::{Distrust, Refusal};
use sixfold_profile::coap::Code;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// Why there is no complete file.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The operator asked for something that cannot be.
    Usage(String),
    /// 4.04, with the server's words.
    NotFound(String),
    /// No answer in time: the server, or the way to it.
    TimedOut(String),
    /// No relay answered on a link.
    NoRelay(String),
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
    /// A body is longer than it may be: the limit, in bytes.
    TooLong(usize),
    /// What the relay has as manifest is not believed.
    Untrusted(Untrusted),
    /// The manifest is not for this device.
    Unfit(Refusal),
    /// The relay's image is not the signed one, as far as its size tells.
    OtherSize(String),
    /// The manifest names no resource that can be fetched.
    Reference(TargetError),
    /// The image is encrypted, and not for this device.
    NoContentKey(NoContentKey),
    /// The manifest has the sequence number of the image that runs, and is of another one.
    Reused(String),
    /// There is to be a session with the relay, and there is none.
    Session(AgreeError),
    /// The flash, or what is in it.
    Flash(String),
    /// What is to be written does not fit its place in flash.
    Layout(String),
    /// There is no ticket.
    NoTicket,
    /// There is no image that may run, and no ticket.
    Lost,
}

impl From<PrepareError<Failure, Untrusted, FlashError>> for Failure {
    fn from(error: PrepareError<Self, Untrusted, FlashError>) -> Self {
        match error {
            PrepareError::Fetch { error, .. } | PrepareError::Session(error) => error,
            PrepareError::Untrusted(error) => Self::Untrusted(error),
            PrepareError::Refused(refusal) => Self::Unfit(refusal),
            PrepareError::NoContentKey(error) => Self::NoContentKey(error),
            PrepareError::Target(error) => Self::Reference(error),
            PrepareError::OtherSize { .. } => Self::OtherSize(error.to_string()),
            PrepareError::Reused { .. } => Self::Reused(error.to_string()),
            PrepareError::Flash(error) => Self::boot(error),
        }
    }
}

impl Failure {
    /// As listed in `--help`.
    pub(crate) const fn status(&self) -> u8 {
        match self {
            Self::Usage(_) => 2,
            Self::NotFound(_) => 3,
            Self::TimedOut(_) => 4,
            Self::Unstable(_) => 5,
            Self::Refused(..) | Self::Reset | Self::Violation(_) => 6,
            Self::File(..) | Self::Stdout(_) | Self::Flash(_) => 7,
            Self::Untrusted(untrusted) => match untrusted.distrust() {
                Distrust::Malformed => 8,
                Distrust::UntrustedSigner => 9,
                Distrust::OutOfTime => 10,
                Distrust::Revoked => 11,
                Distrust::Index => 17,
                Distrust::BadSignature => 22,
                Distrust::UnknownRevocation => 23,
            },
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
            Self::Layout(_) => 24,
            Self::Reused(_) => 25,
            Self::TooLong(_) => 26,
            Self::NoRelay(_) => 27,
            Self::Session(error) if error.is_distrust() => 28,
            Self::Session(error) if error.is_rejection() => 29,
            Self::Session(_) => 30,
            Self::NoContentKey(_) => 31,
        }
    }

    /// Whatever stops a boot program.
    pub(crate) fn boot(error: BootError<FlashError>) -> Self {
        let text = error.to_string();
        if error == BootError::Layout { Self::Layout(text) } else { Self::Flash(text) }
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
            Self::Usage(what) | Self::TimedOut(what) | Self::NoRelay(what) => f.write_str(what),
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
            Self::NoContentKey(error) => error.fmt(f),
            Self::Session(error) => write!(f, "no session with the relay: {error}"),
            Self::Reference(error) => write!(f, "the manifest's URI cannot be used: {error}"),
            Self::OtherSize(what) | Self::Reused(what) | Self::Flash(what) | Self::Layout(what) => {
                f.write_str(what)
            }
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
    use crate::cli::Cli;
    use clap::CommandFactory;
    use sixfold_device::agree::EdhocError;
    use sixfold_manifest::{cms, suit};
    use std::collections::BTreeSet;
    use uuid::Uuid;

    /// Every way in which a preparation can end badly, in the order of its steps, and its exit status.
    fn refusals() -> Vec<(PrepareError<Failure, Untrusted, FlashError>, u8)> {
        let fetch = |error| PrepareError::Fetch { uri: String::new(), error };
        let cms = |error| PrepareError::Untrusted(Untrusted::Cms(error));
        let suit = |error| PrepareError::Untrusted(Untrusted::Suit(error));
        let edhoc = |error| PrepareError::Session(Failure::Session(AgreeError::Edhoc(error)));
        let (uuid, file) = (Uuid::nil(), Path::new("flash"));
        let broken = FlashError::Io(io::ErrorKind::Other);
        vec![
            (fetch(Failure::NotFound(String::new())), 3),
            (fetch(Failure::TimedOut(String::new())), 4),
            (fetch(Failure::Unstable(Change::ETag)), 5),
            (fetch(Failure::Refused(Code::FORBIDDEN, String::new())), 6),
            (fetch(Failure::Reset), 6),
            (fetch(Failure::TooLong(1)), 26),
            (fetch(Failure::NoRelay(String::new())), 27),
            (PrepareError::Untrusted(Untrusted::Neither), 8),
            (suit(suit::Error::NotAnEnvelope), 8),
            (cms(cms::Error::NoSigner), 8),
            (suit(suit::Error::UntrustedKey(None)), 9),
            (cms(cms::Error::UnknownIssuer), 9),
            (suit(suit::Error::ManifestDigest), 22),
            (cms(cms::Error::BadSignature), 22),
            (cms(cms::Error::BadChainSignature), 22),
            (cms(cms::Error::Expired(1)), 10),
            (cms(cms::Error::NotYetValid(1)), 10),
            (cms(cms::Error::Revoked), 11),
            (cms(cms::Error::UnknownRevocationStatus), 23),
            (cms(cms::Error::CrlExpired(1)), 23),
            (suit(suit::Error::Index), 17),
            (PrepareError::Refused(Refusal::Vendor(uuid)), 12),
            (PrepareError::Refused(Refusal::Class(uuid)), 13),
            (PrepareError::Refused(Refusal::Sequence { offered: 1, accepted: 2 }), 14),
            (PrepareError::Refused(Refusal::TooLarge { image: 2, slot: 1 }), 15),
            (PrepareError::Refused(Refusal::ChunkSize { chunk: 1, page: 2 }), 16),
            (PrepareError::Refused(Refusal::Index), 17),
            (PrepareError::Reused { sequence_number: 1 }, 25),
            (PrepareError::NoContentKey(NoContentKey::NotForUs), 31),
            (PrepareError::OtherSize { signed: 1, offered: 2 }, 18),
            (PrepareError::Target(TargetError::TooLong), 19),
            (PrepareError::Session(Failure::Session(AgreeError::Untrusted(rustls::Error::DecryptError))), 28),
            (
                PrepareError::Session(Failure::Session(AgreeError::Rejected(
                    rustls::AlertDescription::UnknownCA,
                ))),
                29,
            ),
            (PrepareError::Session(Failure::Session(AgreeError::Protocol)), 30),
            (edhoc(EdhocError::Relay(sixfold_edhoc::Failure::UnknownCredential)), 28),
            (edhoc(EdhocError::Refused(3)), 29),
            (edhoc(EdhocError::Silence), 30),
            (PrepareError::Flash(BootError::Flash(broken)), 7),
            (fetch(Failure::File(file.to_owned(), "read", io::Error::other(""))), 7),
            (PrepareError::Flash(BootError::Layout), 24),
        ]
    }

    #[test]
    fn every_refusal_has_its_exit_status() {
        for (error, status) in refusals() {
            let text = format!("{error:?}");
            assert_eq!(Failure::from(error).status(), status, "{text}");
        }
    }

    /// The numbers that an explanation begins with.
    fn explained(command: &str) -> BTreeSet<u8> {
        let mut cli = Cli::command();
        let help = cli.find_subcommand_mut(command).unwrap().render_long_help().to_string();
        let (_, list) = help.split_once("Exit status:").unwrap();
        list.lines().filter_map(|line| line.split_whitespace().next()?.parse().ok()).collect()
    }

    #[test]
    fn the_exit_status_is_explained_by_help_and_by_the_profile() {
        let mut known: BTreeSet<u8> = refusals().into_iter().map(|(_, status)| status).collect();
        let profile = include_str!("../../../../profile/profile.md");
        let (_, steps) = profile.split_once("### 11.2. Steps").unwrap();
        let (steps, _) = steps.split_once("### 11.3.").unwrap();
        let rows = steps.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| #"));
        let cells = rows.filter_map(|row| row.trim_matches([' ', '|']).rsplit(" | ").next());
        let ranges = cells.map(|cell| cell.split_once(" to ").unwrap_or((cell, cell)));
        let in_profile: BTreeSet<u8> =
            ranges.flat_map(|(first, last)| first.parse::<u8>().unwrap()..=last.parse().unwrap()).collect();
        known.insert(0);
        assert_eq!(in_profile, known, "profile/profile.md, section 11.2");
        known.insert(Failure::Usage(String::new()).status());
        assert_eq!(explained("prepare"), known, "prepare --help");
        let boot = [
            Failure::Usage(String::new()),
            Failure::TimedOut(String::new()),
            Failure::Flash(String::new()),
            Failure::NoTicket,
            Failure::Lost,
            Failure::Layout(String::new()),
        ];
        let boot = boot.iter().map(Failure::status).chain([0]);
        assert_eq!(explained("boot"), boot.collect(), "boot --help");
    }

    #[test]
    fn the_servers_words_cannot_upset_a_terminal() {
        let failure = Failure::refused(Code::FORBIDDEN, b"no\x1b[2J\n \xff");
        assert_eq!(failure.to_string(), "the server refused: 4.03 Forbidden (no[2J \u{fffd})");
        assert_eq!(Failure::refused(Code::FORBIDDEN, &[b'x'; 5000]).to_string().len(), 237);
    }
}
