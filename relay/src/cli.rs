//! The command line.

use clap::{Args, Parser, Subcommand};
use sixfold_profile::coap::Szx;
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  sixfold-relay check --config /etc/sixfold/relay.toml
  sixfold-relay serve --config /etc/sixfold/relay.toml
  sixfold-relay doctor --config /etc/sixfold/relay.toml
  sixfold-relay status
  sixfold-relay demo --devices 100 --szx 2

Signals (serve): SIGHUP reads the configuration again, SIGTERM and SIGINT finish what is under way and exit.

Exit codes: 0 all is well, 1 something failed, 2 the command line or the configuration is wrong.";

/// Fetches firmware once over HTTPS and feeds every device behind a border router over CoAP.
#[derive(Debug, Parser)]
#[command(name = "sixfold-relay", version, after_help = EXAMPLES, arg_required_else_help = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve until SIGTERM.
    Serve(ConfigFile),
    /// Look for mistakes in a configuration, and the files that it names, without serving.
    Check(ConfigFile),
    /// Look for what keeps a relay with this configuration from serving on this machine: clock, interface, addresses,
    /// groups, ports, origins, disk, memory. Says what to do.
    Doctor(ConfigFile),
    /// Run an HTTPS origin, a relay and devices on this machine, with nothing to configure.
    Demo(DemoOptions),
    /// Show what a running relay is doing.
    Status(StatusOptions),
}

/// Which configuration.
#[derive(Args, Debug)]
pub struct ConfigFile {
    /// The configuration file; config/relay.toml in the source is its manual.
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
}

/// The scene of the demo.
#[derive(Args, Debug)]
pub struct DemoOptions {
    /// How many devices fetch at the same time.
    #[arg(long, default_value_t = 20, value_parser = at_least_one, value_name = "N")]
    pub devices: usize,
    /// The length of the image.
    #[arg(long, default_value_t = 96 << 10, value_parser = at_least_one, value_name = "BYTES")]
    pub size: usize,
    /// The block size exponent, 0 to 6: blocks of 2^(N+4) bytes.
    #[arg(long, default_value = "6", value_parser = szx, value_name = "N")]
    pub szx: Szx,
}

/// Which relay.
#[derive(Args, Debug)]
pub struct StatusOptions {
    /// The admin address of the relay.
    #[arg(long, default_value = "http://[::1]:9683", value_name = "URL")]
    pub url: String,
    /// Print JSON, as /api/status has it.
    #[arg(long)]
    pub json: bool,
}

fn at_least_one(text: &str) -> Result<usize, String> {
    text.parse()
        .ok()
        .filter(|&number| (1..=64 << 20).contains(&number))
        .ok_or("give a number from 1 to 67108864".into())
}

fn szx(text: &str) -> Result<Szx, String> {
    text.parse().ok().and_then(Szx::new).ok_or("give a number from 0 (16 bytes) to 6 (1024 bytes)".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn refuses_impossible_scenes() {
        for arguments in [["--szx", "7"], ["--devices", "0"], ["--size", "-1"]] {
            let line = ["sixfold-relay", "demo"].into_iter().chain(arguments);
            assert!(Cli::try_parse_from(line).is_err(), "{arguments:?}");
        }
    }
}
