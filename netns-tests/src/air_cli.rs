//! The command line of `sixfold-air`, here so that tests can read what documents say to type.

use clap::{Args, Parser, Subcommand, ValueEnum, value_parser};
use sixfold_air::scenario::{Overrides, block_bytes_from_szx};
use sixfold_air::sim::Server;
use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::path::PathBuf;

/// The exit code when some device did not get the whole image.
pub const INCOMPLETE: u8 = 1;
/// The exit code when the command line or the scenario is wrong.
pub const BAD_USAGE: u8 = 2;
/// The exit code when this machine lacks a privilege or a program.
pub const LACKING: u8 = 3;
/// The exit code when the laboratory itself failed.
pub const FAILED: u8 = 4;
/// As shells have it: the command was not found, or ended by a signal, whose number is added.
pub const NOT_FOUND: u8 = 127;
/// See [`NOT_FOUND`].
pub const SIGNALLED: u8 = 128;

const EXAMPLES: &str = "\
Examples:
  sixfold-air sim netns-tests/scenarios/star.toml
  sixfold-air sim netns-tests/scenarios/star.toml --devices 100 --loss 0.1 \\
      --server rfc7252
  sixfold-air sim netns-tests/scenarios/three-hops.toml --seed 7 --json
  sixfold-air run netns-tests/scenarios/star.toml --devices 3 --pcap air.pcap
  sixfold-air run netns-tests/scenarios/star.toml --node d1 -- \\
      ping -c 3 fd00:6f::1
  sixfold-air run netns-tests/scenarios/star.toml --hold
  sixfold-air fleet --devices 1,10,100 --loss 0,10 --servers ours,rfc7252
  sixfold-air proof --small

Exit codes: 0 every device has the image, 1 some have not, 2 the command line or the scenario is wrong, 3 this machine \
lacks something, 4 the laboratory itself failed. With a COMMAND, its own, as in a shell.";

/// Measures firmware updates over a modelled IEEE 802.15.4 channel.
#[derive(Debug, Parser)]
#[command(name = "sixfold-air", version, after_help = EXAMPLES, arg_required_else_help = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a scenario in virtual time: thousands of devices in seconds.
    Sim(SimOptions),
    /// Run a scenario in real time: programs in network namespaces, the modelled air between them.
    Run(LiveOptions),
    /// Run a whole matrix of fleets in virtual time, and write tables and plots.
    Fleet(FleetOptions),
    /// Measure in virtual time what is promised of fleets, and write the verdicts with tables and plots.
    Proof(ProofOptions),
}

/// What is promised, measured.
#[derive(Args, Debug)]
pub struct ProofOptions {
    /// Where report.md and the plots go.
    #[arg(long, value_name = "FOLDER", default_value = "target/proof")]
    pub out: PathBuf,
    /// Smaller images and fleets, and one seed: for a first look.
    #[arg(long)]
    pub small: bool,
    /// How many seeds each case is run with.
    #[arg(long, value_name = "N", value_parser = value_parser!(u64).range(1..=1000))]
    pub seeds: Option<u64>,
    /// How many runs at the same time; without it, one a core.
    #[arg(long, value_name = "N")]
    pub threads: Option<NonZeroUsize>,
}

/// A matrix of runs.
#[derive(Args, Debug)]
pub struct FleetOptions {
    /// Where report.md, runs.csv and the plots go.
    #[arg(long, value_name = "FOLDER", default_value = "target/fleet")]
    pub out: PathBuf,
    /// Begin with the small matrix, which takes a second, in place of the full one.
    #[arg(long)]
    pub small: bool,
    /// Numbers of devices.
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = value_parser!(u32).range(1..=100_000))]
    pub devices: Option<Vec<u32>>,
    /// Lost frames, in percent.
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = value_parser!(u32).range(0..100))]
    pub loss: Option<Vec<u32>>,
    /// Block sizes, each as an SZX (0 to 6) or in bytes (16 to 1024).
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = block_bytes_from_szx)]
    pub szx: Option<Vec<u16>>,
    /// Who serves.
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub servers: Option<Vec<ServerName>>,
    /// How many seeds each combination is run with.
    #[arg(long, value_name = "N", value_parser = value_parser!(u64).range(1..=1000))]
    pub seeds: Option<u64>,
    /// The size of the image in bytes.
    #[arg(long, value_name = "BYTES", value_parser = value_parser!(u32).range(1..=16_777_216))]
    pub image: Option<u32>,
    /// How many runs at the same time; without it, one a core.
    #[arg(long, value_name = "N")]
    pub threads: Option<NonZeroUsize>,
}

/// A run in real time.
#[derive(Args, Debug)]
pub struct LiveOptions {
    /// What to run.
    #[command(flatten)]
    pub run: RunOptions,
    /// Write every frame to this file, for Wireshark.
    #[arg(long, value_name = "FILE")]
    pub pcap: Option<PathBuf>,
    /// Leave this node to a stack of its own, which exchanges 802.15.4 frames over a Unix datagram socket: MPDUs without
    /// FCS, one a datagram. May be given several times.
    #[arg(long, value_name = "NODE=SOCKET", value_parser = frame_socket)]
    pub frames: Vec<(String, PathBuf)>,
    /// Only build the network, say how to enter it, and keep it until interrupted.
    #[arg(long, conflicts_with_all = ["node", "program", "json"])]
    pub hold: bool,
    /// Where the command runs.
    #[arg(long, value_name = "NODE", requires = "program", default_value = "border-router")]
    pub node: String,
    /// Run this in place of the relay and the devices, and end with its exit code.
    #[arg(last = true, value_name = "COMMAND")]
    pub program: Vec<OsString>,
}

fn frame_socket(text: &str) -> Result<(String, PathBuf), &'static str> {
    let (node, path) = text.split_once('=').ok_or("give NODE=SOCKET, for example d1=/tmp/d1.sock")?;
    Ok((node.to_owned(), path.into()))
}

/// A run in virtual time.
#[derive(Args, Debug)]
pub struct SimOptions {
    /// What to run.
    #[command(flatten)]
    pub run: RunOptions,
    /// Who serves the image.
    #[arg(long, value_enum, default_value_t = ServerName::Ours)]
    pub server: ServerName,
}

/// What every run has.
#[derive(Args, Debug)]
pub struct RunOptions {
    /// The scenario; netns-tests/scenarios/ has samples, which are the manual of the format.
    #[arg(value_name = "SCENARIO.toml")]
    pub scenario: PathBuf,
    /// Decides all chance of the run: the same seed gives the same run.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// How many devices, in place of the scenario's.
    #[arg(long, value_name = "N")]
    pub devices: Option<u32>,
    /// The probability that a link loses a frame, in place of the scenario's.
    #[arg(long, value_name = "P")]
    pub loss: Option<f64>,
    /// The size of the image in bytes, in place of the scenario's.
    #[arg(long, value_name = "BYTES")]
    pub image: Option<u32>,
    /// The size of a block, as an SZX (0 to 6) or in bytes (16 to 1024), in place of the scenario's.
    #[arg(long, value_name = "N", value_parser = block_bytes_from_szx)]
    pub szx: Option<u16>,
    /// Print the figures as JSON.
    #[arg(long)]
    pub json: bool,
    /// Add the figures of each node.
    #[arg(long)]
    pub nodes: bool,
}

impl RunOptions {
    /// What the command line says in place of the scenario.
    pub const fn overrides(&self) -> Overrides {
        Overrides { devices: self.devices, loss: self.loss, image_bytes: self.image, block_bytes: self.szx }
    }
}

/// A server by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ServerName {
    /// The relay's engine, and devices with the device client's core.
    Ours,
    /// The relay's engine, and devices that run the boot program's core over flash; they never give up.
    Boot,
    /// The relay's engine, and devices that run the boot program's core and hear what goes to their group.
    Fanout,
    /// The relay's engine, and clients with RFC 7252's defaults that know nothing of it.
    Legacy,
    /// A stateless block-wise CoAP server, and clients with RFC 7252's defaults.
    Rfc7252,
    /// TFTP as RFC 1350 has it, in blocks of 512 bytes.
    Tftp,
    /// TFTP with options: blocks of the scenario's size.
    TftpOptions,
}

impl From<ServerName> for Server {
    fn from(name: ServerName) -> Self {
        match name {
            ServerName::Ours => Self::Ours,
            ServerName::Boot => Self::Boot,
            ServerName::Fanout => Self::Fanout,
            ServerName::Legacy => Self::Legacy,
            ServerName::Rfc7252 => Self::Rfc7252,
            ServerName::Tftp => Self::Tftp,
            ServerName::TftpOptions => Self::TftpOptions,
        }
    }
}
