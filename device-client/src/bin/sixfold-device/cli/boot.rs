//! `sixfold-device boot`.

use super::seconds;
use clap::Args;
use std::path::PathBuf;
use std::time::Duration;

const EXAMPLES: &str = "\
Examples:
  sixfold-device boot --flash flash.bin
  sixfold-device boot --flash flash.bin --interface lowpan0 --extract image.bin

It tries for ever: a relay that is gone may come back. Kill it at any moment; the same command goes on.

Exit status:
  0  an image is whole, and would run now
  2  the command line is wrong
  4  not done within --timeout
  7  trouble with local files, or with the flash
  20 there is no ticket: prepare first
  21 the only image was being replaced, and its record is gone: the device needs a new one";

/// Do what a boot program does after a reset: go on with the update that is in flash until its image is whole.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Boot {
    /// The flash, as `sixfold-device flash create` makes it.
    #[arg(long, value_name = "FILE")]
    pub(crate) flash: PathBuf,
    #[command(flatten)]
    pub(crate) run: Run,
}

/// How a boot program is run.
#[derive(Args, Debug)]
pub(crate) struct Run {
    /// The interface towards the relay, if its address is link-local.
    #[arg(long, value_name = "NAME")]
    pub(crate) interface: Option<String>,
    /// Write the image that would run to this file.
    #[arg(long, value_name = "FILE")]
    pub(crate) extract: Option<PathBuf>,
    /// Stop after this time, in seconds.
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub(crate) timeout: Option<Duration>,
    /// Say nothing but what went wrong.
    #[arg(short, long)]
    pub(crate) quiet: bool,
    /// Print the result as one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}
