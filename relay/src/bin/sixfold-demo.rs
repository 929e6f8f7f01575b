//! `make demo`: the demo is a program of its own, so that what is installed on routers does not carry it.

use clap::Parser;
use sixfold_relay::demo::{self, Options};
use sixfold_relay::ops::logging;
use sixfold_relay::output;
use std::process::ExitCode;

fn main() -> ExitCode {
    run(&Options::parse()).unwrap_or_else(|error| {
        output::tell(&format!("sixfold-demo: {error:#}"));
        ExitCode::FAILURE
    })
}

fn run(options: &Options) -> anyhow::Result<ExitCode> {
    logging::init("warn", false)?;
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(demo::run(options))
}
