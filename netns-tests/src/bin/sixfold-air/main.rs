//! The radio laboratory: fleets of devices over a modelled IEEE 802.15.4 channel, in virtual and in real time.

mod fleet;
mod proof;
mod report;
mod run;
mod scenario;
mod sim;

use clap::Parser;
use sixfold_netns_tests::air_cli::{self, Cli, Command};
use std::process::ExitCode;

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Sim(options) => sim::run(&options),
        Command::Run(options) => run::run(&options),
        Command::Fleet(options) => fleet::run(options),
        Command::Proof(options) => proof::run(&options),
    };
    result.unwrap_or_else(|failure| {
        eprintln!("sixfold-air: {failure:#}");
        ExitCode::from(air_cli::BAD_USAGE)
    })
}
