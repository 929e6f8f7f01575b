//! `sixfold-publish`: signs firmware images, so that any static HTTPS server can serve them to relays.
//!
//! It deliberately has no network: what it writes is copied to a server by whatever the publisher uses for that.
#![forbid(unsafe_code)]

mod directory;
mod encrypt;
mod failure;
mod files;
mod inspect;
mod keygen;
mod sign;
mod verify;

use clap::Parser;
use sixfold_publish::cli::{self, Cli, Command};
use std::io::Write;
use std::process::ExitCode;

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Keygen(arguments) => keygen::run(&arguments),
        Command::Sign(arguments) => sign::run(&arguments),
        Command::Verify(arguments) => verify::run(&arguments),
        Command::Inspect(arguments) => inspect::run(&arguments),
    };
    let result = result.and_then(|text| {
        let mut stdout = std::io::stdout().lock();
        stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).map_err(failure::Failure::Stdout)
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // There is nobody left to tell when stderr is closed.
            let _ = writeln!(std::io::stderr(), "sixfold-publish: {failure}");
            ExitCode::FAILURE
        }
    }
}
