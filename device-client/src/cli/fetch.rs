//! `sixfold-device fetch`.

use super::{seconds, szx};
use clap::Args;
use sixfold_profile::coap::Szx;
use std::path::PathBuf;
use std::string::String;
use std::time::Duration;

const EXAMPLES: &str = "\
Examples:
  sixfold-device fetch 'coap://[2001:db8::1]/fw/image.bin' -o image.bin
  sixfold-device fetch 'coap://[fe80::1%lowpan0]/fw/image.bin?board=7' \\
      -o image.bin --szx 64
  sixfold-device fetch https://updates.example/image.bin \\
      --proxy 'coap://[fd00::1]' -o image.bin

An interrupted fetch leaves FILE.part and FILE.part.state; the same command goes on from there. FILE appears \
only when it is complete.

Exit status:
  0  the file is complete
  2  the command line is wrong
  3  the server has no such resource (4.04)
  4  no answer in time
  5  the resource changed more than three times while it was fetched
  6  the server refused (any other error), or its answers make no sense
  7  trouble with local files";

/// `sixfold-device fetch`.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Fetch {
    /// What to fetch: coap://HOST[:PORT]/PATH[?QUERY], or any absolute URI with --proxy.
    pub uri: String,
    /// The file to write.
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,
    /// Ask this forward proxy (Proxy-Uri, RFC 7252 section 5.10.2): coap://HOST[:PORT].
    #[arg(long, value_name = "URI")]
    pub proxy: Option<String>,
    /// The largest block: an exponent 0 to 6, or a size of 16 to 1024 bytes. The server may choose smaller ones.
    #[arg(long, default_value = "6", value_parser = szx)]
    pub szx: Szx,
    /// Go on with a partial file (the default).
    #[arg(long, overrides_with = "no_resume")]
    resume: bool,
    /// Throw a partial file away and begin at the first byte.
    #[arg(long, overrides_with = "resume")]
    pub no_resume: bool,
    /// Give up after this time, in seconds. Without it, only a server that does not answer ends the fetch.
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub timeout: Option<Duration>,
    /// Say nothing but what went wrong.
    #[arg(short, long)]
    pub quiet: bool,
    /// Print the result as one JSON object in place of the SHA-256 line.
    #[arg(long)]
    pub json: bool,
}
