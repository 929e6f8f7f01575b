//! `sixfold-device boot`.

use super::seconds;
use clap::Args;
use std::borrow::ToOwned;
use std::path::PathBuf;
use std::string::String;
use std::time::Duration;

const EXAMPLES: &str = "\
Examples:
  sixfold-device boot --flash flash.bin
  sixfold-device boot --flash flash.bin --interface lowpan0 --extract image.bin
  sixfold-device boot --flash flash.bin --tap tap0 --memory 8192
  sixfold-device boot --flash flash.bin --frames d1.sock \\
      --eui64 02006f6f00000001

Where the ticket has a group, what the relay sends to it is heard, and only the rest is asked for.

It tries for ever: a relay that is gone may come back. Kill it at any moment; the same command goes on.

Exit status:
  0  an image is whole, and would run now
  2  the command line is wrong
  4  not done within --timeout
  7  trouble with local files, or with the flash
  20 there is no ticket: prepare first
  21 the only image was being replaced, and its record is gone: prepare again
  24 record or image do not fit their places in flash";

/// `sixfold-device boot`.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Boot {
    /// The flash, as `sixfold-device flash create` makes it.
    #[arg(long, value_name = "FILE")]
    pub flash: PathBuf,
    /// How it is run.
    #[command(flatten)]
    pub run: Run,
}

/// How a boot program is run.
#[derive(Args, Debug)]
pub struct Run {
    /// The interface towards the relay, if its address is link-local.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["tap", "tun", "frames"])]
    pub interface: Option<String>,
    /// The way to the relay.
    #[command(flatten)]
    pub link: Link,
    /// Do not hear what the relay sends to many devices at once: ask for each block.
    #[arg(long)]
    pub no_listen: bool,
    /// The memory for listening, in bytes. With less of it, parity symbols help later, or not at all.
    #[arg(long, value_name = "BYTES", default_value_t = 64 << 10)]
    pub memory: usize,
    /// Write the image that would run to this file.
    #[arg(long, value_name = "FILE")]
    pub extract: Option<PathBuf>,
    /// Stop after this time, in seconds.
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub timeout: Option<Duration>,
    /// Say nothing but what went wrong.
    #[arg(short, long)]
    pub quiet: bool,
    /// Print the result as one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// A link with a stack of our own on it, as a boot program has one. Without any of these, the host's is used.
#[derive(Args, Debug)]
#[group(id = "own_stack", multiple = true)]
pub struct Link {
    /// Use a stack of our own on this TAP interface, which exists.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["tun", "frames"])]
    pub tap: Option<String>,
    /// Use a stack of our own on this TUN interface, which exists.
    #[arg(long, value_name = "NAME", conflicts_with = "frames")]
    pub tun: Option<String>,
    /// Use a stack of our own on the radio laboratory's air: the socket that was given to `sixfold-air run --frames`.
    #[arg(long, value_name = "SOCKET", requires = "eui64")]
    pub frames: Option<PathBuf>,
    /// The device's extended address on the air: 16 hexadecimal digits.
    #[arg(long, value_name = "HEX", value_parser = eui64, requires = "frames")]
    pub eui64: Option<[u8; 8]>,
    /// The PAN on the air.
    #[arg(long, value_name = "HEX", value_parser = pan_id, default_value = "6f6f")]
    pub pan_id: u16,
}

impl Link {
    /// Whether one is named.
    pub const fn is_own(&self) -> bool {
        self.tap.is_some() || self.tun.is_some() || self.frames.is_some()
    }
}

fn eui64(text: &str) -> Result<[u8; 8], String> {
    let number = u64::from_str_radix(text, 16).ok().filter(|_| text.len() == 16);
    number.map(u64::to_be_bytes).ok_or_else(|| "16 hexadecimal digits are needed".to_owned())
}

fn pan_id(text: &str) -> Result<u16, String> {
    u16::from_str_radix(text, 16).map_err(|_| "up to four hexadecimal digits are needed".to_owned())
}
