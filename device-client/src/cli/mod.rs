//! The command line: what can be said, and how it is explained. What the words mean is decided elsewhere.

mod boot;
mod fetch;
mod flash;
mod prepare;
mod session;

use clap::{Parser, Subcommand};
use sixfold_profile::coap::Szx;
use std::time::Duration;

pub use boot::{Boot, Link, Run};
pub use fetch::Fetch;
pub use flash::{Create, Flash, Show};
pub use prepare::{Prepare, Update, What};
pub use session::Session;

const EXAMPLES: &str = "\
Examples:
  sixfold-device fetch 'coap://[2001:db8::1]/fw/lamp.bin' -o lamp.bin
  sixfold-device flash create flash.bin --slot-size 131072
  sixfold-device update --flash flash.bin --discover wpan0 \\
      --manifest /fw/lamp.bin.suit --key publisher.key.pub \\
      --vendor example.com --class lamp --secret secret.bin
  sixfold-device flash show flash.bin

Exit status:
  0  it is done
  2  the command line is wrong
  any other: why it is not; `--help` of each command has the list";

/// Fetch firmware images over CoAP, and update flash from them.
#[derive(Debug, Parser)]
#[command(version, about, arg_required_else_help = true, after_help = EXAMPLES)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Fetch a resource block by block (RFC 7959) and print its SHA-256.
    Fetch(Fetch),
    /// Do what a main program does: fetch and verify a manifest, and leave a ticket for the boot program.
    Prepare(Prepare),
    /// Do what a boot program does after a reset: go on with the update that is in flash until its image is whole.
    Boot(Boot),
    /// Prepare, and then boot.
    Update(Update),
    /// Make and look at flash in files.
    #[command(subcommand)]
    Flash(Flash),
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
