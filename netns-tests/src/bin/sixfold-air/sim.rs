//! `sixfold-air sim`.

use crate::{report, scenario};
use anyhow::{Result, bail};
use sixfold_air::sim::{self, Server};
use sixfold_netns_tests::air_cli::SimOptions;
use std::process::ExitCode;

/// Runs one scenario in virtual time and reports.
pub(crate) fn run(options: &SimOptions) -> Result<ExitCode> {
    let scenario = scenario::read(&options.run)?;
    let server: Server = options.server.into();
    if let Some(refusal) = server.refuses(&scenario) {
        bail!("{refusal}");
    }
    let outcome = sim::run(&scenario, server, options.run.seed);
    report::print(&scenario, &outcome, &options.run)
}
