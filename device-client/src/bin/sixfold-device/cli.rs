//! The command line: what can be said, and how it is explained. What the words mean is decided elsewhere.

use clap::{Args, Parser, Subcommand};
use sixfold_profile::coap::Szx;
use std::path::PathBuf;
use std::time::Duration;

/// Fetch firmware images over CoAP.
#[derive(Debug, Parser)]
#[command(version, about, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Fetch(Fetch),
}

const EXAMPLES: &str = "\
Examples:
  sixfold-device fetch 'coap://[2001:db8::1]/fw/image.bin' -o image.bin
  sixfold-device fetch 'coap://[fe80::1%lowpan0]/fw/image.bin?board=7' -o image.bin --szx 64
  sixfold-device fetch https://updates.example/image.bin --proxy 'coap://[fd00::1]' -o image.bin

An interrupted fetch leaves FILE.part and FILE.part.state; the same command goes on from there. FILE appears
only when it is complete.

Exit status:
  0  the file is complete
  2  the command line is wrong
  3  the server has no such resource (4.04)
  4  no answer in time
  5  the resource changed more than three times while it was fetched
  6  the server refused (any other error), or its answers make no sense
  7  trouble with local files";

/// Fetch a resource block by block (RFC 7959) and print its SHA-256.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Fetch {
    /// What to fetch: coap://HOST[:PORT]/PATH[?QUERY], or any absolute URI with --proxy.
    pub(crate) uri: String,
    /// The file to write.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: PathBuf,
    /// Ask this forward proxy (Proxy-Uri, RFC 7252 section 5.10.2): coap://HOST[:PORT].
    #[arg(long, value_name = "URI")]
    pub(crate) proxy: Option<String>,
    /// The largest block: an exponent 0 to 6, or a size of 16 to 1024 bytes. The server may choose smaller ones.
    #[arg(long, default_value = "6", value_parser = szx)]
    pub(crate) szx: Szx,
    /// Go on with a partial file (the default).
    #[arg(long, overrides_with = "no_resume")]
    resume: bool,
    /// Throw a partial file away and begin at the first byte.
    #[arg(long, overrides_with = "resume")]
    pub(crate) no_resume: bool,
    /// Give up after this time, in seconds. Without it, only a server that does not answer ends the fetch.
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub(crate) timeout: Option<Duration>,
    /// Say nothing but what went wrong.
    #[arg(short, long)]
    pub(crate) quiet: bool,
    /// Print the result as one JSON object in place of the SHA-256 line.
    #[arg(long)]
    pub(crate) json: bool,
}

fn szx(text: &str) -> Result<Szx, &'static str> {
    let number: usize = text.parse().map_err(|_| "not a number")?;
    let exponent = u8::try_from(number).ok().and_then(Szx::new);
    exponent.or(Szx::from_size(number)).ok_or("neither an exponent (0 to 6) nor a block size (16, 32 … 1024)")
}

fn seconds(text: &str) -> Result<Duration, &'static str> {
    let seconds: f64 = text.parse().map_err(|_| "not a number of seconds")?;
    let duration = Duration::try_from_secs_f64(seconds).map_err(|_| "out of range")?;
    if duration.is_zero() { Err("must be more than 0") } else { Ok(duration) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn exponents_and_sizes() {
        for (text, exponent) in [("0", 0), ("6", 6), ("16", 0), ("64", 2), ("1024", 6)] {
            assert_eq!(szx(text).map(Szx::exponent), Ok(exponent), "{text}");
        }
        for text in ["7", "8", "100", "2048", "-1", "", "six"] {
            assert!(szx(text).is_err(), "{text}");
        }
    }

    #[test]
    fn time_is_positive() {
        assert_eq!(seconds("0.5"), Ok(Duration::from_millis(500)));
        for text in ["0", "-1", "nan", "inf", "1e300", "soon"] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }
}
