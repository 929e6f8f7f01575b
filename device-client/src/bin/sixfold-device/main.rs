//! `sixfold-device`: the device side of Sixfold, as a program for Linux.
//!
//! It is a main program and a boot program in one: `prepare` verifies a manifest and leaves a ticket in flash, `boot` does
//! the rest, with the same state machine that firmware uses. `fetch` gets any body into a file, for whoever has other means
//! to check who made it.
#![forbid(unsafe_code)]

mod boot;
mod discover;
mod failure;
mod flash;
mod group;
mod partial;
mod prepare;
mod progress;
mod radio;
mod relay;
mod request;
mod session;
mod stack;
mod transfer;
mod trust;
mod way;
mod wire;

use clap::Parser;
use sixfold_device::cli::{self, Cli, Command, Flash};
use std::process::ExitCode;

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Fetch(arguments) => transfer::run(&arguments),
        Command::Prepare(arguments) => prepare::run(&arguments),
        Command::Boot(arguments) => boot::run(&arguments),
        Command::Update(arguments) => prepare::update(&arguments),
        Command::Flash(Flash::Create(arguments)) => flash::create(&arguments),
        Command::Flash(Flash::Show(arguments)) => flash::show(&arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            progress::print_line(&format!("sixfold-device: {failure}"));
            ExitCode::from(failure.status())
        }
    }
}
