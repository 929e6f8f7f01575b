//! What can go wrong, whose fault it is, and the exit status that says so to scripts.

use sixfold_device::fetch::{Change, Violation};
use sixfold_device::uri::UriError;
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
}

impl Failure {
    /// As listed in `--help`.
    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Usage(_) => 2,
            Self::NotFound(_) => 3,
            Self::TimedOut(_) => 4,
            Self::Unstable(_) => 5,
            Self::Refused(..) | Self::Reset | Self::Violation(_) => 6,
            Self::File(..) | Self::Stdout(_) => 7,
        })
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
