//! `sixfold-device`: the device side of Sixfold, as a program for Linux.
//!
//! It fetches a body over CoAP into a file, with the same state machine that a boot program uses. It does not
//! check who made the body: it prints the SHA-256 for whoever does.
#![forbid(unsafe_code)]

mod cli;
mod failure;
mod partial;
mod progress;
mod request;
mod transfer;

mod wire;

use clap::Parser;
use cli::{Cli, Command};
use std::process::ExitCode;

fn main() -> ExitCode {
    let Command::Fetch(arguments) = Cli::parse().command;
    match transfer::run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            progress::print_line(&format!("sixfold-device: {failure}"));
            failure.exit_code()
        }
    }
}
