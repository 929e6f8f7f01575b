//! `make demo`.

use clap::Parser;
use sixfold_demo::Options;
use sixfold_relay::ops::logging::{self, Reader};
use sixfold_relay::output;
use std::process::ExitCode;

fn main() -> ExitCode {
    run(&Options::parse()).unwrap_or_else(|error| {
        output::tell(&format!("sixfold-demo: {error:#}"));
        ExitCode::FAILURE
    })
}

fn run(options: &Options) -> anyhow::Result<ExitCode> {
    logging::init("warn", false, Reader::Plain)?;
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(sixfold_demo::run(options))
}
