//! `sixfold-air sim`.

use crate::cli::SimOptions;
use crate::{report, scenario};
use anyhow::Result;
use sixfold_air::sim;
use std::process::ExitCode;

/// Runs one scenario in virtual time and reports.
pub(crate) fn run(options: &SimOptions) -> Result<ExitCode> {
    let scenario = scenario::read(&options.run)?;
    let outcome = sim::run(&scenario, options.server.into(), options.run.seed);
    report::print(&scenario, &outcome, &options.run)
}
